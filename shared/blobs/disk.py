"""Files that are there whole or not at all, also after the death of the machine."""

import errno
import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from shared.blobs.protocol import BlobsError, BlobsUnavailable

_PASSING = {
    errno.EAGAIN,
    errno.EBUSY,
    errno.EINTR,
    errno.EMFILE,
    errno.ENFILE,
    errno.ENOMEM,
    errno.ESTALE,
    errno.ETIMEDOUT,
}
_FULL = {errno.ENOSPC, errno.EDQUOT}


@contextmanager
def explained(folder: Path) -> Iterator[None]:
    """Says in the port's errors, and in words, what is wrong with a folder."""
    try:
        yield
    except BlobsError:
        raise
    except OSError as error:
        if error.errno in _FULL:
            raise BlobsUnavailable(
                f"the disk of {folder} is full: make room on it, then it goes on"
            ) from error
        if error.errno in _PASSING:
            raise BlobsUnavailable(f"{folder} cannot be used just now: {error}") from error
        raise BlobsError(
            f"{folder} cannot be used: {error}; see that its files belong to who runs the node"
        ) from error


def created(path: Path, data: bytes) -> None:
    """Writes a new file through to the disk; its folder is the caller's to sync."""
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
    try:
        write_all(descriptor, data)
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def write_all(descriptor: int, data: bytes) -> None:
    view = memoryview(data)
    while view:
        view = view[os.write(descriptor, view) :]


def make_folder(folder: Path) -> None:
    """Makes a folder, and those above it, through to the disk."""
    if folder.is_dir():
        return
    make_folder(folder.parent)
    with suppress(FileExistsError):  # `exist_ok` minds that somebody removes it meanwhile
        folder.mkdir(mode=0o700)
    synced(folder.parent)


def synced(folder: Path) -> None:
    """What was made, renamed or removed in a folder is so after a power cut too."""
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
