"""How long a phone waits for an instance that does not run yet, beside a hello-world.

Each function is staged, compiled as the cloud's builder compiles it, and started by the bare
`functions-framework` script in an environment of exactly its packages. The clock and the processor
time run from the start of the process until the first 200: of `ingest`, for a report that is kept.
"""

from __future__ import annotations

import contextlib
import http.client
import itertools
import os
import re
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path

from infra.emulators import HOST, Missing, Process, find_firestore, free_port, launch
from infra.runtime import command, environment_of, variables
from infra.staging import ROOT, Staged, local_markers, requirement_set, stage
from shared.model.access import Device, token_hash
from shared.node import open_node
from shared.settings import read_settings
from tests.bench.table import print_table

ROUNDS = 7
IMPORTS = 3
TOKEN = "the-token-of-a-benchmark"

_HELLO = """
import functions_framework


@functions_framework.http
def hello(request):
    return "hello"
"""
_REPORT = b'{"_type":"location","tid":"me","lat":51.5,"lon":-0.12,"tst":%d}'
_TIMES = itertools.count(1_767_268_800)  # each report is a new one

_GROUPS = {
    "grpc": "gRPC",
    "google.auth": "google-auth",
    "google.oauth2": "google-auth",
    "google.api_core": "google-api-core",
    "google.api": "protobuf, proto-plus, its types",
    "google.rpc": "protobuf, proto-plus, its types",
    "google.type": "protobuf, proto-plus, its types",
    "google.protobuf": "protobuf, proto-plus, its types",
    "google._upb": "protobuf, proto-plus, its types",
    "proto": "protobuf, proto-plus, its types",
    "google.cloud": "google-cloud-firestore",
    "requests": "requests, urllib3",
    "urllib3": "requests, urllib3",
    "charset_normalizer": "requests, urllib3",
    "certifi": "requests, urllib3",
    "idna": "requests, urllib3",
    "cryptography": "cryptography, pyasn1",
    "pyasn1": "cryptography, pyasn1",
    "pyasn1_modules": "cryptography, pyasn1",
    "opentelemetry": "opentelemetry",
    "msgspec": "msgspec",
    "shared": "our own",
    "main": "our own",
}


@dataclass(frozen=True)
class Case:
    name: str
    staged: Staged
    environment: Path
    settings: Mapping[str, str]
    path: str = "/"
    report: bool = False


@dataclass(frozen=True)
class Start:
    """Milliseconds."""

    wall: float
    cpu: float


def main() -> None:
    with tempfile.TemporaryDirectory(prefix="yurt-bench-") as name, contextlib.ExitStack() as stack:
        folder = Path(name)
        cases = list(_cases(folder, stack))
        _measure_all(cases, folder)  # the first reads come from the disk
        rounds = [_measure_all(cases, folder) for _ in range(ROUNDS)]
        _print_starts([case.name for case in cases], rounds)
        known = set(_import_times(cases[0], folder)[0])
        for case in cases[1:]:
            _print_imports(case, known, folder)


def _cases(folder: Path, stack: contextlib.ExitStack) -> Iterator[Case]:
    yield _hello(folder)
    staged = stage("ingest", folder / "build")
    environment = environment_of(requirement_set("ingest", local_markers()))
    _compile(staged, environment)
    sqlite = {"YURT_STORE": "sqlite", "YURT_DATA": str(folder / "data")}
    case = Case("ingest on SQLite", staged, environment, sqlite, "/pub", report=True)
    _let_in(case)
    yield case
    found = find_firestore()
    if isinstance(found, Missing):
        print(f"without Firestore: {found}")
        return
    emulator = stack.enter_context(launch(found, folder / "firestore"))
    os.environ.update(emulator.env)
    firestore = {"YURT_STORE": "firestore", "YURT_PROJECT": "demo-cold-start", **emulator.env}
    case = replace(case, name="ingest on Firestore (emulator)", settings=firestore)
    _let_in(case)
    yield case


def _hello(folder: Path) -> Case:
    root = folder / "hello"
    source = root / "functions" / "hello"
    source.mkdir(parents=True)
    (source / "main.py").write_text(_HELLO)
    (source / "requirements.txt").write_text("functions-framework\n")
    for name in ("shared", "schemas"):
        (root / name).mkdir()
    shutil.copy(ROOT / "requirements.txt", root)
    environment = environment_of(requirement_set("hello", local_markers(), root=root))
    staged = stage("hello", folder / "build", root=root)
    _compile(staged, environment)
    return Case("hello-world", staged, environment, {})


def _compile(staged: Staged, environment: Path) -> None:
    """As the builder does: the cloud never compiles at a cold start."""
    python = environment / "bin" / "python"
    options = ["-m", "compileall", "-q", "--invalidation-mode", "unchecked-hash"]
    subprocess.run([python, *options, staged.folder], check=True)


def _let_in(case: Case) -> None:
    device = Device(
        id="phone",
        name="phone",
        app="owntracks",
        created=datetime(2026, 1, 1, tzinfo=UTC),
        current=token_hash(TOKEN),
    )
    with contextlib.closing(open_node(read_settings(case.settings))) as node:
        node.keyring.change(lambda access: access.with_device(device))


# The clock


def _measure_all(cases: Iterable[Case], folder: Path) -> list[Start]:
    return [_measure(case, folder) for case in cases]


def _measure(case: Case, folder: Path, **environ: str) -> Start:
    port = free_port()
    process = Process(
        command(case.staged, case.environment, port),
        log=folder / "function.log",
        env={**variables(case.staged.function, case.settings), **environ},
        cwd=folder,
    )
    process.log.unlink(missing_ok=True)
    began = time.monotonic()
    with process:
        _first_200(case, port, process)
        return Start((time.monotonic() - began) * 1000, _cpu(process.pid))


def _first_200(case: Case, port: int, process: Process) -> None:
    connection = http.client.HTTPConnection(HOST, port, timeout=60)
    while True:
        try:
            connection.connect()
            break
        except ConnectionRefusedError:
            if process.status is not None:
                sys.exit(str(process))
            time.sleep(0.002)
    with contextlib.closing(connection):
        headers = {"Authorization": f"Bearer {TOKEN}"}
        body = _REPORT % next(_TIMES) if case.report else None
        connection.request("POST" if case.report else "GET", case.path, body, headers)
        response = connection.getresponse()
        text = response.read()
        if response.status != 200:
            sys.exit(f"{case.name}: {response.status} {text!r}\n{process}")


def _cpu(leader: int) -> float:
    """Milliseconds that the processes of a group have computed, in ticks of ten (proc(5))."""
    ticks = 0
    for path in Path("/proc").glob("[0-9]*/stat"):
        with contextlib.suppress(FileNotFoundError, ProcessLookupError):
            fields = path.read_text().rpartition(")")[2].split()
            if int(fields[2]) == leader:
                ticks += sum(map(int, fields[11:15]))
    return ticks * 1000 / os.sysconf("SC_CLK_TCK")


def _print_starts(names: list[str], rounds: list[list[Start]]) -> None:
    hello = _median(start.cpu for start, *_ in rounds)
    rows = []
    for name, starts in zip(names, zip(*rounds, strict=True), strict=True):
        wall, cpu = _median(s.wall for s in starts), _median(s.cpu for s in starts)
        rows.append((name, f"{wall:.0f}", f"{cpu:.0f}", f"{cpu / hello:.2f}"))
    print_table(
        f"Cold start to the first 200, median of {ROUNDS} alternating starts",
        ("function", "wall ms", "CPU ms", "CPU, of hello-world"),
        rows,
    )


def _median(values: Iterable[float]) -> float:
    return statistics.median(values)


# What the rest is spent on


def _print_imports(case: Case, known: set[str], folder: Path) -> None:
    times, groups = _import_times(case, folder)
    spent: defaultdict[str, float] = defaultdict(float)
    for name, milliseconds in times.items():
        if name not in known:
            spent[groups[name]] += milliseconds
    total = sum(spent.values())
    print_table(
        f"What {case.name} imports beyond hello-world: {total:.0f} ms (timing them adds some)",
        ("by or for", "ms", "share"),
        [(group, f"{ms:.0f}", f"{ms / total:.0%}") for group, ms in _largest_first(spent)],
    )


def _largest_first(spent: Mapping[str, float]) -> list[tuple[str, float]]:
    return sorted(spent.items(), key=lambda item: -item[1])


def _import_times(case: Case, folder: Path) -> tuple[dict[str, float], dict[str, str]]:
    """Each module's own milliseconds, and the group that it, or who first imported it, is in.

    The least of several starts: other programs of the machine only ever add.
    """
    times: dict[str, float] = {}
    groups: dict[str, str] = {}
    for _ in range(IMPORTS):
        _measure(case, folder, PYTHONPROFILEIMPORTTIME="1")
        for name, group, milliseconds in _imports((folder / "function.log").read_text()):
            times[name] = min(times.get(name, milliseconds), milliseconds)
            groups[name] = group
    return times, groups


def _imports(log: str) -> Iterator[tuple[str, str, float]]:
    """Module, its group, milliseconds; an importer comes before what it imports."""
    line = re.compile(r"import time: +(\d+) \| +\d+ \|( +)([\w.]+)$", re.MULTILINE)
    importers: list[tuple[int, str]] = []  # indentation and group, the innermost last
    for own, indent, name in reversed(line.findall(log)):
        while importers and importers[-1][0] >= len(indent):
            importers.pop()
        group = _group(name) or (importers[-1][1] if importers else "standard library, others")
        importers.append((len(indent), group))
        yield name, group, int(own) / 1000


def _group(module: str) -> str | None:
    while module:
        if module in _GROUPS:
            return _GROUPS[module]
        module = module.rpartition(".")[0]
    return None


if __name__ == "__main__":
    main()
