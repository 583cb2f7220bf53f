"""What an archive gives: its members one after another, and a reader for each.

Nothing here raises for any bytes, but the content's `OSError`. Limits are of what real exports
hold, with room: what passes them is a bomb, or is refused at the cost of being packed again.
"""

from collections.abc import Iterator
from datetime import datetime
from typing import NamedTuple, Protocol

import msgspec

from shared.model.steps import Bad, Content

PATH_LIMIT = 4_096
"""Bytes of a path, as Linux has it."""
FREE = 64 * 1024 * 1024
RATIO = 200
"""What is unpacked may be `RATIO` times what it is unpacked from, and `FREE` bytes in any case.

Deflate reaches 1,032; JSON of an export 10 to 40. Counted while unpacking, whatever headers say.
"""
SHOWN = 4_096
"""Bytes of a broken header that a `Bad` carries."""


class Member(NamedTuple):
    """A file in an archive. It can be kept as text: `kept` and `restored`.

    path: with `/`, NFC, without `.` and `..`. size: of the file; packed: what it takes in the
    archive. where: for a `Bad`. modified: None where the archive does not know the instant; local:
    then what a clock on the wall of whoever packed it showed. at: where the archive has it, for
    the archive. method, crc: how a zip packed it; crc is None where there is none.
    """

    path: str
    size: int
    packed: int
    where: str
    at: int
    modified: datetime | None = None
    local: datetime | None = None
    method: int = 0
    crc: int | None = None


class Entry(NamedTuple):
    """One step of a listing, which may stop after any. cursor: where it goes on after this one.

    found: None when there is nothing yet to tell but how far it is. done: bytes of the archive
    that came before its end; it never falls. total: of the archive.
    """

    cursor: str
    done: int
    found: Member | Bad | None


class Window:
    """A stretch of another content."""

    def __init__(self, content: Content, start: int, size: int) -> None:
        self.start = start
        self.size = size
        self._content = content

    def read(self, start: int, size: int) -> bytes:
        size = min(size, self.size - start)
        return self._content.read(self.start + start, size) if size > 0 else b""


class Reader(Protocol):
    """The bytes of one member, in order."""

    @property
    def at(self) -> int:
        """Bytes of the member that were given."""
        ...

    @property
    def fault(self) -> str | None:
        """Why the member is not whole, once `read` gave fewer bytes than were asked for.

        None then: it is whole, and its checksum right where it has one.
        """
        ...

    def read(self, size: int) -> bytes:
        """The next `size` bytes; fewer only at the end."""
        ...

    def mark(self) -> bytes:
        """From which another reader of this member goes on after the bytes that were given.

        At most about 33 kB. It costs some hundredths of a second at most, and going on from it as
        long as unpacking some ten megabytes, however far into the member it is.
        """
        ...


class Archive(Protocol):
    """An archive that was opened, for one thread."""

    def entries(self, cursor: str | None = None, mark: bytes = b"") -> Iterator[Entry]:
        """What is in it, from the beginning (None) or after an earlier entry.

        mark: what `mark` gave when that entry was the last. Without it the listing is the same,
        but may cost as much as all that lies before. Memory does not grow with the members.
        """
        ...

    def mark(self) -> bytes:
        """Where reading has got to, for another archive of the same content.

        Until the next entry it is the mark of the reader that was opened last, for `reader` and
        for `entries`; then it is for `entries` alone. Empty where nothing needs one.
        """
        ...

    def window(self, member: Member) -> Window | None:
        """The member's bytes where they lie in the content; None if they are packed or cut off."""
        ...

    def reader(self, member: Member, mark: bytes = b"") -> Reader:
        """Reads a member from its beginning, or on from its earlier reader's mark, or from `mark`.

        `ValueError` if the mark is not one.
        """
        ...


def kept(member: Member) -> str:
    """A member as text, for a cursor."""
    return msgspec.json.encode(member).decode()


def restored(text: str) -> Member:
    """The member that `kept` made text of."""
    return msgspec.json.decode(text, type=Member)


def most(packed: int) -> int:
    """Bytes that may be unpacked from `packed` bytes."""
    return max(FREE, RATIO * packed)
