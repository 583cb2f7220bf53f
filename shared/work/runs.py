"""What one run of a job has in hand, until it is committed."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

from shared.meter import Meter
from shared.model.records import AnyRecord, Fix, Status
from shared.work.jobs import Job, Spending
from shared.work.works import Part

FLUSH_RECORDS = 20_000
FLUSH_BYTES = 4_000_000
SMALL = 256 * 1024
"""Bytes of a raw that goes into the store; a larger one becomes an object."""
_NAMED_BYTES = 1_000
_REPORTS = 500
"""About as many as go into a document."""
_ENDING = 3
"""Documents that the end of a run writes: its own, and packs of raws."""


@dataclass(frozen=True, slots=True)
class Budget:
    """What one chunk may take. memory: bytes of the whole process. reads, writes: of the store."""

    seconds: float = 45.0
    memory: int = 1_000_000_000
    reads: int = 20_000
    writes: int = 10_000


USUAL = Budget()


class Spent(NamedTuple):
    """By a run, up to a moment. at: seconds of the monotonic clock; the others as in `Spending`."""

    at: float
    reads: int = 0
    writes: int = 0
    sent: int = 0
    object_writes: int = 0
    object_reads: int = 0
    object_sent: int = 0

    @classmethod
    def by(cls, at: float, meter: Meter) -> "Spent":
        return cls(at, *(getattr(meter, name) for name in cls._fields[1:]))

    def since(self, before: "Spent") -> Spending:
        took = {name: getattr(self, name) - getattr(before, name) for name in self._fields[1:]}
        return Spending(seconds=max(0.0, self.at - before.at), **took)


@dataclass(slots=True)
class Run:
    """One claimed run. version: of the job's document. counted: what earlier commits have told.

    careful: each part is committed by itself. named: records that are no reports. last: the part
    that came last. budget: that it is given besides what every run has.
    """

    id: str
    version: str
    job: Job
    meter: Meter
    began: float
    counted: Spent
    careful: bool
    records: list[AnyRecord] = field(default_factory=list)
    raws: dict[str, bytes] = field(default_factory=dict)
    size: int = 0
    named: int = 0
    last: Part | None = None
    budget: Budget | None = None

    def take(self, part: Part) -> None:
        self.records += part.records
        self.raws.update(part.raws)
        self.size += sum(map(len, part.raws.values()))
        # A report takes some bytes, any other record a row or document of its own.
        named = _named(part.records)
        self.size += named * _NAMED_BYTES
        self.named += named
        self.last = part

    @property
    def has_brought(self) -> bool:
        """Whether anything was taken since the job was begun, by this run or one before."""
        progress = self.job.progress
        return self.last is not None or bool(progress.new or progress.known)

    def to_come(self, part: Part) -> Spending:
        """What is known of committing what is in hand, with this part, and of ending after it."""
        raws = {**self.raws, **part.raws}.values()
        large = [len(raw) for raw in raws if len(raw) > SMALL]
        return Spending(
            writes=self.documents + _documents(len(part.records), _named(part.records)) + _ENDING,
            chunks=1,
            sent=sum(map(len, raws)) - sum(large),
            object_writes=len(large),
            object_reads=len(large),  # whether they are there
            object_sent=sum(large),
        )

    def of_commit(self) -> Spending:
        """What the commit of what is in hand takes by itself, about: it cannot say so in what it
        writes."""
        small = any(len(raw) <= SMALL for raw in self.raws.values())
        return Spending(writes=self.documents + 1 + small)

    @property
    def documents(self) -> int:
        """That a commit of the records writes, about."""
        return _documents(len(self.records), self.named)

    def is_full(self) -> bool:
        return (
            (self.careful and self.last is not None and not self.last.beat)
            or len(self.records) >= FLUSH_RECORDS
            or self.size >= FLUSH_BYTES
        )

    def empty(self) -> None:
        self.records, self.raws, self.size, self.named, self.last = [], {}, 0, 0, None


def _named(records: Sequence[AnyRecord]) -> int:
    return sum(1 for record in records if not isinstance(record, (Fix, Status)))


def _documents(records: int, named: int) -> int:
    return named + -(-(records - named) // _REPORTS)  # reports are packed


def resident() -> int:
    """Bytes of memory that this process has now; 0 where the system does not say."""
    try:
        with open("/proc/self/statm", "rb") as file:  # noqa: PTH123 - read before each part
            return int(file.read().split()[1]) * 4096
    except OSError:
        return 0
