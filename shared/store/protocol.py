"""The store port. Its contract is written here; `tests/contract` holds every adapter to it.

Durability. When `put`, `write` or `erase` returns, what it was given survives the death of the
process and of the machine. When it raises, all, some or none of it may be there; giving it again is
always right, because every write is idempotent.

Order. Nothing depends on the order or number of deliveries: the store ends the same after any
interleaving of the same calls of `put` and `erase`.

Shapes. What is stored carries the version of its shape. Data of a newer shape than this code knows
raises `NewerData` and is left alone.

Time. A call returns or raises within `WITHIN` seconds, lock waits and retries included; of a track
that holds for each step of the iteration. So who has much to give gives it in parts: some thousand
reports, what is to be erased of a few days.

Errors. `StoreUnavailable` when trying again later may help, also after `close`; any other
`StoreError` says what the owner has to do.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import datetime
from types import MappingProxyType
from typing import Generic, NamedTuple, Protocol, TypeVar, runtime_checkable

from msgspec import Struct

from shared.model.records import AnyRecord, Fix, NamedRecord, Report, Status
from shared.model.time import Instant

WITHIN = 3.5
"""Seconds. Two calls of one request, the first of them slow, fit the eight that apps wait."""
RECORD_LIMIT = 900_000
"""Bytes of one record, packed, that every store can keep: Firestore's documents end at 1 MiB."""
ID_LIMIT = 1_000
"""Bytes of a named record's id: Firestore compares the first 1,500 bytes of a text."""
NOTHING: Mapping[str, bytes] = MappingProxyType({})

Settle = Callable[[Exception | None], None]
"""Told once, from any thread, that something is durable (None) or what went wrong."""


class Control(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What one long piece of work is guarded by: its lease, token, cursor and counters, together.

    due: when somebody has to look at it next, if nobody has (None: never).
    """

    due: Instant | None = None


C = TypeVar("C", bound=Control)
D = TypeVar("D", bound=Struct)
R = TypeVar("R", bound=NamedRecord)


class StoreError(Exception):
    """Something about the store that the caller cannot mend by calling differently."""


class StoreUnavailable(StoreError):
    """The store cannot be reached or cannot take more just now: try the same call again later."""


class Damaged(StoreError):
    """What is kept cannot be read. version: of a document of the node's own, for whoever can make
    it anew and writes over it."""

    version: str | None = None


class NewerData(StoreError):
    """The data was written by a newer version of Yurt: update the code to read it."""


class Conflict(Exception):
    """A document was changed by somebody else since it was read: read it again and decide anew."""


class Versioned(NamedTuple, Generic[D]):
    document: D
    version: str


class Found(NamedTuple, Generic[C]):
    """A control document. id: its name without the family."""

    id: str
    document: C
    version: str


class Added(NamedTuple):
    """How many of some records a store had not (new) and had (known), by kind.

    Of fixes a store may not know without reading; those it counts as new.
    """

    new: Mapping[str, int]
    known: Mapping[str, int]


class Latest(NamedTuple):
    """The newest that is known of a device: its last fix and its last sign of life."""

    fix: Fix | None
    status: Status | None

    def reports(self) -> list[Report]:
        return [report for report in self if report is not None]


class RecordPage(NamedTuple, Generic[R]):
    """Some records and the cursor of the next page (None: there is none)."""

    records: list[R]
    cursor: str | None


class Store(Protocol):
    def put(self, records: Sequence[AnyRecord], raws: Mapping[str, bytes] = NOTHING) -> None:
        """Keeps records, and raw bytes by their SHA-256 (hex), durably.

        Two fixes of one device and instant that differ are both kept; reading picks the winner
        (`packing.best`). Of two versions of a named record `records.winner` stands. A fix or status
        that was erased stays erased. `ValueError`, and nothing is kept, if a record is larger than
        `RECORD_LIMIT`, its id larger than `ID_LIMIT`, or its text not Unicode.
        """
        ...

    def get(self, kind: type[R], id: str) -> R | None: ...

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
        """Records of one kind that have a time, by (time, id), with start <= time < end.

        `cursor` is what an earlier page of the same query gave; `ValueError` if it is not one.
        Following it neither repeats nor skips a record that was there all the while.
        """
        ...

    def raw(self, sha256: str) -> bytes | None: ...

    def track(self, device: str, start: datetime, end: datetime) -> Iterator[Fix]:
        """The device's fixes with start <= time < end, oldest first, one per instant.

        Memory does not grow with the length of the track.
        """
        ...

    def latest(self, device: str, before: datetime | None = None) -> Latest:
        """The newest fix and status with time < before (None: of all)."""
        ...

    def erase(self, device: str, times: Sequence[datetime]) -> None:
        """Removes what the device reported at these instants, whenever it arrives or arrived."""
        ...

    def read(self, type: type[D], name: str) -> Versioned[D] | None:
        """One of the node's own documents: who may come in, the owner's profile."""
        ...

    def stamp(self) -> bytes:
        """Differs from before once `write` has changed any document, also in another process.

        Costs nothing. Always the same where a store cannot tell; and a process that dies just
        after its `write` may leave it as it was, so a copy of a document needs an age besides.
        """
        ...

    def write(self, name: str, document: Struct, *, over: str | None) -> str:
        """Replaces the document whose version is `over` (None: there is none yet).

        Returns the new version. `Conflict` if the document's version is another.
        """
        ...

    def control(self, type: type[C], family: str, id: str) -> Versioned[C] | None: ...

    def commit(
        self,
        family: str,
        id: str,
        over: str | None,
        decide: Callable[[Added], C],
        records: Sequence[AnyRecord] = (),
        raws: Mapping[str, bytes] = NOTHING,
    ) -> Versioned[C]:
        """Puts records and raws, and the control document that `decide` makes, in one step.

        `Conflict`, and nothing is changed, if the document's version is not `over` (None: there is
        none yet). So whoever read it before another changed it can commit no more. `decide` gets
        what the records added; it may be called more than once and must have no other effect.

        Where that is more than a store can take at once (some thousand records, about 2 MB), it is
        in several steps, each guarded in the same way; the document changes with the last.

        After `StoreUnavailable` it may have happened: read the document again.
        """
        ...

    def controls(
        self, type: type[C], family: str, *, after: str = "", limit: int = 100
    ) -> list[Found[C]]:
        """Control documents of a family by id, those after `after`."""
        ...

    def due(
        self, type: type[C], family: str, before: datetime, *, limit: int = 100
    ) -> list[Found[C]]:
        """Those that were due before then, the longest overdue first."""
        ...

    def seal(self, device: str, before: datetime, cursor: str | None) -> str | None:
        """Packs one more stretch of what a device reported before then, tightly and for good.

        Changes nothing that can be read. The cursor to go on with, None when all is done, or
        where the store has no use for it. Safe beside any other call, and when killed.
        """
        ...

    def count(self, counts: Mapping[str, int]) -> None:
        """Adds to named counters. What was added around a failure may be lost, or counted twice."""
        ...

    def counters(self) -> dict[str, int]: ...

    def close(self) -> None: ...


@runtime_checkable
class PutsSoon(Protocol):
    """What a store may offer besides: `put` without a thread that waits for it."""

    def put_soon(
        self,
        records: Sequence[AnyRecord],
        raws: Mapping[str, bytes],
        settle: Settle,
    ) -> None:
        """Starts a `put`; `settle` is called once, from any thread, with None or its error.

        Raises what `put` raises for records that it cannot take, and if it cannot start.
        `settle` must be quick and must not raise.
        """
        ...
