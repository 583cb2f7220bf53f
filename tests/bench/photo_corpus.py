"""Photos as a phone makes them, for benchmarks: 12 megapixels, EXIF with time and place.

Encoding takes most of the time of making a photo, so a few pictures are encoded and each photo is
one of them behind EXIF of its own: all differ in their bytes, and decode as slowly as any.
"""

import random
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from io import BytesIO
from pathlib import Path

from PIL import Image

from tests.sources.media_bytes import Value, tiff

WIDTH, HEIGHT = 4000, 3000
_PICTURES = 8
_FIRST = datetime(2015, 1, 1, 8, 30, tzinfo=UTC)
_APART = timedelta(minutes=97)
_SCALE = 1_000_000


def photos(count: int) -> Iterator[tuple[str, bytes]]:
    """Names and bytes, the same in every run. Some 1.5 MB each."""
    chance = random.Random(3)
    pictures = [_picture(chance) for _ in range(min(count, _PICTURES))]
    for number in range(count):
        shown = _FIRST + number * _APART
        exif = _exif(shown, chance.uniform(45, 55), chance.uniform(0, 15))
        segment = b"Exif\0\0" + exif
        picture = pictures[number % _PICTURES]
        head = b"\xff\xd8\xff\xe1" + (len(segment) + 2).to_bytes(2, "big")
        yield f"IMG_{shown:%Y%m%d_%H%M%S}.jpg", head + segment + picture[2:]


def write(folder: Path, count: int = 2_000) -> int:
    """Writes them into the folder and returns how many bytes they have."""
    folder.mkdir(parents=True, exist_ok=True)
    return sum((folder / name).write_bytes(data) for name, data in photos(count))


def _picture(chance: random.Random) -> bytes:
    small = (WIDTH // 16, HEIGHT // 16)
    image = Image.frombytes("RGB", small, chance.randbytes(small[0] * small[1] * 3))
    out = BytesIO()
    image.resize((WIDTH, HEIGHT), Image.Resampling.BICUBIC).save(out, "JPEG", quality=70)
    return out.getvalue()


def _exif(shown: datetime, lat: float, lon: float) -> bytes:
    gps: dict[int, Value] = {
        1: "N",
        2: _degrees(lat),
        3: "E",
        4: _degrees(lon),
        6: ((round(lon * 10_000), 100),),
        7: ((shown.hour, 1), (shown.minute, 1), (shown.second, 1)),
        29: f"{shown:%Y:%m:%d}",
    }
    # A maker's own notes are the larger part of EXIF.
    exif: dict[int, Value] = {
        0x9003: f"{shown:%Y:%m:%d %H:%M:%S}",
        0x9011: "+00:00",
        0x927C: bytes(4000),
    }
    return tiff({0x010F: "Google", 0x0110: "Pixel 7", 0x0112: 1}, exif, gps)


def _degrees(value: float) -> tuple[tuple[int, int], ...]:
    minutes, seconds = divmod(value % 1 * 3600, 60)
    return (int(value), 1), (int(minutes), 1), (round(seconds * _SCALE), _SCALE)
