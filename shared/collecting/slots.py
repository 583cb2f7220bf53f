"""From what is due to runs: the ticks, and the beginning of a slot."""

import re
from collections.abc import Callable, Iterator
from datetime import datetime, timedelta

from msgspec.structs import replace

from shared.ha.collectors import Collector, Collectors, offset_of
from shared.model.time import from_micros, to_micros
from shared.queue.protocol import Queue, Task
from shared.work.engine import Outcome
from shared.work.jobs import Job, Progress

FAMILY = "collector"
"""Of the control documents of collectors, and how a task's body and name say them."""
WORK = "collect"

LOOK_BACK = timedelta(minutes=3)
"""A tick sees slots so long ago: one before it may have been late, or lost. A name is accepted
once, so that a slot seen twice is one task. What is older a restart makes up for."""


def due(config: Collectors, now: datetime) -> Iterator[tuple[str, datetime]]:
    """The last slot of each collector that lies within `LOOK_BACK`, of those that are not paused.

    What an outage of the ticks made late is one slot: each asks for all that is new.
    """
    for id, collector in config.collectors.items():
        if collector.paused:
            continue
        slots = collector.slots
        slot = slots.last(now, offset_of(id, slots))
        if slot > max(now - LOOK_BACK, collector.created):
            yield id, slot


def tick(queue: Queue, config: Collectors, now: datetime) -> list[str]:
    """Adds a task for each slot that is due; the names of those that were new.

    Raises `QueueError` when not all could be added: the next tick sees them, too.
    """
    added = []
    for id, slot in due(config, now):
        task = slot_task(id, slot)
        if queue.add(task):
            added.append(task.name)
    return added


def slot_task(id: str, slot: datetime, again: int = 0) -> Task:
    """again: the number of the restart, whose name must be another."""
    micros = to_micros(slot)
    name = f"{FAMILY}-{id}-{micros}"
    return Task(f"{name}-r{again}" if again else name, "work", {FAMILY: id, "slot": micros})


_NAME = re.compile(rf"{FAMILY}-(.+)-(?:[0-9]{{15,}}(?:-r[0-9]+)?|[0-9]+-[0-9a-f]{{12}})")


def collector_in(task: str) -> str | None:
    """Whose task it is, by its name."""
    found = _NAME.fullmatch(task)
    return found[1] if found else None


def beginning(
    collector: Collector | None, id: str, slot: datetime
) -> Callable[[Job | None, datetime], Job | Outcome]:
    """What the engine is to claim for a slot: the collector's job begun anew, with its cursor.

    collector: as it is configured now; None if there is none of that id any more. A slot is begun
    once, and never after a later one.
    """

    def begun(job: Job | None, now: datetime) -> Job | Outcome:
        if collector is None:
            return "gone"
        if collector.paused:
            return "stopped"
        spec = {"collector": id, "slot": to_micros(slot), "began": to_micros(now)}
        if job is None:
            return Job(work=WORK, title=id, created=now, changed=now, spec=spec, begun=1)
        if slot <= slot_of(job):
            return "stale"
        if job.is_held(now):
            return "taken"
        return replace(
            job,
            spec=spec,
            state="ready",
            begun=job.token + 1,
            tries=0,
            commits=0,
            wish=None,
            last_error=None,
            progress=Progress(),
        )

    return begun


def slot_of(job: Job) -> datetime:
    """The slot that was begun last."""
    return from_micros(int(job.spec["slot"]))


def began(job: Job) -> datetime:
    """When that slot was begun."""
    return from_micros(int(job.spec.get("began", job.spec["slot"])))


def looked_after(config: Collectors, job: Job) -> datetime | None:
    """When somebody has to look whether the next slot was done: once it and its grace are over; at
    one that failed, at once. None for what nobody waits for."""
    collector = config.collectors.get(str(job.spec["collector"]))
    if collector is None or collector.paused:
        return None
    if job.state == "failed":
        return job.changed
    return _promised(collector, str(job.spec["collector"]), slot_of(job))


def enrolled(id: str, collector: Collector, job: Job | None, now: datetime) -> Job:
    """The control document of a collector that was added: it is looked after from its first slot.

    job: of an earlier one of that id, which commits no more.
    """
    token = job.token + 1 if job is not None else 0
    spec = {"collector": id, "slot": to_micros(now)}
    due = None if collector.paused else _promised(collector, id, now)
    return Job(
        work=WORK, title=id, created=now, changed=now, spec=spec, state="done", token=token, due=due
    )


def rescheduled(id: str, collector: Collector, job: Job, now: datetime) -> Job:
    """The same of one that goes on after a pause, or by another schedule."""
    due = None if collector.paused else _promised(collector, id, max(now, slot_of(job)))
    return replace(job, due=due)


def retired(job: Job) -> Job:
    """The same of one that is no more."""
    return replace(job, state="cancelled", token=job.token + 1, lease=None, due=None)


def _promised(collector: Collector, id: str, after: datetime) -> datetime:
    """When the first slot after then, and its grace, are over."""
    slots = collector.slots
    return slots.next(after, offset_of(id, slots)) + timedelta(seconds=collector.grace)
