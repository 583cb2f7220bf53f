"""The store of a cloud node: one Firestore database.

A device's reports are packed into segments (`segments`), merged into their documents without a
read. Named records and the node's own documents are guarded by preconditions, not by transactions,
which lock and are slow when two meet. Requests go through `gateway`.

Collections: `segment`, `record`, `raw` (in parts), `document`, `counter` (one document).
"""

import uuid
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from itertools import groupby
from typing import Any, Protocol

import msgspec
from google.api_core.datetime_helpers import DatetimeWithNanoseconds
from google.cloud import firestore

from shared.model.records import AnyRecord, Fix, NamedRecord, Status, winner
from shared.model.time import from_micros, to_micros
from shared.store import cursors, segments
from shared.store.documents import document_id
from shared.store.gateway import Changed, Gateway, Patience, Reference, Snapshot, TooLarge
from shared.store.indexes import (
    FIXES_NEWEST_FIRST,
    RECORDS_NEWEST_FIRST,
    RECORDS_OLDEST_FIRST,
    SEGMENTS_OLDEST_FIRST,
    STATUSES_NEWEST_FIRST,
    Index,
)
from shared.store.limits import packed_record
from shared.store.protocol import (
    NOTHING,
    Conflict,
    D,
    Latest,
    R,
    RecordPage,
    StoreError,
    Versioned,
)
from shared.store.reports import fix_of, status_of
from shared.store.segments import DAY, SPANS, Change, Kind, Segment, Span, Stamped, Window
from shared.store.shapes import decoded, kind_of, refuse_newer, shape_of

_RAW_PART = 900_000

# The emulator takes no more than 4 MiB in a request, Firestore 10.
_BATCH_SIZE = 2_500_000

# What a page of segments, of up to 1 MiB each, may take of a small function's memory. The 24 hours
# of a day are two pages.
_FIRST_PAGE, _LARGEST_PAGE, _PAGE_SIZE = 10, 300, 8_000_000

# Of windows that are full. A node fills a few each day.
_MOST_REMEMBERED = 10_000


class _Write(Protocol):
    """One document's part of a commit. size: about how many bytes the request takes."""

    @property
    def size(self) -> int: ...

    deletes: int

    def add_to(self, batch: firestore.WriteBatch, gateway: Gateway) -> None: ...


@dataclass(slots=True)
class _SegmentWrite:
    change: Change
    deletes: int = 0

    @property
    def size(self) -> int:
        return self.change.size

    def add_to(self, batch: firestore.WriteBatch, gateway: Gateway) -> None:
        window, maps = self.change.window, defaultdict[str, dict[str, Any]](dict)
        for kind, key in self.change.dropped:
            maps[kind][key] = firestore.DELETE_FIELD
        for entry in self.change.entries:
            maps[entry.kind][segments.key_in(window, entry)] = entry.packed or True
        data: dict[str, Any] = {
            "device": document_id(window.device),
            "span": window.span.name,
            "start": from_micros(window.start),
            # A document that newer code wrote to stays marked as such.
            "shape": firestore.Maximum(segments.SHAPE),
            **maps,
        }
        # Whoever looks for the newest report has to see the tombstones, too.
        kinds = {entry.kind for entry in self.change.entries}
        if kinds & {"fixes", "erased"}:
            data["has_fixes"] = True
        if kinds & {"statuses", "erased"}:
            data["has_statuses"] = True
        batch.set(gateway.reference("segment", window.id), data, merge=True)


@dataclass(slots=True)
class _SegmentDelete:
    window: Window
    size: int = 200
    deletes: int = 1

    def add_to(self, batch: firestore.WriteBatch, gateway: Gateway) -> None:
        batch.delete(gateway.reference("segment", self.window.id))


@dataclass(slots=True)
class _RecordWrite:
    """over: when the version that this one replaces was written; None: there is none yet."""

    record: NamedRecord
    data: bytes
    over: Any = None
    deletes: int = 0

    @property
    def id(self) -> str:
        return _record_id(type(self.record), self.record.id)

    @property
    def size(self) -> int:
        return len(self.data) + 2 * len(self.record.id) + 400

    def add_to(self, batch: firestore.WriteBatch, gateway: Gateway) -> None:
        record = self.record
        data = {
            "kind": kind_of(type(record)),
            "id": record.id,
            "shape": record.SHAPE,
            "data": self.data.decode(),
        }
        if record.time is not None:
            data["time"] = record.time
        reference = gateway.reference("record", self.id)
        if self.over is None:
            batch.create(reference, data)
        else:
            data.setdefault("time", firestore.DELETE_FIELD)
            batch.update(reference, data, option=gateway.over(self.over))


@dataclass(slots=True)
class _RawWrite:
    sha256: str
    number: int
    parts: int
    part: bytes
    deletes: int = 0

    @property
    def size(self) -> int:
        return len(self.part) + 300

    def add_to(self, batch: firestore.WriteBatch, gateway: Gateway) -> None:
        data = {"parts": self.parts, "part": self.part}
        batch.set(_raw_part(gateway, self.sha256, self.number), data)


class FirestoreStore:
    """`Store` on one database. `FIRESTORE_EMULATOR_HOST` leads to the emulator instead."""

    def __init__(self, project: str, database: str = "(default)") -> None:
        self._gateway = Gateway(project, database)
        self._full: set[Window] = set()

    # Records

    def put(self, records: Sequence[AnyRecord], raws: Mapping[str, bytes] = NOTHING) -> None:
        reports: defaultdict[str, list[segments.Entry]] = defaultdict(list)
        named: dict[tuple[str, str], NamedRecord] = {}
        for record in records:
            if isinstance(record, Fix | Status):
                reports[record.device].append(segments.entry_of(record))
            else:
                key = (kind_of(type(record)), record.id)
                named[key] = winner(named[key], record) if key in named else record
        # Raws first: a record that can be read has its raw.
        writes: list[_Write] = [w for sha256, raw in raws.items() for w in _raw_writes(sha256, raw)]
        writes += [_RecordWrite(record, packed_record(record)) for record in named.values()]
        for device, entries in reports.items():
            writes += self._segment_writes(device, entries)
        self._write(writes, Patience())

    def get(self, kind: type[R], id: str) -> R | None:
        reference = self._gateway.reference("record", _record_id(kind, id))
        found = self._gateway.get([reference], Patience())
        return next((_decoded(kind, snapshot) for snapshot in found.values()), None)

    def page(
        self,
        kind: type[R],
        *,
        start: datetime | None = None,
        end: datetime | None = None,
        newest_first: bool = False,
        limit: int = 100,
        cursor: str | None = None,
    ) -> RecordPage[R]:
        after = None
        if cursor is not None:
            time, id = cursors.decode(cursor)
            after = {"time": from_micros(time), "id": id}
        found = self._gateway.query(
            RECORDS_NEWEST_FIRST if newest_first else RECORDS_OLDEST_FIRST,
            {"kind": kind_of(kind)},
            Patience(),
            start=start,
            end=end,
            after=after,
            limit=limit,
        )
        last = found[-1] if len(found) == limit else None
        return RecordPage(
            [_decoded(kind, snapshot) for snapshot in found],
            cursors.encode(to_micros(last.get("time")), last.get("id")) if last else None,
        )

    def raw(self, sha256: str) -> bytes | None:
        patience = Patience()
        first = self._raw_parts(sha256, [0], patience)
        if not first:
            return None
        count = first[0].get("parts")
        rest = self._raw_parts(sha256, range(1, count), patience) if count > 1 else []
        if len(rest) < count - 1:  # it was never acknowledged: half of it was written
            return None
        return b"".join(snapshot.get("part") for snapshot in [*first, *rest])

    # Tracks

    def track(self, device: str, start: datetime, end: datetime) -> Iterator[Fix]:
        first, last = to_micros(start), to_micros(end)
        if first >= last:
            return

        def stream(span: Span) -> Iterator[Stamped]:
            for segment in self._segments(device, span, first, last):
                for time, packed in segments.stamped(segment, "fixes"):
                    if first <= time < last:
                        yield time, packed

        for time, variants in segments.united(map(stream, SPANS)):
            yield fix_of(device, time, variants)

    def latest(self, device: str, before: datetime | None = None) -> Latest:
        patience = Patience()
        fix = self._newest(device, "fixes", before, patience)
        status = self._newest(device, "statuses", before, patience)
        return Latest(
            fix_of(device, *fix) if fix else None, status_of(device, *status) if status else None
        )

    def erase(self, device: str, times: Sequence[datetime]) -> None:
        patience = Patience()
        instants = sorted({to_micros(time) for time in times})
        for _, day in groupby(instants, key=lambda time: time // DAY.length):
            self._erase(device, list(day), patience)

    # Documents and counters

    def read(self, type: type[D], name: str) -> Versioned[D] | None:
        found = self._gateway.get([self._document(name)], Patience())
        for snapshot in found.values():
            return Versioned(_decoded(type, snapshot), _version(snapshot.update_time))
        return None

    def stamp(self) -> bytes:
        return b""  # asking costs a read: copies live by their age

    def write(self, name: str, document: msgspec.Struct, *, over: str | None) -> str:
        patience, reference, writer = Patience(), self._document(name), uuid.uuid4().hex
        text = msgspec.json.encode(document).decode()
        data = {"name": name, "shape": shape_of(type(document)), "data": text, "writer": writer}
        batch = self._gateway.batch()
        if over is None:
            batch.create(reference, data)
        else:
            batch.update(reference, data, option=self._gateway.over(_update_time(name, over)))
        try:
            return _version(self._gateway.commit(batch, patience, sent=len(text)))
        except TooLarge as error:
            raise StoreError(
                f"the document {name!r} of {len(text)} bytes is larger than Firestore keeps"
            ) from error
        except Changed as error:
            if error.doubtful:  # perhaps by our own first attempt, whose answer was lost
                for snapshot in self._gateway.get([reference], patience).values():
                    if snapshot.get("writer") == writer:
                        return _version(snapshot.update_time)
            raise _conflict(name) from error

    def count(self, counts: Mapping[str, int]) -> None:
        if not counts:
            return
        batch = self._gateway.batch()
        # With a sign in front any name can be that of a field, `__it__` and the empty one too.
        values = {f"={name}": firestore.Increment(count) for name, count in counts.items()}
        batch.set(self._counter, {"counts": values}, merge=True)
        self._gateway.commit(batch, Patience())

    def counters(self) -> dict[str, int]:
        for snapshot in self._gateway.get([self._counter], Patience()).values():
            return {name[1:]: count for name, count in sorted(snapshot.get("counts").items())}
        return {}

    def close(self) -> None:
        self._gateway.close()

    # How it is written

    def _write(self, writes: Sequence[_Write], patience: Patience) -> None:
        for batch in _batches(writes):
            self._write_batch(batch, patience)

    def _write_batch(self, writes: list[_Write], patience: Patience) -> None:
        while writes:
            batch = self._gateway.batch()
            for write in writes:
                write.add_to(batch, self._gateway)
            deletes = sum(write.deletes for write in writes)
            sent = sum(write.size for write in writes)
            try:
                self._gateway.commit(batch, patience, deletes=deletes, sent=sent)
                return
            except Changed:
                writes = self._settled(writes, patience)
                patience.pause()
            except TooLarge as error:
                if len(writes) > 1:  # which of them is not said: look in each half
                    middle = len(writes) // 2
                    self._write_batch(writes[:middle], patience)
                    self._write_batch(writes[middle:], patience)
                    return
                writes = self._smaller(writes[0], error)

    def _settled(self, writes: list[_Write], patience: Patience) -> list[_Write]:
        """The writes again, of records only those that win over what is there by now."""
        references = [
            self._gateway.reference("record", write.id)
            for write in writes
            if isinstance(write, _RecordWrite)
        ]
        found = self._gateway.get(references, patience)
        settled: list[_Write] = []
        for write in writes:
            if isinstance(write, _RecordWrite):
                write.over = None
                if there := found.get(write.id):
                    stored = _decoded(type(write.record), there)
                    if winner(stored, write.record) == stored:
                        continue
                    write.over = there.update_time
            settled.append(write)
        return settled

    def _smaller(self, write: _Write, error: TooLarge) -> list[_Write]:
        """For a segment that is full: its entries in finer windows."""
        if not isinstance(write, _SegmentWrite) or write.change.window.span is SPANS[-1]:
            raise error
        change = write.change
        if len(self._full) >= _MOST_REMEMBERED:
            self._full.clear()
        self._full.add(change.window)
        rest: list[_Write] = []
        if change.dropped:
            rest.append(_SegmentWrite(Change(change.window, dropped=change.dropped)))
        return rest + self._segment_writes(change.window.device, change.entries)

    def _segment_writes(self, device: str, entries: Iterable[segments.Entry]) -> list[_Write]:
        places = self._placed(device, entries)
        return [_SegmentWrite(Change(window, inside)) for window, inside in places.items()]

    def _placed(
        self, device: str, entries: Iterable[segments.Entry]
    ) -> dict[Window, list[segments.Entry]]:
        return segments.placed(device, entries, self._full.__contains__)

    def _erase(self, device: str, times: list[int], patience: Patience) -> None:
        """Instants of one day. A tombstone goes where bytes are deleted, if it can."""
        changes: dict[Window, Change] = {}
        deletes: list[_Write] = []
        instants, missing = set(times), set(times)
        for span in SPANS:
            for segment in self._segments(device, span, times[0], times[-1] + 1, patience):
                missing -= segments.erased_in(segment)
                dropped = segments.keys_at(segment, instants)
                if span is SPANS[-1]:
                    deletes += [
                        _SegmentDelete(segments.own_window(device, segment.start, kind, key))
                        for kind, key in dropped
                    ]
                elif dropped:
                    window = Window(device, span, segment.start)
                    gone = {segments.time_of(segment.start, kind, key) for kind, key in dropped}
                    buried = [segments.tombstone(time) for time in sorted(gone & missing)]
                    changes[window] = Change(window, buried, dropped)
                    missing -= gone
        for window, entries in self._placed(device, map(segments.tombstone, missing)).items():
            changes.setdefault(window, Change(window)).entries += entries
        # All tombstones are there before anything is deleted without one beside it.
        ordered = sorted(changes.values(), key=lambda change: not change.entries)
        self._write([*map(_SegmentWrite, ordered), *deletes], patience)

    # How it is read

    def _segments(
        self, device: str, span: Span, start: int, end: int, patience: Patience | None = None
    ) -> Iterator[Segment]:
        """The segments of a span that may hold something from `start` and before `end`."""
        return self._pages(
            SEGMENTS_OLDEST_FIRST,
            {"device": document_id(device), "span": span.name},
            start=from_micros(start - start % span.length),
            end=from_micros(end),
            limit=_FIRST_PAGE,
            patience=patience,
        )

    def _newest(
        self, device: str, kind: Kind, before: datetime | None, patience: Patience
    ) -> tuple[int, list[bytes]] | None:
        flag = f"has_{kind}"
        index = FIXES_NEWEST_FIRST if kind == "fixes" else STATUSES_NEWEST_FIRST
        end = to_micros(before) if before is not None else None

        def stream(span: Span) -> Iterator[Stamped]:
            equal = {"device": document_id(device), "span": span.name, flag: True}
            for segment in self._pages(index, equal, end=before, limit=1, patience=patience):
                for time, packed in segments.stamped(segment, kind, newest_first=True):
                    if end is None or time < end:
                        yield time, packed
                if span is not SPANS[-1]:  # there more than one segment has the same start
                    # Says that all others are older, without a read of the next one.
                    yield segment.start - 1, segments.NO_REPORT

        return next(segments.united(map(stream, SPANS), newest_first=True), None)

    def _pages(
        self,
        index: Index,
        equal: Mapping[str, Any],
        *,
        start: datetime | None = None,
        end: datetime | None = None,
        limit: int,
        patience: Patience | None,
    ) -> Iterator[Segment]:
        """Segments, asked for as they are needed, in pages that stay small in memory."""
        last: Snapshot | None = None
        while True:
            page = self._gateway.query(
                index,
                equal,
                patience or Patience(),
                start=start,
                end=end,
                after=last,
                limit=limit,
            )
            found = [_segment(snapshot) for snapshot in page]
            yield from found
            if len(page) < limit:
                return
            last = page[-1]
            mean = sum(segment.size for segment in found) // len(found) + 1
            limit = max(1, min(2 * limit, _LARGEST_PAGE, _PAGE_SIZE // mean))
            del page, found  # before the next is in memory

    def _raw_parts(self, sha256: str, numbers: Iterable[int], patience: Patience) -> list[Snapshot]:
        references = [_raw_part(self._gateway, sha256, number) for number in numbers]
        found = self._gateway.get(references, patience)
        return [found[reference.id] for reference in references if reference.id in found]

    def _document(self, name: str) -> Reference:
        return self._gateway.reference("document", document_id(name))

    @property
    def _counter(self) -> Reference:
        return self._gateway.reference("counter", "all")


def _batches(writes: Iterable[_Write]) -> Iterator[list[_Write]]:
    batch: list[_Write] = []
    size = 0
    for write in writes:
        if batch and size + write.size > _BATCH_SIZE:
            yield batch
            batch, size = [], 0
        batch.append(write)
        size += write.size
    if batch:
        yield batch


def _raw_writes(sha256: str, raw: bytes) -> list[_Write]:
    parts = [raw[at : at + _RAW_PART] for at in range(0, len(raw), _RAW_PART)] or [b""]
    return [_RawWrite(sha256, number, len(parts), part) for number, part in enumerate(parts)]


def _raw_part(gateway: Gateway, sha256: str, number: int) -> Reference:
    return gateway.reference("raw", f"{document_id(sha256)}.{number}")


def _segment(snapshot: Snapshot) -> Segment:
    data = snapshot.to_dict() or {}
    refuse_newer("segment", data["shape"], segments.SHAPE)
    maps: dict[Kind, Mapping[str, Any]] = {
        "fixes": data.get("fixes", {}),
        "statuses": data.get("statuses", {}),
        "erased": data.get("erased", {}),
    }
    return Segment(to_micros(data["start"]), maps)


def _record_id(type: type[msgspec.Struct], id: str) -> str:
    return f"{kind_of(type)}.{document_id(id)}"


def _decoded(type: type[D], snapshot: Snapshot) -> D:
    return decoded(type, snapshot.get("shape"), snapshot.get("data"))


def _version(update_time: DatetimeWithNanoseconds) -> str:
    return str(update_time.rfc3339())


def _update_time(name: str, version: str) -> DatetimeWithNanoseconds:
    try:
        time: DatetimeWithNanoseconds = DatetimeWithNanoseconds.from_rfc3339(version)
        return time
    except ValueError as error:
        raise _conflict(name) from error


def _conflict(name: str) -> Conflict:
    return Conflict(f"the document {name!r} was changed by somebody else")
