"""The store of a cloud node: one Firestore database.

A device's reports are packed into segments (`segments`), merged into their documents without a
read, and when they are old into slices (`history`). Raws are packed, too (`raws`). Named records,
the node's own documents and control documents are guarded by preconditions, not by transactions,
which lock and are slow when two meet (`batches`). Requests go through `gateway`.

Collections: `segment`, `sealed` (slices and directories), `record`, `raw` (packs and parts),
`document`, `control`, `counter` (one document).
"""

import uuid
from collections import Counter, defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence, Set
from datetime import datetime
from typing import TYPE_CHECKING, Any, NamedTuple

import msgspec
from google.api_core.datetime_helpers import DatetimeWithNanoseconds
from google.cloud import firestore

from shared.blobs.protocol import Objects
from shared.model.records import AnyRecord, Fix, NamedRecord, Status, winner
from shared.model.time import from_micros, to_micros
from shared.store import cursors, segments
from shared.store.batches import (
    Batches,
    Guard,
    RecordWrite,
    Write,
    decoded_from,
    is_complete,
    record_id,
    version_of,
)
from shared.store.documents import document_id
from shared.store.gateway import Changed, Gateway, Patience, Reference, Snapshot, TooLarge
from shared.store.indexes import (
    CONTROLS_BY_DUE,
    CONTROLS_BY_ID,
    RECORDS_NEWEST_FIRST,
    RECORDS_OLDEST_FIRST,
)
from shared.store.limits import packed_record
from shared.store.protocol import (
    NOTHING,
    RECORD_LIMIT,
    Added,
    C,
    Conflict,
    Control,
    D,
    Found,
    Latest,
    R,
    RecordPage,
    StoreError,
    Versioned,
)
from shared.store.raws import Raws
from shared.store.shapes import kind_of, shape_of
from shared.store.tracks import Tracks

if TYPE_CHECKING:
    from google.auth.credentials import Credentials


class _Put(NamedTuple):
    """What is to be put. given: how many of each kind."""

    given: Mapping[str, int]
    reports: Mapping[str, Sequence[segments.Entry]]
    named: Sequence[RecordWrite]
    raws: Mapping[str, bytes]

    def added(self, known: Set[str]) -> Added:
        """known: ids of documents. Of what was given twice, the second is known."""
        new = Counter(kind_of(type(w.record)) for w in self.named if w.id not in known)
        for kind in (kind_of(Fix), kind_of(Status)):
            new[kind] = self.given.get(kind, 0)
        return Added(+new, Counter(self.given) - new)


class FirestoreStore:
    """`Store` on one database. `FIRESTORE_EMULATOR_HOST` leads to the emulator instead.

    objects: opens where raws go when there are many, which most functions never meet; the caller
    closes it. credentials: those of the environment if none are given.
    """

    def __init__(
        self,
        project: str,
        database: str = "(default)",
        objects: Callable[[], Objects] | None = None,
        credentials: "Credentials | None" = None,
    ) -> None:
        self._gateway = Gateway(project, database, credentials)
        self._raws = Raws(self._gateway, objects)
        self._batches = Batches(self._gateway)
        self._tracks = Tracks(self._gateway, self._batches)

    # Records

    def put(self, records: Sequence[AnyRecord], raws: Mapping[str, bytes] = NOTHING) -> None:
        patience = Patience()
        self._batches.write(self._writes(_put(records, raws), patience), patience)

    def get(self, kind: type[R], id: str) -> R | None:
        reference = self._gateway.reference("record", record_id(kind_of(kind), id))
        found = self._gateway.get([reference], Patience())
        return next((decoded_from(kind, snapshot) for snapshot in found.values()), None)

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
            [decoded_from(kind, snapshot) for snapshot in found],
            cursors.encode(to_micros(last.get("time")), last.get("id")) if last else None,
        )

    def raw(self, sha256: str) -> bytes | None:
        return self._raws.read(sha256)

    # Tracks

    def track(self, device: str, start: datetime, end: datetime) -> Iterator[Fix]:
        return self._tracks.track(device, start, end)

    def latest(self, device: str, before: datetime | None = None) -> Latest:
        return self._tracks.latest(device, before)

    def erase(self, device: str, times: Sequence[datetime]) -> None:
        self._tracks.erase(device, times)

    def seal(self, device: str, before: datetime, cursor: str | None) -> str | None:
        return self._tracks.seal(device, before, cursor)

    # Documents

    def read(self, type: type[D], name: str) -> Versioned[D] | None:
        found = self._gateway.get([self._document(name)], Patience())
        for snapshot in found.values():
            version = version_of(snapshot.update_time)
            return Versioned(decoded_from(type, snapshot, version), version)
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
            return version_of(self._gateway.commit(batch, patience, sent=len(text)))
        except TooLarge as error:
            raise StoreError(
                f"the document {name!r} of {len(text)} bytes is larger than Firestore keeps"
            ) from error
        except Changed as error:
            if error.doubtful:  # perhaps by our own first attempt, whose answer was lost
                for snapshot in self._gateway.get([reference], patience).values():
                    if snapshot.get("writer") == writer:
                        return version_of(snapshot.update_time)
            raise _conflict(name) from error

    # Control documents

    def control(self, type: type[C], family: str, id: str) -> Versioned[C] | None:
        found = self._gateway.get([self._control(family, id)], Patience())
        for snapshot in filter(is_complete, found.values()):
            version = version_of(snapshot.update_time)
            return Versioned(decoded_from(type, snapshot, version), version)
        return None

    def commit(
        self,
        family: str,
        id: str,
        over: str | None,
        decide: Callable[[Added], C],
        records: Sequence[AnyRecord] = (),
        raws: Mapping[str, bytes] = NOTHING,
    ) -> Versioned[C]:
        put, decided = _put(records, raws), list[C]()

        def fields(known: Set[str]) -> dict[str, Any]:
            document = decide(put.added(known))
            decided[:] = [document]
            return {"family": family, "id": id, **_control_fields(document)}

        reference = self._control(family, id)
        time = _update_time(reference.id, over) if over is not None else None
        guard = Guard(self._gateway, reference, time, fields)
        patience = Patience()
        self._batches.write(self._writes(put, patience), patience, guard)
        return Versioned(decided[0], version_of(guard.over))

    def controls(
        self, type: type[C], family: str, *, after: str = "", limit: int = 100
    ) -> list[Found[C]]:
        found = self._gateway.query(
            CONTROLS_BY_ID, {"family": family}, Patience(), after={"id": after}, limit=limit
        )
        return [_found(type, snapshot) for snapshot in found]

    def due(
        self, type: type[C], family: str, before: datetime, *, limit: int = 100
    ) -> list[Found[C]]:
        found = self._gateway.query(
            CONTROLS_BY_DUE, {"family": family}, Patience(), end=before, limit=limit
        )
        return [_found(type, snapshot) for snapshot in found]

    # Counters

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

    # How it is done

    def _writes(self, put: _Put, patience: Patience) -> list[Write]:
        # Raws first: a record that can be read has its raw.
        writes = self._raws.writes(put.raws, patience)
        writes += put.named
        for device, entries in put.reports.items():
            writes += self._batches.of_entries(device, entries)
        return writes

    def _document(self, name: str) -> Reference:
        return self._gateway.reference("document", document_id(name))

    def _control(self, family: str, id: str) -> Reference:
        return self._gateway.reference("control", f"{document_id(family)}.{document_id(id)}")

    @property
    def _counter(self) -> Reference:
        return self._gateway.reference("counter", "all")


def _put(records: Sequence[AnyRecord], raws: Mapping[str, bytes]) -> _Put:
    given = Counter(kind_of(type(record)) for record in records)
    reports: defaultdict[str, list[segments.Entry]] = defaultdict(list)
    named: dict[tuple[str, str], NamedRecord] = {}
    for record in records:
        if isinstance(record, Fix | Status):
            reports[record.device].append(segments.entry_of(record))
        else:
            key = (kind_of(type(record)), record.id)
            named[key] = winner(named[key], record) if key in named else record
    writes = [RecordWrite(record, packed_record(record)) for record in named.values()]
    return _Put(given, reports, writes, raws)


def _control_fields(document: Control) -> dict[str, Any]:
    data = msgspec.json.encode(document).decode()
    if len(data) > RECORD_LIMIT:
        raise StoreError(
            f"a {type(document).__name__} of {len(data)} bytes is larger than {RECORD_LIMIT} bytes"
        )
    due = firestore.DELETE_FIELD if document.due is None else document.due
    return {"due": due, "shape": shape_of(type(document)), "data": data}


def _found(type: type[C], snapshot: Snapshot) -> Found[C]:
    document = decoded_from(type, snapshot)
    return Found(snapshot.get("id"), document, version_of(snapshot.update_time))


def _update_time(name: str, version: str) -> DatetimeWithNanoseconds:
    try:
        time: DatetimeWithNanoseconds = DatetimeWithNanoseconds.from_rfc3339(version)
        return time
    except ValueError as error:
        raise _conflict(name) from error


def _conflict(name: str) -> Conflict:
    return Conflict(f"the document {name!r} was changed by somebody else")
