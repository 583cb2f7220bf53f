"""What is imported: a file or folder of this machine, or an object that was uploaded."""

import errno
import os
import stat
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import ClassVar, NamedTuple
from urllib.parse import quote, unquote_to_bytes

from msgspec import Struct

from shared.blobs.contents import ObjectContent
from shared.blobs.protocol import Objects
from shared.model.profile import Profile
from shared.model.steps import Content
from shared.model.time import Instant
from shared.work.works import CannotGoOn


class Spec(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What to import. name: of the file, as its owner knows it. export: see `steps.File`.

    path: on this machine, absolute, as `written` has it; otherwise object: uploaded. modified: in
    microseconds since 1970, and size in bytes: what `path` was when the job began. now, profile: as
    it was then, so that a chunk that is run again gives the same.
    """

    SHAPE: ClassVar[int] = 1

    name: str
    export: str
    now: Instant
    size: int
    profile: Profile = Profile()
    path: str | None = None
    object: str | None = None
    modified: int | None = None


class LocalFile:
    """A file of this machine as `Content`. It is open only while it is read."""

    def __init__(self, path: Path) -> None:
        status = path.stat()
        if not stat.S_ISREG(status.st_mode):
            raise OSError(errno.EINVAL, "it is not a file", str(path))
        self._path = path
        self.size = status.st_size

    def read(self, start: int, size: int) -> bytes:
        """`OSError` also when it has become shorter: who reads would wait for the rest for ever."""
        size = max(0, min(size, self.size - start))
        # A pipe that was put in its place would be waited for.
        file = os.open(self._path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
        try:
            data = os.pread(file, size, start)
        finally:
            os.close(file)
        if len(data) < size:
            raise OSError(errno.EIO, "it became shorter while it was read", str(self._path))
        return data


def modified(path: Path) -> int:
    """Microseconds since 1970."""
    return path.stat().st_mtime_ns // 1000


def opened(spec: Spec, objects: Objects) -> Content:
    """`CannotGoOn` when it is gone or another than the job began with."""
    if spec.path is not None:
        return _opened_path(Path(unwritten(spec.path)), spec)
    name = spec.object or ""
    size = objects.size(name)
    if size is None:
        raise CannotGoOn("what was uploaded is not there any more; upload it again")
    return ObjectContent(objects, [name], max(1, size), size)


def _opened_path(path: Path, spec: Spec) -> Content:
    name = shown(path)
    if path.exists() and not path.is_file():
        raise CannotGoOn(f"{name} is neither a file nor a folder; name one that is")
    try:
        content = LocalFile(path)
        changed = content.size != spec.size or modified(path) != spec.modified
    except FileNotFoundError:
        raise CannotGoOn(f"{name} is gone; import it from where it is now") from None
    if changed:
        raise CannotGoOn(f"{name} was changed since its import began; import it again")
    return content


class Found(NamedTuple):
    """Something below a folder. path: from there. trouble: why it cannot be read."""

    path: str
    status: os.stat_result | None = None
    trouble: str | None = None


def files_below(folder: Path) -> Iterator[tuple[str, os.stat_result]]:
    """Regular files by their path below the folder, sorted; links are not followed."""
    for path, status, _ in found_below(folder):
        if status is not None:
            yield path, status


def found_below(folder: Path, after: str = "") -> Iterator[Found]:
    """As `files_below`, with what cannot be read. after: only what is sorted behind this path."""
    root, reached = os.fsencode(folder), os.fsencode(after)
    # However deep it is: a list of what is left of each folder that it lies in.
    waiting = [_names_in(root, b"", reached)]
    while waiting:
        path = next(waiting[-1], None)
        if path is None:
            waiting.pop()
        elif isinstance(path, Found):
            yield path
        else:
            found = _looked_at(root, path)
            if found is None:
                waiting.append(_names_in(root, path, reached))
            elif not _is_behind(path, reached):
                yield found


def _names_in(root: bytes, below: bytes, reached: bytes) -> Iterator[bytes | Found]:
    """The paths of what is in a folder, but those that lie behind the one that was reached."""
    try:
        names = sorted(os.listdir(os.path.join(root, below)))  # noqa: PTH118, PTH208 - of bytes
    except OSError as error:
        if not below:
            raise
        yield Found(os.fsdecode(below), trouble=_trouble(error))
        return
    for name in names:
        path = os.path.join(below, name)  # noqa: PTH118 - of bytes
        if not _is_behind(path, reached) or reached.startswith(path + b"/"):
            yield path


def _is_behind(path: bytes, reached: bytes) -> bool:
    return bool(reached) and path.split(b"/") <= reached.split(b"/")


def _looked_at(root: bytes, path: bytes) -> Found | None:
    """None for a folder."""
    shown = os.fsdecode(path)
    try:
        status = os.lstat(os.path.join(root, path))  # noqa: PTH118 - of bytes
    except OSError as error:
        return Found(shown, trouble=_trouble(error))
    if stat.S_ISDIR(status.st_mode):
        return None
    if stat.S_ISREG(status.st_mode):
        return Found(shown, status)
    if stat.S_ISLNK(status.st_mode):
        return Found(shown, trouble="it is a symbolic link, which is not followed")
    return Found(shown, trouble="it is not a file")


def _trouble(error: OSError) -> str:
    if error.errno == errno.ENAMETOOLONG:
        return "its path is too long to be opened; move it to a folder less deep"
    return f"it cannot be read: {error.strerror or error}"


def written(path: str | Path) -> str:
    """A path as text that every store holds: names of files are bytes, and need not be Unicode."""
    return quote(os.fsencode(path), safe="/")


def unwritten(text: str) -> str:
    """The path that `written` made text of."""
    return os.fsdecode(unquote_to_bytes(text))


def shown(path: str | Path) -> str:
    """A path for people: what is not Unicode in it is escaped."""
    return os.fsencode(path).decode("utf-8", "backslashreplace")


def instant(micros: int | float) -> datetime | None:
    try:
        return datetime.fromtimestamp(micros / 1_000_000, UTC)
    except (OverflowError, ValueError, OSError):
        return None
