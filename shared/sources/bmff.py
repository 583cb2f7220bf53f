"""The boxes of ISO base media files (ISO/IEC 14496-12): MP4, QuickTime, HEIC, AVIF.

A box is a size, a type of four bytes and a payload, which may be boxes again. Nothing is read but
what is asked for, so a movie of gigabytes costs some kilobytes.
"""

from collections.abc import Iterator
from typing import NamedTuple

from shared.model.steps import Content

_WINDOW = 65_536
"""Bytes of one read. Boxes that matter stand together, and a read in the cloud costs a request."""
_MOST_BOXES = 5_000
"""In one box. A picture of 100 megapixels has some thousand, one for each tile."""
_MOST_READS = 500
"""Of one window. What is looked for stands together, and is found with five or so."""


class Box(NamedTuple):
    """start, end: of the payload; the end is that of what holds it where it claims to be larger."""

    type: bytes
    start: int
    end: int
    whole: bool


class Window:
    """Reads of a content that lie near each other, out of one larger read."""

    def __init__(self, content: Content) -> None:
        self.size = content.size
        self._content = content
        self._start = 0
        self._data = b""
        self._left = _MOST_READS

    def read(self, start: int, size: int) -> bytes:
        """Fewer bytes at the end, none after `_MOST_READS`. `OSError` when they cannot be had."""
        skipped = start - self._start
        if skipped < 0 or skipped + size > len(self._data):
            self._start, skipped = start, 0
            self._data = self._fetched(start, max(size, _WINDOW))
        return self._data[skipped : skipped + size]

    def _fetched(self, start: int, size: int) -> bytes:
        self._left -= 1
        return self._content.read(start, size) if self._left >= 0 else b""


def boxes(window: Window, start: int, end: int) -> Iterator[Box]:
    """The boxes between two places, in order, up to the first bytes that are none.

    Each is at least eight bytes further on, so that no size, however wrong, leads in a circle.
    """
    for _ in range(_MOST_BOXES):
        header = window.read(start, 16) if start + 8 <= end else b""
        if len(header) < 8:
            return
        size, head = int.from_bytes(header[:4], "big"), 8
        if size == 1 and len(header) == 16:
            size, head = int.from_bytes(header[8:], "big"), 16
        elif size == 0:
            size = end - start
        if size < head:
            return
        stop = start + size
        yield Box(header[4:8], start + head, min(stop, end), stop <= end)
        start = stop


def first(window: Window, within: Box | None, *path: bytes) -> Box | None:
    """The box that the types lead to from the one given, or from the whole content."""
    found = within
    for kind in path:
        start, end = (found.start, found.end) if found else (0, window.size)
        found = next((box for box in boxes(window, start, end) if box.type == kind), None)
        if found is None:
            return None
    return found


def payload(window: Window, box: Box, most: int) -> bytes:
    """What is in the box, at most so many bytes of it."""
    return window.read(box.start, min(box.end - box.start, most))


class Reader:
    """Numbers one after the other. Beyond the end they are zeros, and `past` says so."""

    def __init__(self, data: bytes, at: int = 0) -> None:
        self._data = data
        self.at = at

    @property
    def past(self) -> bool:
        return self.at > len(self._data)

    def take(self, size: int) -> bytes:
        self.at += size
        return self._data[self.at - size : self.at]

    def number(self, size: int) -> int:
        return int.from_bytes(self.take(size).ljust(size, b"\0"), "big")

    def text(self) -> bytes:
        """Up to the next zero byte."""
        end = self._data.find(b"\0", self.at)
        end = len(self._data) if end < 0 else end
        found, self.at = self._data[self.at : end], end + 1
        return found
