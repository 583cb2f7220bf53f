"""What EXIF (CIPA DC-008) says of a picture, in SI units, without what cannot be meant."""

import math
import re
import struct
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import Any, NamedTuple

from PIL.Image import Exif

from shared.sources.taken import LocalTime

_LIMIT = 128 * 1024
"""Bytes. JPEG has room for 64 KiB; elsewhere the directories stand before the thumbnail, too."""
_MOST_TAGS = 512
"""In one directory. Each may point to any part of the bytes, and all of them are copied out."""
_EXIF_IFD, _GPS_IFD = 0x8769, 0x8825
_DESCRIPTION, _MAKE, _MODEL, _ORIENTATION = 0x010E, 0x010F, 0x0110, 0x0112
_MAKER_NOTE = 0x927C
_TIMES = (
    # Name, then the tags of the time, of the fraction of its second, of its offset from UTC.
    ("DateTimeOriginal", 0x9003, 0x9291, 0x9011),
    ("DateTimeDigitized", 0x9004, 0x9292, 0x9012),
    ("DateTime", 0x0132, 0x9290, 0x9010),
)
_TIME = re.compile(r"(\d{4})[:/.-](\d\d)[:/.-](\d\d)[ T](\d\d):(\d\d):(\d\d)(?:\.(\d{1,6}))?")
_OFFSET = re.compile(r"([+-])(\d\d):?(\d\d)")
_UUID = re.compile(rb"[0-9A-F]{8}-[0-9A-F]{4}-[0-9A-F]{4}-[0-9A-F]{4}-[0-9A-F]{12}")
_BY_THE_CAMERA = re.compile(
    r"OLYMPUS DIGITAL CAMERA|MINOLTA DIGITAL CAMERA|SAMSUNG|SONY DSC|KODAK\b.*|DCIM.*|DSC[\w-]*"
    r"|Exif_JPEG_.*|<?Digimax.*|<?KENOX.*|dav|sdr|hdr|mde|oplus_\d+|cof|\s*",
    re.IGNORECASE,
)
"""Descriptions that models of cameras write into every picture."""

Tags = Mapping[int, Any]


class Said(NamedTuple):
    """times: the first is the best. fixed: UTC of the GPS fix, which may be minutes old.

    identifier: what an Apple phone writes into a picture and the movie that moves it.
    """

    times: tuple[LocalTime, ...] = ()
    fixed: datetime | None = None
    lat: float | None = None
    lon: float | None = None
    altitude: float | None = None
    orientation: int | None = None
    camera: str | None = None
    caption: str | None = None
    identifier: str | None = None


def read(data: bytes) -> Said:
    """What can be read of a TIFF with EXIF in it; of bytes that are none, nothing."""
    exif = Exif()
    data = data.removeprefix(b"Exif\0\0")[:_LIMIT]
    try:
        start = int.from_bytes(data[4:8], "little" if data[:2] == b"II" else "big")
        if not _bounded(data, start):
            return Said()
        exif.load(data)
        top: Tags = dict(exif)
    except _ERRORS:
        return Said()
    return _said(top, _directory(exif, data, _EXIF_IFD), _directory(exif, data, _GPS_IFD))


_ERRORS = (
    # What Pillow raises for bytes that are no TIFF, or a damaged one (found by fuzzing).
    *(SyntaxError, ValueError, TypeError, LookupError, OSError, ArithmeticError, EOFError),
    *(struct.error, AttributeError, RuntimeError),
)


def _directory(exif: Exif, data: bytes, tag: int) -> Tags:
    try:
        start = exif.get(tag)
        if isinstance(start, int) and _bounded(data, start):
            return dict(exif.get_ifd(tag))
    except _ERRORS:
        pass
    return {}


def _bounded(data: bytes, start: int) -> bool:
    order = "<H" if data[:2] == b"II" else ">H"
    return start + 2 <= len(data) and struct.unpack_from(order, data, start)[0] <= _MOST_TAGS


def _said(top: Tags, own: Tags, gps: Tags) -> Said:
    lat, lon = _place(gps)
    return Said(
        times=tuple(
            time
            for name, tag, fraction, offset in _TIMES
            if (time := _time(name, top if tag == 0x0132 else own, own, (tag, fraction, offset)))
        ),
        fixed=_fixed(gps),
        lat=lat,
        lon=lon,
        altitude=_altitude(gps),
        orientation=_orientation(top.get(_ORIENTATION)),
        camera=camera(_text(top.get(_MAKE)), _text(top.get(_MODEL))),
        caption=_caption(_text(top.get(_DESCRIPTION))),
        identifier=_identifier(own.get(_MAKER_NOTE)),
    )


def camera(make: str, model: str) -> str | None:
    """One name of both: models often begin with the maker, makers with their legal form's case."""
    if not make or model.lower().startswith(make.split(maxsplit=1)[0].lower()):
        return model or make or None
    tidy = make.title() if make.isupper() and len(make) > 4 else make
    return f"{tidy} {model}".strip()


def local_time(text: str) -> datetime | None:
    """A date and time as EXIF writes them, without a zone; None where they are not known."""
    found = _TIME.fullmatch(text)
    if found is None:
        return None
    year, month, day, hour, minute, second = map(int, found.groups()[:6])
    fraction = int((found[7] or "").ljust(6, "0"))
    try:
        return datetime(year, month, day, hour, minute, second, fraction)  # noqa: DTZ001 - of none
    except ValueError:
        return None


def offset(text: str) -> int | None:
    """Minutes east of UTC of `+02:00`; None where nobody's clock can be so."""
    found = _OFFSET.fullmatch(text)
    if found is None:
        return None
    minutes = int(found[2]) * 60 + int(found[3])
    if minutes > 14 * 60:
        return None
    return -minutes if found[1] == "-" else minutes


def _time(name: str, tags: Tags, own: Tags, numbers: tuple[int, int, int]) -> LocalTime | None:
    found = local_time(_text(tags.get(numbers[0])))
    if found is None:
        return None
    fraction = _text(own.get(numbers[1]))
    if fraction.isascii() and fraction.isdigit():
        found = found.replace(microsecond=int(fraction[:6].ljust(6, "0")))
    return LocalTime(name, found, offset(_text(own.get(numbers[2]))))


def _text(value: Any) -> str:
    if isinstance(value, bytes):
        value = value.decode("utf-8", "replace")
    if not isinstance(value, str):
        return ""
    return _mended(value.split("\0")[0]).strip()[:2_000]


def _mended(text: str) -> str:
    """EXIF says ASCII and gets UTF-8, which Pillow reads as Latin-1."""
    try:
        return text.encode("latin-1").decode("utf-8")
    except UnicodeError:
        return text


def _caption(text: str) -> str | None:
    return None if _BY_THE_CAMERA.fullmatch(text) else text


def _orientation(value: Any) -> int | None:
    return value if isinstance(value, int) and 1 <= value <= 8 else None


def _place(gps: Tags) -> tuple[float | None, float | None]:
    lat = _degrees(gps.get(2), gps.get(1), "S", 90)
    lon = _degrees(gps.get(4), gps.get(3), "W", 180)
    # Phones write 0, 0 while they do not know.
    if lat is None or lon is None or (lat == 0 and lon == 0):
        return None, None
    return lat, lon


def _degrees(value: Any, side: Any, negative: str, most: int) -> float | None:
    parts = _numbers(value)
    if not parts or len(parts) > 3:
        return None
    found = sum(part / 60**power for power, part in enumerate(parts))
    if _text(side)[:1].upper() == negative:
        found = -found
    return round(found, 7) if -most <= found <= most else None


def _altitude(gps: Tags) -> float | None:
    parts = _numbers(gps.get(6))
    if len(parts) != 1 or not -12_000 <= parts[0] <= 100_000:
        return None
    side = gps.get(5)
    # 1 and 3: below (of the sea, of the ellipsoid). Pillow gives bytes; some write a digit.
    below = side in (1, 3) or (isinstance(side, bytes) and side[:1] in (b"\1", b"\3", b"1"))
    return round(-abs(parts[0]) if below else parts[0], 3)


def _fixed(gps: Tags) -> datetime | None:
    date = re.fullmatch(r"(\d{4})[:-](\d\d)[:-](\d\d)", _text(gps.get(29)))
    clock = _numbers(gps.get(7))
    if date is None or len(clock) != 3 or not 0 <= clock[0] < 24:
        return None
    if not (0 <= clock[1] < 60 and 0 <= clock[2] < 61):
        return None
    try:
        day = datetime(int(date[1]), int(date[2]), int(date[3]), tzinfo=UTC)
        return day + timedelta(hours=clock[0], minutes=clock[1], seconds=clock[2])
    except (ValueError, OverflowError):
        return None


def _numbers(value: Any) -> list[float]:
    """Of one number or several; none where one of them is not finite (a denominator of 0)."""
    found: list[float] = []
    for item in value if isinstance(value, tuple | list) else [value]:
        try:
            found.append(float(item))
        except (TypeError, ValueError, ArithmeticError):
            return []
    return found if all(map(math.isfinite, found)) else []


def _identifier(maker_note: Any) -> str | None:
    if not isinstance(maker_note, bytes) or not maker_note.startswith(b"Apple iOS"):
        return None
    found = _UUID.search(maker_note)
    return found[0].decode() if found else None
