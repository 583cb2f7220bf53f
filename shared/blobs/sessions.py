"""Upload sessions that a home node serves itself, with the protocol of Google's resumable uploads.

For the handler of `PUT <url of the session>`:

- `Content-Range: bytes */SIZE` and no body -> `progress(id)`.
- `Content-Range: bytes FIRST-LAST/SIZE` -> `append(id, FIRST, SIZE, pieces of the body)`.
- None from either -> 404: the client opens another session. `complete` -> 200.
- Otherwise 308, with `Range: bytes=0-{have - 1}`, or no `Range` where `have` is 0. That is also the
  answer to a piece that begins beyond `have`: nothing of it was taken, the client goes back.
- `BadPiece` -> 400.

What `have` counts survives the death of the machine. A piece that was cut off, or is not a multiple
of 256 KiB and not the last, counts as far as it reaches in such multiples; the client sends the
rest again. What comes again is passed over. Requests of one session may meet, in several processes.
"""

import fcntl
import os
import re
import secrets
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager, suppress
from datetime import datetime
from pathlib import Path
from typing import NamedTuple

import msgspec

from shared.blobs.disk import created, synced
from shared.blobs.protocol import STEP

_DIGITS = 20


class BadPiece(ValueError):
    """A piece that does not fit its session. The text is for the client."""


class Progress(NamedTuple):
    """have: bytes from the beginning that are safe. name: of the object."""

    have: int
    size: int
    name: str

    @property
    def complete(self) -> bool:
        """Whether the object is there."""
        return self.have == self.size


class _Told(NamedTuple):
    name: str
    size: int


class Sessions:
    """finish: makes the object of that name of a file, in one step, and takes the file away."""

    def __init__(self, folder: Path, finish: Callable[[Path, str], None]) -> None:
        self._folder = folder
        self._finish = finish

    def open(self, name: str, size: int) -> str:
        """A session for an object of so many bytes. Its id cannot be guessed."""
        id = secrets.token_hex(16)
        created(self._data(id), b"")
        told = msgspec.json.encode(_Told(name, size))
        created(self._state(id), b"%0*d" % (_DIGITS, 0) + told)
        synced(self._folder)
        return id

    def progress(self, id: str) -> Progress | None:
        """How far it is; None if there is no such session (any more)."""
        return self._settled(id, 0, 0)

    def append(self, id: str, first: int, size: int, pieces: Iterable[bytes]) -> Progress | None:
        """Takes bytes from `first` on, and says how far it is then.

        size: what the request says that the whole has. Where `pieces` raises, what it gave before
        is taken; an `OSError` is the end of a line that broke, any other goes on to the caller.
        """
        before = self.progress(id)
        if before is None or before.complete or first > before.have:
            return before
        if size != before.size:
            raise BadPiece(f"the session is for {before.size} bytes, not for {size}")
        reached = first
        try:
            with self._opened(id) as data:
                for piece in _until_broken(pieces):
                    if reached + len(piece) > size:
                        raise BadPiece(f"the piece reaches beyond the {size} bytes of the session")
                    known = max(0, before.have - reached)
                    if len(piece) > known and not self._write(
                        id, data, piece[known:], reached + known
                    ):
                        break
                    reached += len(piece)
        except FileNotFoundError:
            return self.progress(id)
        finally:
            after = self._settled(id, first, reached)
        return after

    def sweep(self, before: datetime) -> int:
        """Removes sessions to which nothing came since then. How many."""
        swept = 0
        for path in list(self._folder.iterdir()):
            with suppress(FileNotFoundError):
                if path.stat().st_mtime < before.timestamp():
                    path.unlink()
                    swept += path.suffix == ".state"
        return swept

    def _write(self, id: str, data: int, piece: bytes, at: int) -> bool:
        """False if the data became an object meanwhile: nothing may change it then."""
        with _locked(data, fcntl.LOCK_SH):
            if not self._data(id).exists():
                return False
            view = memoryview(piece)
            while view:
                written = os.pwrite(data, view, at)
                view, at = view[written:], at + written
        return True

    def _settled(self, id: str, first: int, reached: int) -> Progress | None:
        """Counts what was written from `first` up to `reached`, and finishes what is complete."""
        with suppress(FileNotFoundError), self._opened(id) as data, _locked(data, fcntl.LOCK_EX):
            known = self._read(id)
            if known is not None and self._data(id).exists():
                return self._counted(id, data, known, first, reached)
        known = self._read(id)
        # The data of one that is not complete is gone: it was swept just now.
        return known if known is not None and known.complete else None

    def _counted(self, id: str, data: int, known: Progress, first: int, reached: int) -> Progress:
        safe = reached if reached == known.size else reached - reached % STEP
        if first <= known.have < safe:
            os.fsync(data)
            with self._state(id).open("r+b", buffering=0) as state:
                state.write(b"%0*d" % (_DIGITS, safe))
                os.fsync(state.fileno())
            known = known._replace(have=safe)
        if known.complete:
            os.fsync(data)
            self._finish(self._data(id), known.name)
        return known

    def _read(self, id: str) -> Progress | None:
        if not re.fullmatch(r"[0-9a-f]{32}", id):
            return None
        try:
            state = self._state(id).read_bytes()
        except FileNotFoundError:
            return None
        told = msgspec.json.decode(state[_DIGITS:], type=_Told)
        return Progress(int(state[:_DIGITS]), told.size, told.name)

    @contextmanager
    def _opened(self, id: str) -> Iterator[int]:
        if not re.fullmatch(r"[0-9a-f]{32}", id):
            raise FileNotFoundError(id)
        descriptor = os.open(self._data(id), os.O_RDWR | os.O_CLOEXEC)
        try:
            yield descriptor
        finally:
            os.close(descriptor)

    def _data(self, id: str) -> Path:
        return self._folder / f"{id}.data"

    def _state(self, id: str) -> Path:
        return self._folder / f"{id}.state"


@contextmanager
def _locked(descriptor: int, kind: int) -> Iterator[None]:
    fcntl.flock(descriptor, kind)
    try:
        yield
    finally:
        fcntl.flock(descriptor, fcntl.LOCK_UN)


def _until_broken(pieces: Iterable[bytes]) -> Iterator[bytes]:
    with suppress(OSError):
        yield from pieces
