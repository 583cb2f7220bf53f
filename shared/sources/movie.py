"""Movies (and sounds) in MP4, QuickTime and 3GP. One gives one `Media`.

Only boxes that say something are read, in some pieces of 64 KiB, however large the movie is.
"""

import re
import struct
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime, timedelta
from typing import Any, NamedTuple

from shared.model.records import Media
from shared.model.steps import Bad, File, Step
from shared.model.time import EPOCH
from shared.sources import exif
from shared.sources.bmff import Box, Reader, Window, boxes, first, payload
from shared.sources.media_file import content_sha256, only_step
from shared.sources.photo import form_of
from shared.sources.taken import KnownTime, LocalTime, taken

NAME = "movie"
VERSION = 1
KEEPS = True

_QUICKTIME_EPOCH = datetime(1904, 1, 1, tzinfo=UTC)
_UNIX_EPOCH = int((EPOCH - _QUICKTIME_EPOCH).total_seconds())
_LONGEST = 100 * 24 * 3600
"""Seconds."""
_MOST_TRACKS = 64
_TEXT_LIMIT = 4096

_WITHOUT_FTYP = {b"moov", b"mdat", b"wide", b"free", b"skip", b"pnot"}
"""What QuickTime movies of before 2001 begin with."""
_OTHER_BRANDS = {b"crx ", b"jxl ", b"jp2 ", b"jpx "}
"""Raw photos and pictures that are boxes, too."""

_TURNED = {
    # The first four values of the matrix of a track, each 16.16, as EXIF says it.
    (1, 0, 0, 1): None,
    (0, 1, -1, 0): 6,
    (-1, 0, 0, -1): 3,
    (0, -1, 1, 0): 8,
}
_POSITION = re.compile(
    r"([+-]\d{1,2}(?:\.\d+)?)([+-]\d{1,3}(?:\.\d+)?)([+-]\d+(?:\.\d+)?)?(?:CRS.*)?/?", re.DOTALL
)
"""ISO 6709, in degrees, as phones write it."""


class _Said(NamedTuple):
    """texts: by the names of QuickTime's metadata; those of older boxes begin with `©`."""

    created: datetime | None
    duration: float | None
    width: int | None
    height: int | None
    orientation: int | None
    texts: Mapping[str, str]
    place: tuple[float, float, float | None] | None


def recognise(path: str, head: bytes) -> bool:  # noqa: ARG001 - the bytes say it
    kind, size = head[4:8], int.from_bytes(head[:4], "big")
    if kind == b"ftyp":
        return size >= 8 and form_of(head) is None and head[8:12] not in _OTHER_BRANDS
    # Text that happens to begin so would claim a size of letters.
    sized = (size >= 8 or size <= 1) and not head[:4].isalnum()
    return kind in _WITHOUT_FTYP and sized and _another_box(head, size)


def _another_box(head: bytes, size: int) -> bool:
    """Whether a second box follows, where that can be seen: four letters prove little."""
    if size <= 1 or size + 8 > len(head):
        return True
    return head[size + 4 : size + 8].replace(b"\xa9", b"").isalnum()


def read(file: File, cursor: str | None) -> Iterator[Step]:
    """One step with one `Media`."""
    if cursor is not None:
        return
    window = Window(file.content)
    head = window.read(0, 1024)
    moov = first(window, None, b"moov")
    bad = []
    if moov is None:
        reason = "it has no list of what is in it (moov): the copying or the recording broke off"
        bad = [Bad("moov", reason, head, file.content.size)]
    said = _said(window, moov) if moov else _Said(None, None, None, None, None, {}, None)
    yield from only_step(file, _media(file, head, said), {}, bad)


def _media(file: File, head: bytes, said: _Said) -> Media:
    when = taken(
        list(_times(said.texts)),
        known=KnownTime("creation_time", said.created) if said.created else None,
        name=file.name,
        modified=file.modified,
        now=file.now,
        profile=file.profile,
    )
    texts, sha256 = said.texts, content_sha256(file)
    lat, lon, altitude = said.place or (None, None, None)
    extra: dict[str, Any] = dict(when.extra)
    if identifier := texts.get("com.apple.quicktime.content.identifier"):
        extra["content_identifier"] = identifier
    return Media(
        id=sha256,
        source=NAME,
        source_version=VERSION,
        raw=sha256,
        media_type=_media_type(head),
        size=file.content.size,
        name=file.name,
        time=when.time,
        offset=when.offset,
        lat=lat,
        lon=lon,
        altitude=altitude,
        camera=exif.camera(
            texts.get("com.apple.quicktime.make") or texts.get("©mak", ""),
            texts.get("com.apple.quicktime.model") or texts.get("©mod", ""),
        ),
        width=said.width,
        height=said.height,
        orientation=said.orientation,
        duration=said.duration,
        caption=texts.get("com.apple.quicktime.description") or texts.get("©des"),
        extra=extra,
    )


def _media_type(head: bytes) -> str:
    brand = head[8:12] if head[4:8] == b"ftyp" else b"qt  "
    if brand in (b"M4A ", b"M4B "):
        return "audio/mp4"
    if brand.startswith((b"3gp", b"3g2")):
        return "video/3gpp"
    return "video/quicktime" if brand == b"qt  " else "video/mp4"


def _times(texts: Mapping[str, str]) -> Iterator[LocalTime]:
    """What a clock showed when the recording began; Apple's says the offset, too."""
    for name in ("com.apple.quicktime.creationdate", "©day"):
        text = texts.get(name, "")
        bare = re.sub(r"(Z|[+-]\d\d:?\d\d)$", "", text)
        if shown := exif.local_time(bare):
            rest = text[len(bare) :]
            yield LocalTime(name, shown, 0 if rest == "Z" else exif.offset(rest))


def _said(window: Window, moov: Box) -> _Said:
    created, duration, texts = None, None, dict[str, str]()
    place: tuple[float, float, float | None] | None = None
    shown: tuple[int | None, int | None, int | None] = (None, None, None)
    tracks = 0
    for box in boxes(window, moov.start, moov.end):
        if box.type == b"mvhd":
            created, duration = _header(payload(window, box, 64))
        elif box.type == b"trak" and shown[0] is None and tracks < _MOST_TRACKS:
            tracks, shown = tracks + 1, _shown(window, box)
        elif box.type == b"meta":
            texts |= _metadata(window, box)
        elif box.type == b"udta":
            texts, place = texts | _user_data(window, box), _loci(window, box)
    told = texts.get("com.apple.quicktime.location.ISO6709") or texts.get("©xyz", "")
    return _Said(created, duration, *shown, texts, _position(told) or place)


def _header(mvhd: bytes) -> tuple[datetime | None, float | None]:
    reader = Reader(mvhd)
    size = 8 if reader.number(1) == 1 else 4
    reader.take(3)
    seconds = reader.number(size)
    reader.take(size)
    scale, length = reader.number(4), reader.number(size)
    if reader.past:
        return None, None
    known = scale > 0 and 0 < length < (1 << size * 8) - 1 and length / scale <= _LONGEST
    return _since_1904(seconds), round(length / scale, 3) if known else None


def _since_1904(seconds: int) -> datetime | None:
    if seconds == 0:
        return None
    # Some recorders count from 1970; no movie was made in the 66 years before.
    epoch = _QUICKTIME_EPOCH if seconds >= _UNIX_EPOCH else EPOCH
    try:
        return epoch + timedelta(seconds=seconds)
    except OverflowError:
        return None


def _shown(window: Window, track: Box) -> tuple[int | None, int | None, int | None]:
    """Of a track that shows something: its size before it is turned, and how it is."""
    header = first(window, track, b"tkhd")
    data = payload(window, header, 104) if header else b""
    at = 88 if data[:1] == b"\1" else 76
    width, height = (int.from_bytes(data[i : i + 2], "big") for i in (at, at + 4))
    if not (width and height) or len(data) < at + 8:
        return None, None, None
    matrix = struct.unpack_from(">9i", data, at - 36)
    a, b, c, d = (matrix[i] // 65_536 for i in (0, 1, 3, 4))
    return width, height, _TURNED.get((a, b, c, d))


def _metadata(window: Window, meta: Box) -> dict[str, str]:
    """QuickTime's list of keys and the values beside it."""
    # In MP4 the box begins with a version, in QuickTime with its first box.
    versioned = window.read(meta.start + 4, 4) != b"hdlr"
    inside = {box.type: box for box in boxes(window, meta.start + 4 * versioned, meta.end)}
    if b"keys" not in inside or b"ilst" not in inside:
        return {}
    names = _keys(payload(window, inside[b"keys"], 65_536))
    found: dict[str, str] = {}
    for item in boxes(window, inside[b"ilst"].start, inside[b"ilst"].end):
        index = int.from_bytes(item.type, "big")
        data = first(window, item, b"data") if 0 < index <= len(names) else None
        if data:
            value = payload(window, data, _TEXT_LIMIT)
            # 1 and 2: texts. The rest are numbers and pictures.
            if value[:4] in (b"\0\0\0\1", b"\0\0\0\2"):
                found[names[index - 1]] = _text(
                    value[8:], "utf-16-be" if value[3] == 2 else "utf-8"
                )
    return found


def _keys(keys: bytes) -> list[str]:
    reader = Reader(keys, 4)
    names: list[str] = []
    for _ in range(min(reader.number(4), 1000)):
        size = reader.number(4)
        reader.take(4)
        names.append(_text(reader.take(max(0, size - 8))))
        if reader.past:
            break
    return names


def _user_data(window: Window, udta: Box) -> dict[str, str]:
    """QuickTime's texts: a size, a language, the text; the types begin with © in Mac Roman."""
    found: dict[str, str] = {}
    for box in boxes(window, udta.start, udta.end):
        if box.type[:1] == b"\xa9":
            data = payload(window, box, _TEXT_LIMIT)
            size = int.from_bytes(data[:2], "big")
            found["©" + box.type[1:].decode("latin-1")] = _text(data[4 : 4 + size])
        elif box.type == b"meta":
            found |= _metadata(window, box)
    return found


def _text(data: bytes, encoding: str = "utf-8") -> str:
    return data.decode(encoding, "replace").strip("\0 \r\n\t")


def _position(text: str) -> tuple[float, float, float | None] | None:
    found = _POSITION.fullmatch(text)
    return _on_earth(*(float(part) if part else None for part in found.groups())) if found else None


def _loci(window: Window, udta: Box) -> tuple[float, float, float | None] | None:
    """3GPP TS 26.244: language, name, role, then longitude, latitude and altitude as 16.16."""
    box = first(window, udta, b"loci")
    reader = Reader(payload(window, box, _TEXT_LIMIT) if box else b"", 6)
    reader.text()
    values = struct.unpack(">3i", reader.take(13)[1:].ljust(12, b"\0"))
    if reader.past:
        return None
    lon, lat, altitude = (value / 65_536 for value in values)
    return _on_earth(lat, lon, altitude or None)


def _on_earth(
    lat: float | None, lon: float | None, altitude: float | None
) -> tuple[float, float, float | None] | None:
    # 0, 0 is what phones write while they do not know.
    if lat is None or lon is None or not (-90 <= lat <= 90 and -180 <= lon <= 180):
        return None
    if lat == 0 and lon == 0:
        return None
    return round(lat, 7), round(lon, 7), altitude
