"""The kind of work `import`: finds what is in a file, folder or archive, then reads each file.

Finding comes first and ends with a manifest: what is packed is unpacked, what is kept whole is put
among the blobs. So reading costs the same wherever it starts, and a photo finds its sidecar.
"""

import logging
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import msgspec
from msgspec.structs import replace

from shared.archives.archive import opened_archive
from shared.archives.members import Window
from shared.blobs.kept import Kept
from shared.blobs.protocol import BlobsError, Objects
from shared.blobs.spool import Spool
from shared.imports import inputs, manifest, recognising
from shared.imports.ahead import Ahead
from shared.imports.beside import Beside
from shared.imports.devices import MOST, Devices
from shared.imports.finding import Bench, Finder, FolderFiles, Found, LooseFile
from shared.imports.inputs import LocalFile, Spec, instant, opened
from shared.imports.keeping import keepable
from shared.imports.manifest import Entry
from shared.imports.places import Place, place_of
from shared.imports.rejecting import reject_of
from shared.imports.unpacking import ArchiveFiles
from shared.model.records import AnyRecord, Note, Reject
from shared.model.steps import HEAD, Bad, Content, File, Folder, Source, Step
from shared.sources.google_photos import completed
from shared.store.protocol import Store
from shared.work.works import CannotGoOn, Part

_AT_LEAST_EACH = 1 << 29
"""Bytes that are moved before what was found is written down, though few files were."""
_EACH = _AT_LEAST_EACH // 5_000
_UNTOLD = _AT_LEAST_EACH // 8
"""What a file counts for that is not moved, and a sign that only says that finding goes on."""

_MOST_KINDS = 100
"""Ends of names that are told apart."""

_UNLISTED = Bad(
    "devices",
    f"archives have told of {MOST} devices, and here are more; what these reported is kept, but "
    "they are not listed",
    b"",
    0,
)

_GIVEN_UP = ""
"""The cursor of the last step of a file that no source gave: reading goes on with the next file."""

_log = logging.getLogger(__name__)

_HALVES = 50
"""Ids that a cursor carries; each may take some reads to join."""


class ImportWork:
    """local: whether files of this machine may be read (not in the cloud). threads: that read."""

    def __init__(
        self,
        store: Store,
        objects: Objects,
        *,
        local: bool,
        threads: int = 1,
        sources: Sequence[Source] = recognising.SOURCES,
    ) -> None:
        self._store = store
        self._objects = objects
        self._local = local
        self._threads = threads
        self._sources = sources

    def versions(self) -> Mapping[str, int]:
        return recognising.versions(self._sources)

    def parts(self, job: str, spec: Mapping[str, Any], cursor: str | None) -> Iterator[Part]:
        asked = msgspec.convert(spec, Spec)
        if asked.path is not None and not self._local:
            raise CannotGoOn("a cloud node cannot read a file of your machine; upload it")
        place = place_of(cursor)
        chunk = _Chunk(
            spec=asked,
            spool=Spool(self._objects, job),
            kept=Kept(self._objects),
            objects=self._objects,
            sources=self._sources,
            devices=Devices(self._store, asked.now),
            threads=self._threads,
        )
        if place.stage == "find":
            for part in chunk.find(place):
                yield part
                place = place_of(part.cursor)
        if place.stage == "read":
            for part in chunk.read(place):
                yield part
                place = place_of(part.cursor)
        yield from chunk.join(place, self._store)

    def forget(self, job: str, spec: Mapping[str, Any]) -> None:
        asked = msgspec.convert(spec, Spec)
        Spool(self._objects, job).forget()
        if asked.object is not None:
            self._objects.delete(asked.object)


@dataclass(slots=True)
class _Chunk:
    """One chunk's hands."""

    spec: Spec
    spool: Spool
    kept: Kept
    objects: Objects
    sources: Sequence[Source]
    devices: Devices
    threads: int

    # Finding

    def find(self, place: Place) -> Iterator[Part]:
        """Hands out what is found until all of it is; the last part's cursor is to read from."""
        finder = self._finder(place.at)
        written, entries, waiting = place, list[Entry](), 0
        for found in finder.found():
            place = _with(place, found)
            entries += found.entries
            waiting += found.moved + (_EACH if found.path else _UNTOLD)
            of_archive = any(bad.where == found.path for bad in found.bad)
            path = self.spec.name if of_archive else found.path
            rejects = self._rejects("import", 1, path, found.bad)
            few = len(entries) < manifest.PAGE and waiting < _AT_LEAST_EACH
            if few or (found.is_sign and found.path and not found.moved):
                yield self._part(written, rejects, done=place.done, beat=True)
                continue
            written = place = self._paged(replace(place, at=finder.place()), entries)
            entries, waiting = [], 0
            yield self._part(place, rejects)
        place = self._paged(place, entries)
        if not place.found and not place.unread:
            raise CannotGoOn(
                f"there is nothing in {self.spec.name} that can be read; if something is, "
                "`yurt rejects` says what is wrong with it"
            )
        total = sum(entry.size for page in self._pages(place) for entry in page)
        yield self._part(replace(place, stage="read", at=None, total=place.done + total))

    def _finder(self, place: str | None) -> Finder:
        spec, bench = self.spec, Bench(self.kept, self.spool, self.sources)
        if spec.path is not None and self._folder().is_dir():
            return FolderFiles(bench, self._folder(), place)
        content = opened(spec, self.objects)
        archive = opened_archive(content)
        if isinstance(archive, Bad):
            raise CannotGoOn(f"{spec.name}: {archive.reason}")
        if archive is not None:
            return ArchiveFiles(bench, archive, spec.profile.tzinfo(), place)
        modified = instant(spec.modified) if spec.modified is not None else None
        return LooseFile(bench, content, spec.name, modified)

    def _folder(self) -> Path:
        return Path(inputs.unwritten(self.spec.path or ""))

    def _paged(self, place: Place, entries: Sequence[Entry]) -> Place:
        if not entries:
            return place
        return replace(place, pages=(*place.pages, manifest.write_page(self.spool, entries)))

    def _pages(self, place: Place) -> Iterator[list[Entry]]:
        return manifest.read_pages(self.spool, place.pages)

    # Reading

    def read(self, place: Place) -> Iterator[Part]:
        every = (entry for page in self._pages(place) for entry in page)
        beside = Beside(every, self._content, self._is_quick)

        def steps(entry: Entry, within: str | None = None) -> Iterator[Step]:
            source = self._source(entry)
            return source.read(self._file(entry, beside.folder_of(entry)), within)

        def begun(entry: Entry, within: str | None) -> Iterable[Step]:
            whole = ahead.taken(entry) if within is None else None
            return whole if whole is not None else steps(entry, within)

        with Ahead(self.threads) as ahead:
            for number in range(place.page, len(place.pages)):
                (page,) = manifest.read_pages(self.spool, place.pages[number : number + 1])
                for index in range(place.index if number == place.page else 0, len(page)):
                    entry = page[index]
                    place = replace(place, page=number, index=index)
                    done = place.done + entry.size
                    if place.within is None and self._is_quick(entry):
                        ahead.begin(filter(self._is_quick, page[index:]), steps)
                    for part in self._parts_of(place, entry, partial(begun, entry, place.within)):
                        yield part
                        place = place_of(part.cursor)
                    place = replace(place, index=index + 1, within=None, done=done)
        if place.halves:
            place = self._with_halves_paged(place)
        place = replace(place, stage="join", page=0, index=0, within=None)
        yield self._part(place, settle=True)

    def _source(self, entry: Entry) -> Source:
        for source in self.sources:
            if entry.source == source.NAME:
                return source
        raise CannotGoOn(
            f"{entry.path} was recognised as {entry.source} by another version of Yurt, which this "
            "one cannot read; update Yurt, or import it again"
        )

    def _is_quick(self, entry: Entry) -> bool:
        """Whether it is a file of its own that is read in one go."""
        return self._source(entry).KEEPS

    def _file(self, entry: Entry, folder: Folder) -> File:
        return File(
            path=entry.path,
            content=self._content(entry),
            export=self.spec.export,
            now=self.spec.now,
            profile=self.spec.profile,
            sha256=entry.ref if entry.at == "kept" else None,
            modified=entry.modified,
            folder=folder,
        )

    def _parts_of(
        self, place: Place, entry: Entry, steps: Callable[[], Iterable[Step]]
    ) -> Iterator[Part]:
        source = self._source(entry)
        for step in map(keepable, self._whatever_comes(entry, steps)):
            if not self.devices.see(step.records):
                step = step._replace(bad=[*step.bad, _UNLISTED])
            halves = tuple(record.id for record in step.records if isinstance(record, Note))
            place = replace(place, within=step.cursor, halves=place.halves + halves)
            if step.cursor == _GIVEN_UP:
                done = place.done + entry.size
                place = replace(place, index=place.index + 1, within=None, done=done)
            if len(place.halves) >= _HALVES:
                place = self._with_halves_paged(place)
            rejects = self._rejects(source.NAME, source.VERSION, entry.path, step.bad)
            yield self._part(place, rejects, step=step, doing=entry.path)

    def _whatever_comes(self, entry: Entry, steps: Callable[[], Iterable[Step]]) -> Iterator[Step]:
        """The steps; instead of an error that costs only this file, a last step that tells it."""
        try:
            yield from steps()
        except (BlobsError, CannotGoOn):
            raise
        except OSError as error:
            if entry.at != "file":
                raise
            reason = f"it cannot be read any more: {error.strerror or error}; import it again"
            yield Step(_GIVEN_UP, 0, bad=[Bad("", reason, b"", entry.size)])
        except Exception as error:  # noqa: BLE001 - no file may keep the others from being read
            kind = type(error).__name__
            _log.warning("reading a file as %s ended with %s", entry.source, kind)
            reason = (
                f"it is so unusual that reading it failed ({kind}); what was read before that is "
                "kept; please report it"
            )
            yield Step(_GIVEN_UP, 0, bad=[Bad("", reason, self._beginning(entry), entry.size)])

    def _beginning(self, entry: Entry) -> bytes:
        try:
            return self._content(entry).read(0, HEAD)
        except OSError:
            return b""

    # Joining

    def _with_halves_paged(self, place: Place) -> Place:
        name = manifest.write_names(self.spool, place.halves)
        return replace(place, halves=(), halves_pages=(*place.halves_pages, name))

    def join(self, place: Place, store: Store) -> Iterator[Part]:
        """Once both halves of what two parts of an export told are stored, they are made one.

        Only then: of two jobs that each bring a half, the later one is sure to find the other's.
        """
        for number in range(place.page, len(place.halves_pages)):
            records: list[AnyRecord] = []
            for id in manifest.read_names(self.spool, place.halves_pages[number]):
                note = store.get(Note, id)
                if note is not None:
                    records += completed(note, lambda other: store.get(Note, other))
            yield self._part(replace(place, page=number + 1), records=records)

    def _content(self, entry: Entry) -> Content:
        content: Content | None = None
        if entry.at == "kept":
            content = self.kept.content(entry.ref)
        elif entry.at == "piece":
            content = self.spool.content(entry.ref)
        elif entry.at == "file":
            content = LocalFile(self._folder() / inputs.unwritten(entry.ref))
        elif entry.at == "input":
            content = opened(self.spec, self.objects)
        else:
            start, _, size = entry.ref.partition("+")
            content = Window(opened(self.spec, self.objects), int(start), int(size))
        if content is None:
            raise manifest.lost(entry.path)
        return content

    # Parts

    def _part(
        self,
        place: Place,
        rejects: Sequence[tuple[Reject, bytes]] = (),
        *,
        step: Step | None = None,
        records: Sequence[AnyRecord] = (),
        doing: str | None = None,
        done: int = 0,
        beat: bool = False,
        settle: bool = False,
    ) -> Part:
        raws = {reject.raw or "": raw for reject, raw in rejects}
        rejected = [reject for reject, _ in rejects]
        return Part(
            cursor=msgspec.json.encode(place).decode(),
            done=max(done, place.done + (step.done if step else 0)),
            total=place.total,
            records=[*(step.records if step else records), *rejected],
            raws={**step.raws, **raws} if step else raws,
            doing=doing,
            beat=beat,
            settle=settle,
        )

    def _rejects(
        self, source: str, version: int, path: str, bads: Sequence[Bad]
    ) -> list[tuple[Reject, bytes]]:
        spec = self.spec
        return [
            reject_of(
                bad, source=source, version=version, path=path, export=spec.export, now=spec.now
            )
            for bad in bads
        ]


def _with(place: Place, found: Found) -> Place:
    """The place after something was found."""
    sources = Counter(place.found) + Counter(entry.source for entry in found.entries)
    kinds = place.unread
    unread = Counter(kinds) + Counter(
        kind if kind in kinds or len(kinds) < _MOST_KINDS else "with other endings"
        for kind in found.unread
    )
    return replace(
        place,
        done=place.done + found.moved,
        total=max(place.total, found.total),
        found=dict(sources),
        unread=dict(unread),
    )
