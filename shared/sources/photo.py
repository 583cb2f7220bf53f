"""Photos and other pictures: JPEG, HEIC, PNG, WebP, GIF, AVIF. One gives one `Media`.

Facts are read from the containers (`pictures`, `heif`) and from EXIF and XMP in them, never by
decoding; the decoder is only for the thumbnail. A damaged picture keeps what it still says.
"""

from collections.abc import Callable, Iterator, Mapping
from typing import Any

from shared.model.ids import content_id
from shared.model.records import Media
from shared.model.steps import HEAD, Bad, Content, File, Step
from shared.sources import exif, heif, pictures, thumbnail, xmp
from shared.sources.bmff import Window, boxes
from shared.sources.media_file import content_sha256, only_step
from shared.sources.pictures import Picture
from shared.sources.taken import KnownTime, LocalTime, taken

NAME = "photo"
VERSION = 1
KEEPS = True

WHOLE_LIMIT = 64 * 1024 * 1024
"""Bytes of a picture that is read whole, to make a thumbnail and to find its moving part. Of a
larger one the facts are read from its first bytes."""
_BEGINNING = 4 * 1024 * 1024
"""Bytes that facts are looked for in: EXIF of 64 KiB, and room for what stands before it."""
_SHOWN = 1024
_MOST_STARTS = 16

_HEIF_BRANDS = {b"heic", b"heix", b"heim", b"heis", b"hevc", b"hevx", b"hevm", b"hevs", b"msf1"}
_AVIF_BRANDS = {b"avif", b"avis"}

_MEDIA_TYPES = {
    "jpeg": "image/jpeg",
    "heif": "image/heic",
    "avif": "image/avif",
    "png": "image/png",
    "webp": "image/webp",
    "gif": "image/gif",
}
_READERS: Mapping[str, Callable[[bytes], Picture]] = {
    "jpeg": pictures.jpeg,
    "png": pictures.png,
    "webp": pictures.webp,
    "gif": pictures.gif,
}


def form_of(head: bytes) -> str | None:
    """Which kind of picture begins so."""
    if head.startswith(b"\xff\xd8\xff"):
        return "jpeg"
    if head.startswith(b"\x89PNG\r\n\x1a\n"):
        return "png"
    if head.startswith((b"GIF87a", b"GIF89a")):
        return "gif"
    if head.startswith(b"RIFF") and head[8:12] == b"WEBP":
        return "webp"
    return _brand(head)


def _brand(head: bytes) -> str | None:
    if head[4:8] != b"ftyp":
        return None
    major, end = head[8:12], min(int.from_bytes(head[:4], "big"), 256)
    # The general brand `mif1` leaves it to the compatible ones.
    brands = [major, *(head[i : i + 4] for i in range(16, end, 4))] if major == b"mif1" else [major]
    if _AVIF_BRANDS.intersection(brands):
        return "avif"
    return "heif" if major == b"mif1" or major in _HEIF_BRANDS else None


def recognise(path: str, head: bytes) -> bool:  # noqa: ARG001 - the bytes say it
    return form_of(head) is not None


def read(file: File, cursor: str | None) -> Iterator[Step]:
    """One step with one `Media`, and the thumbnail among the raws."""
    if cursor is not None:
        return
    size = file.content.size
    whole = size <= WHOLE_LIMIT
    data = file.content.read(0, size if whole else _BEGINNING)
    form = form_of(data[:HEAD])
    if form is None:
        bad = Bad("head", "it does not begin like any picture", data[:_SHOWN], size)
        yield Step(cursor="end", done=size, bad=[bad])
        return
    content = _Held(data) if whole else file.content
    picture = _picture(form, content, data)
    faults = []
    if picture.width is None:
        reason = "the picture ends or breaks before it says its size"
        faults = [Bad("head", reason, data[:_SHOWN], size)]
    media, raws = _media(file, form, content, data, picture)
    yield from only_step(file, media, raws, faults)


class _Held:
    """Content that was read already: another read may be a request to the cloud."""

    def __init__(self, data: bytes) -> None:
        self._data = data
        self.size = len(data)

    def read(self, start: int, size: int) -> bytes:
        return self._data[start : start + size]


def _picture(form: str, content: Content, data: bytes) -> Picture:
    if form in ("heif", "avif"):
        return heif.read(content) or Picture()
    return _READERS[form](data[:_BEGINNING])


def _media(
    file: File, form: str, content: Content, data: bytes, picture: Picture
) -> tuple[Media, dict[str, bytes]]:
    whole = len(data) == content.size
    camera_says, said = exif.read(picture.exif), xmp.read(picture.xmp)
    texts = dict(picture.texts)
    when = taken(
        [*camera_says.times, *_other_times(said.created, texts)],
        known=KnownTime("GPS", camera_says.fixed) if camera_says.fixed else None,
        name=file.name,
        modified=file.modified,
        now=file.now,
        profile=file.profile,
    )
    # HEIC is turned by its container; the EXIF in it says so once more (ISO/IEC 23008-12, A.2.1).
    orientation = None if form in ("heif", "avif") else camera_says.orientation
    extra = dict(when.extra)
    if camera_says.identifier:
        extra["content_identifier"] = camera_says.identifier
    raws = _thumbnail(form, data if whole else None, picture, orientation, extra)
    sha256 = content_sha256(file)
    return Media(
        id=sha256,
        source=NAME,
        source_version=VERSION,
        raw=sha256,
        media_type=_MEDIA_TYPES[form],
        size=file.content.size,
        name=file.name,
        time=when.time,
        offset=when.offset,
        lat=camera_says.lat,
        lon=camera_says.lon,
        altitude=camera_says.altitude,
        camera=camera_says.camera,
        width=picture.width,
        height=picture.height,
        orientation=orientation,
        caption=said.caption or camera_says.caption or texts.get("Description") or None,
        people=said.people,
        motion=_motion(content, data if whole and form == "jpeg" else b"", picture, said),
        thumbnail=next(iter(raws), None),
        extra=extra,
    ), raws


def _other_times(created: str | None, texts: Mapping[str, str]) -> Iterator[LocalTime]:
    """Of XMP, and of PNG, as EXIF or ISO 8601 write them."""
    for name, text in (("XMP", created), ("Creation Time", texts.get("Creation Time"))):
        text = text or ""
        shown = exif.local_time(text.removesuffix("Z").rstrip()) or exif.local_time(text[:-6])
        if shown:
            offset = 0 if text.endswith("Z") else exif.offset(text[-6:])
            yield LocalTime(name, shown, offset)


def _thumbnail(
    form: str,
    data: bytes | None,
    picture: Picture,
    orientation: int | None,
    extra: dict[str, Any],
) -> dict[str, bytes]:
    if data is None:
        extra["thumbnail"] = f"none: the file has more than {WHOLE_LIMIT:,} bytes"
        return {}
    made = thumbnail.make(form, data, picture, orientation)
    if made.jpeg is None:
        extra["thumbnail"] = f"none: {made.reason}"
        return {}
    return {content_id(made.jpeg): made.jpeg}


def _motion(content: Content, data: bytes, picture: Picture, said: xmp.Said) -> str | None:
    """The movie behind or inside a moving photo, as Google, Samsung and others put it there."""
    starts = [picture.movie[0]] if picture.movie else []
    if said.from_end and said.from_end < content.size:
        starts.append(content.size - said.from_end)
    starts += _samsung(data) + _appended(data, picture.pixels)
    window = Window(content)
    for start in starts:
        end = _movie_end(window, start, sum(picture.movie) if picture.movie else content.size)
        if end:
            return f"{start}+{end - start}"
    return None


def _samsung(data: bytes) -> list[int]:
    mark = b"MotionPhoto_Data"
    found = data.rfind(mark)
    return [found + len(mark)] if found >= 0 else []


def _appended(data: bytes, pixels: int) -> list[int]:
    """Where the box `ftyp` may stand behind the pixels, in which the letters occur by chance."""
    starts: list[int] = []
    at = pixels
    while pixels and len(starts) < _MOST_STARTS and (at := data.find(b"ftyp", at + 1)) >= 0:
        starts.append(at - 4)
    return starts


_IN_MOVIES = {b"ftyp", b"moov", b"mdat", b"free", b"skip", b"wide", b"uuid", b"meta", b"udta"}
_IN_MOVIES |= {b"moof", b"mfra", b"sidx", b"pdin"}


def _movie_end(window: Window, start: int, end: int) -> int | None:
    """Where the boxes of a movie that begins there end; None if there is none."""
    if window.read(start + 4, 4) != b"ftyp":
        return None
    found, seen = start, set[bytes]()
    for box in boxes(window, start, end):
        if box.type not in _IN_MOVIES:
            break
        seen.add(box.type)
        found = box.end
    return found if b"moov" in seen else None
