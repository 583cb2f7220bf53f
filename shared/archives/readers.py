"""Readers of members: of bytes that lie as they are, and of deflated ones."""

import zlib
from typing import TypeVar

import msgspec
from msgspec import Struct

from shared.archives.inflate import CUT_OFF, Ahead, Boundary, Inflation
from shared.archives.members import Member, Window, most

CUT = "the archive is cut off inside it; download it again"
DAMAGED = "its bytes are not those that were packed (its checksum is another); download it again"


class _StoredMark(Struct, frozen=True, array_like=True, tag="stored"):
    at: int
    crc: int


class _DeflatedMark(Struct, frozen=True, array_like=True, tag="deflated"):
    at: int
    boundary: Boundary


M = TypeVar("M")


def marked(mark: bytes, type: type[M]) -> M:
    try:
        return msgspec.msgpack.decode(mark, type=type)
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise ValueError(f"this is not a mark of this reader: {error}") from error


class Stored:
    """packed: where the member's bytes are. fault: why they are not."""

    def __init__(
        self, packed: Window, member: Member, mark: bytes, fault: str | None = None
    ) -> None:
        begun = marked(mark, _StoredMark) if mark else _StoredMark(0, 0)
        self.at = begun.at
        self.fault = fault
        self._crc = begun.crc
        self._packed = packed
        self._member = member

    def read(self, size: int) -> bytes:
        if self.fault is not None:
            return b""
        wanted = min(size, self._member.size - self.at)
        data = self._packed.read(self.at, wanted) if wanted > 0 else b""
        self.at += len(data)
        if self._member.crc is not None:
            self._crc = zlib.crc32(data, self._crc)
        if len(data) < wanted:
            self.fault = CUT
        elif self.at == self._member.size and self._member.crc not in (None, self._crc):
            self.fault = DAMAGED
        return data

    def mark(self) -> bytes:
        return msgspec.msgpack.encode(_StoredMark(self.at, self._crc))


class Deflated:
    def __init__(
        self, packed: Window, member: Member, mark: bytes, fault: str | None = None
    ) -> None:
        begun = marked(mark, _DeflatedMark) if mark else _DeflatedMark(0, Boundary(0))
        self.at = begun.at
        self.fault = fault
        self._member = member
        self._inflation = Inflation(Ahead(packed), begun.boundary)
        self._passed = begun.at - begun.boundary.unpacked
        self._rest = b""

    def read(self, size: int) -> bytes:
        pieces, missing, piece = [], size, self._rest or self._more()
        while len(piece) < missing:
            if not piece:
                break
            pieces.append(piece)
            missing -= len(piece)
            piece = self._more()
        pieces.append(piece[:missing])
        self._rest = piece[missing:]
        data = b"".join(pieces)
        self.at += len(data)
        return data

    def mark(self) -> bytes:
        boundary = self._inflation.boundary(self.at)
        return msgspec.msgpack.encode(_DeflatedMark(self.at, boundary))

    def _more(self) -> bytes:
        """What comes next; nothing when that is all, or `fault` says why there is no more."""
        inflation = self._inflation
        while self.fault is None:
            piece = inflation.more()
            self.fault = self._fault()
            over = inflation.unpacked - self._member.size
            if over > 0:
                piece = piece[: max(0, len(piece) - over)]
            if self._passed:
                passed = min(self._passed, len(piece))
                self._passed -= passed
                piece = piece[passed:]
            if piece:
                return piece
            if inflation.ended:
                break
        return b""

    def _fault(self) -> str | None:
        inflation, member = self._inflation, self._member
        if inflation.problem == CUT_OFF:
            return CUT
        if inflation.problem is not None:
            return f"{inflation.problem}; download it again, or unpack it and import the folder"
        if inflation.unpacked > most(inflation.byte):
            return bomb(inflation.byte)
        if inflation.unpacked > member.size:
            return f"it is larger than the {member.size} bytes that the archive says"
        if inflation.ended and inflation.unpacked < member.size and member.crc is not None:
            return f"it is smaller than the {member.size} bytes that the archive says"
        if inflation.ended and member.crc not in (None, inflation.crc):
            return DAMAGED
        return None


def bomb(packed: int) -> str:
    return (
        f"{packed} bytes unpack to more than {most(packed)}, which no export does; if it is no "
        "trap, unpack it and import the folder"
    )
