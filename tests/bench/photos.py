"""Importing photos with both cores, beside exiftool and ImageMagick, each on both cores, too.

Yurt keeps the photos besides: reads, hashes, writes and syncs each.
"""

import os
import shlex
import shutil
import statistics
import tempfile
from collections.abc import Callable
from pathlib import Path

from shared.sources.thumbnail import SIDE
from tests.bench import photo_corpus
from tests.bench.importing import imported, into
from tests.bench.spending import Spent, spent
from tests.bench.table import print_table

PHOTOS = 2_000
ROUNDS = 3


def main(count: int = PHOTOS, rounds: int = ROUNDS) -> None:
    with tempfile.TemporaryDirectory(dir=".") as folder:
        _compare(Path(folder).resolve(), count, rounds)


def _compare(folder: Path, count: int, rounds: int) -> None:
    photos = folder / "photos"
    size = photo_corpus.write(photos, count)
    runs: dict[str, Callable[[], Spent]] = {"yurt": lambda: _import(folder / "data", photos, count)}
    if shutil.which("exiftool") and shutil.which("mogrify"):
        runs["exiftool -json, then mogrify"] = lambda: _peers(photos, folder / "small", count)
    else:
        print("exiftool and mogrify are not there: make system-deps")
    taken: dict[str, list[Spent]] = {name: [] for name in runs}
    for _ in range(rounds):
        for name, run in runs.items():
            taken[name].append(run())
    rows = []
    for name, some in taken.items():
        rates = [count / run.wall for run in some]
        cpu = statistics.median(run.cpu for run in some)
        ours = zip(some, taken["yurt"], strict=True)
        ratio = statistics.median(own.wall / run.wall for run, own in ours)
        peak = statistics.median(run.peak for run in some)
        row = [name, f"{statistics.median(rates):.1f}", f"{min(rates):.1f}"]
        rows.append([*row, f"{1e3 * cpu / count:.1f}", f"{peak / 1e6:.0f}", f"{ratio:.2f}"])
    columns = ["", "photos/s", "lowest", "CPU ms/photo", "peak MB", "rate ÷ yurt"]
    title = (
        f"{count:,} photos of {size / count / 1e6:.1f} MB, 12 megapixels, {os.cpu_count()} cores"
    )
    print_table(title, columns, rows)


def _import(data: Path, photos: Path, count: int) -> Spent:
    run = imported(photos, into(data))
    if run.told.new.get("media") != count:
        raise SystemExit(f"yurt imported {run.told.new} of {count} photos")
    shutil.rmtree(data)
    return run.spent


def _peers(photos: Path, small: Path, count: int) -> Spent:
    """Each gets some dozen files a call, and as many calls at once as there are cores."""
    small.mkdir()
    cores, each = os.cpu_count() or 1, 50
    at_once = f"xargs -0 -P {cores} -n {each}"
    shrink = f"-define jpeg:size={2 * SIDE}x{2 * SIDE} -auto-orient -thumbnail {SIDE}x{SIDE}"
    files = f"find {shlex.quote(str(photos))} -name '*.jpg' -print0"
    tell = f"{files} | {at_once} exiftool -json >/dev/null 2>&1"
    mogrify = f"{at_once} mogrify {shrink} -path {shlex.quote(str(small))}"
    run = spent(["sh", "-ec", f"{tell}; {files} | MAGICK_THREAD_LIMIT=1 {mogrify}"])
    made = len(list(small.iterdir()))
    if made != count:
        raise SystemExit(f"mogrify made {made} of {count} thumbnails")
    shutil.rmtree(small)
    return run


if __name__ == "__main__":
    main()
