"""What store and objects spend: the figures that plans, quotas and benchmarks are made of."""

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass


@dataclass(slots=True)
class Meter:
    """Spending in the units a platform bills.

    reads, writes, deletes: documents (rows on SQLite); a query that finds nothing is one read.
    calls: requests made to the store. sent: bytes written, as packed. object_writes: operations on
    objects that are billed as writing, to which listing and joining belong (class A);
    object_reads: as reading (class B). object_sent: bytes written to objects.
    """

    reads: int = 0
    writes: int = 0
    deletes: int = 0
    calls: int = 0
    sent: int = 0
    object_writes: int = 0
    object_reads: int = 0
    object_sent: int = 0

    def add(self, other: "Meter") -> None:
        self.reads += other.reads
        self.writes += other.writes
        self.deletes += other.deletes
        self.calls += other.calls
        self.sent += other.sent
        self.object_writes += other.object_writes
        self.object_reads += other.object_reads
        self.object_sent += other.object_sent


_current: ContextVar[Meter | None] = ContextVar("meter", default=None)


@contextmanager
def metered() -> Iterator[Meter]:
    """Counts what this thread spends inside the block; an outer meter counts it too."""
    meter = Meter()
    outer = _current.get()
    token = _current.set(meter)
    try:
        yield meter
    finally:
        _current.reset(token)
        if outer is not None:
            outer.add(meter)


def spend(
    *, reads: int = 0, writes: int = 0, deletes: int = 0, calls: int = 0, sent: int = 0
) -> None:
    """Called by adapters; costs nothing where nobody counts."""
    meter = _current.get()
    if meter is not None:
        meter.reads += reads
        meter.writes += writes
        meter.deletes += deletes
        meter.calls += calls
        meter.sent += sent


def spend_on_objects(*, writes: int = 0, reads: int = 0, sent: int = 0) -> None:
    """The same of adapters for objects."""
    meter = _current.get()
    if meter is not None:
        meter.object_writes += writes
        meter.object_reads += reads
        meter.object_sent += sent
