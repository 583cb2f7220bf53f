"""The collectors of a node, as whoever calls them needs them: ticks, slots, chunks."""

import math
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta

from msgspec.structs import replace

from shared.collecting import slots
from shared.ha.allowances import began_day
from shared.ha.collectors import MIB, Collector, Collectors, Limits
from shared.ha.planner import ATTEMPTS
from shared.store.protocol import Store
from shared.work.engine import Engine, Kind, Outcome
from shared.work.jobs import Job, Spending

AGAIN_AFTER = timedelta(minutes=2)
"""A slot that failed is tried again so much later, `ATTEMPTS` times in all: a service that was away
for a moment is back by then, and one that is away for longer is not beset."""


@dataclass(slots=True)
class Collecting:
    """engine: of the kind that `kind` gives. config: what is configured, perhaps a little old.
    renew: has it read anew by whoever asks next."""

    store: Store
    engine: Engine
    config: Callable[[], Collectors]
    clock: Callable[[], datetime]
    renew: Callable[[], None] = lambda: None

    def tick(self) -> list[str]:
        """The names of the tasks that are due now. Raises `StoreError` or `QueueError`."""
        return slots.tick(self.store, self.engine.queue, self.config(), self.clock())

    def call(
        self, id: str, slot: datetime | None, token: int | None, again: int = 0
    ) -> Outcome | None:
        """What a task asks for; None if it says neither a slot nor a token."""
        if slot is not None:
            return self.begin(id, slot, again)
        return self.run(id, token) if token is not None else None

    def begin(self, id: str, slot: datetime, again: int = 0) -> Outcome:
        """Runs the first chunk of a slot. again: the number of the restart, of one that failed.
        Raises `StoreError`: it shall be called again."""
        if id not in self.config().collectors:
            self.renew()  # it may just have been added
        return self.engine.begin(id, slots.beginning(self.config(), id, slot, again))

    def run(self, id: str, token: int) -> Outcome:
        """Runs a later one."""
        return self.engine.run(id, token)

    def job(self, id: str) -> Job | None:
        held = self.store.control(Job, slots.FAMILY, id)
        return held.document if held is not None else None


_OF_OBJECTS = ("object_writes", "object_reads", "object_sent")


def spending(limits: Limits) -> Spending:
    """What a slot may take, as runs count it; of objects what a day may."""
    return Spending(
        seconds=limits.seconds,
        reads=limits.reads,
        writes=limits.writes,
        chunks=limits.chunks,
        sent=int(limits.megabytes * MIB),
        object_writes=limits.object_writes,
        object_reads=limits.object_reads,
        object_sent=limits.object_megabytes * MIB,
    )


def limits_for(took: Spending, today: Spending) -> Limits:
    """That would have been enough for what a slot took, and its day of objects."""
    return Limits(
        reads=max(took.reads, 10),
        writes=max(took.writes, 5),
        seconds=max(math.ceil(took.seconds), 1),
        chunks=max(took.chunks, 1),
        megabytes=max(took.sent / MIB, 0.001),
        object_writes=today.object_writes,
        object_reads=today.object_reads,
        object_megabytes=math.ceil(today.object_sent / MIB),
    )


def today_of(job: Job, now: datetime) -> Spending:
    """What its runs took on this Pacific day."""
    began = began_day(now)
    return next((day for day in job.days if day.began == began), Spending())


def kind(
    config: Callable[[], Collectors],
    exceeded: Callable[[str, Limits], None],
    clock: Callable[[], datetime],
) -> Kind:
    """Of the jobs of collectors. exceeded: is told of one that took more than it may, and what."""

    def configured(job: Job) -> Collector | None:
        return config().collectors.get(str(job.spec["collector"]))

    def caps(job: Job) -> Spending | None:
        known, id = config(), str(job.spec["collector"])
        if id not in known.collectors:
            return None
        may, today = spending(known.granted(id)), today_of(job, clock())

        def objects(name: str) -> int:
            most: int = getattr(may, name)
            return min(most, int(getattr(job.progress, name)) + most - int(getattr(today, name)))

        return replace(may, **{name: objects(name) for name in _OF_OBJECTS})

    def alone(job: Job, wants: Spending) -> bool:
        today = today_of(job, clock())
        return not any(getattr(today, name) and getattr(wants, name) for name in _OF_OBJECTS)

    def until(job: Job) -> datetime | None:
        collector = configured(job)
        if collector is None:
            return None
        return slots.began(job) + timedelta(seconds=collector.run_limit)

    def ended(job: Job) -> None:
        may = caps(job)
        if may is not None and may.exceeded_by(job.progress):
            today = today_of(job, clock())
            exceeded(str(job.spec["collector"]), limits_for(job.progress, today))

    return Kind(
        family=slots.FAMILY,
        key=slots.FAMILY,
        tries=ATTEMPTS,
        pause=lambda _: AGAIN_AFTER,
        caps=caps,
        alone=alone,
        until=until,
        ended=ended,
        rests=lambda job: slots.looked_after(config(), job),
    )
