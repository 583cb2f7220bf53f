"""The collectors of a node, as whoever calls them needs them: ticks, slots, chunks."""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta

from shared.collecting import slots
from shared.collecting.work import step_of
from shared.ha.collectors import Collectors
from shared.ha.planner import ATTEMPTS
from shared.store.protocol import Store
from shared.work.engine import Budget, Engine, Kind, Outcome
from shared.work.jobs import Job

AGAIN_AFTER = timedelta(minutes=2)
"""A slot that failed is tried again so much later, `ATTEMPTS` times in all: a service that was away
for a moment is back by then, and one that is away for longer is not beset."""


_ENDING = 3
"""Documents that the end of a run writes: its own, and packs of raws."""


@dataclass(slots=True)
class Collecting:
    """engine: of the kind that `kind` gives. config: what is configured, perhaps a little old."""

    store: Store
    engine: Engine
    config: Callable[[], Collectors]
    clock: Callable[[], datetime]

    def tick(self) -> list[str]:
        """The names of the tasks that are due now. Raises `StoreError` or `QueueError`."""
        return slots.tick(self.engine.queue, self.config(), self.clock())

    def call(self, id: str, slot: datetime | None, token: int | None) -> Outcome | None:
        """What a task asks for; None if it says neither a slot nor a token."""
        if slot is not None:
            return self.begin(id, slot)
        return self.run(id, token) if token is not None else None

    def begin(self, id: str, slot: datetime) -> Outcome:
        """Runs the first chunk of a slot. Raises `StoreError`: it shall be called again."""
        collector = self.config().collectors.get(id)
        return self.engine.begin(id, slots.beginning(collector, id, slot))

    def run(self, id: str, token: int) -> Outcome:
        """Runs a later one."""
        return self.engine.run(id, token)

    def job(self, id: str) -> Job | None:
        held = self.store.control(Job, slots.FAMILY, id)
        return held.document if held is not None else None


def kind(config: Callable[[], Collectors]) -> Kind:
    """Of the jobs of collectors."""

    def caps(job: Job) -> Budget | None:
        collector = config().collectors.get(str(job.spec["collector"]))
        if collector is None:
            return None
        had = collector.caps
        # It ends while one step, and what ends a run, still fit.
        writes = max(1, had.writes - step_of(had) - _ENDING)
        return Budget(seconds=had.seconds, reads=had.reads, writes=writes)

    return Kind(
        family=slots.FAMILY,
        key=slots.FAMILY,
        tries=ATTEMPTS,
        pause=lambda _: AGAIN_AFTER,
        caps=caps,
        rests=lambda job: slots.looked_after(config(), job),
    )
