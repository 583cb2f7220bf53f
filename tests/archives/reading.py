"""Archives read as an import does: at once, or by another process after each step."""

from collections.abc import Iterator
from typing import NamedTuple

from shared.archives.archive import opened_archive
from shared.archives.members import Archive, Entry, Member, kept, restored
from shared.model.steps import Bad, Content
from tests.reading import Bytes


class Read(NamedTuple):
    data: bytes
    fault: str | None


def archive_of(data: bytes | Content) -> Archive:
    archive = opened_archive(Bytes(data) if isinstance(data, bytes) else data)
    assert archive is not None, "this is no archive"
    assert not isinstance(archive, Bad), archive.reason
    return archive


def entries_of(data: bytes) -> list[Entry]:
    return list(archive_of(data).entries())


def bad_of(data: bytes) -> dict[str, str]:
    return {e.found.where: e.found.reason for e in entries_of(data) if isinstance(e.found, Bad)}


def members_of(data: bytes) -> list[Member]:
    return [e.found for e in entries_of(data) if isinstance(e.found, Member)]


def contents_of(data: bytes, step: int = 1 << 20) -> list[tuple[str, Read]]:
    """All members, read while they are listed."""
    archive = archive_of(data)
    return [
        (entry.found.path, all_of(archive, entry.found, step))
        for entry in archive.entries()
        if isinstance(entry.found, Member)
    ]


def all_of(archive: Archive, member: Member, step: int = 1 << 20) -> Read:
    reader = archive.reader(member)
    pieces = []
    while piece := reader.read(step):
        pieces.append(piece)
    assert reader.at == sum(map(len, pieces))
    return Read(b"".join(pieces), reader.fault)


def contents_by_steps(data: bytes, step: int) -> list[tuple[str, Read]]:
    """The same by a new process for each entry and each piece of a member."""
    found: list[tuple[str, Read]] = []
    cursor, mark = None, b""
    while True:
        archive = archive_of(data)
        entry = next(iter(archive.entries(cursor, mark)), None)
        if entry is None:
            return found
        cursor, mark = entry.cursor, archive.mark()
        if isinstance(entry.found, Member):
            read, archive = member_by_steps(data, kept(entry.found), step, archive)
            found.append((entry.found.path, read))
            mark = archive.mark()


def member_by_steps(data: bytes, text: str, step: int, archive: Archive) -> tuple[Read, Archive]:
    pieces, mark = [], archive.reader(restored(text)).mark()
    while True:
        archive = archive_of(data)
        reader = archive.reader(restored(text), mark)
        piece = reader.read(step)
        pieces.append(piece)
        assert reader.at == sum(map(len, pieces))
        if len(piece) < step:
            return Read(b"".join(pieces), reader.fault), archive
        mark = archive.mark() or reader.mark()


def bads(entries: list[Entry]) -> Iterator[Bad]:
    return (entry.found for entry in entries if isinstance(entry.found, Bad))
