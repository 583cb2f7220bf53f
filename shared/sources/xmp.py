"""What an XMP packet (Adobe, ISO 16684-1) says of a picture: caption, faces, the moving part."""

from collections.abc import Iterator, Sequence
from typing import NamedTuple
from xml.etree.ElementTree import Element, TreeBuilder
from xml.parsers import expat

_LIMIT = 512 * 1024
_DEEPEST = 30
_LONGEST = 2_000
_MOST_PEOPLE = 100

_RDF = "{http://www.w3.org/1999/02/22-rdf-syntax-ns#}"
_CAMERA = "{http://ns.google.com/photos/1.0/camera/}"
_ITEM = "{http://ns.google.com/photos/1.0/container/item/}"
_REGIONS = "{http://www.metadataworkinggroup.com/schemas/regions/}"
_MICROSOFT = "{http://ns.microsoft.com/photo/1.2/t/Region#}"
_IPTC = "{http://iptc.org/std/Iptc4xmpExt/2008-02-29/}"
_CREATED = (
    "{http://ns.adobe.com/exif/1.0/}DateTimeOriginal",
    "{http://ns.adobe.com/photoshop/1.0/}DateCreated",
    "{http://ns.adobe.com/xap/1.0/}CreateDate",
)


class Said(NamedTuple):
    """created: as written, ISO 8601. from_end: how far before the end of the file its moving part
    begins. moving: its size, where it says that."""

    caption: str | None = None
    people: tuple[str, ...] = ()
    created: str | None = None
    from_end: int | None = None
    moving: int | None = None


class _Refused(Exception):
    """The packet has what no camera writes."""


def read(packet: bytes) -> Said:
    """What can be read of it; of a packet that is none, nothing."""
    root = _tree(packet[:_LIMIT])
    if root is None:
        return Said()
    elements = list(root.iter())
    from_end, moving = _moving(elements)
    return Said(
        caption=_caption(root),
        people=tuple(dict.fromkeys(_people(elements)))[:_MOST_PEOPLE],
        created=next(filter(None, (_value(elements, name) for name in _CREATED)), None),
        from_end=from_end,
        moving=moving,
    )


def _tree(packet: bytes) -> Element | None:
    """Parsed without entities: a document type, which could declare them, is refused."""
    builder = TreeBuilder()
    parser = expat.ParserCreate(namespace_separator="}")
    depth = 0

    def start(name: str, attributes: dict[str, str]) -> None:
        nonlocal depth
        depth += 1
        if depth > _DEEPEST:
            raise _Refused
        builder.start(_qualified(name), {_qualified(n): v for n, v in attributes.items()})

    def end(name: str) -> None:
        nonlocal depth
        depth -= 1
        builder.end(_qualified(name))

    def refuse(*_: object) -> None:
        raise _Refused

    parser.StartElementHandler = start
    parser.EndElementHandler = end
    parser.CharacterDataHandler = builder.data
    parser.StartDoctypeDeclHandler = refuse
    try:
        parser.Parse(packet.strip(b"\0 \r\n\t"), True)
        return builder.close()
    except (expat.ExpatError, _Refused, LookupError, ValueError, AssertionError):
        return None


def _qualified(name: str) -> str:
    return "{" + name if "}" in name else name


def _value(elements: Sequence[Element], name: str) -> str | None:
    """Of a simple property, which may be written as an attribute or as an element."""
    for element in elements:
        text = element.get(name) or (element.text if element.tag == name else None)
        if text and text.strip():
            return text.strip()[:_LONGEST]
    return None


def _caption(root: Element) -> str | None:
    for name in ("description", "title"):
        for holder in root.iter(f"{{http://purl.org/dc/elements/1.1/}}{name}"):
            for item in holder.iter(f"{_RDF}li"):
                if item.text and item.text.strip():
                    return item.text.strip()[:_LONGEST]
    return None


def _people(elements: Sequence[Element]) -> Iterator[str]:
    """Named faces: of the Metadata Working Group, of Microsoft, of IPTC."""
    for element in elements:
        fields = {child.tag: child.text or "" for child in element} | element.attrib
        if fields.get(f"{_REGIONS}Type", "").strip() == "Face":
            yield from _named(fields.get(f"{_REGIONS}Name"))
        yield from _named(fields.get(f"{_MICROSOFT}PersonDisplayName"))
        if element.tag == f"{_IPTC}PersonInImage":
            for item in element.iter(f"{_RDF}li"):
                yield from _named(item.text)


def _named(name: str | None) -> Iterator[str]:
    if name and name.strip():
        yield name.strip()[:200]


def _moving(elements: Sequence[Element]) -> tuple[int | None, int | None]:
    """Google's two ways: an offset from the end, and since 2021 a list of what follows the image.

    developer.android.com/media/platform/motion-photo-format
    """
    items = [fields for fields in map(_item, elements) if fields.get("Semantic")]
    for index, fields in enumerate(items):
        if fields["Semantic"] == "MotionPhoto":
            after = sum(_number(f.get("Length")) + _number(f.get("Padding")) for f in items[index:])
            return after or None, _number(fields.get("Length")) or None
    return _number(_value(elements, f"{_CAMERA}MicroVideoOffset")) or None, None


def _item(element: Element) -> dict[str, str]:
    fields = {child.tag: child.text or "" for child in element} | element.attrib
    return {n.removeprefix(_ITEM): v.strip() for n, v in fields.items() if n.startswith(_ITEM)}


def _number(text: str | None) -> int:
    return int(text) if text and text.isascii() and text.isdigit() and len(text) < 15 else 0
