"""How documents get into Firestore: in batches, each all or nothing, until all of them are there.

A batch is refused whole when a document is not as it was expected, or too large. Then it is made
anew from what is there by now, or smaller.
"""

import uuid
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence, Set
from dataclasses import dataclass
from typing import Any, Protocol

from google.api_core.datetime_helpers import DatetimeWithNanoseconds
from google.cloud import firestore

from shared.model.records import NamedRecord, winner
from shared.model.time import from_micros, to_micros
from shared.store import segments
from shared.store.documents import document_id
from shared.store.gateway import Changed, Gateway, Patience, Reference, Snapshot, TooLarge
from shared.store.protocol import Conflict, D
from shared.store.segments import SPANS, Change, Entry, Kind, Segment, Window
from shared.store.shapes import decoded, kind_of, refuse_newer

# The emulator takes no more than 4 MiB in a request, Firestore 10.
_BATCH_SIZE = 2_500_000

# Of windows that are full. A node fills a few each day.
_MOST_REMEMBERED = 10_000


class Write(Protocol):
    """One document's part of a batch. size: about how many bytes the request takes."""

    @property
    def size(self) -> int: ...

    deletes: int

    def add_to(self, batch: firestore.WriteBatch, gateway: Gateway) -> None: ...


@dataclass(slots=True)
class SegmentWrite:
    change: Change
    deletes: int = 0

    @property
    def size(self) -> int:
        return self.change.size

    def add_to(self, batch: firestore.WriteBatch, gateway: Gateway) -> None:
        window = self.change.window
        maps: dict[str, dict[str, Any]] = {}
        for kind, key in self.change.dropped:
            maps.setdefault(kind, {})[key] = firestore.DELETE_FIELD
        for entry in self.change.entries:
            maps.setdefault(entry.kind, {})[segments.key_in(window, entry)] = entry.packed or True
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
class SegmentDelete:
    window: Window
    size: int = 200
    deletes: int = 1

    def add_to(self, batch: firestore.WriteBatch, gateway: Gateway) -> None:
        batch.delete(gateway.reference("segment", self.window.id))


@dataclass(slots=True)
class RecordWrite:
    """over: when the version that this one replaces was written; None: there is none yet."""

    record: NamedRecord
    data: bytes
    over: Any = None
    deletes: int = 0

    @property
    def id(self) -> str:
        return record_id(kind_of(type(self.record)), self.record.id)

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


class Guard:
    """A document under whose last version each batch of a commit is written, or refused whole.

    `decided` makes the document's fields for the last of the batches, from the ids of records that
    were known; the other batches change its `writer` only, so that they, too, are refused when
    somebody came between. over: the time of the version that the caller has read, None where there
    was none; after a batch, of the version that it made.
    """

    def __init__(
        self,
        gateway: Gateway,
        reference: Reference,
        over: Any,
        decided: Callable[[Set[str]], Mapping[str, Any]],
    ) -> None:
        self._gateway = gateway
        self._reference = reference
        self._decided = decided
        self._writer = ""
        self.over = over

    def add_to(self, batch: firestore.WriteBatch, known: Set[str], *, last: bool) -> None:
        """After all others: the gateway tells the time of a batch's last write."""
        self._writer = uuid.uuid4().hex
        fields = {**(self._decided(known) if last else {}), "writer": self._writer}
        if self.over is None:
            there = {k: v for k, v in fields.items() if v is not firestore.DELETE_FIELD}
            batch.create(self._reference, there)
        else:
            batch.update(self._reference, fields, option=self._gateway.over(self.over))

    def has_taken_effect(self, patience: Patience) -> bool:
        """Of the batch that was refused: whether its first attempt, whose answer was lost, did.

        `Conflict` if somebody else changed the document.
        """
        found = self._gateway.get([self._reference], patience)
        there = found.get(self._reference.id)
        if there is not None and there.get("writer") == self._writer:
            self.over = there.update_time
            return True
        if there is not None and self.over is None and not is_complete(there):
            self.over = there.update_time  # whoever began it shall be refused from now on
        elif (there and version_of(there.update_time)) != (self.over and version_of(self.over)):
            raise Conflict(f"{self._reference.id} was changed by somebody else")
        return False


def is_complete(snapshot: Snapshot) -> bool:
    """Whether a control document is more than the mark of a first commit that has not ended."""
    return "data" in (snapshot.to_dict() or {})


class Batches:
    """Writes to one database."""

    def __init__(self, gateway: Gateway) -> None:
        self._gateway = gateway
        self._full: set[Window] = set()

    def placed(self, device: str, entries: Iterable[Entry]) -> dict[Window, list[Entry]]:
        """By the windows that they shall be written to."""
        return segments.placed(device, entries, self._full.__contains__)

    def of_entries(self, device: str, entries: Iterable[Entry]) -> list[Write]:
        places = self.placed(device, entries)
        return [SegmentWrite(Change(window, inside)) for window, inside in places.items()]

    def write(
        self, writes: Sequence[Write], patience: Patience, guard: Guard | None = None
    ) -> None:
        """Writes them in their order. `Conflict` if the guard's document is not as it was."""
        known: set[str] = set()
        left = list(_batches(writes))
        if guard is not None and not left:
            left = [[]]
        while left:
            batch = left.pop(0)
            if not batch and (left or guard is None):
                continue
            try:
                self._commit(batch, patience, guard, known, last=not left)
            except Changed:
                if guard is None or not guard.has_taken_effect(patience):
                    left.insert(0, self._settled(batch, patience, known))
                    patience.pause()
            except TooLarge as error:
                left[:0] = self._smaller(batch, error)

    def _commit(
        self,
        writes: list[Write],
        patience: Patience,
        guard: Guard | None,
        known: set[str],
        *,
        last: bool,
    ) -> None:
        batch = self._gateway.batch()
        for write in writes:
            write.add_to(batch, self._gateway)
        if guard is not None:
            guard.add_to(batch, known, last=last)
        deletes = sum(write.deletes for write in writes)
        sent = sum(write.size for write in writes)
        time = self._gateway.commit(batch, patience, deletes=deletes, sent=sent)
        if guard is not None:
            guard.over = time

    def _settled(self, writes: list[Write], patience: Patience, known: set[str]) -> list[Write]:
        """The writes again, of records only those that win over what is there by now."""
        references = [
            self._gateway.reference("record", write.id)
            for write in writes
            if isinstance(write, RecordWrite)
        ]
        found = self._gateway.get(references, patience) if references else {}
        known.update(found)
        settled: list[Write] = []
        for write in writes:
            if isinstance(write, RecordWrite):
                write.over = None
                if there := found.get(write.id):
                    stored = decoded_from(type(write.record), there)
                    if winner(stored, write.record) == stored:
                        continue
                    write.over = there.update_time
            settled.append(write)
        return settled

    def _smaller(self, writes: list[Write], error: TooLarge) -> list[list[Write]]:
        """Which of them is too large is not said: look in each half. Then, for a segment that is
        full: its entries in finer windows."""
        if len(writes) > 1:
            middle = len(writes) // 2
            return [writes[:middle], writes[middle:]]
        write = writes[0] if writes else None
        if not isinstance(write, SegmentWrite) or write.change.window.span is SPANS[-1]:
            raise error
        change = write.change
        if len(self._full) >= _MOST_REMEMBERED:
            self._full.clear()
        self._full.add(change.window)
        rest: list[Write] = []
        if change.dropped:
            rest.append(SegmentWrite(Change(change.window, dropped=change.dropped)))
        return [rest + self.of_entries(change.window.device, change.entries)]


def _batches(writes: Iterable[Write]) -> Iterator[list[Write]]:
    batch: list[Write] = []
    size = 0
    for write in writes:
        if batch and size + write.size > _BATCH_SIZE:
            yield batch
            batch, size = [], 0
        batch.append(write)
        size += write.size
    if batch:
        yield batch


def segment_of(snapshot: Snapshot) -> Segment:
    data = snapshot.to_dict() or {}
    refuse_newer("segment", data["shape"], segments.SHAPE)
    maps: dict[Kind, Mapping[str, Any]] = {
        "fixes": data.get("fixes", {}),
        "statuses": data.get("statuses", {}),
        "erased": data.get("erased", {}),
    }
    return Segment(to_micros(data["start"]), maps, snapshot.update_time)


def record_id(kind: str, id: str) -> str:
    return f"{kind}.{document_id(id)}"


def decoded_from(type: type[D], snapshot: Snapshot, version: str | None = None) -> D:
    return decoded(type, snapshot.get("shape"), snapshot.get("data"), version)


def version_of(update_time: DatetimeWithNanoseconds) -> str:
    """The text by which callers know a version of a document."""
    return str(update_time.rfc3339())
