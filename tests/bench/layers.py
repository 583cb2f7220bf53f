"""How large what is deployed is, compressed: for each distinct set of packages the layer that the
cloud's builder makes of it, and for each function that of its own source.

The packages are the wheels for the cloud's Python and system, installed as the builder does:
compiled, with hashes that are never checked (https://github.com/GoogleCloudPlatform/buildpacks,
cmd/python). A local Python of that version compiles them, or else ours, whose bytes are other ones
of about the same size. Layers are tar files behind gzip, as an image has them; equal ones are kept
once. What the platform puts below them, its system and its Python, is not counted.
"""

import gzip
import shutil
import subprocess
import sys
import tarfile
import tempfile
from collections.abc import Iterable, Sequence
from itertools import combinations
from pathlib import Path
from typing import NamedTuple

from infra.staging import RUNTIME, cloud_markers, functions, requirement_set, stage
from tests.bench.table import print_table

AIM = 500_000_000
"""Bytes that Artifact Registry keeps free, for all functions together."""

_VERSION = cloud_markers()["python_version"]
_PLATFORMS = ("manylinux_2_28_x86_64", "manylinux_2_17_x86_64", "manylinux2014_x86_64")
_LEVEL = 6
"""Of gzip; that of Go's writer, with which builders write layers, is the same."""

Pins = tuple[str, ...]


class Layer(NamedTuple):
    """Bytes: compressed, as files, and compressed before anything is compiled."""

    compressed: int
    files: int
    plain: int


def main() -> None:
    python = _python()
    with tempfile.TemporaryDirectory(prefix="yurt-layers-") as name:
        folder = Path(name)
        users = _users()
        layers = {pins: _packages(pins, folder, python) for pins in users}
        merged = _merged(users)
        whole = layers.get(merged) or _packages(merged, folder, python)
        sources = {function: _source(function, folder, python) for function in functions()}
    _print_packages(users, layers, whole, python)
    _print_sources(sources)
    _print_differences(users)


def _users() -> dict[Pins, list[str]]:
    """The distinct sets of packages, each with the functions that have it."""
    users: dict[Pins, list[str]] = {}
    for function in functions():
        users.setdefault(requirement_set(function, cloud_markers()), []).append(function)
    return users


def _merged(sets: Iterable[Pins]) -> Pins:
    return tuple(sorted(set().union(*sets)))


def _packages(pins: Pins, folder: Path, python: str) -> Layer:
    target = Path(tempfile.mkdtemp(dir=folder))
    wanted = target.with_suffix(".txt")
    wanted.write_text("".join(f"{pin}\n" for pin in pins))
    platforms = [f"--platform={platform}" for platform in _PLATFORMS]
    options = ["--quiet", "--no-deps", "--no-compile", "--only-binary=:all:"]
    pip = [sys.executable, "-m", "pip", "--disable-pip-version-check", "install", *options]
    which = [f"--python-version={_VERSION}", "--implementation=cp", *platforms]
    subprocess.run([*pip, *which, f"--target={target}", f"--requirement={wanted}"], check=True)
    return _layer(target, python)


def _source(function: str, folder: Path, python: str) -> Layer:
    return _layer(stage(function, folder / "build").folder, python)


def _layer(folder: Path, python: str) -> Layer:
    plain = _compressed(folder)
    options = ["-m", "compileall", "-q", "-f", "--invalidation-mode", "unchecked-hash"]
    # Templates that packages bring need not compile; the builder does not mind either.
    subprocess.run([python, *options, folder], check=False, stdout=subprocess.DEVNULL)
    files = sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())
    return Layer(_compressed(folder), files, plain)


def _compressed(folder: Path) -> int:
    with tempfile.TemporaryFile() as file:
        with (
            gzip.GzipFile(fileobj=file, mode="wb", compresslevel=_LEVEL, mtime=0) as packed,
            tarfile.open(fileobj=packed, mode="w|") as tar,
        ):
            for path in sorted(folder.rglob("*")):
                tar.add(path, path.relative_to(folder).as_posix(), recursive=False)
        return file.tell()


def _python() -> str:
    """A Python of the cloud's version, if there is one."""
    asked = ["-c", "import sys; print('%d.%d' % sys.version_info[:2])"]
    found = shutil.which(f"python{_VERSION}")
    if found is not None:
        ran = subprocess.run([found, *asked], capture_output=True, text=True, check=False)
        if ran.stdout.strip() == _VERSION:  # it may be a stub that only tells where one is missing
            return found
    return sys.executable


def _print_packages(
    users: dict[Pins, list[str]], layers: dict[Pins, Layer], whole: Layer, python: str
) -> None:
    rows = [[", ".join(users[pins]), f"{len(pins)}", *_sizes(layers[pins])] for pins in users]
    total = Layer(*map(sum, zip(*layers.values(), strict=True)))
    rows.append(["all of these, each kept once", "", *_sizes(total)])
    rows.append(["one set for all functions", f"{len(_merged(users))}", *_sizes(whole)])
    print_table(
        f"Layers of packages for {RUNTIME}, compiled by {Path(python).name}; aim: "
        f"below {AIM / 1e6:.0f} MB together",
        ["functions", "packages", "MB compressed", "MB of files", "MB not compiled", "of the aim"],
        rows,
    )


def _print_sources(sources: dict[str, Layer]) -> None:
    rows = [[function, *_sizes(layer, digits=2)[:3]] for function, layer in sources.items()]
    columns = ["function", "MB compressed", "MB of files", "MB not compiled"]
    print_table("Layers of their own source", columns, rows)


def _print_differences(users: dict[Pins, list[str]]) -> None:
    rows = [
        [f"{users[one][0]} and {users[other][0]}", _named(one, other), _named(other, one)]
        for one, other in combinations(users, 2)
    ]
    print_table("What sets differ in", ["of", "only the first", "only the second"], rows)


def _named(having: Pins, lacking: Pins) -> str:
    return ", ".join(pin.partition("==")[0] for pin in having if pin not in lacking) or "-"


def _sizes(layer: Layer, digits: int = 1) -> Sequence[str]:
    shown = [f"{size / 1e6:.{digits}f}" for size in layer]
    return [*shown, f"{layer.compressed / AIM:.2f}"]


if __name__ == "__main__":
    main()
