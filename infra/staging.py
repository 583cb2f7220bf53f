"""The stager: a folder for each function that holds all that the cloud needs to run it.

`build/<function>/` gets `main.py`, all of `shared/` and `schemas/`, a `requirements.txt` with the
function's full set of pinned packages, and `manifest.sha256` (as `sha256sum --check` reads it),
whose own hash names the version. The same checkout gives the same bytes, times and modes every
time; a folder that is right already is not touched.

A function names the packages it imports in `functions/<function>/requirements.txt`. What those
need in turn is read from the packages installed here, for the cloud's Python and system; the
versions are the ones the root's `requirements.txt` pins.
"""

import contextlib
import fcntl
import hashlib
import importlib.metadata
import os
import shutil
import sys
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import cast

from packaging.markers import Marker, default_environment
from packaging.requirements import InvalidRequirement, Requirement
from packaging.utils import canonicalize_name

ROOT = Path(__file__).parents[1]
BUILD = ROOT / "build"

RUNTIME = "python313"
"""What the functions run on in the cloud, as the platform names it."""

MANIFEST = "manifest.sha256"

Markers = Mapping[str, str]
"""What a requirement's marker is evaluated with: the variables of PEP 508, but `extra`."""

_SHARED_FOLDERS = ("shared", "schemas")
_REQUIREMENTS = "requirements.txt"
# A day after the oldest time a zip archive can hold, which zones cannot push before it.
_MTIME = 315_619_200
_FILE_MODE, _FOLDER_MODE = 0o644, 0o755


class CannotStage(Exception):
    """A function's folder cannot be made from this checkout; the text says why, and what to do."""


@dataclass(frozen=True)
class Staged:
    """A function as it is deployed.

    sha256: of the manifest, so of every byte in the folder. pins: `name==version`, sorted.
    """

    function: str
    folder: Path
    sha256: str
    pins: tuple[str, ...]


def cloud_markers(runtime: str = RUNTIME) -> Markers:
    """Of a runtime such as `python313` on the platform's machines."""
    version = f"{runtime[6]}.{runtime[7:]}"
    return {
        "implementation_name": "cpython",
        "implementation_version": f"{version}.0",
        "os_name": "posix",
        "platform_machine": "x86_64",
        "platform_python_implementation": "CPython",
        "platform_release": "",
        "platform_system": "Linux",
        "platform_version": "",
        "python_full_version": f"{version}.0",
        "python_version": version,
        "sys_platform": "linux",
    }


def local_markers() -> Markers:
    """Of the Python that runs now."""
    return cast(Markers, default_environment())


def functions(root: Path = ROOT) -> list[str]:
    """The names of all functions, sorted."""
    return sorted(path.parent.name for path in root.glob("functions/*/main.py"))


def stage(function: str, out: Path = BUILD, *, root: Path = ROOT) -> Staged:
    """Makes `out/<function>` what it must be. Killed at any moment, it leaves no half folder."""
    if function not in functions(root):
        raise CannotStage(
            f"there is no function {function!r}; there is: {_listed(functions(root))}"
        )
    pins = requirement_set(function, cloud_markers(), root=root)
    contents = _contents(function, pins, root)
    manifest = _manifest(contents)
    contents[MANIFEST] = manifest
    folder = out / function
    out.mkdir(parents=True, exist_ok=True)
    with taking_turns(out):
        if not _holds(folder, contents):
            _replace(folder, contents)
    return Staged(function, folder, hashlib.sha256(manifest).hexdigest(), pins)


def requirement_set(function: str, markers: Markers, *, root: Path = ROOT) -> tuple[str, ...]:
    """All that a function needs, as sorted `name==version`, where `markers` hold."""
    pins = _pins(root / _REQUIREMENTS, markers)
    extras: dict[str, set[str]] = {}
    waiting = [(name, f"functions/{function}") for name in _imports(root, function)]
    while waiting:
        requirement, wanted_by = waiting.pop()
        name = canonicalize_name(requirement.name)
        if name not in pins:
            raise CannotStage(
                f"{wanted_by} needs {name}, which {_REQUIREMENTS} does not pin; add it to the "
                "dependencies in pyproject.toml and run `make lock`"
            )
        if name in extras and requirement.extras <= extras[name]:
            continue
        extras.setdefault(name, set()).update(requirement.extras)
        needs = _needs(name, pins[name], extras[name], markers)
        waiting += [(need, name) for need in needs]
    return tuple(f"{name}=={pins[name]}" for name in sorted(extras))


def _imports(root: Path, function: str) -> Iterator[Requirement]:
    path = root / "functions" / function / _REQUIREMENTS
    for requirement in _requirements(path):
        if requirement.specifier or requirement.url or requirement.marker:
            raise CannotStage(
                f"{path} says {str(requirement)!r}: write {requirement.name} only, because the "
                f"root's {_REQUIREMENTS} has the version"
            )
        yield requirement


def _pins(path: Path, markers: Markers) -> dict[str, str]:
    pins: dict[str, str] = {}
    for requirement in _requirements(path):
        if _applies(requirement.marker, (), markers):
            (specifier,) = requirement.specifier
            pins[canonicalize_name(requirement.name)] = specifier.version
    return pins


def _requirements(path: Path) -> Iterator[Requirement]:
    try:
        lines = path.read_text("utf-8").splitlines()
    except FileNotFoundError:
        raise CannotStage(f"{path} is missing; it names the packages, one a line") from None
    for line in lines:
        text = line.partition("#")[0].strip()
        if text:
            try:
                yield Requirement(text)
            except InvalidRequirement as error:
                raise CannotStage(f"{path}: {text!r} is no requirement: {error}") from None


def _needs(
    name: str, version: str, extras: Collection[str], markers: Markers
) -> Iterator[Requirement]:
    """What a package asks for in its metadata, which is the same on every system."""
    try:
        installed = importlib.metadata.distribution(name)
    except importlib.metadata.PackageNotFoundError:
        found = "is not installed"
    else:
        if installed.version == version:
            requirements = map(Requirement, installed.requires or ())
            return (need for need in requirements if _applies(need.marker, extras, markers))
        found = f"is {installed.version}"
    raise CannotStage(
        f"{name} {version} is needed to know what it needs in turn, but here it {found}; "
        "`infra/bootstrap runtime` installs it"
    )


def _applies(marker: Marker | None, extras: Collection[str], markers: Markers) -> bool:
    return marker is None or any(
        marker.evaluate({**markers, "extra": extra}) for extra in ("", *extras)
    )


def _contents(function: str, pins: Sequence[str], root: Path) -> dict[str, bytes]:
    """Path in the folder -> bytes, in the order of the paths."""
    made_by = "made by infra/staging.py from the names in functions/{}/{} and the pins of the root"
    header = f"# {made_by.format(function, _REQUIREMENTS)}\n"
    contents = {
        "main.py": (root / "functions" / function / "main.py").read_bytes(),
        _REQUIREMENTS: (header + "".join(f"{pin}\n" for pin in pins)).encode(),
    }
    for name in _SHARED_FOLDERS:
        if not (root / name).is_dir():
            raise CannotStage(f"{root / name} is missing; `make schemas` makes what is generated")
        for path in (root / name).rglob("*"):
            relative = path.relative_to(root)
            if path.is_file() and not any(map(is_left_over, relative.parts)):
                contents[relative.as_posix()] = path.read_bytes()
    return dict(sorted(contents.items()))


def is_left_over(name: str) -> bool:
    return name == "__pycache__" or name.startswith(".") or name.endswith(("~", ".pyc"))


def _manifest(contents: Mapping[str, bytes]) -> bytes:
    lines = (f"{hashlib.sha256(data).hexdigest()}  {path}\n" for path, data in contents.items())
    return "".join(lines).encode()


@contextlib.contextmanager
def taking_turns(folder: Path) -> Iterator[None]:
    """Processes that change the same folder wait for each other; a lock ends with its holder."""
    handle = os.open(folder, os.O_RDONLY)
    try:
        fcntl.flock(handle, fcntl.LOCK_EX)
        yield
    finally:
        os.close(handle)


def _holds(folder: Path, contents: Mapping[str, bytes]) -> bool:
    """Whether this, and nothing else, is in the folder."""
    if not folder.is_dir():
        return False
    paths = {path.relative_to(folder).as_posix() for path in folder.rglob("*")}
    return paths == contents.keys() | _folders_of(contents) and all(
        _is_staged(folder / path, data) for path, data in contents.items()
    )


def _is_staged(path: Path, data: bytes) -> bool:
    state = path.lstat()
    return (
        state.st_mtime == _MTIME
        and state.st_mode & 0o777 == _FILE_MODE
        and state.st_size == len(data)
        and path.read_bytes() == data
    )


def _replace(folder: Path, contents: Mapping[str, bytes]) -> None:
    # Beside the folder, so that renaming moves it whole. What a killed run left here goes too.
    aside = folder.with_name(f".{folder.name}")
    shutil.rmtree(aside, ignore_errors=True)
    fresh = aside / "new"
    _write(fresh, contents)
    if folder.exists():
        folder.rename(aside / "old")
    fresh.rename(folder)
    shutil.rmtree(aside)


def _write(folder: Path, contents: Mapping[str, bytes]) -> None:
    folder.mkdir(parents=True)
    for path, data in contents.items():
        (folder / path).parent.mkdir(parents=True, exist_ok=True)
        (folder / path).write_bytes(data)
        (folder / path).chmod(_FILE_MODE)
        os.utime(folder / path, (_MTIME, _MTIME))
    # Making a file changes its folder's time, so folders come last, the inner ones first.
    for path in sorted(_folders_of(contents) | {"."}, reverse=True):
        (folder / path).chmod(_FOLDER_MODE)
        os.utime(folder / path, (_MTIME, _MTIME))


def _folders_of(contents: Mapping[str, bytes]) -> set[str]:
    return {str(parent) for path in contents for parent in Path(path).parents} - {"."}


def _listed(names: Sequence[str]) -> str:
    return ", ".join(names) or "none"


def main(arguments: Sequence[str]) -> int:
    """Stages the functions named, or all."""
    try:
        for function in arguments or functions():
            staged = stage(function)
            sys.stdout.write(
                f"{os.path.relpath(staged.folder)}  {len(staged.pins)} packages  "
                f"sha256 {staged.sha256}\n"
            )
    except CannotStage as error:
        sys.stderr.write(f"Error: {error}\n")
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
