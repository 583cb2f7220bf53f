"""The ports in memory, with every fault that their contracts allow, and who did what to them."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from itertools import count
from typing import Any

from shared.meter import spend
from shared.model.records import AnyRecord
from shared.queue.protocol import QueueUnavailable, Task, Waiting
from shared.store.protocol import (
    NOTHING,
    Added,
    Conflict,
    Found,
    StoreUnavailable,
    Versioned,
)
from shared.work.engine import MOST_TRIES
from shared.work.jobs import UNFINISHED, Job
from tests.sim.world import Process, World

DAY = 86_400.0
LATEST = 120.0
"""Seconds after its call at which a commit may still take effect."""
_MOST_CALLS = 6


@dataclass
class Begun:
    """A job since it was begun, perhaps anew. known: the records that were there already."""

    known: frozenset[str]
    is_in_steps: bool = False
    claims: int = 0


class SimStore:
    """As far as the engine uses a store. Checks each commit that takes effect."""

    def __init__(self, world: World) -> None:
        self.world = world
        self.documents: dict[str, Versioned[Job]] = {}
        self.records: dict[str, AnyRecord] = {}
        self.raws: dict[str, bytes] = {}
        self.begun: dict[tuple[str, int], Begun] = {}
        self.guards = True
        self._versions = count(1)

    def control(self, type: type[Any], family: str, id: str) -> Versioned[Any] | None:
        self._reach()
        held = self.documents.get(id)
        spend(reads=1, calls=1)
        self.world.effect()
        return held

    def controls(
        self, type: type[Any], family: str, *, after: str = "", limit: int = 100
    ) -> list[Found[Any]]:
        self._reach()
        ids = sorted(id for id in self.documents if id > after)
        return [Found(id, *self.documents[id]) for id in ids[:limit]]

    def due(
        self, type: type[Any], family: str, before: datetime, *, limit: int = 100
    ) -> list[Found[Any]]:
        self._reach()
        due = sorted(
            (held.document.due, id)
            for id, held in self.documents.items()
            if held.document.due is not None and held.document.due < before
        )
        found = [Found(id, *self.documents[id]) for _, id in due[:limit]]
        self.world.effect()
        return found

    def commit(
        self,
        family: str,
        id: str,
        over: str | None,
        decide: Callable[[Added], Any],
        records: Sequence[AnyRecord] = (),
        raws: Mapping[str, bytes] = NOTHING,
    ) -> Versioned[Any]:
        world, process = self.world, self.world.process
        self._reach("a commit")
        spend(writes=len(records) + len(raws) + 1, calls=1)
        if world.happens(world.faults.late):
            decided = decide(self._added(records))
            world.at(
                world.now + world.random.uniform(0, LATEST),
                lambda: self._arrive(process, id, over, decided, records, raws),
            )
            raise StoreUnavailable("no answer, and it is still on its way")
        added = self._added(records)
        if len(records) > 1 and world.happens(world.faults.in_steps):
            over = self._begin_in_steps(id, over, records)
        document = self._apply(process, id, over, decide(added), records, raws)
        self._lose_the_answer()
        world.effect()
        return document

    # Faults

    def _reach(self, what: str = "a read") -> None:
        world = self.world
        world.effect()
        if any(start <= world.now < end for start, end in world.outages):
            raise StoreUnavailable("an outage")
        if world.happens(world.faults.unavailable):
            world.seen[f"{what} without effect"] += 1
            raise StoreUnavailable("not just now")

    def _lose_the_answer(self) -> None:
        world = self.world
        if world.happens(world.faults.unanswered):
            world.seen["a commit whose answer was lost"] += 1
            world.sleep(world.random.uniform(0, 5))
            raise StoreUnavailable("no answer")
        if world.happens(world.faults.doubted):
            world.seen["a commit that met itself"] += 1
            raise Conflict("its first attempt was not heard of")

    def _arrive(
        self,
        process: Process,
        id: str,
        over: str | None,
        document: Job,
        records: Sequence[AnyRecord],
        raws: Mapping[str, bytes],
    ) -> None:
        try:
            self._apply(process, id, over, document, records, raws)
            self.world.seen["a commit that took effect late"] += 1
        except Conflict:
            self.world.seen["a late commit that was refused"] += 1

    def _begin_in_steps(self, id: str, over: str | None, records: Sequence[AnyRecord]) -> str:
        """Some records, guarded, before the rest and the document come."""
        self._guard(id, over)
        held = self.documents[id]
        self._begun(id, held.document).is_in_steps = True
        some = records[: self.world.random.randrange(1, len(records))]
        self.records.update((record.id, record) for record in some)
        version = str(next(self._versions))
        self.documents[id] = Versioned(held.document, version)
        self.world.seen["a commit in steps"] += 1
        self._reach("the rest of a commit")
        return version

    # Effects

    def _guard(self, id: str, over: str | None) -> None:
        held = self.documents.get(id)
        if self.guards and (held.version if held is not None else None) != over:
            self.world.seen["a conflict"] += 1
            raise Conflict(id)

    def _added(self, records: Sequence[AnyRecord]) -> Added:
        new = sum(record.id not in self.records for record in records)
        known = len(records) - new
        return Added({"event": new} if new else {}, {"event": known} if known else {})

    def _apply(
        self,
        process: Process,
        id: str,
        over: str | None,
        document: Job,
        records: Sequence[AnyRecord],
        raws: Mapping[str, bytes],
    ) -> Versioned[Job]:
        self._guard(id, over)
        held = self.documents.get(id)
        self._judge(process, id, held.document if held is not None else None, document, records)
        if held is None or held.document.begun != document.begun:
            self.begun[id, document.begun] = Begun(frozenset(self.records))
        self.records.update((record.id, record) for record in records)
        self.raws.update(raws)
        written = Versioned(document, str(next(self._versions)))
        self.documents[id] = written
        process.owes_a_task = document.state == "ready"
        return written

    def _begun(self, id: str, document: Job) -> Begun:
        return self.begun[id, document.begun]

    # What must hold of each effect

    def _judge(
        self,
        process: Process,
        id: str,
        before: Job | None,
        after: Job,
        records: Sequence[AnyRecord],
    ) -> None:
        if before is None or before.begun != after.begun:
            self._judge_beginning(id, before, after, records)
            return
        if after.token < before.token:
            self.world.violated(f"the token {after.token} of {id} took effect after {before.token}")
        if after.progress.done < before.progress.done:
            self.world.violated(f"the progress of {id} fell")
        if after.commits != before.commits or records:
            self._judge_commit(process, id, before, after)
        else:
            self._judge_moving(process, id, before, after)
        if after.state != before.state:
            self.world.seen[after.state] += 1

    def _judge_beginning(
        self, id: str, before: Job | None, after: Job, records: Sequence[AnyRecord]
    ) -> None:
        if records or after.cursor is not None:
            self.world.violated(f"{id} was begun with something in it")
        if before is not None and after.token <= before.token:
            self.world.violated(f"{id} was begun anew without a new token")

    def _judge_moving(self, process: Process, id: str, before: Job, after: Job) -> None:
        """Of whatever is not a run's commit: a claim, a wish, a revival."""
        begun = self._begun(id, before)
        if after.cursor != before.cursor or after.progress != before.progress:
            self.world.violated(f"the cursor or the counters of {id} changed without a commit")
        if after.token == before.token + 1 and after.state == "running":
            self._judge_claim(process, id, before, begun)
            process.granted[id] = after.token
        if after.state == "failed" != before.state:
            self._judge_giving_up(id, after, begun)
        if after.tries == 0:
            begun.claims = 0  # the owner resumed it

    def _judge_claim(self, process: Process, id: str, before: Job, begun: Begun) -> None:
        world = self.world
        if before.state not in UNFINISHED:
            world.violated(f"a job that is {before.state} was claimed")
        if before.lease is not None:
            left = (before.lease - world.beginning).total_seconds() - world.now - process.skew
            if left > 0 and world.clocks_are_right:
                world.violated(f"{id} was claimed while another run had it")
        if any(id in other.granted for other in world.alive):
            world.seen["two runs at once"] += 1
        begun.claims += 1

    def _judge_commit(self, process: Process, id: str, before: Job, after: Job) -> None:
        violated = self.world.violated
        begun = self._begun(id, before)
        granted = process.granted.get(id)
        if granted != before.token:
            violated(f"a run with token {granted} committed to {id}, which {before.token} has")
        if after.commits != before.commits + 1:
            violated(f"the commits of {id} went from {before.commits} to {after.commits}")
        if before.state != "running":
            violated(f"a run committed to {id}, which was {before.state}")
        moved = after.cursor != before.cursor or after.state == "done"
        if moved and after.tries != 0:
            violated(f"{id} moved on with {after.tries} tries")
        in_peace = after.state != "running" and after.last_error == before.last_error
        if not moved and after.tries not in {before.tries, before.tries - in_peace}:
            violated(f"the tries of {id} changed though it did not move")
        begun.claims = 0 if moved else begun.claims - (after.tries < before.tries)
        if after.state != "running":
            process.granted.pop(id, None)

    def _judge_giving_up(self, id: str, after: Job, begun: Begun) -> None:
        if begun.claims < MOST_TRIES:
            self.world.violated(f"{id} was given up after {begun.claims} claims")
        if not after.last_error:
            self.world.violated(f"{id} was given up without a reason")


@dataclass
class _Waiting:
    task: Task
    due: float
    calls: int = 0


class SimQueue:
    """At least once, in no order. call: what a task is delivered to; raises when it fails."""

    def __init__(self, world: World, call: Callable[[Task], None]) -> None:
        self.world = world
        self._call = call
        self._tasks: dict[str, _Waiting] = {}
        self._used: dict[str, float] = {}

    def add(self, task: Task) -> bool:
        world = self.world
        world.effect()
        if world.happens(world.faults.unavailable):
            raise QueueUnavailable("not just now")
        if task.name in self._tasks or self._used.get(task.name, -1) > world.now:
            world.seen["a used name"] += 1
            return False
        if world.happens(world.faults.refused):
            world.seen["a refused name"] += 1
            self._used[task.name] = world.now + world.random.uniform(0, DAY)
            return False
        after = (
            (task.after - world.beginning).total_seconds() - world.jump if task.after else world.now
        )
        self._tasks[task.name] = _Waiting(task, max(after, world.now))
        world.process.owes_a_task = False
        self._deliver(task.name)
        if world.happens(world.faults.twice):
            world.seen["a task called twice"] += 1
            self._deliver(task.name)
        if world.happens(world.faults.unanswered):
            world.seen["an added task whose answer was lost"] += 1
            raise QueueUnavailable("no answer")
        world.effect()
        return True

    def waiting(self) -> Iterator[Waiting]:
        world = self.world
        world.effect()
        if world.happens(world.faults.unavailable):
            raise QueueUnavailable("not just now")
        found = [(name, one.calls, one.due + world.jump) for name, one in self._tasks.items()]
        world.effect()
        for name, calls, due in found:
            yield Waiting(name, calls, world.beginning + timedelta(seconds=due))

    def close(self) -> None: ...

    def _deliver(self, name: str) -> None:
        world = self.world
        delay = world.random.random()
        if world.happens(world.faults.delayed):
            world.seen["a delayed task"] += 1
            delay = world.random.uniform(0, 300)
        world.at(self._tasks[name].due + delay, lambda: self._start(name))

    def _start(self, name: str) -> None:
        waiting = self._tasks.get(name)
        if waiting is None:
            return
        if self.world.happens(self.world.faults.dropped):
            self.world.seen["a dropped task"] += 1
            self._end(name)
            return
        waiting.calls += 1
        self.world.start(f"call {waiting.calls} of {name}", lambda: self._run(waiting))

    def _run(self, waiting: _Waiting) -> None:
        name, ok = waiting.task.name, False
        try:
            self._call(waiting.task)
            ok = True
        finally:
            if self._tasks.get(name) is waiting:
                if ok or waiting.calls >= _MOST_CALLS:
                    self._end(name)
                else:
                    waiting.due = self.world.now + 5 * 2**waiting.calls
                    self._deliver(name)

    def _end(self, name: str) -> None:
        self._used[name] = self.world.now + self.world.random.uniform(0, DAY)
        del self._tasks[name]


@dataclass
class SimSpool:
    """Named pieces that jobs have in hand. Each by whom, so that what stays can be explained.

    left: those that could not be reached when they were to be forgotten.
    """

    world: World
    pieces: dict[str, dict[int, Process]] = field(default_factory=dict)
    left: set[str] = field(default_factory=set)

    def put(self, job: str, piece: int) -> None:
        self._reach()
        self.pieces.setdefault(job, {})[piece] = self.world.process
        self.world.effect()

    def has(self, job: str, piece: int) -> bool:
        self._reach()
        return piece in self.pieces.get(job, {})

    def forget(self, job: str) -> None:
        self.left.add(job)
        self._reach()
        self.left.discard(job)
        self.pieces.pop(job, None)
        self.world.effect()

    def _reach(self) -> None:
        self.world.effect()
        if self.world.happens(self.world.faults.unavailable):
            raise OSError("the blobs cannot be reached")


@dataclass
class SimKeeps:
    world: World
    kept: set[int] = field(default_factory=set)

    def put(self, data: bytes) -> str:
        self.world.effect()
        if self.world.happens(self.world.faults.unavailable):
            self.world.seen["keeps that could not be reached"] += 1
            raise OSError("the blobs cannot be reached")
        self.kept.add(len(data))
        self.world.effect()
        return ""
