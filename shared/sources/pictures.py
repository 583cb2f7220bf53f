"""Where JPEG, PNG, WebP and GIF say their size and keep EXIF and XMP: found without a decoder.

What a damaged file still says is found as well: each reader goes as far as the bytes make sense.
"""

import zlib
from typing import NamedTuple

_EXIF = b"Exif\0\0"
_XMP = b"http://ns.adobe.com/xap/1.0/\0"
_MOST_PARTS = 2_000
"""Segments or chunks that are looked at. Photos have some dozen in front of their pixels."""
_TEXT_LIMIT = 512 * 1024
_BASELINE_SCAN = b"\xc0\xc1"
_FRAMES = frozenset(range(0xC0, 0xD0)) - {0xC4, 0xC8, 0xCC}


class Picture(NamedTuple):
    """width, height: pixels; None where the file ends before it says them.

    exif: a TIFF. texts: of PNG. movie: where a phone put a moving part that the container tells of,
    as start and size. pixels: where they begin. coefficients: bytes a decoder holds of a JPEG that
    comes in several scans.
    """

    width: int | None = None
    height: int | None = None
    exif: bytes = b""
    xmp: bytes = b""
    texts: tuple[tuple[str, str], ...] = ()
    movie: tuple[int, int] | None = None
    pixels: int = 0
    coefficients: int = 0


def jpeg(data: bytes) -> Picture:
    """ITU-T T.81, annex B: segments of a marker and a size, up to the first scan."""
    picture = Picture()
    at, frame, kind = 2, b"", 0
    for _ in range(_MOST_PARTS):
        at = _next_marker(data, at)
        if at < 0:
            break
        kind, size = data[at + 1], int.from_bytes(data[at + 2 : at + 4], "big")
        body = data[at + 4 : at + 2 + size]
        if kind == 0xE1 and body.startswith(_EXIF) and not picture.exif:
            picture = picture._replace(exif=body[len(_EXIF) :])
        elif kind == 0xE1 and body.startswith(_XMP) and not picture.xmp:
            picture = picture._replace(xmp=body[len(_XMP) :])
        elif kind in _FRAMES and len(body) >= 6 and not frame:
            frame = bytes([kind]) + body
            size_at = (int.from_bytes(body[3:5], "big"), int.from_bytes(body[1:3], "big"))
            picture = picture._replace(width=size_at[0] or None, height=size_at[1] or None)
        elif kind == 0xDA:
            held = _coefficients(frame, body)
            return picture._replace(pixels=at, coefficients=held)
        if size < 2:
            break
        at += 2 + size
    return picture


def _next_marker(data: bytes, at: int) -> int:
    """Where the next marker is; some programs leave bytes between segments. -1: nowhere."""
    end = at + 65_536
    while (at := data.find(b"\xff", at, end)) >= 0:
        following = data[at + 1 : at + 2]
        if not following:
            return -1
        # A marker may be preceded by any number of FF; FF00 and the restarts are no segments.
        if following != b"\xff" and following[0] >= 0xC0 and not 0xD0 <= following[0] <= 0xD9:
            return at
        at += 1
    return -1


def _coefficients(frame: bytes, scan: bytes) -> int:
    """Two bytes of each value of each component, if the scan is not the only one."""
    if len(frame) < 7 or not scan:
        return 0
    components = [frame[7 + i * 3 : 10 + i * 3] for i in range(frame[6])]
    if (frame[0] in _BASELINE_SCAN and scan[0] == len(components)) or b"" in components:
        return 0
    height, width = int.from_bytes(frame[2:4], "big"), int.from_bytes(frame[4:6], "big")
    blocks = [(part[1] >> 4) * (part[1] & 15) for part in components if len(part) == 3]
    return 2 * width * height * sum(blocks) // max(1, *blocks, 1)


def png(data: bytes) -> Picture:
    """PNG third edition (W3C 2025): chunks of a size, a type, a body and a checksum."""
    picture, texts, at = Picture(), list[tuple[str, str]](), 8
    for _ in range(_MOST_PARTS):
        size, kind = int.from_bytes(data[at : at + 4], "big"), data[at + 4 : at + 8]
        if len(kind) < 4 or kind == b"IEND":
            break
        body = data[at + 8 : at + 8 + size] if kind != b"IDAT" else b""
        if kind == b"IHDR" and len(body) >= 8:
            width, height = int.from_bytes(body[:4], "big"), int.from_bytes(body[4:8], "big")
            picture = picture._replace(width=width or None, height=height or None)
        elif kind == b"eXIf":
            picture = picture._replace(exif=body)
        elif kind in (b"tEXt", b"iTXt", b"zTXt") and (text := _png_text(kind, body)):
            if text[0] == "XML:com.adobe.xmp":
                picture = picture._replace(xmp=text[1].encode("utf-8", "replace"))
            else:
                texts.append(text)
        at += 12 + size
    return picture._replace(texts=tuple(texts[:20]))


def _png_text(kind: bytes, body: bytes) -> tuple[str, str] | None:
    keyword, found, text = body.partition(b"\0")
    if not found or len(keyword) > 79:
        return None
    name = keyword.decode("latin-1")
    if kind == b"tEXt":
        return name, text[:_TEXT_LIMIT].decode("latin-1")
    packed = kind == b"zTXt" or text[:1] == b"\1"
    text = text[1:] if kind == b"zTXt" else _after_languages(text)
    if packed:
        try:
            text = zlib.decompressobj().decompress(text, _TEXT_LIMIT)
        except zlib.error:
            return None
    return name, text[:_TEXT_LIMIT].decode("utf-8" if kind == b"iTXt" else "latin-1", "replace")


def _after_languages(text: bytes) -> bytes:
    # Two bytes of compression, then the language and the keyword in it, each ending with zero.
    return text[2:].partition(b"\0")[2].partition(b"\0")[2]


def webp(data: bytes) -> Picture:
    """RIFF chunks (RFC 9649)."""
    picture, at = Picture(), 12
    for _ in range(_MOST_PARTS):
        kind, size = data[at : at + 4], int.from_bytes(data[at + 4 : at + 8], "little")
        if len(kind) < 4:
            break
        body = data[at + 8 : at + 8 + min(size, _TEXT_LIMIT)]
        if kind in (b"VP8X", b"VP8L", b"VP8 ") and picture.width is None:
            width, height = _webp_size(kind, body[:10].ljust(10, b"\0"))
            picture = picture._replace(width=width, height=height)
        elif kind == b"EXIF":
            picture = picture._replace(exif=body.removeprefix(_EXIF))
        elif kind == b"XMP ":
            picture = picture._replace(xmp=body)
        at += 8 + size + size % 2
    return picture


def _webp_size(kind: bytes, body: bytes) -> tuple[int | None, int | None]:
    if kind == b"VP8X":
        width, height = (int.from_bytes(body[i : i + 3], "little") + 1 for i in (4, 7))
    elif kind == b"VP8L":
        packed = int.from_bytes(body[1:5], "little")
        width, height = (packed & 0x3FFF) + 1, (packed >> 14 & 0x3FFF) + 1
    else:
        width, height = (int.from_bytes(body[i : i + 2], "little") & 0x3FFF for i in (6, 8))
    return width or None, height or None


def gif(data: bytes) -> Picture:
    width, height = (int.from_bytes(data[i : i + 2], "little") for i in (6, 8))
    return Picture(width=width or None, height=height or None)
