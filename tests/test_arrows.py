"""The arrows of imports point down, as `shared/__init__.py` says, and nowhere is a circle."""

import ast
from collections.abc import Iterable, Iterator
from graphlib import TopologicalSorter
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]

BELOW: dict[str, set[str]] = {
    "model": set(),
    "sealing": set(),
    "settings": {"model"},
    "sources": {"model"},
    "formats": {"model"},
    "services": {"model", "sources"},
    "ha": {"model"},
    "copied": {"store"},
    "collecting": {
        "counters",
        "ha",
        "imports",
        "model",
        "queue",
        "sealing",
        "services",
        "store",
        "work",
    },
    "meter": set(),
    "wal": set(),
    "alerting": {"ha", "model", "sealing", "store"},
    "archives": {"model"},
    "blobs": {"meter", "model"},
    "store": {"blobs", "meter", "model", "search", "wal"},
    "queue": {"model", "wal"},
    "search": {"model"},
    "work": {"ha", "meter", "model", "queue", "store"},
    "imports": {"archives", "blobs", "model", "sources", "store", "work"},
    "upkeep": {"imports", "model", "node", "store", "work"},
    "counters": {"ha"},
    "counts": {"store"},
    "keyring": {"model", "store"},
    "friends": {"model", "sources", "store"},
    "node": {
        "alerting",
        "blobs",
        "copied",
        "counters",
        "counts",
        "friends",
        "ha",
        "keyring",
        "model",
        "queue",
        "sealing",
        "search",
        "settings",
        "store",
    },
    "workshop": {
        "alerting",
        "collecting",
        "counters",
        "imports",
        "node",
        "queue",
        "services",
        "upkeep",
        "work",
    },
    "commands": {
        "alerting",
        "collecting",
        "ha",
        "imports",
        "model",
        "node",
        "services",
        "store",
        "work",
    },
    "http": {
        "blobs",
        "collecting",
        "commands",
        "formats",
        "imports",
        "model",
        "node",
        "queue",
        "sealing",
        "search",
        "settings",
        "sources",
        "store",
        "upkeep",
        "work",
    },
}
"""What each room or module of `shared` imports besides itself."""

ADAPTERS = {
    "shared.store.sqlite",
    "shared.store.firestore",
    "shared.blobs.files",
    "shared.blobs.gcs",
    "shared.queue.local",
    "shared.queue.cloudtasks",
    "shared.counters.cloudmonitoring",
}
WORLD = {"asyncio", "http", "logging", "os", "pathlib", "random", "secrets", "sqlite3", "ssl"}
WORLD |= {"subprocess", "tempfile", "threading", "time"}
"""What a pure module has none of: files, servers, processes, threads, the clock, chance."""


def files(top: str) -> Iterator[tuple[str, Path]]:
    """Each module below a folder by its name, a package by that of the package."""
    for path in sorted((ROOT / top).rglob("*.py")):
        yield ".".join(path.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__"), path


MODULES = {name: path for top in ("shared", "functions", "infra") for name, path in files(top)}


def imported(module: str) -> set[str]:
    """What a module imports, in functions and for types too; our own modules by their names."""
    return named_in(ast.walk(ast.parse(MODULES[module].read_text("utf-8"))))


def named_in(nodes: Iterable[ast.AST]) -> set[str]:
    """What these statements import."""
    found: set[str] = set()
    for node in nodes:
        if isinstance(node, ast.Import):
            found |= {name.name for name in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert node.module is not None, "relative imports are not used here"
            whole = {f"{node.module}.{name.name}" for name in node.names}
            ours = whole & MODULES.keys()
            found |= ours or {node.module}
    return found


def loaded(module: str) -> set[str]:
    """All that importing a module of ours loads at once: not what functions in it import."""
    seen: set[str] = set()
    waiting = [module]
    while waiting:
        name = waiting.pop()
        if name in seen:
            continue
        seen.add(name)
        if name in MODULES:
            top = ast.parse(MODULES[name].read_text("utf-8")).body
            waiting += named_in([node for node in top if not isinstance(node, ast.If)])
    return seen


def seen_by(name: str) -> set[str]:
    inside = [module for module in MODULES if is_shared(module) and room(module) == name]
    return {other for module in inside for other in imported(module)}


def is_shared(module: str) -> bool:
    return module == "shared" or module.startswith("shared.")


def room(module: str) -> str:
    return module.split(".")[1] if "." in module else ""


def test_every_room_has_its_rule() -> None:
    assert {room(module) for module in MODULES if is_shared(module)} - {""} == BELOW.keys()


@pytest.mark.parametrize("name", BELOW)
def test_a_room_sees_only_what_lies_below(name: str) -> None:
    assert {room(other) for other in seen_by(name) if is_shared(other)} - {name} == BELOW[name]


def test_there_is_no_circle() -> None:
    tuple(TopologicalSorter(BELOW).static_order())
    ours = {module: imported(module) & MODULES.keys() for module in MODULES}
    assert len(tuple(TopologicalSorter(ours).static_order())) == len(MODULES)


@pytest.mark.parametrize("name", ["model", "sources", "formats", "archives", "ha"])
def test_pure_rooms_know_nothing_of_the_world(name: str) -> None:
    assert WORLD.isdisjoint(other.split(".")[0] for other in seen_by(name))


def test_an_adapter_sees_nothing_of_the_other() -> None:
    for adapter in ADAPTERS:
        assert imported(adapter).isdisjoint(ADAPTERS - {adapter})


def test_only_the_node_opens_an_adapter() -> None:
    assert {module for module in MODULES if imported(module) & ADAPTERS} == {"shared.node"}


@pytest.mark.parametrize("function", ["ingest", "query"])
def test_a_function_that_answers_at_once_loads_nothing_that_reads_files(function: str) -> None:
    names = loaded(f"functions.{function}.main")
    assert "shared.node" in names
    assert names.isdisjoint(ADAPTERS)
    rooms = {".".join(name.split(".")[:2]) for name in names}
    assert rooms.isdisjoint({"shared.archives", "shared.workshop", "shared.upkeep"})
    assert {name.split(".")[0] for name in names}.isdisjoint({"PIL", "pillow_heif", "google"})


@pytest.mark.parametrize("function", ["tick", "monitor"])
def test_a_function_that_lets_others_work_loads_nothing_that_does(function: str) -> None:
    names = loaded(f"functions.{function}.main")
    assert names.isdisjoint({"shared.imports.importing", "shared.services.registry"})
    assert {name.split(".")[0] for name in names}.isdisjoint({"PIL", "pillow_heif", "imapclient"})


def test_the_library_knows_nobody_above_it() -> None:
    for module in MODULES:
        if is_shared(module):
            tops = {name.split(".")[0] for name in imported(module)}
            assert tops.isdisjoint({"infra", "functions", "tests"}), module
