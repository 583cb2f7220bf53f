"""A gzip file (RFC 1952) as the bytes that were packed, read from front to back.

Several streams one after another are one, as `gzip` itself has it.
"""

import zlib
from collections import deque
from struct import unpack
from typing import NamedTuple

import msgspec
from msgspec import Struct

from shared.archives.inflate import CUT_OFF, Ahead, Boundary, Inflation
from shared.archives.members import most
from shared.archives.readers import DAMAGED, bomb, marked
from shared.model.steps import Content

SIGN = b"\x1f\x8b\x08"
_CHECKED, _EXTRA, _NAME, _COMMENT = 2, 4, 8, 16
_LONGEST_HEADER = 65_536 + 2 * 4_096
_END = 8
BEHIND = 4_096
"""Bytes before the place it has got to that can be read again."""


class _Mark(Struct, frozen=True, array_like=True, tag="gzip"):
    """at: of the bytes that were packed. base: how many of them came before this stream's."""

    at: int
    base: int
    boundary: Boundary


class _Begun(NamedTuple):
    """A stream: how many bytes come before those packed in it, and where it lies itself."""

    base: int
    byte: int


class Gzip:
    """at: the bytes that were read or passed over. size: at most so many come out.

    `read` gives no more than there is before `fault`, which says why that is not all. Reading what
    lies far before `at` begins again at the front.
    """

    at: int

    def __init__(self, content: Content) -> None:
        self.size = most(content.size)
        self._content = Ahead(content)
        self._begin()

    def read(self, start: int, size: int) -> bytes:
        back = self.at - start
        if back > len(self._behind):
            self._begin()
        elif back > 0:
            known = bytes(self._behind[len(self._behind) - back :][:size])
            return known + self.read(self.at, size - len(known)) if len(known) < size else known
        while self.at < start and self._filled(1):
            self._take(min(start - self.at, len(self._ready)))
        return self._take(size) if self._filled(size) or self._ready else b""

    @property
    def byte(self) -> int:
        """How far it is, in the packed bytes."""
        return self._inflation.byte if self._inflation is not None else self._next

    def mark(self, at: int) -> bytes:
        """Where to go on to read from `at` on, which was read not long ago."""
        while len(self._begun) > 1 and self._begun[1].base <= self.at - BEHIND:
            self._begun.popleft()
        nothing = _Begun(0, 0)
        base, byte = next((begun for begun in reversed(self._begun) if begun.base <= at), nothing)
        boundary = Boundary(byte)
        if self._inflation is not None and base == self._base:
            boundary = self._inflation.boundary(at - base)
        return msgspec.msgpack.encode(_Mark(at, base, boundary))

    def go_on(self, mark: bytes) -> None:
        """Reading goes on where that of another had got to. `ValueError` if it is not a mark."""
        begun = marked(mark, _Mark)
        if begun.at == self.at:
            return
        self._begin()
        self.at = begun.base + begun.boundary.unpacked
        if begun.boundary.byte:
            self._inflate(begun.base, begun.boundary)
        self.read(begun.at, 0)

    def _begin(self) -> None:
        self.at = 0
        self.fault: str | None = None
        self._ready = bytearray()
        self._behind = b""
        self._begun: deque[_Begun] = deque()
        self._inflation: Inflation | None = None
        self._base = 0
        self._next: int = 0
        self._ended = False

    def _inflate(self, base: int, boundary: Boundary) -> None:
        self._base = base
        self._begun.append(_Begun(base, boundary.byte))
        self._inflation = Inflation(self._content, boundary)

    def _take(self, size: int) -> bytes:
        data = bytes(self._ready[:size])
        del self._ready[:size]
        self.at += len(data)
        self._behind = (self._behind + data)[-BEHIND:] if len(data) < BEHIND else data[-BEHIND:]
        return data

    def _filled(self, size: int) -> bool:
        """Whether so many bytes are ready, once as many as possible are."""
        while len(self._ready) < size and self.fault is None and not self._ended:
            if self._inflation is None:
                self._open()
            else:
                self._unpack(self._inflation)
        return len(self._ready) >= size

    def _open(self) -> None:
        """Begins the next stream. What is not one, after the first, belongs to nobody."""
        head = bytearray()
        while len(head) < _LONGEST_HEADER:
            more = self._content.read(self._next + len(head), _LONGEST_HEADER - len(head))
            if not more:
                break
            head += more
        if not head.startswith(SIGN) and self._begun:
            self._ended = True
            return
        length = _header(bytes(head))
        if length is None:
            self.fault = "its gzip header is broken or cut off; download it again"
        else:
            self._inflate(self._base, Boundary(self._next + length))

    def _unpack(self, inflation: Inflation) -> None:
        piece = inflation.more()
        self._ready += piece
        if self._base + inflation.unpacked > most(inflation.byte):
            self.fault = bomb(inflation.byte)
        elif inflation.problem == CUT_OFF:
            self.fault = "it is cut off; download it again"
        elif inflation.problem is not None:
            self.fault = f"{inflation.problem}; download it again, or unpack it"
        elif inflation.ended and not piece:
            self._close(inflation)

    def _close(self, inflation: Inflation) -> None:
        end = b""
        while len(end) < _END:
            more = self._content.read(inflation.byte + len(end), _END - len(end))
            if not more:
                self.fault = "it is cut off; download it again"
                return
            end += more
        if unpack("<2I", end) != (inflation.crc, inflation.unpacked & 0xFFFFFFFF):
            self.fault = DAMAGED
        self._next = inflation.byte + _END
        self._base += inflation.unpacked
        self._inflation = None


def _header(head: bytes) -> int | None:
    """Its length."""
    if len(head) < 10 or not head.startswith(SIGN):
        return None
    flags, at = head[3], 10
    if flags & _EXTRA:
        at += 2 + int.from_bytes(head[at : at + 2], "little")
    for text in (_NAME, _COMMENT):
        if flags & text:
            at = head.find(b"\0", at) + 1
            if not at:
                return None
    if flags & _CHECKED:
        if head[at : at + 2] != (zlib.crc32(head[:at]) & 0xFFFF).to_bytes(2, "little"):
            return None
        at += 2
    return at if at <= len(head) else None
