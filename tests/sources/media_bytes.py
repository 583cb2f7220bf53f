"""Pictures and movies for tests, put together byte by byte."""

import struct
import zlib
from collections.abc import Mapping, Sequence
from functools import cache
from io import BytesIO

from PIL import Image
from pillow_heif.heif import from_pillow

Value = str | bytes | int | tuple[tuple[int, int], ...]
"""Of a tag: ASCII, bytes, a short, rationals."""

GPS: dict[int, Value] = {
    1: "N",
    2: ((51, 1), (30, 1), (2622, 100)),
    3: "W",
    4: ((0, 1), (7, 1), (3996, 100)),
    5: b"\0",
    6: ((355, 10),),
    7: ((11, 1), (34, 1), (50, 1)),
    29: "2019:07:04",
}
LAT, LON = 51.5072833, -0.1277667


def tiff(
    top: Mapping[int, Value] = {},
    exif: Mapping[int, Value] = {},
    gps: Mapping[int, Value] = {},
    order: str = "<",
) -> bytes:
    """A TIFF of three directories, as EXIF has them."""
    head = (b"II*\0" if order == "<" else b"MM\0*") + struct.pack(order + "I", 8)
    size = len(_directory({**top, 0x8769: 0, 0x8825: 0}, 0, order))
    exif_at = 8 + size
    own = _directory(exif, exif_at, order)
    pointers = {0x8769: _Long(exif_at), 0x8825: _Long(exif_at + len(own))}
    first = _directory({**top, **pointers}, 8, order)
    return head + first + own + _directory(gps, exif_at + len(own), order)


class _Long(int):
    """A pointer."""


def _directory(tags: Mapping[int, Value], at: int, order: str) -> bytes:
    entries, beyond = b"", b""
    free = at + 2 + 12 * len(tags) + 4
    for tag, value in sorted(tags.items()):
        kind, count, data = _encoded(value, order)
        if len(data) > 4:
            data, beyond = struct.pack(order + "I", free + len(beyond)), beyond + data
        entries += struct.pack(order + "HHI", tag, kind, count) + data.ljust(4, b"\0")
    return struct.pack(order + "H", len(tags)) + entries + bytes(4) + beyond


def _encoded(value: Value, order: str) -> tuple[int, int, bytes]:
    if isinstance(value, str):
        data = value.encode() + b"\0"
        return 2, len(data), data
    if isinstance(value, bytes):
        return (1 if len(value) == 1 else 7), len(value), value
    if isinstance(value, _Long):
        return 4, 1, struct.pack(order + "I", value)
    if isinstance(value, int):
        return 3, 1, struct.pack(order + "H", value)
    return 5, len(value), b"".join(struct.pack(order + "II", *each) for each in value)


def taken_at(text: str, offset: str | None = None) -> dict[int, Value]:
    """Tags of the Exif directory."""
    offsets: dict[int, Value] = {0x9011: offset} if offset else {}
    return {0x9003: text, **offsets}


@cache
def corners(width: int = 64, height: int = 48) -> Image.Image:
    """Red in the upper left quarter, green, blue and white clockwise from there."""
    image = Image.new("RGB", (width, height), "red")
    half = (width // 2, height // 2)
    image.paste((0, 255, 0), (half[0], 0, width, half[1]))
    image.paste((0, 0, 255), (*half, width, height))
    image.paste((255, 255, 255), (0, half[1], half[0], height))
    return image


def encoded(form: str, image: Image.Image | None = None, **options: object) -> bytes:
    out = BytesIO()
    (image or corners()).save(out, form, **options)
    return out.getvalue()


@cache
def plain_jpeg() -> bytes:
    return encoded("JPEG", quality=90)


def jpeg(exif: bytes = b"", xmp: bytes = b"", tail: bytes = b"") -> bytes:
    """With segments of EXIF and XMP behind the marker that begins it."""
    parts = [b"Exif\0\0" + exif] if exif else []
    parts += [b"http://ns.adobe.com/xap/1.0/\0" + xmp] if xmp else []
    segments = b"".join(b"\xff\xe1" + struct.pack(">H", len(p) + 2) + p for p in parts)
    return plain_jpeg()[:2] + segments + plain_jpeg()[2:] + tail


@cache
def heic(
    exif: bytes = b"", width: int = 64, height: int = 48, thumbnails: Sequence[int] = ()
) -> bytes:
    file = from_pillow(corners(width, height))
    out = BytesIO()
    file.save(
        out, exif=b"Exif\0\0" + exif if exif else None, quality=80, thumbnails=list(thumbnails)
    )
    return out.getvalue()


def png_chunk(kind: bytes, body: bytes) -> bytes:
    return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))


def png(*chunks: bytes) -> bytes:
    """With chunks behind the one that says its size."""
    plain = encoded("PNG")
    return plain[:33] + b"".join(chunks) + plain[33:]


def box(kind: bytes, *parts: bytes) -> bytes:
    body = b"".join(parts)
    return struct.pack(">I", len(body) + 8) + kind + body


def large_box(kind: bytes, *parts: bytes) -> bytes:
    """With its size in 64 bits."""
    body = b"".join(parts)
    return struct.pack(">I4sQ", 1, kind, len(body) + 16) + body


FTYP = box(b"ftyp", b"isom", bytes(4), b"isommp42")
QUICKTIME = box(b"ftyp", b"qt  ", bytes(4), b"qt  ")


def mvhd(seconds: int, scale: int = 1000, duration: int = 12_500, version: int = 0) -> bytes:
    numbers = ">IIII" if version == 0 else ">QQIQ"
    times = struct.pack(numbers, seconds, seconds, scale, duration)
    return box(b"mvhd", bytes([version, 0, 0, 0]), times, bytes(80))


MATRIX = (1, 0, 0, 0, 1, 0, 0, 0, 0x4000)


def trak(width: int, height: int, matrix: Sequence[int] = MATRIX, version: int = 0) -> bytes:
    times = bytes(20 if version == 0 else 32)
    numbers = [n << 16 if i != 8 else 0x40000000 for i, n in enumerate(matrix)]
    body = times + bytes(16) + struct.pack(">9i2I", *numbers, width << 16, height << 16)
    return box(b"trak", box(b"tkhd", bytes([version, 0, 0, 7]), body))


def quicktime_meta(**texts: str) -> bytes:
    """The box `meta` of QuickTime. Names are written with `_` for `.`, of `com.apple.quicktime.`"""
    names = [f"com.apple.quicktime.{name.replace('_', '.')}".encode() for name in texts]
    keys = b"".join(struct.pack(">I4s", len(name) + 8, b"mdta") + name for name in names)
    items = b"".join(
        box(struct.pack(">I", i), box(b"data", struct.pack(">II", 1, 0), text.encode()))
        for i, text in enumerate(texts.values(), 1)
    )
    return box(
        b"meta",
        box(b"hdlr", bytes(24)),
        box(b"keys", bytes(4), struct.pack(">I", len(names)), keys),
        box(b"ilst", items),
    )


def user_text(kind: bytes, text: str) -> bytes:
    data = text.encode()
    return box(kind, struct.pack(">HH", len(data), 0x15C7), data)


def movie(*inside: bytes, head: bytes = FTYP) -> bytes:
    """The list of what is in it stands at the end, as phones write it."""
    return head + box(b"mdat", bytes(range(256)) * 8) + box(b"moov", *inside)


SMALL_MOVIE = movie(mvhd(3_645_088_496), trak(64, 48))
"""Of 2019-07-04 12:34:56 UTC."""
