"""Jobs: how far each is, and what the owner may do to one."""

from collections.abc import Callable
from datetime import datetime, timedelta

from shared.commands.answers import JobState
from shared.commands.errors import Failed, Refused
from shared.imports.places import Place, place_of
from shared.node import Node
from shared.work.engine import Engine
from shared.work.jobs import ENDED, FAMILY, UNFINISHED, Job, every_job
from shared.work.transitions import LONGEST_PAUSE, REVIVED_AFTER

STUCK_AFTER = timedelta(minutes=5)
"""A sweep finds what is overdue within a minute, where somebody sweeps."""


def job_states(node: Node) -> list[JobState]:
    """All jobs, the newest first."""
    now = node.clock()
    states = [state_of(found.id, found.document, now) for found in every_job(node.store)]
    return sorted(states, key=lambda state: (state.created, state.job), reverse=True)


def job_state(node: Node, id: str) -> JobState | None:
    held = node.store.control(Job, FAMILY, id)
    return state_of(id, held.document, node.clock()) if held is not None else None


def pause(node: Node, engine: Engine, name: str) -> JobState:
    """name: an id, the title, or a beginning of either that only one job has."""
    found = job_named(node, name)
    if found.state in ENDED or found.state == "failed":
        raise Failed(f"{found.title} cannot be paused: it {_IS[found.state]}")
    return _moved(node, found, engine.pause)


def resume(node: Node, engine: Engine, name: str) -> JobState:
    found = job_named(node, name)
    if found.state == "done":
        raise Failed(f"{found.title} is done; to read it again: yurt import --again PATH")
    if found.state == "cancelled":
        raise Failed(f"{found.title} was cancelled; to begin it anew: yurt import PATH")
    return _moved(node, found, engine.resume)


def cancel(node: Node, engine: Engine, name: str) -> JobState:
    """What the job has brought so far stays."""
    found = job_named(node, name)
    if found.state in ENDED:
        raise Failed(f"{found.title} cannot be cancelled: it {_IS[found.state]}")
    return _moved(node, found, engine.cancel)


def job_named(node: Node, name: str) -> JobState:
    """The job of this id or title, or whose id or title begins so; `Refused` unless it is one."""
    states = job_states(node)
    for fits in _fitting(name):
        fitting = [state for state in states if fits(state)]
        unfinished = [state for state in fitting if state.state not in ENDED]
        for some in (unfinished, fitting):
            if len(some) == 1:
                return some[0]
        if fitting:
            listed = ", ".join(f"{state.job} ({state.title})" for state in fitting[:5])
            more = f" and {len(fitting) - 5} more" if len(fitting) > 5 else ""
            raise Refused(f'"{name}" may be {listed}{more}; say more of the id')
    raise Refused(f'there is no job "{name}"; yurt jobs lists those there are')


def state_of(id: str, job: Job, now: datetime) -> JobState:
    """What a job says of itself, at a moment."""
    progress, place = job.progress, _place(job)
    # While it is found out what there is, only what was found is known.
    total = progress.total if place is None or place.stage != "find" else None
    left = progress.left if job.state in UNFINISHED and total else None
    stuck = _is_stuck(job, now)
    paced = job.paced if job.state in UNFINISHED and job.paced and now < job.paced.until else None
    return JobState(
        job=id,
        title=job.title,
        work=job.work,
        state=job.state,
        wish=job.wish,
        created=job.created,
        changed=job.changed,
        done=progress.done,
        total=total,
        rate=progress.rate,
        left=left.total_seconds() if left is not None else None,
        seconds=progress.seconds,
        doing=progress.doing,
        new=progress.new,
        known=progress.known,
        unread=place.unread if place is not None else {},
        error=job.last_error,
        retry=goes_on(job, now),
        paced=paced.until if paced is not None else None,
        paced_by=paced.why if paced is not None else None,
        done_by=paced.done if paced is not None else None,
        stuck=stuck,
        fix=_fix(id, job, stuck=stuck),
    )


def goes_on(job: Job, now: datetime) -> datetime | None:
    """When an unfinished job that nobody is at is tried again, after an error; None: at once.

    What would be later than any pause was put off by a clock that was ahead.
    """
    if job.due is None or job.state != "ready" or job.last_error is None:
        return None
    at = job.due - REVIVED_AFTER
    return at if now < at <= now + LONGEST_PAUSE else None


def _fitting(name: str) -> tuple[Callable[[JobState], bool], ...]:
    wanted = name.casefold()
    return (
        lambda state: state.job == name,
        lambda state: state.title.casefold() == wanted,
        lambda state: (
            bool(wanted)
            and any(
                text.casefold().startswith(wanted)
                # The first part of an id only says the kind of the work.
                for text in (state.job, state.job.partition("-")[2], state.title)
            )
        ),
    )


def _moved(node: Node, found: JobState, move: Callable[[str], Job]) -> JobState:
    return state_of(found.job, move(found.job), node.clock())


def _place(job: Job) -> Place | None:
    return place_of(job.cursor) if job.work == "import" else None


def _is_stuck(job: Job, now: datetime) -> bool:
    if job.state not in UNFINISHED or job.is_held(now):
        return False
    return job.due is None or now - job.due > STUCK_AFTER


def _fix(id: str, job: Job, *, stuck: bool) -> str | None:
    if job.state == "failed":
        return f"mend that, then: yurt jobs resume {id}"
    if job.state == "paused":
        return f"to go on: yurt jobs resume {id}"
    if stuck:
        return "nobody works on it: start the node (yurt up), or import the same again"
    return None


_IS = {"done": "is done", "cancelled": "was cancelled", "failed": "has failed already"}
