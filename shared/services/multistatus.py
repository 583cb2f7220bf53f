"""Answers of WebDAV (RFC 4918, 13), read as they arrive: what is held is one response of many.

XML without entities: a document type, which could declare them, is refused, and so is what is
nested deeper than any answer.
"""

import re
from collections.abc import Iterator, Mapping
from typing import NamedTuple
from xml.etree.ElementTree import Element, TreeBuilder
from xml.parsers import expat

DAV = "{DAV:}"

_DEEPEST = 30
_MOST_ELEMENTS = 5_000
_TEXT = 12 * 1024 * 1024
"""Characters of one response."""
_TOKEN = 8_000
_STATUS = re.compile(r"HTTP/\S+\s+(\d{3})")


class NoAnswer(ValueError):
    """It is broken off, or no answer of WebDAV."""


class Refused(ValueError):
    """It has what no answer needs."""


class Response(NamedTuple):
    """What is said of one resource. href: as it is written. status: of HTTP. properties: those that
    it has, by name in Clark's notation. cut: more was said than is read."""

    href: str
    status: int
    properties: Mapping[str, Element]
    cut: bool = False

    def text(self, name: str) -> str | None:
        found = self.properties.get(name)
        text = (found.text or "").strip() if found is not None else ""
        return text or None

    def hrefs(self, name: str) -> list[str]:
        """Of a property that holds links."""
        found = self.properties.get(name)
        links = found.iter(f"{DAV}href") if found is not None else ()
        return [link.text.strip() for link in links if link.text and link.text.strip()]

    def children(self, name: str) -> set[str]:
        """The names of what a property holds."""
        found = self.properties.get(name)
        return {child.tag for child in found} if found is not None else set()


class Reading:
    """One answer. `feed` gives the responses that are complete; the rest is known at the end.

    sync_token: what the listing brings one up to (RFC 6578).
    """

    def __init__(self) -> None:
        self._token = ""
        self._depth = 0
        self._in_token = False
        self._builder: TreeBuilder | None = None
        self._elements = 0
        self._characters = 0
        self._ready: list[Response] = []
        self._parser = expat.ParserCreate(namespace_separator="}")
        self._parser.buffer_text = True
        self._parser.StartElementHandler = self._start
        self._parser.EndElementHandler = self._end
        self._parser.CharacterDataHandler = self._data
        self._parser.StartDoctypeDeclHandler = _refuse

    @property
    def sync_token(self) -> str | None:
        return self._token.strip() or None

    def feed(self, data: bytes) -> Iterator[Response]:
        """Raises `NoAnswer`, `Refused`."""
        self._parse(data, False)
        ready, self._ready = self._ready, []
        return iter(ready)

    def close(self) -> None:
        """Raises `NoAnswer` if it is not complete."""
        self._parse(b"", True)

    def _parse(self, data: bytes, last: bool) -> None:
        try:
            self._parser.Parse(data, last)
        except (expat.ExpatError, LookupError, AssertionError) as error:
            raise NoAnswer(str(error)) from error

    def _start(self, name: str, attributes: dict[str, str]) -> None:
        name = _qualified(name)
        self._depth += 1
        if self._depth > _DEEPEST:
            raise Refused("it is nested deeper than any answer")
        if self._depth == 1 and name != f"{DAV}multistatus":
            raise NoAnswer(f"it begins with {name[:60]}")
        if self._depth == 2:
            self._in_token = name == f"{DAV}sync-token"
            if name == f"{DAV}response":
                self._builder, self._elements, self._characters = TreeBuilder(), 0, 0
        if self._builder is not None:
            self._elements += 1
            if self._elements > _MOST_ELEMENTS:
                raise Refused("it says more of one thing than any answer")
            self._characters += sum(map(len, attributes.values()))
            self._builder.start(name, attributes)

    def _end(self, name: str) -> None:
        self._depth -= 1
        if self._builder is not None:
            self._builder.end(_qualified(name))
            if self._depth == 1:
                cut = self._characters > _TEXT
                self._ready.append(_response(self._builder.close(), cut))
                self._builder = None
        elif self._depth == 1:
            self._in_token = False

    def _data(self, text: str) -> None:
        if self._builder is not None:
            if self._characters <= _TEXT:
                self._builder.data(text)
            self._characters += len(text)
        elif self._in_token and len(self._token) < _TOKEN:
            self._token += text[:_TOKEN]


def _qualified(name: str) -> str:
    return "{" + name if "}" in name else name


def _refuse(*_: object) -> None:
    raise Refused("it declares a document type")


def _response(element: Element, cut: bool) -> Response:
    properties: dict[str, Element] = {}
    for stated in element.findall(f"{DAV}propstat"):
        if _status(stated) == 200:
            for holder in stated.findall(f"{DAV}prop"):
                properties.update((child.tag, child) for child in holder)
    href = (element.findtext(f"{DAV}href") or "").strip()
    return Response(href, _status(element), properties, cut)


def _status(element: Element) -> int:
    """200 where none is said."""
    found = _STATUS.match((element.findtext(f"{DAV}status") or "").strip())
    return int(found[1]) if found else 200
