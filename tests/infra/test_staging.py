from __future__ import annotations

import hashlib
import os
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from infra.staging import (
    BUILD,
    MANIFEST,
    CannotStage,
    Staged,
    cloud_markers,
    functions,
    main,
    requirement_set,
    stage,
)

MAIN = "def hello(request):\n    return 'hello'\n"

CHECKOUT = {
    "functions/__init__.py": "",
    "functions/hello/main.py": MAIN,
    "functions/hello/requirements.txt": "# What it imports.\nWeb_Kit\n",
    "shared/__init__.py": "",
    "shared/model/records.py": "RECORD = 1\n",
    "shared/model/zones.bin": "\0zones",
    "schemas/fix.schema.json": "{}\n",
    "requirements.txt": "# made by a tool\nweb.kit==1.4\n    # via hello\ntools==2.0\nunused==3\n",
    # None of these belongs to a function.
    "README.md": "# Hello",
    "functions/hello/test_main.py": "assert True",
    "functions/hello/__pycache__/main.cpython-311.pyc": "",
    "shared/model/__pycache__/records.cpython-311.pyc": "",
    "shared/model/.records.py.swp": "",
    "shared/model/records.py~": "",
    "tests/test_hello.py": "assert True",
}

INSTALLED = {"web-kit": ("1.4", ["tools>=1"]), "tools": ("2.0", [])}


@pytest.fixture
def checkout(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    install(tmp_path / "site", INSTALLED, monkeypatch)
    return written(tmp_path / "checkout", CHECKOUT)


def written(root: Path, files: dict[str, str]) -> Path:
    for path, text in files.items():
        (root / path).parent.mkdir(parents=True, exist_ok=True)
        (root / path).write_text(text)
    return root


def install(
    site: Path, packages: dict[str, tuple[str, list[str]]], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Makes the packages look installed: name -> (version, what they require)."""
    for name, (version, requires) in packages.items():
        folder = site / f"{name.replace('-', '_')}-{version}.dist-info"
        folder.mkdir(parents=True)
        extras = ["Provides-Extra: fast"]
        lines = [f"Name: {name}", f"Version: {version}", *extras]
        lines += [f"Requires-Dist: {text}" for text in requires]
        (folder / "METADATA").write_text("Metadata-Version: 2.1\n" + "\n".join(lines) + "\n")
    monkeypatch.syspath_prepend(str(site))


def state(folder: Path) -> dict[str, tuple[object, ...]]:
    """What tells one copy of a folder from another, and from itself after it was touched."""
    return {
        path.relative_to(folder).as_posix(): (
            path.stat().st_ino,
            path.stat().st_ctime_ns,
            path.stat().st_mtime,
            path.read_bytes() if path.is_file() else None,
        )
        for path in [folder, *folder.rglob("*")]
    }


def files(folder: Path) -> dict[str, bytes]:
    paths = (path for path in folder.rglob("*") if path.is_file())
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in paths}


# What is in the folder


def test_a_folder_holds_what_the_function_needs_and_nothing_else(
    checkout: Path, tmp_path: Path
) -> None:
    staged = stage("hello", tmp_path / "build", root=checkout)
    held = files(staged.folder)
    manifest = held.pop(MANIFEST)
    assert set(held) == {
        "main.py",
        "requirements.txt",
        "schemas/fix.schema.json",
        "shared/__init__.py",
        "shared/model/records.py",
        "shared/model/zones.bin",
    }
    assert held["main.py"] == MAIN.encode()
    assert held["requirements.txt"].decode().splitlines()[1:] == ["tools==2.0", "web-kit==1.4"]
    assert manifest.decode() == "".join(
        f"{hashlib.sha256(held[path]).hexdigest()}  {path}\n" for path in sorted(held)
    )
    assert staged == Staged(
        "hello",
        tmp_path / "build" / "hello",
        hashlib.sha256(manifest).hexdigest(),
        ("tools==2.0", "web-kit==1.4"),
    )


def test_times_and_modes_are_always_the_same(checkout: Path, tmp_path: Path) -> None:
    (checkout / "functions/hello/main.py").chmod(0o700)
    before = os.umask(0o077)
    try:
        staged = stage("hello", tmp_path / "build", root=checkout)
    finally:
        os.umask(before)
    paths = [staged.folder, *staged.folder.rglob("*")]
    assert {path.stat().st_mtime for path in paths} == {315_619_200}  # 1980-01-02
    assert {path.stat().st_mode & 0o777 for path in paths if path.is_file()} == {0o644}
    assert {path.stat().st_mode & 0o777 for path in paths if path.is_dir()} == {0o755}


def test_two_checkouts_give_the_same_bytes(checkout: Path, tmp_path: Path) -> None:
    other = written(tmp_path / "other", dict(reversed(CHECKOUT.items())))
    staged = [
        stage("hello", tmp_path / f"build-{root.name}", root=root) for root in (checkout, other)
    ]
    assert staged[0].sha256 == staged[1].sha256
    assert files(staged[0].folder) == files(staged[1].folder)


@pytest.mark.parametrize(
    "path", ["functions/hello/main.py", "shared/model/records.py", "schemas/fix.schema.json"]
)
def test_any_change_changes_the_hash(path: str, checkout: Path, tmp_path: Path) -> None:
    before = stage("hello", tmp_path / "build", root=checkout)
    (checkout / path).write_text("{}")
    after = stage("hello", tmp_path / "build", root=checkout)
    assert before.sha256 != after.sha256
    assert (after.folder / path.removeprefix("functions/hello/")).read_text() == "{}"


# Staging again


def test_a_folder_that_is_right_is_not_touched(checkout: Path, tmp_path: Path) -> None:
    first = stage("hello", tmp_path / "build", root=checkout)
    before = state(first.folder)
    assert stage("hello", tmp_path / "build", root=checkout) == first
    assert state(first.folder) == before


@pytest.mark.parametrize(
    "spoil",
    [
        "touch stale.py",
        "mkdir empty",
        "mkdir shared/__pycache__ && touch shared/__pycache__/__init__.cpython-311.pyc",
        "rm main.py",
        "echo >> main.py",
        "touch main.py",
        "chmod 600 main.py",
        "rm -r shared",
        "rm -r ../hello && touch ../hello",
    ],
)
def test_what_is_wrong_in_a_folder_is_mended(spoil: str, checkout: Path, tmp_path: Path) -> None:
    staged = stage("hello", tmp_path / "build", root=checkout)
    right = files(staged.folder)
    subprocess.run(["sh", "-c", spoil], cwd=staged.folder, check=True)
    assert stage("hello", tmp_path / "build", root=checkout) == staged
    assert files(staged.folder) == right
    assert {path.stat().st_mtime for path in staged.folder.rglob("*")} == {315_619_200}
    assert [path.name for path in (tmp_path / "build").iterdir()] == ["hello"]


class Killed(BaseException):
    """Nothing may catch it."""


def test_killed_in_the_middle_it_leaves_the_old_folder_the_new_or_none(
    checkout: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    old = files(stage("hello", tmp_path / "old", root=checkout).folder)
    (checkout / "shared/model/records.py").write_text("RECORD = 2\n")
    new = files(stage("hello", tmp_path / "new", root=checkout).folder)
    seen = []
    for steps in range(100):
        build = tmp_path / f"build-{steps}"
        shutil.copytree(tmp_path / "old", build)
        with monkeypatch.context() as patch:
            killed_after(steps, patch)
            try:
                stage("hello", build, root=checkout)
                break
            except Killed:
                seen.append(files(build / "hello"))
        assert files(stage("hello", build, root=checkout).folder) == new
        assert [path.name for path in build.iterdir()] == ["hello"]
    assert len(seen) > len(new)
    assert all(held in ({}, old, new) for held in seen)


def killed_after(steps: int, patch: pytest.MonkeyPatch) -> None:
    """Writing and renaming work `steps` times."""
    left = [steps]
    for name in ("write_bytes", "rename"):
        real = getattr(Path, name)

        def step(self: Path, argument: object, real: Callable[..., object] = real) -> object:
            if not left[0]:
                raise Killed
            left[0] -= 1
            return real(self, argument)

        patch.setattr(Path, name, step)


# The set of packages


@pytest.mark.parametrize(
    ("imports", "packages", "wanted"),
    [
        ("a", {"a": ("1", [])}, "a"),
        ("a", {"a": ("1", ["b"]), "b": ("1", ["c>=1"]), "c": ("1", [])}, "a b c"),
        ("a", {"a": ("1", ["b"]), "b": ("1", ["a"])}, "a b"),
        ("a\nb", {"a": ("1", []), "b": ("1", []), "c": ("1", [])}, "a b"),
        ("B_b.C", {"b-b-c": ("1", ["A.A"]), "a-a": ("1", [])}, "a-a b-b-c"),
        # Only with the extra that somebody asks for, in whatever order they ask
        ("a", {"a": ("1", ["b; extra == 'fast'"]), "b": ("1", [])}, "a"),
        ("a[Fast]", {"a": ("1", ["b; extra == 'fast'"]), "b": ("1", [])}, "a b"),
        (
            "a\nb",
            {"a": ("1", ["c; extra == 'fast'"]), "b": ("1", ["a[fast]"]), "c": ("1", [])},
            "a b c",
        ),
        (
            "b\na",
            {"a": ("1", ["c; extra == 'fast'"]), "b": ("1", ["a[fast]"]), "c": ("1", [])},
            "a b c",
        ),
        # Where it runs, not here
        ("a", {"a": ("1", ["b; python_version >= '3.13'"]), "b": ("1", [])}, "a b"),
        ("a", {"a": ("1", ["b; python_full_version < '3.13.0'"]), "b": ("1", [])}, "a"),
        ("a", {"a": ("1", ["b; sys_platform == 'win32'"]), "b": ("1", [])}, "a"),
        ("a", {"a": ("1", ["b; platform_machine == 'x86_64'"]), "b": ("1", [])}, "a b"),
    ],
)
def test_the_set_is_everything_that_is_needed_where_it_runs(
    imports: str,
    packages: dict[str, tuple[str, list[str]]],
    wanted: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    install(tmp_path / "site", packages, monkeypatch)
    pins = "".join(f"{name}=={version}\n" for name, (version, _) in packages.items())
    root = written(
        tmp_path / "root",
        {"requirements.txt": pins, "functions/hello/requirements.txt": imports},
    )
    found = requirement_set("hello", cloud_markers("python313"), root=root)
    assert [pin.partition("==")[0] for pin in found] == wanted.split()


@pytest.mark.parametrize(("runtime", "version"), [("python312", "1"), ("python314", "2")])
def test_a_pin_may_depend_on_the_runtime(
    runtime: str, version: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    install(tmp_path / "site", {"a": (version, [])}, monkeypatch)
    pins = "a==1 ; python_version < '3.14'\na==2 ; python_version >= '3.14'\n"
    root = written(
        tmp_path / "root", {"requirements.txt": pins, "functions/hello/requirements.txt": "a"}
    )
    assert requirement_set("hello", cloud_markers(runtime), root=root) == (f"a=={version}",)


@pytest.mark.parametrize(
    ("files", "said"),
    [
        (
            {"requirements.txt": "web-kit==1.4\n"},
            "web-kit needs tools, which requirements.txt does not pin; add it to the dependencies in pyproject.toml and run `make lock`",
        ),
        (
            {"functions/hello/requirements.txt": "nowhere-kit"},
            "functions/hello needs nowhere-kit, which requirements.txt does not pin",
        ),
        (
            {"requirements.txt": "web-kit==1.4\ntools==2.1\n"},
            "tools 2.1 is needed to know what it needs in turn, but here it is 2.0; `infra/bootstrap runtime` installs it",
        ),
        (
            {
                "requirements.txt": "nowhere-kit==1\n",
                "functions/hello/requirements.txt": "nowhere-kit",
            },
            "nowhere-kit 1 is needed to know what it needs in turn, but here it is not installed",
        ),
        (
            {"functions/hello/requirements.txt": "web-kit>=1.4"},
            "write web-kit only, because the root's requirements.txt has the version",
        ),
        (
            {"functions/hello/requirements.txt": "web-kit; os_name == 'nt'"},
            "write web-kit only",
        ),
        (
            {"functions/hello/requirements.txt": "not a name"},
            "'not a name' is no requirement",
        ),
    ],
)
def test_a_set_that_cannot_be_known_is_an_error(
    files: dict[str, str], said: str, checkout: Path, tmp_path: Path
) -> None:
    written(checkout, files)
    with pytest.raises(CannotStage) as failure:
        stage("hello", tmp_path / "build", root=checkout)
    assert said in str(failure.value)
    assert not (tmp_path / "build").exists()


@pytest.mark.parametrize(
    ("missing", "said"),
    [
        ("functions/hello/main.py", "there is no function 'hello'; there is: none"),
        ("functions/hello/requirements.txt", "is missing; it names the packages, one a line"),
        ("schemas", "is missing; `make schemas` makes what is generated"),
    ],
)
def test_a_checkout_that_lacks_something_is_an_error(
    missing: str, said: str, checkout: Path, tmp_path: Path
) -> None:
    (checkout / missing).rename(tmp_path / "moved")
    with pytest.raises(CannotStage) as failure:
        stage("hello", tmp_path / "build", root=checkout)
    assert said in str(failure.value)


# This checkout


@pytest.mark.parametrize("function", functions())
def test_a_function_takes_only_what_it_imports(function: str) -> None:
    names = {pin.partition("==")[0] for pin in requirement_set(function, cloud_markers())}
    assert "functions-framework" in names
    assert not names & {"dateparser", "httptools", "pip", "pytest"}
    assert ("phonenumbers" in names) == (function == "work")  # which reads contacts


def test_the_command_stages_what_is_named(
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert main(["ingest"]) == 0
    assert capsys.readouterr().out.split()[0] == os.path.relpath(BUILD / "ingest")
    assert main(["nothing"]) == 1
    assert capsys.readouterr().err.startswith("Error: there is no function 'nothing'; there is: ")
