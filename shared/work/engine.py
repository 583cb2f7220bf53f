"""The engine: claims a job, drives its work until the budget ends, and passes it on.

Every effect is either a guarded commit or can be done again: a process may die between any two.
What keeps a job alive is its control document, never a task: `sweep` finds those that are overdue.
"""

import logging
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any, Literal, NamedTuple, Protocol

from msgspec.structs import replace

from shared.meter import Meter, metered
from shared.queue.protocol import Queue, QueueError, Task
from shared.store.protocol import (
    Added,
    Conflict,
    Found,
    Store,
    StoreError,
    StoreUnavailable,
    Versioned,
)
from shared.work import transitions
from shared.work.jobs import ENDED, FAMILY, LEASE, UNFINISHED, Job, Spending, task_name
from shared.work.runs import SMALL, USUAL, Budget, Run, Spent, resident
from shared.work.transitions import LONGEST_PAUSE, REVIVED_AFTER, TOO_FAR, LeftAs, added
from shared.work.works import CannotGoOn, Part, Work

MOST_TRIES = 10
"""Claims without progress, after which a job is given up. After `_CAREFUL` of them a run commits
each part by itself, so that only what it dies of is not done."""

_CAREFUL = 2
_ALL = datetime(9999, 1, 1, tzinfo=UTC)
_LONGEST_LINE = 10_000
_TOO_LONG = "it took longer than its run_limit"

_log = logging.getLogger(__name__)

Outcome = Literal[
    "done", "more", "waiting", "later", "failed", "stopped", "taken", "fenced", "stale", "gone"
]
"""Of a run. done: the whole job. more: there is a next chunk. waiting: tried again later, after an
error. later: it is paced, and its next chunk begins once something is left for it. failed: given
up. stopped: the owner paused or cancelled it. taken: another run has it. fenced: another was
granted it meanwhile. stale: the task is of an earlier run. gone: no such job.
"""


class Keeps(Protocol):
    """Where bytes go that are too large for the store."""

    def put(self, data: bytes) -> str: ...


class Pace(NamedTuple):
    """What a chunk of a job may take now. later: not before then, and why; done: when the whole
    job will be, at this pace, if that can be said."""

    budget: Budget | None = None
    later: datetime | None = None
    why: str = ""
    done: datetime | None = None


def unpaced(_: Job) -> Pace | None:
    """As much as any."""
    return None


@dataclass(frozen=True, slots=True)
class Kind:
    """What is different among jobs. family: of their control documents. key: what a task's body and
    name say them by. tries: claims without progress until one is given up.

    pause: before the next try, after so many. caps: what one job may take in all, from its
    beginning; it ends there, and the next goes on. Only a single part that takes more by itself is
    taken in spite of that, or nothing after it would ever be. alone: whether that may be now, by
    what it takes. until: when it is given up, whatever it does. rests: when somebody has to look
    after a job, also one that has ended; None where what it had in hand is to be cleared up, and
    then never. ended: is told of one that is done, or given up.
    """

    family: str = FAMILY
    key: str = "job"
    tries: int = MOST_TRIES
    pause: Callable[[int], timedelta] = transitions.pause_after
    caps: Callable[[Job], Spending | None] = lambda _: None
    alone: Callable[[Job, Spending], bool] = lambda *_: True
    until: Callable[[Job], datetime | None] = lambda _: None
    ended: Callable[[Job], None] = lambda _: None
    rests: Callable[[Job], datetime | None] | None = None


JOBS = Kind()
"""Those that owners begin."""


class NoSuchJob(LookupError):
    """There is no job of that id."""


class Fenced(Exception):
    """Another run was granted the job: nothing of this one takes effect any more."""


def _utc_now() -> datetime:
    return datetime.now(UTC)


def _never() -> bool:
    return False


@dataclass(slots=True)
class Engine:
    """store, queue, keeps: the ports. works: the kinds of work by name.

    kind: of jobs that it runs. pace: what a chunk may take. monotonic: seconds, for the budget.
    memory: what the process has, in bytes. stopping: whether the process ends: then a run passes
    its job on as soon as it can.
    """

    store: Store
    queue: Queue
    keeps: Keeps
    works: Mapping[str, Work]
    budget: Budget = USUAL
    kind: Kind = JOBS
    pace: Callable[[Job], Pace | None] = unpaced
    clock: Callable[[], datetime] = _utc_now
    monotonic: Callable[[], float] = time.monotonic
    memory: Callable[[], int] = resident
    stopping: Callable[[], bool] = _never

    # What is asked of it

    def submit(
        self, id: str, work: str, spec: dict[str, Any], title: str, *, again: bool = False
    ) -> Job:
        """Begins a job, or finds the one of that id: it goes on where it was.

        One that is done is begun anew if `again`, or if the work has changed its version; one that
        was cancelled in any case. id: of letters, digits, `-` and `_`.
        """
        while True:
            held = self.store.control(Job, self.kind.family, id)
            if held is not None and not self._begins_anew(held.document, again):
                stopped = held.document.state in ("paused", "failed")
                if not stopped and held.document.wish is None:
                    return held.document
                job = self._moved(id)
                if job.state in ENDED:  # by a run, meanwhile
                    continue
                return job
            if held is not None and held.document.due is not None:
                self._forget(id, held.document)  # the sweep will not know of it any more
            now = self.clock()
            token = held.document.token + 1 if held is not None else 1
            job = Job(
                work=work,
                spec=spec,
                title=title,
                versions=dict(self.works[work].versions()),
                created=now,
                changed=now,
                token=token,
                begun=token,
                due=now + REVIVED_AFTER,
            )
            try:
                self._write(id, held.version if held is not None else None, job)
            except Conflict:
                continue
            self._enqueue(id, job)
            return job

    def job(self, id: str) -> Job:
        held = self.store.control(Job, self.kind.family, id)
        if held is None:
            raise NoSuchJob(id)
        return held.document

    def pause(self, id: str) -> Job:
        """The job stops at its next commit, and goes on only when resumed."""
        return self._wished(id, "pause").document

    def cancel(self, id: str) -> Job:
        """The job ends; what it has brought so far stays."""
        held = self._wished(id, "cancel")
        if held.document.state == "cancelled":
            self._clear_up(id, held)
        return held.document

    def resume(self, id: str) -> Job:
        """Goes on with a job that was paused, given up, or seems to be stuck.

        One that a run is at is left to it.
        """
        return self._moved(id)

    # One chunk

    def run(self, id: str, token: int) -> Outcome:
        """Runs a chunk of a job, as the task for `token` asks.

        Raises `StoreError` when the store cannot be used: then the task shall be called again.
        """
        with metered() as meter:
            return self._driven(self._claim(id, token, meter))

    def begin(self, id: str, begun: Callable[[Job | None, datetime], Job | Outcome]) -> Outcome:
        """Begins a job and runs its first chunk, with no more writes than a chunk takes.

        begun: what is to be claimed, from the job as it is now (None: there is none yet), or why
        nothing is. Raises `StoreError` as `run` does.
        """
        with metered() as meter:
            held = self.store.control(Job, self.kind.family, id)
            job = begun(held.document if held is not None else None, self.clock())
            if not isinstance(job, Job):
                return job
            over = held.version if held is not None else None
            return self._driven(self._granted(id, over, job, meter))

    def _driven(self, claimed: Run | Outcome) -> Outcome:
        if not isinstance(claimed, Run):
            return claimed
        try:
            return self._drive(claimed)
        except Fenced:
            self._leave(claimed)
            return "fenced"

    def _claim(self, id: str, token: int, meter: Meter) -> Run | Outcome:
        held = self.store.control(Job, self.kind.family, id)
        if held is None:
            return "gone"
        job, now = held.document, self.clock()
        refusal = _refusal(job, token, now)
        if refusal is not None:
            return refusal
        if job.wish is not None:
            self._settle(id, held)
            return "stopped"
        if job.tries >= self.kind.tries:
            self._give_up(id, held)
            return "failed"
        pace = self.pace(job)
        if pace is not None and pace.later is not None:
            self._put_off(id, held, pace.later, pace)
            return "later"
        run = self._granted(id, held.version, job, meter)
        if isinstance(run, Run) and pace is not None and pace.budget is not None:
            run.budget = pace.budget
        return run

    def _granted(self, id: str, over: str | None, job: Job, meter: Meter) -> Run | Outcome:
        claimed = self._rested(transitions.claimed(job, self.clock()))
        try:
            version = self._write(id, over, claimed)
        except Conflict:
            return "taken"
        began = self.monotonic()
        careful = job.tries >= _CAREFUL
        return Run(id, version, claimed, meter, began, Spent(began), careful)

    def _drive(self, run: Run) -> Outcome:
        try:
            return self._work_off(run)
        except StoreUnavailable as error:
            # Where what was in hand does not fit, or came at a bad moment, this may.
            return self._try_later(run, error)
        except (Fenced, StoreError):
            raise
        except Exception as error:  # noqa: BLE001 - whatever it is, the job must stay alive
            _log.warning("a chunk of job %s ended with %s", run.id, type(error).__name__)
            return self._try_later(run, error)

    def _work_off(self, run: Run) -> Outcome:
        job = run.job
        work = self.works.get(job.work)
        if work is None:
            return self._failed(run, f"this version of Yurt does not know the work {job.work!r}")
        try:
            for part in work.parts(job.hand(run.id), job.spec, job.cursor):
                if not part.beat and self._is_capped(run, part) and not self._is_alone(run, part):
                    return self._finished(run)  # the next one reads that part anew
                run.take(part)
                # In the middle of something what was done of it is lost, and will be done again.
                if self.stopping() or (not part.beat and self._is_spent(run)):
                    return self._pass_on(run)
                if self._is_over(run):
                    return self._failed(run, _TOO_LONG)
                if part.settle or run.is_full() or self._must_renew(run):
                    self._commit(run)
                    if run.job.wish is not None:
                        return self._pass_on(run)
        except CannotGoOn as error:
            return self._failed(run, str(error))
        return self._finished(run)

    def _is_spent(self, run: Run) -> bool:
        budgets = [self.budget] if run.budget is None else [self.budget, run.budget]
        return self.memory() >= self.budget.memory or any(
            self.monotonic() - run.began >= budget.seconds
            or run.meter.reads >= budget.reads
            or run.meter.writes + run.documents >= budget.writes
            for budget in budgets
        )

    def _is_capped(self, run: Run, part: Part) -> bool:
        """Whether the job would take more than it may have in all, with what is in hand and this
        part; or whether its time is up."""
        caps = self.kind.caps(run.job)
        if caps is None:
            return False
        spent = Spent.by(self.monotonic(), run.meter).since(run.counted)
        total = added(run.job.progress, spent)
        return total.seconds >= caps.seconds or caps.exceeded_by(added(total, run.to_come(part)))

    def _is_alone(self, run: Run, part: Part) -> bool:
        return not run.has_brought and self.kind.alone(run.job, run.to_come(part))

    def _is_over(self, run: Run) -> bool:
        until = self.kind.until(run.job)
        return until is not None and self.clock() >= until

    def _must_renew(self, run: Run) -> bool:
        lease = run.job.lease
        return lease is not None and self.clock() >= lease - LEASE / 2

    def _pass_on(self, run: Run) -> Outcome:
        caps = self.kind.caps(run.job)
        if caps is not None and run.job.progress.chunks + 1 >= caps.chunks:
            return self._finished(run)
        self._commit(run, state="ready")
        if run.job.state != "ready":
            return self._stopped(run)
        self._enqueue(run.id, run.job)
        return "more"

    def _finished(self, run: Run) -> Outcome:
        self._commit(run, state="done")
        self._ended(run)
        self._clear_up(run.id, Versioned(run.job, run.version))
        return "done"

    def _failed(self, run: Run, reason: str) -> Outcome:
        self._commit(run, state="failed", error=reason)
        self._ended(run)
        return "failed" if run.job.state == "failed" else self._stopped(run)

    def _try_later(self, run: Run, error: Exception) -> Outcome:
        # What came before the error is good, and is kept.
        progressed = run.last is not None and run.last.cursor != run.job.cursor
        if not progressed and run.job.tries >= self.kind.tries and self.kind.rests is not None:
            return self._failed(run, str(error) or type(error).__name__)
        pause = self.kind.pause(1 if progressed else run.job.tries)
        until = self.kind.until(run.job)
        if until is not None and self.clock() + pause >= until:
            return self._failed(run, str(error) or type(error).__name__)
        self._commit(run, state="ready", error=str(error) or type(error).__name__, pause=pause)
        if run.job.state != "ready":
            return self._stopped(run)
        self._enqueue(run.id, run.job, self.clock() + pause)
        return "waiting"

    def _ended(self, run: Run) -> None:
        """What is committed stands, whether or not it can be told: it is not to be tried again."""
        try:
            self.kind.ended(run.job)
        except StoreError as error:
            _log.warning("what %s %s took is not noted: %s", self.kind.key, run.id, error)

    def _stopped(self, run: Run) -> Outcome:
        if run.job.state == "cancelled":
            self._clear_up(run.id, Versioned(run.job, run.version))
        return "stopped"

    def _leave(self, run: Run) -> None:
        """What a run brought in hand after the job had ended, nobody else would clear up."""
        held = self.store.control(Job, self.kind.family, run.id)
        job = held.document if held is not None else None
        if job is None or job.state in ENDED or job.begun != run.job.begun:
            self._forget(run.id, run.job)

    # The commit

    def _commit(
        self,
        run: Run,
        *,
        state: LeftAs = "running",
        error: str | None = None,
        pause: timedelta = timedelta(0),
    ) -> None:
        """Commits what the run has in hand, and its state; `Fenced` if it was granted to another.

        When it fails, the run has nothing in hand any more: it would fail again, and is to be read
        again.
        """
        try:
            raws = self._kept(run.raws)
            spent = Spent.by(self.monotonic(), run.meter).since(run.counted)
            took = transitions.added(spent, run.of_commit())
            while not self._committed(run, raws, took, state, error, pause):
                pass
            run.counted = Spent.by(self.monotonic(), run.meter)
        finally:
            run.empty()

    def _committed(
        self,
        run: Run,
        raws: Mapping[str, bytes],
        took: Spending,
        state: LeftAs,
        error: str | None,
        pause: timedelta,
    ) -> bool:
        """Tries once; False if the owner wished something meanwhile, which the run now knows."""
        # Whatever a late answer finds in the run by then, the decision is made of what is now.
        held, part, now = run.job, run.last, self.clock()

        def decide(got: Added) -> Job:
            return self._rested(
                transitions.committed(
                    held, state, now, part=part, got=got, spent=took, error=error, pause=pause
                )
            )

        try:
            written = self.store.commit(
                self.kind.family, run.id, run.version, decide, run.records, raws
            )
        except Conflict:
            return self._was_ours(run)
        except StoreUnavailable:
            if self._was_ours(run):
                return True
            raise
        run.version, run.job = written.version, written.document
        return True

    def _rested(self, job: Job) -> Job:
        if self.kind.rests is None:
            return job
        return replace(job, due=self.kind.rests(job))

    def _was_ours(self, run: Run) -> bool:
        """Whether a commit whose answer is in doubt took effect. Otherwise the run has the newest
        version in hand, with what the owner wished meanwhile; or it is fenced."""
        held = self.store.control(Job, self.kind.family, run.id)
        if held is None or held.document.token != run.job.token:
            raise Fenced
        ours = held.document.commits > run.job.commits
        run.version, run.job = held.version, held.document
        return ours

    def _kept(self, raws: Mapping[str, bytes]) -> dict[str, bytes]:
        small: dict[str, bytes] = {}
        for sha256, raw in raws.items():
            if len(raw) <= SMALL:
                small[sha256] = raw
            else:
                self.keeps.put(raw)
        return small

    # What keeps jobs alive

    def sweep(self) -> list[str]:
        """Revives the jobs that nobody moves any more; their ids.

        Those whose run died, and those that are ready and have no task. Raises `StoreError` or
        `QueueError` when it could not look everywhere: the next sweep does.
        """
        now = self.clock()
        # Every job that has not ended: what a clock that was ahead has put off is also overdue.
        unsettled = self.store.due(Job, self.kind.family, _ALL)
        overdue = [found for found in unsettled if transitions.is_overdue(found.document, now)]
        if not overdue:
            return []
        tasks = {task.name for task in self.queue.waiting() if task.due < now + TOO_FAR}
        return [found.id for found in overdue if self._revive(found, tasks)]

    def recover(self) -> list[str]:
        """Revives at once what a process that is no more was running, and clears up what it had
        ended; the ids of what goes on.

        Only for whoever knows that nobody else runs jobs of this store.
        """
        # A running job is due later than all that wait in a long line.
        unsettled = self.store.due(Job, self.kind.family, _ALL, limit=_LONGEST_LINE)
        left = [each for each in unsettled if each.document.lease or each.document.state in ENDED]
        return [found.id for found in left if self._revive(found, set(), dead=True)]

    def revive(self, id: str) -> bool:
        """Lets a job go on whose run is silent, though it may only be slow: it commits no more."""
        held = self.store.control(Job, self.kind.family, id)
        return held is not None and self._revive(Found(id, *held), set(), dead=True)

    def _revive(self, found: Found[Job], tasks: set[str], *, dead: bool = False) -> bool:
        job, now = found.document, self.clock()
        held = Versioned(job, found.version)
        if job.state in ENDED:
            self._clear_up(found.id, held)
            return False
        if job.state not in UNFINISHED or (job.is_held(now) and not dead):
            return False
        if job.wish is not None:
            self._settle(found.id, held)
            return False
        waits = job.lease is None and task_name(found.id, job, self.kind.key) in tasks
        revived = transitions.revived(job, now, waits=waits)
        try:
            self._write(found.id, found.version, revived)
        except Conflict:
            return False
        if not waits:
            self._enqueue(found.id, revived)
        return not waits

    def _put_off(self, id: str, held: Versioned[Job], later: datetime, pace: Pace) -> None:
        """No task waits for that moment: the sweep finds the job when it has come."""
        put_off = transitions.put_off(held.document, later, pace.why, pace.done, self.clock())
        try:
            self._write(id, held.version, put_off)
        except Conflict:
            return

    def _settle(self, id: str, held: Versioned[Job]) -> None:
        """Does what the owner wished of a run that died before it could."""
        job = held.document
        settled = transitions.stilled(
            job, "cancelled" if job.wish == "cancel" else "paused", self.clock()
        )
        try:
            version = self._write(id, held.version, settled)
        except Conflict:
            return
        if settled.state == "cancelled":
            self._clear_up(id, Versioned(settled, version))

    def _moved(self, id: str) -> Job:
        while True:
            held = self.store.control(Job, self.kind.family, id)
            if held is None:
                raise NoSuchJob(id)
            job, now = held.document, self.clock()
            if job.state in ENDED or (job.is_held(now) and job.wish is None):
                return job
            if job.is_held(now):
                moved = replace(job, wish=None, changed=now)
            else:
                moved = transitions.resumed(job, now)
            try:
                self._write(id, held.version, moved)
            except Conflict:
                continue
            if moved.lease is None:
                self._enqueue(id, moved)
            return moved

    def _wished(self, id: str, wish: Literal["pause", "cancel"]) -> Versioned[Job]:
        while True:
            held = self.store.control(Job, self.kind.family, id)
            if held is None:
                raise NoSuchJob(id)
            job, now = held.document, self.clock()
            if job.state in ENDED or (job.state == "failed" and wish == "pause"):
                return held
            if job.is_held(now):
                wished = replace(job, wish=wish, changed=now)
            else:
                wished = transitions.stilled(job, "paused" if wish == "pause" else "cancelled", now)
            try:
                return Versioned(wished, self._write(id, held.version, wished))
            except Conflict:
                continue

    def _begins_anew(self, job: Job, again: bool) -> bool:
        if job.state != "done":
            return job.state == "cancelled"
        return again or job.versions != self.works[job.work].versions()

    def _give_up(self, id: str, held: Versioned[Job]) -> None:
        job = held.document
        reason = job.last_error or "its run died without a word, perhaps for want of memory"
        given_up = replace(
            transitions.stilled(job, "failed", self.clock()),
            last_error=f"{reason} ({self.kind.tries} times at the same place)",
        )
        try:
            self._write(id, held.version, self._rested(given_up))
        except Conflict:
            return

    def _write(self, id: str, over: str | None, job: Job) -> str:
        return self.store.commit(self.kind.family, id, over, lambda _: job).version

    def _enqueue(self, id: str, job: Job, after: datetime | None = None) -> None:
        key = self.kind.key
        task = Task(task_name(id, job, key), "work", {key: id, "token": job.token}, after)
        try:
            self.queue.add(task)
        except QueueError as error:
            _log.warning("%s %s waits to be revived: %s", key, id, error)

    def _clear_up(self, id: str, held: Versioned[Job]) -> None:
        """Frees what an ended job had in hand. Until it is noted that this was done, it is due."""
        job = held.document
        if job.due is None or self.kind.rests is not None:
            return
        forgotten = self._forget(id, job)
        settled = replace(job, due=None if forgotten else self.clock() + LONGEST_PAUSE)
        try:
            self._write(id, held.version, settled)
        except (Conflict, StoreError) as error:
            _log.info("job %s will be cleared up again: %s", id, error)

    def _forget(self, id: str, job: Job) -> bool:
        try:
            self.works[job.work].forget(job.hand(id), job.spec)
        except Exception as error:  # noqa: BLE001 - the job has ended, and nothing changes that
            _log.warning("what job %s left behind stays: %s", id, type(error).__name__)
            return False
        return True


def _refusal(job: Job, token: int, now: datetime) -> Outcome | None:
    if job.state == "failed":
        return "failed"
    if job.state not in UNFINISHED:
        return "stopped"
    if job.is_held(now):
        return "taken"
    if job.lease is None and token != job.token:
        return "stale"
    return None
