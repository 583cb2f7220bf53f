"""Objects as files below a folder: the adapter of a home node.

An object `a/b` is the file `objects/a+/b`: a folder's name ends with a character that objects'
names have not, so `a` and `a/b` can both be there. A file is written under another name first, and
locked while it is: what a killed process left is unlocked, and removed by the next that opens.
"""

import errno
import fcntl
import os
import secrets
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager, suppress
from datetime import datetime
from pathlib import Path

from shared.blobs.disk import explained, make_folder, synced, write_all
from shared.blobs.protocol import BlobsError, BlobsUnavailable, Upload, checked
from shared.blobs.sessions import Progress, Sessions
from shared.meter import spend_on_objects

_COPIED = 1024 * 1024
_CANNOT = {errno.EXDEV, errno.ENOSYS, errno.EINVAL, errno.EOPNOTSUPP, errno.EPERM}
"""What the system says where it cannot copy from file to file by itself."""


class FileObjects:
    """folder: made if it is missing. sessions_url: where the handler of upload sessions is.

    Such a URL, as `open_upload` gives it, ends with the session's id.
    """

    def __init__(self, folder: Path, sessions_url: str = "") -> None:
        self._folder = folder
        self._sessions_url = sessions_url
        self._objects = folder / "objects"
        self._writing = folder / "writing"
        self._uploads = Sessions(folder / "uploads", self._adopt)
        self._closed = False
        with self._told():
            for needed in (self._objects, self._writing, folder / "uploads"):
                make_folder(needed)
            self._remove_leftovers()

    def put(self, name: str, data: bytes) -> None:
        with self._told():
            self._write(name, lambda file: write_all(file, data))
        spend_on_objects(writes=1, sent=len(data))

    def join(self, name: str, parts: Sequence[str]) -> None:
        paths = [self._path(part) for part in parts]

        def fill(file: int) -> None:
            for part, path in zip(parts, paths, strict=True):
                try:
                    source = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
                except (FileNotFoundError, NotADirectoryError):
                    raise BlobsError(f"{part}, of which {name} is made, is missing") from None
                try:
                    _copy(source, file)
                finally:
                    os.close(source)

        with self._told():
            self._write(name, fill)
        spend_on_objects(writes=1)

    def size(self, name: str) -> int | None:
        spend_on_objects(reads=1)
        with self._told():
            try:
                return self._path(name).stat().st_size
            except FileNotFoundError:
                return None

    def read(self, name: str, start: int, size: int) -> bytes | None:
        spend_on_objects(reads=1)
        with self._told():
            try:
                file = os.open(self._path(name), os.O_RDONLY | os.O_CLOEXEC)
            except FileNotFoundError:
                return None
            try:
                return _read(file, start, size)
            finally:
                os.close(file)

    def delete(self, name: str) -> None:
        path = self._path(name)
        with self._told():
            with suppress(FileNotFoundError):
                path.unlink()
                synced(path.parent)
            for folder in path.parents:
                if folder == self._objects:
                    break
                try:
                    folder.rmdir()
                except OSError:  # it holds other objects, or somebody else removed it
                    break

    def names(self, prefix: str) -> Iterator[str]:
        spend_on_objects(writes=1)
        before, _, begin = prefix.rpartition("/")
        folder = self._objects
        if before:
            folder = self._path(before)
            folder = folder.with_name(folder.name + "+")
        return self._below(folder, f"{before}/" if before else "", begin)

    def open_upload(self, name: str, size: int, origin: str | None) -> Upload:  # noqa: ARG002 - the handler answers any
        checked(name)
        with self._told():
            return Upload(self._sessions_url + self._uploads.open(name, size))

    # For the handler of upload sessions: see `sessions`.

    def upload_progress(self, id: str) -> Progress | None:
        with self._told():
            return self._uploads.progress(id)

    def append_upload(
        self, id: str, first: int, size: int, pieces: Iterable[bytes]
    ) -> Progress | None:
        with self._told():
            return self._uploads.append(id, first, size, pieces)

    def sweep_uploads(self, before: datetime) -> int:
        """Removes upload sessions to which nothing came since then. How many."""
        with self._told():
            return self._uploads.sweep(before)

    def close(self) -> None:
        self._closed = True

    @contextmanager
    def _told(self) -> Iterator[None]:
        if self._closed:
            raise BlobsUnavailable(f"the objects in {self._folder} are closed")
        with explained(self._folder):
            yield

    def _path(self, name: str) -> Path:
        *folders, last = checked(name).split("/")
        return self._objects.joinpath(*(f"{folder}+" for folder in folders), last)

    def _below(self, folder: Path, before: str, begin: str) -> Iterator[str]:
        with self._told():
            try:
                found = sorted(entry.name.replace("+", "/") for entry in os.scandir(folder))
            except FileNotFoundError:
                return
        for name in found:
            if not name.startswith(begin):
                continue
            if name.endswith("/"):
                yield from self._below(folder / f"{name[:-1]}+", before + name, "")
            else:
                yield before + name

    def _write(self, name: str, fill: Callable[[int], None]) -> None:
        target = self._path(name)
        while True:
            path, file = self._begun()
            try:
                fill(file)
                os.fsync(file)
                if self._moved(path, target):
                    return
            finally:
                os.close(file)
                path.unlink(missing_ok=True)

    def _begun(self) -> tuple[Path, int]:
        """A file that is locked, so that nobody takes it for a leftover."""
        while True:
            path = self._writing / secrets.token_hex(16)
            file = os.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
            fcntl.flock(file, fcntl.LOCK_EX)
            if os.fstat(file).st_nlink:
                return path, file
            os.close(file)  # it was taken for one before it was locked

    def _moved(self, path: Path, target: Path) -> bool:
        """False if the file itself is gone. The folder may be removed by who empties it."""
        while path.exists():
            with suppress(FileNotFoundError):
                make_folder(target.parent)
                path.replace(target)
                break
        else:
            return False
        # Where the folder is gone again, somebody else has deleted the object.
        with suppress(FileNotFoundError):
            synced(target.parent)
        return True

    def _adopt(self, path: Path, name: str) -> None:
        if self._moved(path, self._path(name)):
            spend_on_objects(writes=1)

    def _remove_leftovers(self) -> None:
        for path in list(self._writing.iterdir()):
            with suppress(FileNotFoundError, BlockingIOError), path.open("rb") as file:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
                path.unlink(missing_ok=True)


def _read(file: int, start: int, size: int) -> bytes:
    pieces = []
    while size > 0:
        piece = os.pread(file, size, start)
        if not piece:
            break
        pieces.append(piece)
        start, size = start + len(piece), size - len(piece)
    return pieces[0] if len(pieces) == 1 else b"".join(pieces)


def _copy(source: int, target: int) -> None:
    """Appends one file to another; the system does it alone where it can."""
    left = os.fstat(source).st_size
    try:
        while left > 0 and hasattr(os, "copy_file_range"):
            copied = os.copy_file_range(source, target, min(left, 1 << 30))
            if not copied:
                break
            left -= copied
    except OSError as error:
        if error.errno not in _CANNOT:
            raise
    while data := os.read(source, _COPIED):
        write_all(target, data)
