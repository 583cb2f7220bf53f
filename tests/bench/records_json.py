"""A `Records.json` as Takeout writes it, of any length: indented, some 700 bytes a point.

    python -m tests.bench.records_json POINTS FILE

The same points for the same number. One in 2,000 is faulty: without coordinates.
"""

import json
import random
import sys
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, TextIO

FIRST = datetime(2014, 5, 1, tzinfo=UTC)
FAULTY = 2_000
TAGS = (1184732945, -538926953)

_ACTIVITIES = ("STILL", "UNKNOWN", "ON_FOOT", "WALKING", "IN_VEHICLE", "ON_BICYCLE", "TILTING")


def points(count: int) -> Iterator[dict[str, Any]]:
    """Points every two minutes or so, of two phones; on half of them activities."""
    chance = random.Random(count)
    time, lat, lon = FIRST, 521_234_567, 134_234_567
    for n in range(count):
        time += timedelta(milliseconds=chance.randrange(60_000, 240_000))
        lat += chance.randrange(-9_000, 9_001)
        lon += chance.randrange(-9_000, 9_001)
        yield _point(chance, n, time, lat, lon)


def _point(chance: random.Random, n: int, time: datetime, lat: int, lon: int) -> dict[str, Any]:
    point: dict[str, Any] = {"latitudeE7": lat, "longitudeE7": lon}
    if n % FAULTY == FAULTY // 2:
        point = {}
    point["accuracy"] = chance.randrange(3, 60)
    if n % 3:
        point |= {"velocity": chance.randrange(30), "heading": chance.randrange(360)}
        point |= {"altitude": chance.randrange(20, 90), "verticalAccuracy": chance.randrange(2, 9)}
    if n % 2:
        guesses = chance.sample(_ACTIVITIES, chance.randrange(5, 8))
        point["activity"] = [
            {
                "activity": [{"type": g, "confidence": chance.randrange(100)} for g in guesses],
                "timestamp": _text(time + timedelta(seconds=chance.randrange(90))),
            }
        ]
    point |= {"source": chance.choice(("WIFI", "GPS", "CELL")), "deviceTag": TAGS[n % 50 == 0]}
    point |= {"platformType": "ANDROID", "formFactor": "PHONE"}
    point |= {"serverTimestamp": _text(time + timedelta(seconds=3)), "timestamp": _text(time)}
    return point


def _text(time: datetime) -> str:
    return time.isoformat(timespec="milliseconds").replace("+00:00", "Z")


def write(file: TextIO, count: int) -> None:
    """Writes the text in the pieces in which it is made."""
    separator = ""
    file.write('{\n  "locations": [')
    for point in points(count):
        text = json.dumps(point, indent=2).replace("\n", "\n  ")
        file.write(separator + text)
        separator = ", "
    file.write("]\n}\n")


def main(count: int, path: Path) -> None:
    with path.open("w", encoding="utf-8") as file:
        write(file, count)


if __name__ == "__main__":
    main(int(sys.argv[1]), Path(sys.argv[2]))
