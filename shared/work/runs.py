"""What one run of a job has in hand, until it is committed."""

from dataclasses import dataclass, field
from typing import NamedTuple

from shared.meter import Meter
from shared.model.records import AnyRecord, Fix, Status
from shared.work.jobs import Job
from shared.work.works import Part

FLUSH_RECORDS = 20_000
FLUSH_BYTES = 4_000_000
_NAMED_BYTES = 1_000


class Spent(NamedTuple):
    """By a run, up to a moment. at: seconds of the monotonic clock."""

    at: float
    reads: int
    writes: int

    def since(self, before: "Spent") -> "Spent":
        at = max(0.0, self.at - before.at)
        return Spent(at, self.reads - before.reads, self.writes - before.writes)


@dataclass(slots=True)
class Run:
    """One claimed run. version: of the job's document. counted: what earlier commits have told.

    careful: each part is committed by itself. last: the part that came last.
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
    last: Part | None = None

    def take(self, part: Part) -> None:
        self.records += part.records
        self.raws.update(part.raws)
        self.size += sum(map(len, part.raws.values()))
        # A report takes some bytes, any other record a row or document of its own.
        named = sum(1 for record in part.records if not isinstance(record, (Fix, Status)))
        self.size += named * _NAMED_BYTES
        self.last = part

    def is_full(self) -> bool:
        return (
            (self.careful and self.last is not None and not self.last.beat)
            or len(self.records) >= FLUSH_RECORDS
            or self.size >= FLUSH_BYTES
        )

    def empty(self) -> None:
        self.records, self.raws, self.size, self.last = [], {}, 0, None


def resident() -> int:
    """Bytes of memory that this process has now; 0 where the system does not say."""
    try:
        with open("/proc/self/statm", "rb") as file:  # noqa: PTH123 - read before each part
            return int(file.read().split()[1]) * 4096
    except OSError:
        return 0
