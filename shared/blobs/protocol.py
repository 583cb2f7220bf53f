"""The objects port: named bytes, written whole. `tests/contract` holds every adapter to it.

Names are made of the characters `a-z 0-9 / . _ -`, at most 200, and no part of one is empty, `.`
or `..` (`checked` holds to it). When `put` or `join` returns, the object survives the death of the
process and of the machine; when it raises, the object is there whole or not at all. Writing the
same again is right.

Errors. `BlobsUnavailable` when trying again later may help; any other `BlobsError` says what the
owner has to do. A name that leads nowhere is `None`, not an error.
"""

import re
from collections.abc import Iterator, Sequence
from typing import NamedTuple, Protocol

PART = 8 * 1024 * 1024
"""Bytes that are held in memory at once while something larger is moved."""


STEP = 256 * 1024
"""Bytes; each piece of an upload but the last is a multiple of it."""


class BlobsError(OSError):
    """Something about the objects that the caller cannot mend by calling differently."""


class BlobsUnavailable(BlobsError):
    """The objects cannot be reached or take no more just now: try the same call again later."""


def checked(name: str) -> str:
    """The name; `ValueError` if it is not one."""
    parts = name.split("/")
    if len(name) > 200 or not re.fullmatch(r"[a-z0-9/._-]+", name) or {"", ".", ".."} & {*parts}:
        raise ValueError(f"{name[:250]!r} is not a name of an object")
    return name


class Upload(NamedTuple):
    """Where whoever has the bytes sends them, with the protocol of a resumable upload.

    `PUT` with `Content-Range: bytes FIRST-LAST/SIZE`, each piece but the last a multiple of
    256 KiB; 308 with `Range: bytes=0-LAST` says how far it is, also in reply to an empty
    `Content-Range: bytes */SIZE`; 200 or 201 that it is complete.
    """

    url: str


class Objects(Protocol):
    def put(self, name: str, data: bytes) -> None:
        """Writes an object whole, over what went by its name."""
        ...

    def join(self, name: str, parts: Sequence[str]) -> None:
        """Makes one object of others, in order; they stay. `BlobsError` if one is missing."""
        ...

    def size(self, name: str) -> int | None: ...

    def read(self, name: str, start: int, size: int) -> bytes | None:
        """`size` bytes from `start`, fewer at the end; None if there is no such object."""
        ...

    def delete(self, name: str) -> None:
        """Does nothing where there is none."""
        ...

    def names(self, prefix: str) -> Iterator[str]:
        """In alphabetical order, those that begin with `prefix`."""
        ...

    def open_upload(self, name: str, size: int, origin: str | None) -> Upload:
        """Lets somebody else send the object's bytes, without this process carrying them.

        The object is there once all `size` bytes are. origin: of a browser that will send them.
        """
        ...

    def close(self) -> None: ...
