"""Finding what is in an archive. What is packed is unpacked, once, so that reading can begin
anywhere in it; what lies open in the archive is read where it is."""

from collections.abc import Iterator
from datetime import datetime
from zoneinfo import ZoneInfo

import msgspec
from msgspec import Struct
from msgspec.structs import replace

from shared.archives.members import Archive, Member, Reader, kept, restored
from shared.blobs.protocol import PART, BlobsError
from shared.imports.finding import Bench, Found, ending
from shared.imports.manifest import Entry, Where, lost
from shared.imports.recognising import source_of
from shared.model.ids import content_id
from shared.model.steps import HEAD, Bad, Content, Source


class _Place(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """cursor: of the listing. member, source: what is being unpacked, after `parts` parts of it.

    mark: the name in the spool of what the archive goes on with there.
    """

    cursor: str | None = None
    member: str | None = None
    source: str = ""
    parts: int = 0
    mark: str | None = None


class ArchiveFiles:
    """zone: of whoever packed it, whose clock on the wall the times in a zip are of."""

    def __init__(self, bench: Bench, archive: Archive, zone: ZoneInfo, place: str | None) -> None:
        self._bench = bench
        self._archive = archive
        self._zone = zone
        self._place = msgspec.json.decode(place, type=_Place) if place else _Place()

    def place(self) -> str:
        mark = self._archive.mark()
        name = None
        if mark:
            name = f"k-{content_id(mark)[:32]}"
            self._bench.spool.put(name, mark)
        return msgspec.json.encode(replace(self._place, mark=name)).decode()

    def found(self) -> Iterator[Found]:
        mark = self._marked()
        if self._place.member is not None:
            member = restored(self._place.member)
            if self._bench.spool.content(_piece(member)) is None:
                # It was kept, and removed, by a run that died before it could say so.
                self._place, mark = replace(self._place, parts=0), b""
            reader = self._archive.reader(member, mark)
            yield from self._unpacked(member, self._source(), reader, self._place.parts, b"")
            mark = self._archive.mark()
        for entry in self._archive.entries(self._place.cursor, mark):
            self._place = _Place(cursor=entry.cursor)
            if isinstance(entry.found, Member):
                yield from self._member(entry.found)
            elif entry.found is not None:
                yield Found(entry.found.where, bad=[entry.found])
            else:
                yield Found("")

    def _marked(self) -> bytes:
        if self._place.mark is None:
            return b""
        mark = self._bench.spool.get(self._place.mark)
        if mark is None:
            raise lost("where unpacking has got to")
        return mark

    def _source(self) -> Source:
        return next(s for s in self._bench.sources if self._place.source == s.NAME)

    def _member(self, member: Member) -> Iterator[Found]:
        window, reader = self._archive.window(member), None
        if window is not None:
            head = window.read(0, HEAD)
        else:
            reader = self._archive.reader(member)
            head = reader.read(HEAD)
        source = source_of(member.path, head, self._bench.sources)
        if source is None and reader is not None and reader.fault is not None:
            yield Found(member.path, bad=[Bad(member.where, reader.fault, head, member.size)])
        elif source is None:
            yield Found(member.path, unread=[ending(member.path)])
        elif window is not None and not source.KEEPS:
            entry = self._entry(member, source, "window", f"{window.start}+{window.size}")
            yield Found(member.path, entries=[entry])
        else:
            if reader is None:
                reader, head = self._archive.reader(member), b""
            self._place = replace(self._place, member=kept(member), source=source.NAME)
            yield from self._unpacked(member, source, reader, 0, head)

    def _unpacked(
        self, member: Member, source: Source, reader: Reader, parts: int, head: bytes
    ) -> Iterator[Found]:
        """head: what was read of it already, and not written. With what is given last it is done,
        and so the place is beyond it then."""
        piece, data = _piece(member), head + reader.read(PART - len(head))
        if source.KEEPS and parts == 0 and len(data) < PART:
            yield self._whole(member, source, reader, len(data), self._bench.kept.put(data))
            return
        self._bench.spool.put_part(piece, parts, data)
        while len(data) == PART:
            parts += 1
            self._place = replace(self._place, parts=parts)
            yield Found(member.path, len(data), member.size)
            data = reader.read(PART)
            self._bench.spool.put_part(piece, parts, data)
        size, ref = parts * PART + len(data), piece
        if source.KEEPS:
            for sha256 in self._bench.kept.keeping(self._piece_of(member, size)):
                if sha256 is None:
                    yield Found(member.path)
                else:
                    ref = sha256
            self._bench.spool.drop(piece)
        yield self._whole(member, source, reader, size, ref, moved=len(data))

    def _whole(
        self,
        member: Member,
        source: Source,
        reader: Reader,
        size: int,
        ref: str,
        *,
        moved: int | None = None,
    ) -> Found:
        self._place = _Place(cursor=self._place.cursor)
        at: Where = "kept" if source.KEEPS else "piece"
        entry = self._entry(member._replace(size=size), source, at, ref)
        bad = [Bad(member.where, reader.fault, b"", member.size)] if reader.fault else []
        moved = size if moved is None else moved
        return Found(member.path, moved, member.size, entries=[entry], bad=bad)

    def _piece_of(self, member: Member, size: int) -> Content:
        content = self._bench.spool.content(_piece(member))
        if content is None or content.size != size:
            # The next run finds it missing, and unpacks the member anew.
            raise BlobsError(f"what was unpacked of {member.path} is gone; it is unpacked again")
        return content

    def _entry(self, member: Member, source: Source, at: Where, ref: str) -> Entry:
        return Entry(
            path=member.path,
            source=source.NAME,
            size=member.size,
            at=at,
            ref=ref,
            modified=member.modified or self._as_instant(member.local),
        )

    def _as_instant(self, local: datetime | None) -> datetime | None:
        return local.replace(tzinfo=self._zone) if local is not None else None


def _piece(member: Member) -> str:
    """The name in the spool of what is unpacked of it."""
    return f"f-{member.at:x}"
