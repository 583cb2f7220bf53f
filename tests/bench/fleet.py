"""A node's collectors on a timeline: their control documents, their tasks, and who sweeps.

Documents change by the rules of the node itself, and the sweep is the node's; only what lies in
between is played here: that time passes while a run goes on, and what cannot be reached.
"""

import heapq
from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import datetime, timedelta
from itertools import count
from typing import Any, Literal, NamedTuple, cast

from msgspec import Struct
from msgspec.structs import replace

from shared.collecting import slots
from shared.collecting.books import Account, Books
from shared.collecting.collecting import AGAIN_AFTER, Collecting, kind
from shared.collecting.monitor import Monitor
from shared.collecting.slots import FAMILY, MARKED_EACH
from shared.ha.collectors import COLLECTORS, Collectors
from shared.ha.outbox import Alert, Outbox
from shared.ha.planner import ATTEMPTS
from shared.ha.watching import WATCHED, Watched
from shared.model.time import from_micros
from shared.queue.protocol import Queue, QueueUnavailable, Task, Waiting
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
from shared.work.engine import Engine
from shared.work.jobs import LEASE, UNFINISHED, Job, Spending, task_name
from tests.bench.timeline import PLACES, Away, Place, Timeline

CALLED_AGAIN = timedelta(minutes=1)
"""Until the queue makes a call again that could not be made."""
CALL_LIMIT = timedelta(minutes=10)
"""Until the queue gives up a call whose run ended without a word."""
FAILS_AFTER = timedelta(seconds=20)
"""How long an attempt takes whose service does not answer."""
_BEGINS = timedelta(seconds=5)
"""From the minute until the sweep that is called then looks."""
_RESTARTED = timedelta(seconds=2)
"""Until a task is called that is no slot's."""

Sign = Literal["start", "success", "fail", "pause", "resume"]


class Signal(NamedTuple):
    """What a run, or the owner, tells a watcher outside."""

    at: datetime
    sign: Sign


class Pace(NamedTuple):
    """How often a node ticks and sweeps."""

    tick: timedelta
    sweep: timedelta


CLOUD = Pace(timedelta(minutes=1), timedelta(minutes=10))
HOME = Pace(timedelta(seconds=10), timedelta(seconds=30))


class Fleet:
    """signals: of each collector, in order. done: when each slot was, the first time. told: alerts,
    and when. missed: when there should have been a sweep, and none could look everywhere.

    watched: whether anybody sweeps. leaps: whether a sweep is left out that would find nothing due
    and nobody amiss: all it would write is when it was.
    """

    def __init__(
        self, timeline: Timeline, pace: Pace, *, watched: bool, leaps: bool = True
    ) -> None:
        self.signals: dict[str, list[Signal]] = defaultdict(list)
        self.done: dict[tuple[str, datetime], datetime] = {}
        self.told: list[tuple[datetime, Alert]] = []
        self.missed: list[datetime] = []
        self.now = timeline.start
        self._timeline, self._pace, self._leaps = timeline, pace, leaps
        self._down = {place: timeline.spans(place) for place in PLACES}
        self._hinders = timeline.spans("node", "store", "queue")
        self._no_ticks = timeline.spans("node", "store", "ticks")
        self._services = {id: timeline.spans(id) for id in timeline.collectors}
        self._coming: list[tuple[datetime, int, Callable[[], None]]] = []
        self._number = count()
        self._silent: set[tuple[str, int]] = set()
        self._store = _Memory(self._reach)
        self._queue = _Tasks(self._reach, self._added, self._clock)
        self._next_sweep = timeline.start + _BEGINS
        self._monitor = self._watcher() if watched else None
        self._begin()

    def run(self) -> "Fleet":
        end = self._timeline.end
        while True:
            following = min(self._coming[0][0], end) if self._coming else end
            if self._monitor is not None and self._next_sweep < following:
                self._sweep_or_leap(self._monitor, following)
            elif following < end:
                self.now, _, act = heapq.heappop(self._coming)
                act()
            else:
                return self

    # Who sweeps

    def _watcher(self) -> Monitor:
        store, queue = cast(Store, self._store), cast(Queue, self._queue)
        engine = Engine(
            store=store,
            queue=queue,
            keeps=_Nowhere(),
            works={},
            kind=kind(lambda: self._config, lambda id, took: None, self._clock),
            clock=self._clock,
        )
        return Monitor(
            store=store,
            collecting=Collecting(store, engine, lambda: self._config, self._clock),
            clock=self._clock,
            every=self._pace.sweep,
            tell=self._tell,
            books=_Unplanned(store, lambda: 0, None),
            reports=dict,
            spares=False,
        )

    def _tell(self, outbox: Outbox) -> Iterator[Outbox]:
        self.told += [(self.now, alert) for alert in outbox.alerts]
        yield Outbox()

    def _sweep_or_leap(self, monitor: Monitor, until: datetime) -> None:
        every = self._pace.sweep
        if self._leaps and self._is_idle():
            away = self._hinders.following(self._next_sweep) or until
            wanted = max(self._next_sweep, min(self._store.soonest(), away, until))
            ahead = -((self._next_sweep - wanted) // every)
            self._left_out(ahead)
            self._next_sweep += ahead * every
            if self._next_sweep >= until:
                return
        self._sweep(monitor)
        self._next_sweep += every

    def _is_idle(self) -> bool:
        held = self._store.documents.get(WATCHED)
        if held is None:
            return False
        watched = cast(Watched, held.document)
        if watched.collectors or watched.silent is not None or watched.unticked is not None:
            return False
        # Ticks make their mark again, or the sweep that follows tells that they do not.
        marked = self._config.ticked
        if marked is None or self._next_sweep >= marked + MARKED_EACH:
            return False
        return watched.swept == self._next_sweep - self._pace.sweep

    def _left_out(self, number: int) -> None:
        """What is written of so many sweeps is when the last was."""
        if number:
            held = self._store.documents[WATCHED]
            at = self._next_sweep + (number - 1) * self._pace.sweep
            swept = replace(cast(Watched, held.document), swept=at)
            self._store.documents[WATCHED] = held._replace(document=swept)

    def _sweep(self, monitor: Monitor) -> None:
        self.now = self._next_sweep
        if self._is_away(self.now, "node"):
            self.missed.append(self.now)
            return
        try:
            monitor.sweep()
        except (StoreError, QueueUnavailable):
            self.missed.append(self.now)

    # What happens to slots

    def _begin(self) -> None:
        self._config = Collectors(collectors=dict(self._timeline.collectors))
        self._store.write(COLLECTORS, self._config, over=None)
        for id, collector in self._timeline.collectors.items():
            self._store.put(id, slots.enrolled(id, collector, None, self.now))
            self._follow(id, iter(self._timeline.slots[id]))
        self._at(self.now, self._mark)
        for pause in self._timeline.pauses:
            self._at(pause.start, lambda pause=pause: self._paused(pause, True))  # type: ignore[misc]
            self._at(pause.end, lambda pause=pause: self._paused(pause, False))  # type: ignore[misc]

    def _follow(self, id: str, rest: Iterator[datetime]) -> None:
        slot = next(rest, None)
        if slot is not None:
            begin, tick = self._timeline.start, self._pace.tick
            first = begin - ((begin - slot) // tick) * tick
            self._at(first, lambda: self._tick(id, slot, rest))

    def _tick(self, id: str, slot: datetime, rest: Iterator[datetime]) -> None:
        """As `slots.tick` does at each tick, of the one slot that is due."""
        self._follow(id, rest)
        if self._config.collectors[id].paused:
            return
        if self._is_away(self.now, "queue") or self._no_ticks.holds(self.now):
            self._at(self._tick_after_outage(), self._catch_up)
        else:
            self._queue.add(slots.slot_task(id, slot))

    def _catch_up(self) -> None:
        """A tick after one, or several, that could not be made, or added nothing."""
        if self._no_ticks.holds(self.now) or self._is_away(self.now, "queue"):
            self._at(self._tick_after_outage(), self._catch_up)
            return
        for id, slot in slots.due(self._config, self.now):
            self._queue.add(slots.slot_task(id, slot))

    def _tick_after_outage(self) -> datetime:
        over, tick = self._down["queue"].over(self._no_ticks.over(self.now)), self._pace.tick
        begin = self._timeline.start
        return begin - ((begin - over) // tick) * tick

    def _mark(self) -> None:
        """As `slots.tick` marks that it looked; not while there is something it cannot add."""
        adds = not self._is_away(self.now, "queue") or not any(slots.due(self._config, self.now))
        if adds and not self._no_ticks.holds(self.now):
            self._put_config(replace(self._config, ticked=self.now))
            self._at(self.now + MARKED_EACH, self._mark)
            return
        again = max(self._no_ticks.over(self.now), self.now + self._pace.tick)
        self._at(again, self._mark)

    def _put_config(self, config: Collectors) -> None:
        self._config = config
        self._store.put_document(COLLECTORS, config)

    def _added(self, task: Task) -> None:
        if task.after is not None or "slot" not in task.body or "again" in task.body:
            self._at(max(self.now, task.after or self.now) + _RESTARTED, lambda: self._call(task))
            return
        fate = self._timeline.fates[_slot_in(task)]
        if fate.lost:
            self._queue.settle(task)
            return
        self._at(self.now + timedelta(seconds=fate.delay), lambda: self._call(task))

    def _call(self, task: Task) -> None:
        if not self._queue.waits(task):
            return
        if self._is_away(self.now, "node", "queue"):
            self._at(self.now + CALLED_AGAIN, lambda: self._call(task))
            return
        self._queue.called(task)
        if self._is_away(self.now, "store"):
            self._call_again(task)
            return
        id = str(task.body[FAMILY])
        claimed = self._begun(id, task) if "slot" in task.body else self._claimed(id, task)
        if claimed == "taken":
            self._call_again(task)
        elif claimed is None:
            self._queue.settle(task)
        else:
            self._rest(id, claimed)
            self._attempt(id, task, claimed)

    def _call_again(self, task: Task) -> None:
        self._queue.put_off(task, self.now + CALLED_AGAIN)
        self._at(self.now + CALLED_AGAIN, lambda: self._call(task))

    def _begun(self, id: str, task: Task) -> Job | Literal["taken"] | None:
        _, slot = _slot_in(task)
        decide = slots.beginning(self._config, id, slot, int(task.body.get("again", 0)))
        job = decide(self._store.job(id), self.now)
        if isinstance(job, Job):
            return transitions.claimed(job, self.now)
        return "taken" if job == "taken" else None

    def _claimed(self, id: str, task: Task) -> Job | None:
        """As the engine claims a later attempt."""
        job = self._store.job(id)
        if job.state not in UNFINISHED or job.is_held(self.now):
            return None
        if job.lease is None and task.body["token"] != job.token:
            return None
        if job.tries >= ATTEMPTS:
            given_up = replace(transitions.stilled(job, "failed", self.now), last_error="it died")
            self._rest(id, given_up)
            return None
        return transitions.claimed(job, self.now)

    def _attempt(self, id: str, task: Task, job: Job) -> None:
        self._signal(id, "start")
        slot = slots.slot_of(job)
        fate = self._timeline.fates.get((id, slot))
        first = job.tries == 1 and not job.spec["again"]
        if fate is not None and fate.hangs and first:
            self._at(self.now + CALL_LIMIT, lambda: self._queue.settle(task))
            return
        fails = fate is not None and not job.spec["again"] and job.tries <= fate.fails
        takes = timedelta(seconds=fate.takes) if fate is not None else FAILS_AFTER
        if fails or self._services[id].holds(self.now):
            takes, fails = FAILS_AFTER, True
        ends = self.now + takes
        self._renew(id, job.token, ends)
        self._at(ends, lambda: self._end(id, task, job.token, fails))

    def _renew(self, id: str, token: int, ends: datetime) -> None:
        following = self.now + LEASE / 2
        if following < ends:
            self._at(following, lambda: self._renewed(id, token, ends))

    def _renewed(self, id: str, token: int, ends: datetime) -> None:
        job = self._store.job(id)
        if job.token != token:
            return
        if self._is_away(self.now, "node", "store"):
            self._silent.add((id, token))
            return
        self._rest(id, replace(job, lease=self.now + LEASE, due=self.now + LEASE))
        self._renew(id, token, ends)

    def _end(self, id: str, task: Task, token: int, fails: bool) -> None:
        job = self._store.job(id)
        if self._is_away(self.now, "node", "store") or (id, token) in self._silent:
            # What it did is lost; the queue makes the call again.
            self._call_again(task)
            return
        self._queue.settle(task)
        if job.token != token:
            return
        if fails or self._services[id].holds(self.now):
            self._failed(id, job)
            return
        self._signal(id, "success")
        self.done.setdefault((id, slots.slot_of(job)), self.now)
        self._rest(id, self._committed(job, "done"))

    def _failed(self, id: str, job: Job) -> None:
        """As the engine tries later, or gives up."""
        over = slots.began(job) + timedelta(seconds=self._config.collectors[id].run_limit)
        if job.tries >= ATTEMPTS or self.now + AGAIN_AFTER >= over:
            self._signal(id, "fail")
            self._rest(id, self._committed(job, "failed"))
            return
        job = self._committed(job, "ready")
        self._rest(id, job)
        body: dict[str, str | int] = {FAMILY: id, "token": job.token}
        task = Task(task_name(id, job, FAMILY), "work", body, self.now + AGAIN_AFTER)
        if not self._is_away(self.now, "queue"):
            self._queue.add(task)

    def _committed(self, job: Job, state: transitions.LeftAs) -> Job:
        return transitions.committed(
            job,
            state,
            self.now,
            part=None,
            got=_NOTHING,
            spent=_FREE,
            error=None if state == "done" else "the service does not answer",
            pause=AGAIN_AFTER if state == "ready" else timedelta(0),
        )

    def _rest(self, id: str, job: Job) -> None:
        self._store.put(id, replace(job, due=slots.looked_after(self._config, job)))

    def _paused(self, pause: Away, paused: bool) -> None:
        """As `yurt collectors pause` and `resume` do."""
        collector = replace(self._config.collectors[pause.where], paused=paused)
        collectors = {**self._config.collectors, pause.where: collector}
        self._put_config(replace(self._config, collectors=collectors))
        job = self._store.job(pause.where)
        self._store.put(pause.where, slots.rescheduled(pause.where, collector, job, self.now))
        self._signal(pause.where, "pause" if paused else "resume")

    # What it is made of

    def _at(self, at: datetime, act: Callable[[], None]) -> None:
        heapq.heappush(self._coming, (at, next(self._number), act))

    def _signal(self, id: str, sign: Sign) -> None:
        self.signals[id].append(Signal(self.now, sign))

    def _clock(self) -> datetime:
        return self.now

    def _is_away(self, at: datetime, *places: Place) -> bool:
        return any(self._down[place].holds(at) for place in places)

    def _reach(self, place: Place) -> None:
        if self._is_away(self.now, place):
            raise (StoreUnavailable if place == "store" else QueueUnavailable)(f"no {place}")


_NOTHING, _FREE = Added({}, {}), Spending()


def _slot_in(task: Task) -> tuple[str, datetime]:
    return str(task.body[FAMILY]), from_micros(int(task.body["slot"]))


class _Nowhere:
    def put(self, data: bytes) -> str:
        raise AssertionError("nothing is large here")


class _Unplanned(Books):
    """Where nothing is counted and nothing planned: what is looked at are runs."""

    def look(self, config: Collectors, now: datetime) -> Account:
        return Account(None, None)


class _Memory:
    """As far as a sweep uses a store. reach: raises when it cannot be."""

    def __init__(self, reach: Callable[[Place], None]) -> None:
        self.documents: dict[str, Versioned[Struct]] = {}
        self._jobs: dict[str, Versioned[Job]] = {}
        self._reach, self._versions = reach, count(1)

    # For the fleet, which asks itself whether it can be reached

    def job(self, id: str) -> Job:
        return self._jobs[id].document

    def put(self, id: str, job: Job) -> None:
        self._jobs[id] = Versioned(job, str(next(self._versions)))

    def put_document(self, name: str, document: Struct) -> None:
        self.documents[name] = Versioned(document, str(next(self._versions)))

    def soonest(self) -> datetime:
        """After when somebody is due."""
        dues = [held.document.due for held in self._jobs.values()]
        return min((due for due in dues if due is not None), default=_NEVER)

    # The port

    def read(self, type: type[Any], name: str) -> Versioned[Any] | None:
        self._reach("store")
        return self.documents.get(name)

    def write(self, name: str, document: Struct, *, over: str | None) -> str:
        self._reach("store")
        held = self.documents.get(name)
        if (held.version if held is not None else None) != over:
            raise Conflict(name)
        self.put_document(name, document)
        return self.documents[name].version

    def control(self, type: type[Any], family: str, id: str) -> Versioned[Any] | None:
        self._reach("store")
        return self._jobs.get(id)

    def due(
        self,
        type: type[Any],
        family: str,
        before: datetime,
        *,
        limit: int,
    ) -> list[Found[Any]]:
        self._reach("store")
        found = [
            (held.document.due, id)
            for id, held in self._jobs.items()
            if held.document.due is not None and held.document.due < before
        ]
        return [Found(id, *self._jobs[id]) for _, id in sorted(found)[:limit]]

    def commit(
        self,
        family: str,
        id: str,
        over: str | None,
        decide: Callable[[Added], Any],
        records: Sequence[Any] = (),
        raws: Mapping[str, bytes] | None = None,
    ) -> Versioned[Any]:
        self._reach("store")
        if self._jobs[id].version != over:
            raise Conflict(id)
        self.put(id, decide(_NOTHING))
        return self._jobs[id]


class _Tasks:
    """As far as a sweep uses a queue. added: is told of each new task."""

    def __init__(
        self,
        reach: Callable[[Place], None],
        added: Callable[[Task], None],
        clock: Callable[[], datetime],
    ) -> None:
        self._reach, self._added, self._clock = reach, added, clock
        self._names = set[str]()
        self._waiting: dict[str, Waiting] = {}

    def waits(self, task: Task) -> bool:
        return task.name in self._waiting

    def called(self, task: Task) -> None:
        held = self._waiting[task.name]
        self._waiting[task.name] = held._replace(attempts=held.attempts + 1)

    def put_off(self, task: Task, due: datetime) -> None:
        if task.name in self._waiting:
            self._waiting[task.name] = self._waiting[task.name]._replace(due=due)

    def settle(self, task: Task) -> None:
        self._waiting.pop(task.name, None)

    # The port

    def add(self, task: Task) -> bool:
        self._reach("queue")
        if task.name in self._names:
            return False
        self._names.add(task.name)
        self._waiting[task.name] = Waiting(task.name, 0, task.after or self._clock())
        self._added(task)
        return True

    def waiting(self) -> Iterator[Waiting]:
        self._reach("queue")
        yield from list(self._waiting.values())


_NEVER = datetime.max.replace(tzinfo=from_micros(0).tzinfo)
