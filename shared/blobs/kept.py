"""What is kept: bytes that go by their SHA-256, so that the same are there once."""

import hashlib
import re
from collections.abc import Iterator

from shared.blobs.contents import ObjectContent
from shared.blobs.protocol import PART, BlobsError, Objects
from shared.model.steps import Content

_KEPT = "kept"
_KEEPING = "keeping"
"""Where the parts of something larger are, until it is whole."""


class Kept:
    """Raises what the port raises, and `ValueError` for what is no SHA-256 (64 hex digits)."""

    def __init__(self, objects: Objects) -> None:
        self._objects = objects

    def put(self, data: bytes) -> str:
        """Keeps bytes, if they are not there already. Their SHA-256."""
        sha256 = hashlib.sha256(data).hexdigest()
        if self.size(sha256) is None:
            self._objects.put(_name(sha256), data)
        return sha256

    def put_content(self, content: Content, sha256: str | None = None) -> str:
        """Keeps a content of any size, `PART` bytes at a time. Its SHA-256.

        sha256: where it is known, so that it is not read a first time for it. A call that was cut
        short and is made again writes only the parts that are missing.
        """
        *_, kept = self.keeping(content, sha256)
        return kept or ""

    def keeping(self, content: Content, sha256: str | None = None) -> Iterator[str | None]:
        """`put_content` for whoever has to show signs of life: None after each part that was read
        or written, its SHA-256 at the end."""
        if sha256 is None:
            if content.size <= PART:
                yield self.put(_whole(content, 0, content.size))
                return
            digest = hashlib.sha256()
            for data in _parts(content):
                digest.update(data)
                yield None
            sha256 = digest.hexdigest()
        parts = _parts_of(content.size, sha256)
        if self.size(sha256) is None:
            yield from self._put_parts(content, sha256, parts)
        elif self._objects.size(parts[0]) is not None:
            self._remove(parts)  # as a call did not that was cut short
        yield sha256

    def size(self, sha256: str) -> int | None:
        return self._objects.size(_name(sha256))

    def read(self, sha256: str, start: int, size: int) -> bytes | None:
        """`size` bytes from `start`, fewer at the end; None if it is not kept."""
        return self._objects.read(_name(sha256), start, size)

    def stream(self, sha256: str) -> Iterator[bytes] | None:
        """All of it, `PART` bytes at a time; None if it is not kept."""
        content = self.content(sha256)
        return _parts(content) if content is not None else None

    def content(self, sha256: str) -> Content | None:
        size = self.size(sha256)
        if size is None:
            return None
        return ObjectContent(self._objects, [_name(sha256)], max(1, size), size)

    def delete(self, sha256: str) -> None:
        self._objects.delete(_name(sha256))

    def _put_parts(self, content: Content, sha256: str, parts: list[str]) -> Iterator[None]:
        digest = hashlib.sha256()
        for part, data in zip(parts, _parts(content), strict=False):
            digest.update(data)
            if self._objects.size(part) != len(data):
                self._objects.put(part, data)
            yield None
        if not content.size:
            self._objects.put(parts[0], b"")
        right = digest.hexdigest() == sha256
        if right:
            self._join(sha256, parts)
        self._remove(parts)
        if not right:
            raise BlobsError(f"what was to be kept as {sha256} is {digest.hexdigest()}")

    def _remove(self, parts: list[str]) -> None:
        # The first goes last: while it is there, others may be.
        for part in reversed(parts):
            self._objects.delete(part)

    def _join(self, sha256: str, parts: list[str]) -> None:
        try:
            self._objects.join(_name(sha256), parts)
        except BlobsError:
            # Somebody else who kept the same may have joined the parts and removed them.
            if self.size(sha256) is None:
                raise


def _name(sha256: str) -> str:
    if not re.fullmatch(r"[0-9a-f]{64}", sha256):
        raise ValueError(f"{sha256[:80]!r} is not a SHA-256")
    return f"{_KEPT}/{sha256[:2]}/{sha256}"


def _parts_of(size: int, sha256: str) -> list[str]:
    # The names say whose parts they are, so whoever else writes them writes the same.
    return [f"{_KEEPING}/{sha256}/{number:06}" for number in range(max(1, -(-size // PART)))]


def _parts(content: Content) -> Iterator[bytes]:
    for start in range(0, content.size, PART):
        yield _whole(content, start, min(PART, content.size - start))


def _whole(content: Content, start: int, size: int) -> bytes:
    data = content.read(start, size)
    if len(data) < size:
        raise OSError(f"the content ends at byte {start + len(data)} of {content.size}")
    return data
