"""The ports of a fleet of collectors: a store that judges each effect, a queue that may fall
silent, a service that does as its script says, whoever is told, and the platform's counters."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from random import Random
from typing import Any

from msgspec import Struct
from msgspec.structs import replace

from shared.collecting.slots import collector_in
from shared.counters.protocol import Reading, Unknown
from shared.ha.allowances import Allowance, began
from shared.ha.collectors import COLLECTORS, Collectors
from shared.ha.outbox import Alert, Outbox
from shared.ha.watching import WATCHED, Watched
from shared.meter import spend
from shared.model.records import AnyRecord
from shared.model.steps import Step
from shared.model.time import from_micros
from shared.queue.protocol import QueueUnavailable, Task, Waiting
from shared.services.protocol import Asked, NotLetIn
from shared.store.protocol import Conflict, Found, StoreUnavailable, Versioned
from shared.work.jobs import LEASE, Job
from tests.sim import invariants
from tests.sim.invariants import Sight
from tests.sim.ports import SimQueue, SimStore
from tests.sim.works import record
from tests.sim.world import Process, World

POSITIONS: Mapping[str, float] = {
    "just before": -1.0,
    "at": 0.0,
    "just after": 1.0,
    "twice": 2.0,
}
"""Of a fault to a deadline: seconds beside it, but for the last."""


def at_position(position: str, deadline: float) -> float:
    return 2 * deadline if position == "twice" else deadline + POSITIONS[position]


@dataclass
class Swept:
    """What one sweep saw and did."""

    now: datetime | None = None
    config: Collectors | None = None
    jobs: dict[str, Job] = field(default_factory=dict)
    queued: set[str | None] | None = None
    added: set[str | None] = field(default_factory=set)
    wrote: bool = False
    completed: bool = False


@dataclass
class Ledgers:
    """What the invariants have to know of all that happened before."""

    done: set[tuple[str, datetime, int]] = field(default_factory=set)
    done_with: dict[str, int] = field(default_factory=dict)
    grants: dict[tuple[str, datetime, int], Process] = field(default_factory=dict)
    stuck: list[tuple[str, datetime]] = field(default_factory=list)
    holds: list[Collectors] = field(default_factory=list)
    made: dict[str, Alert] = field(default_factory=dict)
    told: dict[str, datetime] = field(default_factory=dict)
    sweeps: dict[Process, Swept] = field(default_factory=dict)


class FleetStore(SimStore):
    """Also keeps the node's own documents. every: how often somebody sweeps."""

    def __init__(self, world: World, every: timedelta) -> None:
        super().__init__(world)
        self.kept: dict[str, Versioned[Any]] = {}
        self.every = every
        self.known = Ledgers()

    # The node's own documents

    def read(self, type: type[Any], name: str) -> Versioned[Any] | None:
        self._reach()
        held = self.kept.get(name)
        spend(reads=1, calls=1)
        if self.swept is not None and name == COLLECTORS and self.swept.config is None:
            self.swept.config = self.config
        self.world.effect()
        return held

    def write(self, name: str, document: Struct, *, over: str | None) -> str:
        self._reach("a write")
        spend(writes=1, calls=1)
        held = self.kept.get(name)
        if self.guards and (held.version if held is not None else None) != over:
            self.world.seen["a document in conflict"] += 1
            raise Conflict(name)
        if name == WATCHED and isinstance(document, Watched):
            self._judge_watched(held.document if held is not None else Watched(), document)
        if self.swept is not None and isinstance(document, Collectors):
            self.swept.config = document  # it lets some wait
            self.known.holds.append(document)
        written = Versioned(document, str(next(self._versions)))
        self.kept[name] = written
        if self.world.happens(self.world.faults.unanswered):
            self.world.seen["a write whose answer was lost"] += 1
            raise StoreUnavailable("no answer")
        self.world.effect()
        return written.version

    def stamp(self) -> bytes:
        return b""

    def due(
        self, type: type[Any], family: str, before: datetime, *, limit: int = 100
    ) -> list[Found[Any]]:
        found = super().due(type, family, before, limit=limit)
        swept = self.swept
        if swept is not None:
            swept.now = before
            swept.jobs = {each.id: each.document for each in found}
        return found

    def control(self, type: type[Any], family: str, id: str) -> Versioned[Any] | None:
        held = super().control(type, family, id)
        if self.swept is not None and held is not None:
            self.swept.jobs[id] = held.document  # who is about to be accused is read again
        return held

    @property
    def swept(self) -> Swept | None:
        """What the sweep that asks now has seen, until it wrote what it made of it."""
        swept = self.known.sweeps.get(self.world.process)
        return swept if swept is not None and not swept.wrote else None

    @property
    def config(self) -> Collectors:
        held = self.kept.get(COLLECTORS)
        return held.document if held is not None else Collectors()

    @property
    def watched(self) -> Watched:
        held = self.kept.get(WATCHED)
        return held.document if held is not None else Watched()

    # What must hold of each effect

    def violated(self, wrong: Iterator[str]) -> None:
        for what in wrong:
            self.world.violated(what)

    def _judge(
        self,
        process: Process,
        id: str,
        before: Job | None,
        after: Job,
        records: Sequence[AnyRecord],
    ) -> None:
        known, granted = self.known, process.granted.get(id)
        token = before.token if before is not None else 0
        violated = self.violated
        violated(
            invariants.i1_a_fenced_run_writes_nothing(id, before, after, len(records), granted)
        )
        grant = (id, after.created, after.token)
        is_claim = after.state == "running" and after.token > token
        twice = is_claim and grant in known.grants
        violated(invariants.i2_a_token_is_granted_once(id, before, after, twice))
        violated(invariants.i3_a_slot_is_done_once(id, before, after, known.done))
        collector = self.config.collectors.get(id)
        if collector is not None and after.token == token:
            violated(invariants.i5_a_slot_stays_within_its_caps(id, after, collector.limits))
        if is_claim:
            process.granted[id] = after.token
            known.grants[grant] = process
            self._note_beginning(id, before, after)
        if invariants.is_done_by(before, after):
            known.done.add((id, after.created, after.spec["slot"]))
            generation = int(after.spec.get("generation", 0))
            known.done_with[id] = max(known.done_with.get(id, 0), generation)

    def _note_beginning(self, id: str, before: Job | None, after: Job) -> None:
        if before is None or before.begun == after.begun or before.state != "running":
            return
        self.world.seen["a slot begun while a run was stuck"] += 1
        self.known.stuck.append((id, from_micros(int(before.spec["slot"]))))

    def _judge_watched(self, before: Watched, after: Watched) -> None:
        world, known, violated = self.world, self.known, self.violated
        swept = self.swept
        config = self.config if swept is None or swept.config is None else swept.config
        new = list(invariants.new_alerts(before, after))
        active = list[str]()
        if swept is not None and swept.now is not None:
            queued = swept.queued or set()
            sight = Sight(config, before, swept.jobs, queued, swept.now, self.every)
            active = sight.active
            violated(invariants.i12_mass_silence_accuses_nobody(sight, after))
            done_with = known.done_with
            violated(invariants.i13_armed_only_when_all_have_acknowledged(config, after, done_with))
            violated(invariants.i6_restarts_stay_within_their_bucket(config, before, after))
            swept.wrote = True
        violated(invariants.i14_one_alert_for_each_transition(active, before, after))
        if world.clocks_are_right:
            violated(invariants.i14_an_alert_is_made_once(new, known.made))
        violated(invariants.r1_restarts_keep_their_distance(before, after))
        known.made |= {alert.id: alert for alert in new}
        self._note_watched(before, after, new)

    def _note_watched(self, before: Watched, after: Watched, new: Sequence[Alert]) -> None:
        seen = self.world.seen
        for alert in new:
            seen[f"alert: {alert.kind}"] += 1
        for id, watch in after.collectors.items():
            was = before.collectors.get(id)
            if watch.status == "suspect" and (was is None or was.status != "suspect"):
                seen["suspect"] += 1
            if was is not None and (was.status, watch.status) == ("late", "failed"):
                seen["late, then failed"] += 1
        if after.arming is not None and after.arming.armed is not None:
            seen["armed"] += 1


class FleetQueue(SimQueue):
    """outages: in which it takes, says and calls nothing. stalls: in which it calls nothing, since
    who does the work is away. delay: of a task by its name, in seconds, besides what is drawn."""

    def __init__(self, world: World, call: Callable[[Task], None], store: FleetStore) -> None:
        super().__init__(world, call)
        self.outages: list[tuple[float, float]] = []
        self.stalls: list[tuple[float, float]] = []
        self.grace = 600.0
        self.delay: Callable[[str], float] = lambda name: 0.0
        self._store = store

    def add(self, task: Task) -> bool:
        self._reach()
        added, swept = super().add(task), self._store.swept
        if added and swept is not None:
            swept.added.add(collector_in(task.name))
        return added

    def waiting(self) -> Iterator[Waiting]:
        self._reach()
        found = list(super().waiting())
        swept = self._store.swept
        if swept is not None:
            swept.queued = {collector_in(one.name) for one in found} | swept.added
        return iter(found)

    def _reach(self) -> None:
        self.world.effect()
        if self._until(self.outages) is not None:
            self.world.seen["the queue was silent"] += 1
            raise QueueUnavailable("an outage")

    def _until(self, spans: Sequence[tuple[float, float]]) -> float | None:
        now = self.world.now
        return next((end for start, end in spans if start <= now < end), None)

    def _deliver(self, name: str) -> None:
        world, waiting = self.world, self._tasks[name]
        if after := self.delay(name):
            world.at(waiting.due + after, lambda: self._start(name))
        elif not waiting.calls and world.happens(world.faults.delayed):
            position = world.random.choice(list(POSITIONS))
            world.seen[f"a task {position} the grace"] += 1
            after = at_position(position, self.grace)
            world.at(waiting.due + after, lambda: self._start(name))
        else:
            super()._deliver(name)

    def _start(self, name: str) -> None:
        end = self._until([*self.outages, *self.stalls])
        if end is None:
            super()._start(name)
        else:
            self.world.at(end + self.world.random.random(), lambda: self._start(name))


MOODS = ("works", "works", "works", "fails", "slow", "hangs", "refuses", "floods", "dies", "stalls")


@dataclass
class Script:
    """How a service is. moods: until when which. is_broken: it lets nobody in, for ever. hangs: so
    many seconds in this call, besides what is drawn."""

    moods: Sequence[tuple[float, str]] = ()
    is_broken: bool = False
    flood: int = 0
    hangs: Callable[[], float] = lambda: 0.0

    @classmethod
    def drawn(cls, random: Random, end: float) -> "Script":
        moods, at = list[tuple[float, str]](), 0.0
        while at < end:
            at += random.uniform(300, 5400)
            moods.append((min(at, end), random.choice(MOODS)))
        return cls(moods, random.random() < 0.1)

    def mood(self, now: float) -> str:
        return next((mood for until, mood in self.moods if now < until), "works")


@dataclass
class FleetService:
    """Each collector has one: a thing each ten minutes, and a flood of them now and then."""

    NAME = "scripted"
    VERSION = 1

    world: World
    scripts: dict[str, Script] = field(default_factory=dict)

    def checked(self, options: Mapping[str, Any]) -> dict[str, Any]:
        return dict(options)

    def total(self, id: str) -> int:
        return int(self.world.now / 600) + 1 + self.scripts[id].flood

    def steps(self, asked: Asked) -> Iterator[Step]:
        id, world, at = asked.collector, self.world, int(asked.cursor or 0)
        script = self.scripts[id]
        mood = script.mood(world.now)
        world.seen[f"the service {mood}"] += 1
        if script.is_broken and mood in ("works", "floods"):
            raise NotLetIn("the service refuses the password; give another")
        if mood == "floods" and not script.flood:
            script.flood = 150
        if hangs := script.hangs():
            world.sleep(hangs)
        self._suffer(mood)
        end = self.total(id)
        while at < end:
            upto = min(end, at + min(5, asked.most))
            yield Step(str(upto), upto, [record(f"{id}-{n}") for n in range(at, upto)])
            at = upto
            self._suffer(mood if mood == "slow" else "works")

    def _suffer(self, mood: str) -> None:
        world, random = self.world, self.world.random
        if mood == "fails" and random.random() < 0.8:
            raise OSError("the server is away")
        if mood == "refuses":
            raise NotLetIn("the service refuses the password; give another")
        if mood == "dies":
            world.die()
        if mood == "slow":
            world.sleep(random.uniform(5, 30))
        if mood in ("hangs", "stalls"):
            position = random.choice(["after the renewal", *POSITIONS])
            world.seen[f"a run that hangs {position} its lease"] += 1
            lease = LEASE.total_seconds()
            world.sleep(
                0.75 * lease if position == "after the renewal" else at_position(position, lease)
            )
        if mood == "stalls":
            world.sleep(3600)


class Post:
    """Whoever is told, one alert at a time."""

    def __init__(self, world: World, known: Ledgers) -> None:
        self.world = world
        self.known = known

    def __call__(self, outbox: Outbox) -> Iterator[Outbox]:
        for alert in outbox.alerts:
            self.world.effect()
            if self.world.happens(self.world.faults.unavailable):
                self.world.seen["a channel that took nothing"] += 1
                return
            self.hand_over(alert)
            self.world.effect()
            rest = tuple(held for held in outbox.alerts if held.id != alert.id)
            outbox = replace(outbox, alerts=rest)
            yield outbox

    def hand_over(self, alert: Alert) -> None:
        for what in invariants.i14_only_what_is_written_is_told(alert, self.known.made):
            self.world.violated(what)
        if alert.id in self.known.told:
            self.world.seen["an alert told again"] += 1
        self.known.told.setdefault(alert.id, self.world.clock())


@dataclass
class FleetCounters:
    """lost: from when on, and how much of the writes somebody else took by then, until the day of
    the quotas ends."""

    world: World
    late: timedelta = timedelta(minutes=4)
    lost: tuple[float, float] | None = None

    def read(self, asked: Mapping[str, Allowance], now: datetime) -> Mapping[str, Reading]:
        self.world.effect()
        found = dict[str, Reading](dict.fromkeys(asked, 0.0))
        if self.world.happens(self.world.faults.unavailable):
            found["firestore.writes"] = Unknown("it cannot be asked now")
        elif self.lost is not None and self.world.now >= self.lost[0]:
            since = self.world.beginning + timedelta(seconds=self.lost[0])
            if began("day", since) == began("day", now):
                found["firestore.writes"] = self.lost[1]
        return found
