"""What a HEIF file (HEIC, AVIF) says of its picture, ISO/IEC 23008-12: found without a decoder.

The box `meta` lists items (pictures, tiles, EXIF, XMP), where they lie, and properties of them.
"""

import struct
from collections.abc import Iterator
from typing import NamedTuple

from shared.model.steps import Content
from shared.sources.bmff import Box, Reader, Window, boxes, first, payload
from shared.sources.pictures import Picture

_META_LIMIT = 1 << 20
"""Bytes. A picture of 48 megapixels lists some two hundred tiles in a tenth of that."""
_ITEM_LIMIT = 1 << 20
_MOST = 20_000
_QUARTERS = (1, 3)


class _Item(NamedTuple):
    id: int
    kind: bytes
    content_type: bytes


_Extents = list[tuple[int, int]]


def read(content: Content) -> Picture | None:
    """None where there is no list of items to read. Width and height are those after the rotation
    that the file asks its readers for (`irot`): whoever decodes it gets it upright."""
    window = Window(content)
    meta, movie = None, None
    for box in boxes(window, 0, window.size):
        if box.type == b"meta" and meta is None:
            meta = box
        elif box.type == b"mpvd" and box.whole:
            movie = (box.start, box.end - box.start)
    if meta is None:
        return None
    inside = {box.type: box for box in boxes(window, meta.start + 4, meta.end)}
    items = list(_items(_data(window, inside.get(b"iinf"))))
    places = _places(_data(window, inside.get(b"iloc")), inside.get(b"idat"))
    width, height = _size(window, inside)
    return Picture(
        width=width,
        height=height,
        exif=_tiff(_item(window, _find(items, b"Exif"), places)),
        xmp=_item(window, _find(items, b"mime", b"application/rdf+xml"), places),
        movie=movie,
    )


def _data(window: Window, box: Box | None) -> bytes:
    return payload(window, box, _META_LIMIT) if box else b""


def _items(iinf: bytes) -> Iterator[_Item]:
    reader = Reader(iinf)
    wide = reader.number(1) > 0
    reader.take(3)
    count = reader.number(4 if wide else 2)
    for _ in range(min(count, _MOST)):
        begun = reader.at
        size = reader.number(4)
        entry = Reader(iinf[begun + 8 : begun + size])
        version = entry.number(1)
        entry.take(3)
        if size < 8 or reader.past:
            return
        if version >= 2:
            number = entry.number(2 if version == 2 else 4)
            entry.take(2)
            kind = entry.take(4)
            entry.text()
            yield _Item(number, kind, entry.text())
        reader.at = begun + size


def _find(items: list[_Item], kind: bytes, content_type: bytes = b"") -> int | None:
    wanted = (i.id for i in items if i.kind == kind and content_type in (b"", i.content_type))
    return next(wanted, None)


def _places(iloc: bytes, idat: Box | None) -> dict[int, _Extents]:
    """Where each item lies in the file. Those made of other items are left out."""
    reader = Reader(iloc)
    version = reader.number(1)
    reader.take(3)
    sizes, more = reader.number(1), reader.number(1)
    offset_size, length_size = sizes >> 4, sizes & 15
    base_size, index_size = more >> 4, more & 15 if version else 0
    number_size = 4 if version == 2 else 2
    places: dict[int, _Extents] = {}
    left = _MOST
    for _ in range(min(reader.number(number_size), _MOST)):
        item = reader.number(number_size)
        method = reader.number(2) & 15 if version else 0
        reader.take(2)
        base = reader.number(base_size)
        if method == 1 and idat:
            base += idat.start
        extents: _Extents = []
        for _ in range(reader.number(2)):
            reader.take(index_size)
            extents.append((base + reader.number(offset_size), reader.number(length_size)))
            left -= 1
            # Numbers of no bytes never come to an end.
            if reader.past or not left:
                return places
        if method < 2:
            places[item] = extents
    return places


def _item(window: Window, item: int | None, places: dict[int, _Extents]) -> bytes:
    parts: list[bytes] = []
    left = _ITEM_LIMIT
    for start, size in places.get(item, []) if item is not None else []:
        if left <= 0 or start >= window.size:
            break
        parts.append(window.read(start, min(size, left)))
        left -= max(size, 1)
    return b"".join(parts)


def _tiff(item: bytes) -> bytes:
    """The item begins with how far its TIFF header is; some say 0 and write `Exif` all the same."""
    return item[4 + int.from_bytes(item[:4], "big") :].removeprefix(b"Exif\0\0")


def _size(window: Window, inside: dict[bytes, Box]) -> tuple[int | None, int | None]:
    primary = Reader(_data(window, inside.get(b"pitm")))
    version = primary.number(1)
    primary.take(3)
    own = _properties(window, inside.get(b"iprp"), primary.number(2 if version == 0 else 4))
    if b"ispe" not in own:
        return None, None
    extent = Reader(own[b"ispe"], 4)
    width, height = _cropped(own.get(b"clap", b""), extent.number(4), extent.number(4))
    turned = Reader(own.get(b"irot", b"")).number(1) & 3 in _QUARTERS
    return (height, width) if turned else (width, height)


def _cropped(clap: bytes, width: int, height: int) -> tuple[int, int]:
    """Encoders pad a picture to whole blocks, and say here how much of it counts."""
    if len(clap) < 16:
        return width, height
    across, wide, down, high = struct.unpack(">4I", clap[:16])
    shown = (across // max(1, wide), down // max(1, high))
    return min(width, shown[0] or width), min(height, shown[1] or height)


def _properties(window: Window, iprp: Box | None, item: int) -> dict[bytes, bytes]:
    """The first property of each kind that is said of the item."""
    kept = iprp and first(window, iprp, b"ipco")
    told = iprp and first(window, iprp, b"ipma")
    if not kept or not told:
        return {}
    properties = list(boxes(window, kept.start, kept.end))
    own: dict[bytes, bytes] = {}
    for index in _associated(_data(window, told), item):
        if 0 < index <= len(properties):
            box = properties[index - 1]
            own.setdefault(box.type, payload(window, box, 64))
    return own


def _associated(ipma: bytes, item: int) -> Iterator[int]:
    reader = Reader(ipma)
    version, flags = reader.number(1), reader.number(3)
    size = 2 if flags & 1 else 1
    for _ in range(min(reader.number(4), _MOST)):
        number = reader.number(4 if version else 2)
        indexes = [reader.number(size) for _ in range(reader.number(1))]
        if reader.past:
            return
        if number == item:
            yield from (index & (0x7FFF if size == 2 else 0x7F) for index in indexes)
