"""From what is due to runs: the ticks, and the beginning of a slot."""

import re
from collections.abc import Callable, Iterator
from datetime import datetime, timedelta
from typing import Any, NamedTuple

from msgspec.structs import replace

from shared.ha.collectors import COLLECTORS, Collector, Collectors, offset_of
from shared.ha.planner import ATTEMPTS
from shared.ha.schedules import BadSchedule
from shared.model.time import from_micros, to_micros
from shared.queue.protocol import Queue, Task
from shared.store.changing import change
from shared.store.protocol import Damaged, Store
from shared.work.engine import Outcome
from shared.work.jobs import UNFINISHED, Job, Progress

FAMILY = "collector"
"""Of the control documents of collectors, and how a task's body and name say them."""
WORK = "collect"

_NO_LIMIT = 10**9
LOOK_BACK = timedelta(minutes=3)
"""A tick sees slots so long ago: one before it may have been late, or lost. A name is accepted
once, so that a slot seen twice is one task."""
ASKED_FOR = timedelta(hours=1)
"""The same of what the owner asked for, perhaps while no node ran."""
AHEAD = timedelta(hours=1)
"""By how much the clocks of those who tick and run may differ, and more."""
MARKED_EACH = timedelta(minutes=10)
"""A mark at each tick would be a write each minute."""


def due(config: Collectors, now: datetime) -> Iterator[tuple[str, datetime]]:
    """The last slot of each collector that lies within `LOOK_BACK`, of those that are not paused;
    when there were no ticks, as on a machine that slept, of all that time.

    What an outage of the ticks made late is one slot: each asks for all that is new.
    """
    since, marked = now - LOOK_BACK, config.ticked
    if marked is not None and marked + MARKED_EACH < since:
        since = marked
    for id, collector in config.collectors.items():
        slot = last_slot(config, id, now)
        if slot is None:
            continue
        begins = min(since, now - ASKED_FOR) if slot == config.asked.get(id) else since
        if slot > begins and is_of(collector, slot, now):
            yield id, slot


def is_of(collector: Collector, slot: datetime, now: datetime) -> bool:
    """Whether it was there when the slot came. One that was added in what is to come was added by a
    clock that was ahead."""
    return slot > collector.created or collector.created > now


def last_slot(config: Collectors, id: str, now: datetime) -> datetime | None:
    """The one that should have been begun last; None of a collector whose slots pass."""
    collector = config.collectors[id]
    if collector.paused or config.is_held(id, now):
        return None
    try:
        slots = collector.slots
    except BadSchedule:  # its zone may be gone; the others go on
        return None
    slot, asked = slots.last(now, offset_of(id, slots)), config.asked.get(id)
    return asked if asked is not None and slot < asked <= now else slot


def tick(store: Store, queue: Queue, config: Collectors, now: datetime) -> list[str]:
    """Adds a task for each slot that is due; the names of those that were new.

    config: of now, perhaps a little old. Raises `QueueError` or `StoreError` when not all could be
    done: the next tick sees the same.
    """
    added = []
    for id, slot in due(config, now):
        task = slot_task(id, slot)
        if queue.add(task):
            added.append(task.name)
    if config.collectors and not _is_marked(config, now):
        # Once all is added: what was not is looked for from the mark before.
        change(store, COLLECTORS, Collectors(), lambda config: _marked(config, now))
    return added


def _is_marked(config: Collectors, now: datetime) -> bool:
    return config.ticked is not None and config.ticked <= now < config.ticked + MARKED_EACH


def _marked(config: Collectors, now: datetime) -> Collectors:
    return config if _is_marked(config, now) else replace(config, ticked=now)


def slot_task(id: str, slot: datetime, again: int = 0) -> Task:
    """again: the number of the restart, whose name must be another."""
    micros = to_micros(slot)
    name, body = f"{FAMILY}-{id}-{micros}", dict[str, str | int]({FAMILY: id, "slot": micros})
    if not again:
        return Task(name, "work", body)
    return Task(f"{name}-r{again}", "work", {**body, "again": again})


_NAME = re.compile(rf"{FAMILY}-(.+)-(?:[0-9]{{15,}}(?:-r[0-9]+)?|[0-9]+-[0-9a-f]{{12}})")


def collector_in(task: str) -> str | None:
    """Whose task it is, by its name."""
    found = _NAME.fullmatch(task)
    return found[1] if found else None


def beginning(
    config: Collectors, id: str, slot: datetime, again: int
) -> Callable[[Job | None, datetime], Job | Outcome]:
    """What the engine is to claim for a slot: the collector's job begun anew, with its cursor.

    config: of now. A slot is begun once, and never after a later one; but one that failed once more
    by each restart. That a run before it ended
    without a word stays known until somebody was told.
    """

    def begun(job: Job | None, now: datetime) -> Job | Outcome:
        collector = config.collectors.get(id)
        if collector is None:
            return "gone"
        if collector.paused or config.is_held(id, now):
            return "stopped"
        spec = {
            "collector": id,
            "slot": to_micros(slot),
            "began": to_micros(now),
            "generation": collector.generation,
            "again": again,
        }
        if job is None:
            return Job(work=WORK, title=id, created=now, changed=now, spec=spec, begun=1)
        last = slot_of(job)
        is_known = last <= now + AHEAD  # else it was begun by a clock that was set back since
        if is_known and (slot < last or (slot == last and not _is_retried(job, again))):
            return "stale"
        if job.is_held(now):
            return "taken"
        stuck = job.spec["slot"] if job.state == "running" else job.spec.get("stuck")
        if stuck is not None:
            spec["stuck"] = stuck
        spec |= _failures(job)
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


def _is_retried(job: Job, again: int) -> bool:
    return job.state == "failed" and again > int(job.spec.get("again", 0))


def slot_of(job: Job) -> datetime:
    """The slot that was begun last. `Damaged` if it does not say."""
    try:
        return from_micros(int(job.spec["slot"]))
    except (KeyError, TypeError, ValueError, OverflowError) as error:
        raise Damaged(f"the run of {job.title} does not say of which slot it is") from error


def began(job: Job) -> datetime:
    """When that slot was begun."""
    return from_micros(int(job.spec.get("began", job.spec["slot"])))


def generation_of(job: Job) -> int | None:
    """With which the run that ended well last was begun; None if there was none."""
    generation = job.spec.get("generation")
    return int(generation) if job.state == "done" and generation is not None else None


def _failures(job: Job) -> dict[str, Any]:
    """What a slot has to know of those before it that failed: it begins anew, and what is wrong may
    last though no look fell between two of them."""
    before = int(job.spec.get("fails", 0))
    if job.state == "failed":
        fails = before + ATTEMPTS
    elif job.state == "ready" and job.last_error is not None:
        fails = before + job.tries
    elif job.state == "running":
        fails = before + max(1, job.tries)  # they ended without a word
    elif job.state == "done":
        return {}
    else:
        fails = before
    if not fails:
        return {}
    return {
        "fails": fails,
        "failing": job.spec.get("failing", to_micros(job.changed)),
        "error": job.last_error
        or job.spec.get("error", "its runs end without a word: see the log"),
    }


class Failing(NamedTuple):
    """since: when the first of its slots in a row failed. error: of the last."""

    since: datetime
    error: str


def failing(job: Job) -> Failing | None:
    """Of a collector whose slots before this one failed, as long as this one has not ended well."""
    spec = job.spec
    if job.state not in UNFINISHED or int(spec.get("fails", 0)) < ATTEMPTS:
        return None
    return Failing(from_micros(int(spec["failing"])), job.last_error or str(spec["error"]))


def stuck_in(job: Job) -> datetime | None:
    """The slot of an earlier run that ended without a word, of which nobody was told yet."""
    stuck = job.spec.get("stuck")
    return from_micros(int(stuck)) if stuck is not None else None


def unstuck(job: Job) -> Job:
    """The same once somebody was told."""
    spec = {name: value for name, value in job.spec.items() if name != "stuck"}
    return replace(job, spec=spec)


def looked_after(config: Collectors, job: Job) -> datetime | None:
    """When somebody has to look at it. Once its slot has ended: when the next one and its grace are
    over; at one that failed, at once, also while the next is tried. None for what nobody waits for.
    """
    collector = config.collectors.get(str(job.spec["collector"]))
    if collector is None or collector.paused:
        return None
    if job.state in UNFINISHED:
        found = failing(job)
        return min(job.due, found.since) if found is not None and job.due else job.due
    if job.state == "failed" or stuck_in(job) is not None:
        return job.changed
    return promised(collector, str(job.spec["collector"]), slot_of(job))


def enrolled(id: str, collector: Collector, job: Job | None, now: datetime) -> Job:
    """The control document of a collector that was added: it is looked after from its first slot.

    job: of an earlier one of that id, which commits no more.
    """
    token = job.token + 1 if job is not None else 0
    spec = {"collector": id, "slot": to_micros(now)}
    due = None if collector.paused else promised(collector, id, now)
    return Job(
        work=WORK, title=id, created=now, changed=now, spec=spec, state="done", token=token, due=due
    )


def rescheduled(id: str, collector: Collector, job: Job, now: datetime) -> Job:
    """The same of one that goes on after a pause, or by another schedule."""
    due = None if collector.paused else promised(collector, id, max(now, slot_of(job)))
    return replace(job, due=due)


def retired(job: Job) -> Job:
    """The same of one that is no more."""
    return replace(job, state="cancelled", token=job.token + 1, lease=None, due=None)


def promised(collector: Collector, id: str, after: datetime) -> datetime:
    """When the first slot after then should have been begun."""
    slots, patience = collector.slots, min(collector.grace, collector.start_limit or _NO_LIMIT)
    return slots.next(after, offset_of(id, slots)) + timedelta(seconds=patience)
