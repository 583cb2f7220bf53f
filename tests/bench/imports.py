"""Importing a `Records.json`: rate beside two programs that read one, and memory over length.

`google-takeout-to-sqlite` knows only the form that the file had until 2022, so it gets the same
points in that; those without coordinates would stop it. `google_takeout_parser` makes objects and
keeps none.
"""

import json
import shutil
import statistics
import tempfile
import zipfile
from collections.abc import Callable, Sequence
from io import TextIOWrapper
from pathlib import Path
from typing import Any

from shared.model.time import parse_rfc3339, to_micros
from tests.bench import records_json
from tests.bench.importing import imported, into
from tests.bench.peers import installed
from tests.bench.spending import Spent, spent
from tests.bench.table import print_table

PEERS = ("google-takeout-to-sqlite==0.2", "google_takeout_parser==0.1.13")
ROUNDS = 3
_PARSE = """
import logging
import sys
from google_takeout_parser.path_dispatch import TakeoutParser
logging.disable()
parser = TakeoutParser(sys.argv[1], error_policy="drop", warn_exceptions=False)
print(sum(1 for _ in parser.parse(cache=False)))
"""


def main(points: int = 1_000_000, beside: int = 200_000, rounds: int = ROUNDS) -> None:
    """beside: points that the others get, since they need gigabytes for more."""
    with tempfile.TemporaryDirectory(dir=".") as folder:
        _beside(Path(folder), beside, rounds)
        _over_length(Path(folder), points, rounds)


def _beside(folder: Path, points: int, rounds: int) -> None:
    takeout = folder / "Takeout"
    records = _written(takeout / "Location History" / "Records.json", points)
    old = _written_old(folder / "old.zip", points)
    bin = installed(folder / "peers", PEERS)
    runs: dict[str, Callable[[], Spent]] = {
        "yurt": lambda: _import(folder / "data", records, points),
        "google-takeout-to-sqlite 0.2": lambda: _to_sqlite(bin, folder / "peer.db", old),
        "google_takeout_parser 0.1.13": lambda: spent([bin / "python", "-c", _PARSE, takeout]),
    }
    rows = _measured(runs, points, rounds)
    shutil.rmtree(takeout)
    columns = ["", "points/s", "lowest", "CPU µs/point", "peak MB", "CPU ÷ yurt", "memory ÷ yurt"]
    print_table(f"Records.json of {points:,} points", columns, rows)


def _over_length(folder: Path, points: int, rounds: int) -> None:
    runs: dict[str, Callable[[], Spent]] = {}
    counts = {f"{count:,} points": count for count in (points // 10, points)}
    for name, count in counts.items():
        path = _written(folder / str(count) / "Records.json", count)
        runs[name] = lambda path=path, count=count: _import(  # type: ignore[misc]
            folder / "data", path, count
        )
    few, many = ([run() for _ in range(rounds)] for run in runs.values())
    rows = []
    for name, some in zip(runs, (few, many), strict=True):
        rate, lowest, cpu, peak = _figures(some, counts[name])
        ratio = _peak(some) / _peak(few)
        rows.append([name, f"{rate:,.0f}", f"{lowest:,.0f}", f"{cpu:.1f}", peak, f"{ratio:.2f}"])
    columns = ["", "points/s", "lowest", "CPU µs/point", "peak MB", "memory ÷ the tenth"]
    print_table("Records.json into the home node", columns, rows)


def _measured(
    runs: dict[str, Callable[[], Spent]], points: int, rounds: int
) -> list[Sequence[str]]:
    taken: dict[str, list[Spent]] = {name: [] for name in runs}
    for _ in range(rounds):
        for name, run in runs.items():
            taken[name].append(run())
    ours = next(iter(taken.values()))
    rows: list[Sequence[str]] = []
    for name, some in taken.items():
        rate, lowest, cpu, peak = _figures(some, points)
        more = statistics.median(a.cpu / b.cpu for a, b in zip(some, ours, strict=True))
        larger = _peak(some) / _peak(ours)
        row = [name, f"{rate:,.0f}", f"{lowest:,.0f}", f"{cpu:.1f}", peak]
        rows.append([*row, f"{more:.1f}", f"{larger:.1f}"])
    return rows


def _figures(some: Sequence[Spent], points: int) -> tuple[float, float, float, str]:
    rates = [points / run.wall for run in some]
    cpu = 1e6 * statistics.median(run.cpu for run in some) / points
    return statistics.median(rates), min(rates), cpu, f"{_peak(some) / 1e6:.0f}"


def _peak(some: Sequence[Spent]) -> float:
    return statistics.median(run.peak for run in some)


def _import(data: Path, path: Path, points: int) -> Spent:
    run = imported(path, into(data))
    shutil.rmtree(data)
    if sum(run.told.new.values()) < points:
        raise SystemExit(f"yurt imported {run.told.new} of {points} points")
    return run.spent


def _to_sqlite(bin: Path, database: Path, path: Path) -> Spent:
    run = spent([bin / "google-takeout-to-sqlite", "location-history", database, path])
    database.unlink()
    return run


def _written(path: Path, points: int) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    records_json.main(points, path)
    return path


def _written_old(path: Path, points: int) -> Path:
    with (
        zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED, compresslevel=1) as archive,
        archive.open("Takeout/Location History/Location History.json", "w") as file,
        TextIOWrapper(file, "utf-8") as text,
    ):
        text.write('{"locations": [')
        separator = ""
        for point in records_json.points(points):
            if "latitudeE7" in point:
                text.write(separator + json.dumps(_old(point), indent=2))
                separator = ", "
        text.write("]}")
    return path


def _old(point: dict[str, Any]) -> dict[str, Any]:
    time, _ = parse_rfc3339(point.pop("timestamp"))
    return {"timestampMs": str(to_micros(time) // 1000), **point}


if __name__ == "__main__":
    main()
