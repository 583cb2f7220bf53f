"""Finding: what is in a file, a folder or an archive, and where the bytes of each file are then.

Files that a source keeps whole go among the blobs; members that are packed go to the spool, so that
reading them can begin anywhere; the others stay where they are.
"""

import os
import re
from collections.abc import Iterator, Sequence
from datetime import datetime
from pathlib import Path, PurePosixPath
from typing import Literal, NamedTuple, Protocol

from shared.archives.archive import opened_archive
from shared.blobs.kept import Kept
from shared.blobs.protocol import BlobsError
from shared.blobs.spool import Spool
from shared.imports.inputs import LocalFile, found_below, instant, shown, unwritten, written
from shared.imports.manifest import Entry, Where
from shared.imports.recognising import source_of
from shared.model.steps import HEAD, Bad, Content, Source
from shared.work.works import CannotGoOn


class Found(NamedTuple):
    """One more file, or only a sign that something large is being moved.

    moved: bytes that were read or written for it; after a sign without any, finding cannot begin
    again from there. total: bytes that finding will move in all, as
    far as it is known. unread: the kind of a file that no source reads, by the end of its name.
    """

    path: str
    moved: int = 0
    total: int = 0
    entries: Sequence[Entry] = ()
    unread: Sequence[str] = ()
    bad: Sequence[Bad] = ()

    @property
    def is_sign(self) -> bool:
        """Whether more of the same file is to come."""
        return not (self.entries or self.unread or self.bad)


class Finder(Protocol):
    def found(self) -> Iterator[Found]: ...

    def place(self) -> str:
        """Where another finder goes on after what was found last."""
        ...


class Bench(NamedTuple):
    """What finders work with."""

    kept: Kept
    spool: Spool
    sources: Sequence[Source]


class LooseFile:
    """A single file that is no archive."""

    def __init__(
        self, bench: Bench, content: Content, name: str, modified: datetime | None
    ) -> None:
        self._bench = bench
        self._content = content
        self._name = name
        self._modified = modified

    def found(self) -> Iterator[Found]:
        for found in _loose(self._bench, self._content, self._name, self._modified, "input"):
            if found.unread:
                raise CannotGoOn(
                    f"no source reads {self._name}: it is none of the location histories, mails, "
                    "photos, movies and archives that Yurt knows"
                )
            yield found

    def place(self) -> str:
        return ""


class FolderFiles:
    """The files of a folder of this machine, but those that are archives."""

    def __init__(self, bench: Bench, folder: Path, place: str | None) -> None:
        self._bench = bench
        self._folder = folder
        self._place = place or ""

    def found(self) -> Iterator[Found]:
        for path, status, trouble in found_below(self._folder, unwritten(self._place)):
            if status is None:
                self._place = written(path)
                yield Found(shown(path), bad=[Bad("", trouble or "", b"", 0)])
                continue
            for found in self._file(path, status):
                if not found.is_sign:
                    self._place = written(path)
                yield found
            self._place = written(path)

    def _file(self, path: str, status: os.stat_result) -> Iterator[Found]:
        try:
            content = LocalFile(self._folder / path)
            archive = opened_archive(content)
            if isinstance(archive, Bad):
                yield Found(shown(path), bad=[archive])
            elif archive is None:
                modified = instant(status.st_mtime_ns / 1000)
                yield from _loose(self._bench, content, path, modified, "file")
        except BlobsError:
            raise
        except OSError as error:
            reason = f"it cannot be read: {error.strerror or error}"
            yield Found(shown(path), bad=[Bad("", reason, b"", status.st_size)])

    def place(self) -> str:
        return self._place


def _loose(
    bench: Bench,
    content: Content,
    path: str,
    modified: datetime | None,
    where: Literal["file", "input"],
) -> Iterator[Found]:
    """A file that lies open, and so can be read where it is."""
    ref, moved = (written(path) if where == "file" else ""), 0
    path = shown(path)
    source = source_of(path, content.read(0, HEAD), bench.sources)
    if source is None:
        yield Found(path, unread=[ending(path)])
        return
    at: Where = where
    if source.KEEPS:
        for sha256 in bench.kept.keeping(content):
            if sha256 is None:
                yield Found(path)
            else:
                at, ref, moved = "kept", sha256, content.size
    entry = Entry(
        path=path, source=source.NAME, size=content.size, at=at, ref=ref, modified=modified
    )
    yield Found(path, moved, moved, entries=[entry])


def ending(path: str) -> str:
    """What a file that nobody reads is counted as: `.html`, or `without an ending`."""
    suffix = PurePosixPath(path).suffix.lower()
    return suffix if re.fullmatch(r"\.[\w+~#-]{1,11}", suffix) else "without an ending"
