"""Unpacking deflate (RFC 1951) so that another process can go on with it, at no more cost far in.

What goes on needs a boundary between two blocks (`boundaries`) and the 32 KiB that came before it.
"""

import zlib
from collections import deque
from typing import NamedTuple

from msgspec import Struct

from shared.archives.boundaries import WINDOW, last_boundary, started
from shared.model.steps import Content

CUT_OFF = "it is cut off"
AHEAD = 1024 * 1024
"""Bytes that are asked of the content at once."""
_FED, _FED_SLOWLY = 16_384, 2_048
"""Bytes that are unpacked at once: deflate makes at most 1,032 of each."""
_MUCH = 4 * 1024 * 1024
_PACKED_BEHIND = 512 * 1024
_UNPACKED_BEHIND = 16 * 1024 * 1024
"""Bytes in which a boundary is looked for. The blocks of zlib hold at most 4.2 MB of nothing but
repetition, mostly some 50 kB in some 20 kB."""
_NEAR = 32 * 1024 * 1024
"""Bytes that going on may unpack again, before a nearer boundary is looked for."""
FAR = 512 * 1024 * 1024
"""Bytes after the last boundary at which unpacking gives up: a chunk could not get past them."""


class Boundary(Struct, frozen=True, array_like=True):
    """Where unpacking can begin. byte: in the content. unpacked, crc: of what came out before.

    window: the last of that.
    """

    byte: int
    bit: int = 0
    unpacked: int = 0
    crc: int = 0
    window: bytes = b""


class Ahead:
    """A content that is asked for more than is needed next."""

    def __init__(self, content: Content) -> None:
        self.size = content.size
        self._content = content
        self._block = memoryview(b"")
        self._start = 0

    def read(self, start: int, size: int) -> bytes:
        """At most `size` bytes; none only at the end."""
        if not self._start <= start < self._start + len(self._block):
            self._block = memoryview(self._content.read(start, AHEAD))
            self._start = start
        return bytes(self._block[start - self._start :][:size])


class _Piece(NamedTuple):
    packed: bytes
    unpacked: bytes
    crc: int


class Inflation:
    """Unpacks what lies in the content from a boundary on.

    unpacked, crc: of all that came out since the stream's beginning. byte: where the next packed
    byte lies; once it `ended`, where the stream does. problem: why it cannot go on.
    """

    def __init__(self, content: Ahead, boundary: Boundary) -> None:
        self.unpacked = boundary.unpacked
        self.crc = boundary.crc
        self.byte = boundary.byte
        self.ended = False
        self.problem: str | None = None
        self._content = content
        self._boundary = boundary
        self._looked = 0
        self._behind: deque[_Piece] = deque()
        self._packed_behind = self._unpacked_behind = 0
        self._feed = _FED
        self._inflating = self._started(boundary)

    def more(self) -> bytes:
        """What comes out next; nothing when it ended, or has a problem."""
        while not self.ended and self.problem is None:
            packed = self._next(self._feed)
            if not packed:
                self.problem = CUT_OFF
                break
            try:
                unpacked = self._inflating.decompress(packed)
            except zlib.error:
                self.problem = "its packed bytes are damaged"
                break
            self._remember(packed, unpacked)
            self.ended = self._inflating.eof
            self.byte -= len(self._inflating.unused_data)
            if unpacked:
                return unpacked
        return b""

    def boundary(self, at: int) -> Boundary:
        """Where to begin for the bytes from `at` on, which is not far behind `unpacked`."""
        if at - max(self._boundary.unpacked, self._looked) > _NEAR and not self.ended:
            self._looked = at
            self._look_for_boundary(at)
        if at - self._boundary.unpacked > FAR and not self.ended and self.problem is None:
            self.problem = "its packed bytes cannot be read in parts"
        return self._boundary

    def _started(self, boundary: Boundary) -> "zlib._Decompress":
        first = self._next(1)
        if not first:
            self.problem = CUT_OFF
            return zlib.decompressobj(-zlib.MAX_WBITS)
        try:
            return started(boundary.window, first[0], boundary.bit)
        except zlib.error:
            self.problem = "its packed bytes are damaged"
            return zlib.decompressobj(-zlib.MAX_WBITS)

    def _next(self, size: int) -> bytes:
        piece = self._content.read(self.byte, size)
        self.byte += len(piece)
        return piece

    def _remember(self, packed: bytes, unpacked: bytes) -> None:
        self._behind.append(_Piece(packed, unpacked, self.crc))
        self._packed_behind += len(packed)
        self._unpacked_behind += len(unpacked)
        self.unpacked += len(unpacked)
        self.crc = zlib.crc32(unpacked, self.crc)
        self._feed = _FED if len(unpacked) < _MUCH else _FED_SLOWLY
        while len(self._behind) > 1 and (
            self._packed_behind > _PACKED_BEHIND or self._unpacked_behind > _UNPACKED_BEHIND
        ):
            forgotten = self._behind.popleft()
            self._packed_behind -= len(forgotten.packed)
            self._unpacked_behind -= len(forgotten.unpacked)

    def _look_for_boundary(self, at: int) -> None:
        packed = b"".join(piece.packed for piece in self._behind)
        unpacked = b"".join(piece.unpacked for piece in self._behind)
        found = last_boundary(packed, unpacked, after=self.unpacked - at)
        if found is None:
            return
        middle = len(unpacked) - found.after
        self._boundary = Boundary(
            byte=self.byte - len(packed) + found.byte,
            bit=found.bit,
            unpacked=self.unpacked - found.after,
            crc=self._crc_at(middle),
            window=unpacked[middle - WINDOW : middle],
        )

    def _crc_at(self, middle: int) -> int:
        """The checksum of all that came out before a place in what is remembered."""
        for piece in self._behind:
            if middle <= len(piece.unpacked):
                return zlib.crc32(piece.unpacked[:middle], piece.crc)
            middle -= len(piece.unpacked)
        return self.crc
