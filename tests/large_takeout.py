"""An export in the shape of Google Takeout that is large enough to be killed in every stage.

Records.json, a mailbox and a movie are deflated and larger than what is unpacked at a time; another
movie and another mailbox lie open in the archive. Some of everything cannot be read.
"""

import io
import json
import random
import tarfile
import zipfile
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import NamedTuple

from tests.sources.media_bytes import box, movie, mvhd, trak
from tests.takeout import mail, photo, sidecar

BROKEN_POINTS = 3
ATTACHED_TO_EACH = 8
"""Mails: one is larger than the store takes it."""


class Size(NamedTuple):
    """mails: in the one mailbox. others: in the other, besides `twice` of those. movie: bytes."""

    points: int
    mails: int
    others: int
    twice: int
    photos: int
    movie: int


LARGE = Size(points=40_000, mails=240, others=120, twice=20, photos=24, movie=9_000_000)
SMALL = Size(points=600, mails=20, others=12, twice=4, photos=3, movie=300_000)
TINY = Size(points=60, mails=9, others=4, twice=2, photos=1, movie=150_000)

_PHOTOS = "Takeout/Google Photos/Photos from 2019"


def write_zip(path: Path, size: Size = LARGE) -> None:
    with zipfile.ZipFile(path, "w") as archive:
        for name, content, deflated in _members(size):
            info = zipfile.ZipInfo(name, (2026, 1, 1, 0, 0, 0))
            info.compress_type = zipfile.ZIP_DEFLATED if deflated else zipfile.ZIP_STORED
            archive.writestr(info, content, compresslevel=1)


def write_tgz(path: Path, size: Size = LARGE) -> None:
    with tarfile.open(path, "w:gz", compresslevel=1) as archive:
        for name, content, _ in _members(size):
            info = tarfile.TarInfo(name)
            info.size, info.mtime = len(content), 1_767_225_600
            archive.addfile(info, io.BytesIO(content))


def _members(size: Size) -> Iterator[tuple[str, bytes, bool]]:
    """path, content, whether it is deflated."""
    yield "Takeout/Location History (Timeline)/Records.json", _records(size.points), True
    for number in range(size.photos):
        title = f"IMG_{number}.jpg"
        colour = (5 * number % 256, 120, 200 - 7 * number % 256)
        yield f"{_PHOTOS}/{title}", photo(colour, "2019:07:04 12:00:00"), False
        told = sidecar(title, 1_562_238_000 + number, lat=51.5, lon=-0.125, who="Ada")
        yield f"{_PHOTOS}/{title}.supplemental-metadata.json", told, True
    yield f"{_PHOTOS}/IMG_90.jpg", photo((1, 2, 3), None)[:700], False
    yield f"{_PHOTOS}/MOV_1.mp4", _movie(1, size.movie), True
    yield f"{_PHOTOS}/MOV_2.mp4", _movie(2, size.movie), False
    yield "Takeout/archive_browser.html", b"<!DOCTYPE html><html></html>", True
    mails = [mail(number, text=_text(number)) for number in range(size.mails + size.others)]
    yield "Takeout/Mail/All mail.mbox", "".join(mails[: size.mails]).encode(), True
    yield "Takeout/Mail/Archived.mbox", "".join(mails[size.mails - size.twice :]).encode(), False


def _records(count: int) -> bytes:
    first = datetime(2019, 7, 4, tzinfo=UTC)
    points: list[object] = [
        {
            "latitudeE7": 515_000_000 + 10 * number,
            "longitudeE7": -1_250_000,
            "accuracy": 12,
            "velocity": number % 30,
            "source": "WIFI",
            "deviceTag": 1_234_567_890 + number % 2,
            "platformType": "ANDROID",
            "formFactor": "PHONE",
            "timestamp": f"{first + timedelta(seconds=30 * number):%Y-%m-%dT%H:%M:%SZ}",
        }
        for number in range(count)
    ]
    for number in range(BROKEN_POINTS):
        points.insert(1 + number * count // 3, {"timestamp": f"never {number}"})
    return json.dumps({"locations": points}, indent=1).encode()


def _text(number: int) -> str:
    """Of a mail: one in some is as large as an attachment makes it."""
    if number % ATTACHED_TO_EACH:
        return "See you on the bridge.\r\n" * (number % 50)
    lines = (random.Random(number).randbytes(56).hex() for _ in range(2_700))
    return "\r\n".join(lines)


def _movie(seed: int, size: int) -> bytes:
    return movie(
        box(b"free", random.Random(seed).randbytes(size)),
        mvhd(3_645_088_496 + seed),
        trak(64, 48),
    )
