"""What an owner points at: files, folders, and the archives that lie in folders."""

from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple

from shared.archives.archive import opened_archive
from shared.archives.members import Archive, Member
from shared.commands.answers import Recognised
from shared.commands.errors import Failed, Refused
from shared.imports.finding import ending
from shared.imports.inputs import LocalFile, files_below, found_below, shown
from shared.imports.recognising import source_of
from shared.model.steps import HEAD, Bad, Content

Told = Callable[[str], object]
"""Is told what is being looked at."""

_DOCUMENTS = (b"[Content_Types].xml", b"_rels/", b"mimetype", b"META-INF/")
"""How the first member of a zip is called that is a document or a program: of Office (twice),
OpenDocument or an e-book, Java."""
_FIRST_NAME = 30  # where it is in a zip


class Input(NamedTuple):
    """Something that is imported by itself.

    folder: all files in it but for the archives. changed: when one of those last was, in
    nanoseconds since 1970.
    """

    path: Path
    folder: bool = False
    changed: int = 0


class Export(NamedTuple):
    """unread: files that are no part of any input, by the end of their names."""

    inputs: list[Input]
    unread: Counter[str]


def export_in(paths: Sequence[Path], told: Told = lambda _: None) -> Export:
    """Everything there is to import in these, each once; archives come after their folder.

    `Refused` for a path that leads nowhere, `Failed` for one that cannot be read.
    """
    whole = list(dict.fromkeys(map(_resolved, paths)))
    found, unread = list[Input](), Counter[str]()
    for path in whole:
        if any(parent in whole for parent in path.parents):
            continue  # it is found in that folder
        try:
            if path.is_dir():
                found += _inputs_below(path, unread, told)
            else:
                path.open("rb").close()
                found.append(Input(path))
        except OSError as error:
            raise Failed(_unreadable(error, path)) from error
    return Export(found, unread)


def recognised(input: Input, told: Told = lambda _: None) -> Recognised:
    """What would be imported, found out without writing anything. `Failed`."""
    look = _Look(told)
    try:
        archive = _look_into(input, look)
    except OSError as error:
        raise Failed(_unreadable(error, input.path)) from error
    return Recognised(
        path=shown(input.path),
        size=look.size,
        archive=archive,
        sources=dict(look.sources),
        unread=dict(look.unread),
        problems=tuple(look.problems),
    )


def readable_files(folder: Path, unread: Counter[str]) -> Iterator[Path]:
    """The files of a folder that a source reads, but for archives; counts the others."""
    for path, _ in files_below(folder):
        content = LocalFile(folder / path)
        if opened_archive(content) is None:
            if source_of(path, content.read(0, HEAD)) is not None:
                yield folder / path
            else:
                unread[ending(path)] += 1


@dataclass(slots=True)
class _Look:
    told: Told
    size: int = 0
    sources: Counter[str] = field(default_factory=Counter)
    unread: Counter[str] = field(default_factory=Counter)
    problems: list[str] = field(default_factory=list)

    def see(self, path: str, head: bytes) -> None:
        source = source_of(path, head)
        if source is not None:
            self.sources[source.NAME] += 1
        else:
            self.unread[ending(path)] += 1


def _look_into(input: Input, look: _Look) -> bool:
    """Whether it is an archive."""
    if input.folder:
        for found in found_below(input.path):
            name, trouble = shown(found.path), found.trouble
            look.told(name)
            try:
                if trouble is None:
                    _look_at(LocalFile(input.path / found.path), name, look)
            except OSError as error:
                trouble = f"it cannot be read: {error.strerror}"
            if trouble is not None:
                look.problems.append(f"{name}: {trouble}")
        return False
    content = LocalFile(input.path)
    archive = _look_at(content, shown(input.path.name), look)
    if archive is None:
        return False
    look.size = content.size
    for member in _members(archive, look):
        window = archive.window(member)
        head = archive.reader(member).read(HEAD) if window is None else window.read(0, HEAD)
        look.see(member.path, head)
    return True


def _look_at(content: Content, path: str, look: _Look) -> Archive | None:
    """Counts a file, unless it is an archive."""
    archive = opened_archive(content)
    if isinstance(archive, Bad):
        look.problems.append(f"{path}: {archive.reason}")
    elif archive is None:
        look.size += content.size
        look.see(path, content.read(0, HEAD))
    else:
        return archive
    return None


def _members(archive: Archive, look: _Look) -> Iterator[Member]:
    for entry in archive.entries():
        if isinstance(entry.found, Member):
            look.told(entry.found.path)
            yield entry.found
        elif entry.found is not None:
            look.problems.append(f"{entry.found.where}: {entry.found.reason}")


def _inputs_below(folder: Path, unread: Counter[str], told: Told) -> Iterator[Input]:
    archives, others, changed = list[Input](), False, 0
    for path, status in files_below(folder):
        told(path)
        kind = _kind(folder / path)
        if kind == "archive":
            archives.append(Input(folder / path))
        elif kind == "document":
            unread[ending(path)] += 1
        elif kind == "file":
            # The time at which a file came to be there; when it was written, copies do not tell.
            others, changed = True, max(changed, status.st_ctime_ns)
    if others:
        yield Input(folder, folder=True, changed=changed)
    elif not archives and not unread:
        raise Refused(f"there is nothing in {folder}; name the folder that the export is in")
    yield from archives


def _kind(path: Path) -> str:
    try:
        content = LocalFile(path)
        archive = opened_archive(content)
    except OSError:
        return "file"  # the folder's import says why it cannot be read
    if archive is None or isinstance(archive, Bad):
        return "file"
    first = content.read(_FIRST_NAME, max(map(len, _DOCUMENTS)))
    return "document" if first.startswith(_DOCUMENTS) else "archive"


def _resolved(path: Path) -> Path:
    try:
        whole = path.resolve(strict=True)
    except (OSError, RuntimeError):
        raise Refused(f"there is no file or folder {path}; check how it is written") from None
    if not whole.is_dir() and not whole.is_file():
        raise Refused(f"{path} is neither a file nor a folder; name one that is")
    return whole


def _unreadable(error: OSError, path: Path) -> str:
    return (
        f"{error.filename or path} cannot be read: {error.strerror or error}; "
        "give yourself the right to read it, or name what you can read"
    )
