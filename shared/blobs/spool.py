"""The spool: what a job has in hand, until it is done.

A piece has a name and is written a part at a time, so that whoever writes may stop after any part,
and go on in another process. A part that is written again is written over.
"""

import re

from shared.blobs.contents import ObjectContent
from shared.blobs.protocol import PART, Objects
from shared.model.steps import Content


class Spool:
    """The pieces of one job. job, and names of pieces: of `a-z 0-9 . _ -`; `ValueError` if not.

    Raises what the port raises.
    """

    def __init__(self, objects: Objects, job: str) -> None:
        self._objects = objects
        self._prefix = f"spool/{_checked(job)}/"

    def put(self, name: str, data: bytes) -> None:
        """Writes a piece whole, over what was there: at most `PART` bytes."""
        self.put_part(name, 0, data)

    def put_part(self, name: str, number: int, data: bytes) -> None:
        """Writes a part of a piece. Each holds `PART` bytes, but the last may hold fewer."""
        if len(data) > PART:
            raise ValueError(f"a part of {len(data)} bytes is larger than {PART}")
        self._objects.put(f"{self._piece(name)}{number:06}", data)

    def get(self, name: str) -> bytes | None:
        """A piece that was put whole."""
        return self._objects.read(f"{self._piece(name)}{0:06}", 0, PART)

    def content(self, name: str) -> Content | None:
        """A piece, as many parts of it as there are; None once some of it was removed."""
        piece = self._piece(name)
        parts = list(self._objects.names(piece))
        whole = bool(parts) and parts[-1] == f"{piece}{len(parts) - 1:06}"
        last = self._objects.size(parts[-1]) if whole else None
        if last is None:
            return None
        return ObjectContent(self._objects, parts, PART, (len(parts) - 1) * PART + last)

    def drop(self, name: str) -> None:
        """Removes a piece."""
        self._delete(self._piece(name))

    def forget(self) -> None:
        """Removes all pieces of the job."""
        self._delete(self._prefix)

    def _delete(self, prefix: str) -> None:
        for name in list(self._objects.names(prefix)):
            self._objects.delete(name)

    def _piece(self, name: str) -> str:
        return f"{self._prefix}{_checked(name)}/"


def _checked(part: str) -> str:
    if not re.fullmatch(r"[a-z0-9._-]{1,80}", part) or part in {".", ".."}:
        raise ValueError(f"{part!r} cannot be part of an object's name")
    return part
