"""What reading a photo costs, beside exiftool for the facts and ImageMagick for the thumbnail."""

import shutil
import subprocess
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from unittest.mock import patch

from shared.sources import photo, thumbnail
from tests.bench.photo_corpus import write
from tests.bench.table import print_table
from tests.reading import file_of

_COUNT = 60


def main() -> None:
    with tempfile.TemporaryDirectory() as folder:
        size = write(Path(folder), _COUNT)
        files = sorted(Path(folder).iterdir())
        rows = [
            ["Yurt: facts", *_measured(lambda: _read(files, thumbnails=False))],
            ["Yurt: facts and thumbnail", *_measured(lambda: _read(files, thumbnails=True))],
        ]
        for name, command in _peers(files).items():
            if shutil.which(command[0]):
                rows.append([name, *_measured(lambda run=command: _run(run))])  # type: ignore[misc]
        print_table(
            f"Reading {_COUNT} photos of {size / _COUNT / 1e6:.1f} MB, 12 megapixels",
            ["", "CPU ms per photo", "ms per photo"],
            rows,
        )


def _read(files: Sequence[Path], thumbnails: bool) -> None:
    none = thumbnail.Thumbnail(None, "left out")
    make = thumbnail.make if thumbnails else lambda *_: none
    with patch.object(thumbnail, "make", make):
        for path in files:
            # Who keeps the file has its hash already.
            list(photo.read(file_of(path.read_bytes(), path.name, sha256="0" * 64), None))


def _peers(files: Sequence[Path]) -> dict[str, list[str]]:
    names = [str(path) for path in files]
    small = [f"{thumbnail.SIDE}x{thumbnail.SIDE}"]
    away = files[0].parent / "small"
    away.mkdir()
    return {
        "exiftool -json": ["exiftool", "-json", *names],
        "ImageMagick: thumbnail": [
            *("mogrify", "-define", "jpeg:size=640x640", "-auto-orient", "-thumbnail", *small),
            *("-path", str(away), *names),
        ],
    }


def _run(command: Sequence[str]) -> None:
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL)


def _measured(work: Callable[[], None]) -> list[str]:
    import resource

    def spent() -> float:
        children = resource.getrusage(resource.RUSAGE_CHILDREN)
        return time.process_time() + children.ru_utime + children.ru_stime

    begun, cpu = time.perf_counter(), spent()
    work()
    elapsed, used = time.perf_counter() - begun, spent() - cpu
    return [f"{1000 * used / _COUNT:.1f}", f"{1000 * elapsed / _COUNT:.1f}"]


if __name__ == "__main__":
    main()
