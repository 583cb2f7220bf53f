"""What becomes of a job: how its document changes with each thing that happens to it. Pure."""

from collections import Counter
from datetime import datetime, timedelta
from typing import Literal, TypeVar

from msgspec.structs import replace

from shared.ha.allowances import began_day
from shared.store.protocol import Added
from shared.work.jobs import LEASE, Day, Job, Paced, Progress, Spending, State
from shared.work.works import Part

REVIVED_AFTER = timedelta(seconds=60)
"""How long a ready job waits for its task before somebody asks where that is."""
LONGEST_PAUSE = timedelta(minutes=15)
TOO_FAR = 2 * LONGEST_PAUSE
"""Ahead of now, where nothing is due by a clock that is right: that of its writer was not."""

LONGEST_PACE = timedelta(hours=26)
"""Ahead of now, where nothing is put off to: a day of the quotas has up to 25 hours."""

LeftAs = Literal["running", "ready", "done", "failed"]
"""The state that a run leaves its job in: it goes on, passes it on, or ends it."""


S = TypeVar("S", bound=Spending)


def added(before: S, spent: Spending) -> S:
    """With what was taken besides."""
    names = Spending.__struct_fields__
    return replace(before, **{name: getattr(before, name) + getattr(spent, name) for name in names})


def claimed(job: Job, now: datetime) -> Job:
    """Granted to a run: none before it may commit any more."""
    return replace(
        job,
        state="running",
        token=job.token + 1,
        lease=now + LEASE,
        due=now + LEASE,
        tries=job.tries + 1,
        changed=now,
        paced=None,
    )


def committed(
    job: Job,
    state: LeftAs,
    now: datetime,
    *,
    part: Part | None,
    got: Added,
    spent: Spending,
    error: str | None,
    pause: timedelta,
) -> Job:
    """After a commit of its run. part: the last that is in it. got: what the store had not.

    spent: since the commit before. pause: until it is tried again, after an error. Of the owner's
    wish and the end of the work, the end wins.
    """
    after = _wished(job, state)
    cursor = part.cursor if part is not None else job.cursor
    moved = cursor != job.cursor or state == "done"
    in_peace = state == "ready" and error is None
    return replace(
        job,
        state=after,
        lease=now + LEASE if state == "running" else None,
        due=_due(after, now, pause),
        wish=job.wish if state == "running" else None,
        cursor=cursor,
        commits=job.commits + 1,
        tries=0 if moved else max(0, job.tries - in_peace),
        last_error=error if error is not None or moved else job.last_error,
        changed=now,
        progress=_progress(job.progress, part, got, spent, ended=state != "running"),
        days=_days(job.days, spent, now, ended=state != "running"),
    )


def revived(job: Job, now: datetime, *, waits: bool) -> Job:
    """Ready again though nobody moved it. waits: its task only stands in a long line."""
    return replace(
        job,
        state="ready",
        lease=None,
        # Another name would send a task that waits to the end of that line.
        token=job.token if waits else job.token + 1,
        due=now + REVIVED_AFTER,
    )


def put_off(job: Job, later: datetime, why: str, done: datetime | None, now: datetime) -> Job:
    """Not run before then, since nothing is left for it now. done: when it will be, if known."""
    return replace(
        job,
        state="ready",
        token=job.token + 1,
        lease=None,
        due=later,
        changed=now,
        paced=Paced(until=later, why=why, done=done),
    )


def resumed(job: Job, now: datetime) -> Job:
    """Ready because its owner asks: what it failed of is to be tried anew."""
    return replace(
        job,
        state="ready",
        lease=None,
        wish=None,
        tries=0,
        last_error=None,
        token=job.token + 1,
        due=now + REVIVED_AFTER,
        changed=now,
        paced=None,
    )


def stilled(job: Job, state: State, now: datetime) -> Job:
    """The job in a state in which no run may be at it, not even the one that is."""
    return replace(
        job,
        state=state,
        token=job.token + 1,
        lease=None,
        due=_due(state, now),
        wish=None,
        changed=now,
        paced=None,
    )


def is_overdue(job: Job, now: datetime) -> bool:
    """Whether somebody must look after it: no task and no run has, by now."""
    far = TOO_FAR if job.paced is None else LONGEST_PACE
    return job.due is not None and not now <= job.due <= now + far


def pause_after(tries: int) -> timedelta:
    """How long a job waits after so many claims that brought nothing."""
    return min(timedelta(seconds=2**tries), LONGEST_PAUSE)


def _wished(job: Job, state: State) -> State:
    """What becomes of the state that a run leaves its job in, when the owner wished something."""
    if job.wish == "cancel" and state in ("ready", "failed"):
        return "cancelled"
    return "paused" if job.wish == "pause" and state == "ready" else state


def _due(state: State, now: datetime, pause: timedelta = timedelta(0)) -> datetime | None:
    if state == "running":
        return now + LEASE
    return None if state in ("paused", "failed") else now + pause + REVIVED_AFTER


def _progress(
    before: Progress, part: Part | None, got: Added, spent: Spending, *, ended: bool
) -> Progress:
    return replace(
        added(before, replace(spent, chunks=int(ended))),
        done=max(before.done, part.done) if part is not None else before.done,
        total=part.total if part is not None else before.total,
        doing=part.doing if part is not None else before.doing,
        new=dict(Counter(before.new) + Counter(got.new)),
        known=dict(Counter(before.known) + Counter(got.known)),
    )


def _days(
    before: tuple[Day, ...], spent: Spending, now: datetime, *, ended: bool
) -> tuple[Day, ...]:
    took, today = replace(spent, chunks=int(ended)), began_day(now)
    if before and before[-1].began == today:
        return (*before[:-1], added(before[-1], took))
    return (*before[-1:], added(Day(began=today), took))
