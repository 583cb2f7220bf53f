"""Objects read as one `Content`."""

from collections.abc import Sequence

from shared.blobs.protocol import BlobsError, Objects

AHEAD = 1024 * 1024
"""Bytes that a smaller read asks for, since the next one is often for what follows."""


class ObjectContent:
    """The bytes of one or more objects, in order. For one thread.

    part: bytes of each object but the last.
    """

    def __init__(self, objects: Objects, names: Sequence[str], part: int, size: int) -> None:
        self.size = size
        self._objects = objects
        self._names = names
        self._part = part
        self._known = b""
        self._start = 0

    def read(self, start: int, size: int) -> bytes:
        size = min(size, self.size - start)
        if size <= 0:
            return b""
        if size >= AHEAD:
            return self._fetched(start, size)
        if not self._start <= start <= start + size <= self._start + len(self._known):
            self._known = self._fetched(start, min(AHEAD, self.size - start))
            self._start = start
        return self._known[start - self._start :][:size]

    def _fetched(self, start: int, size: int) -> bytes:
        pieces = []
        while size > 0:
            number, within = divmod(start, self._part)
            wanted = min(size, self._part - within)
            piece = self._objects.read(self._names[number], within, wanted)
            if piece is None or len(piece) < wanted:
                raise BlobsError(f"the object {self._names[number]} is gone, or cut off")
            pieces.append(piece)
            start, size = start + wanted, size - wanted
        return pieces[0] if len(pieces) == 1 else b"".join(pieces)
