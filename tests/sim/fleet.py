"""One history of a fleet of collectors: hours of trouble, then peace, in which all must be up."""

from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from random import Random
from typing import Any

import msgspec
from msgspec.structs import replace

from shared.collecting.books import Books
from shared.collecting.collecting import Collecting, kind
from shared.collecting.configuring import note_measured
from shared.collecting.monitor import Monitor
from shared.collecting.periods import AT_HOME_EACH, IN_CLOUD_EACH
from shared.collecting.slots import WORK
from shared.collecting.work import CollectWork
from shared.commands import collectors as commands
from shared.commands.errors import Refused
from shared.ha.allowances import end_of
from shared.ha.collectors import Caps, Collectors, Declared, offset_of
from shared.http.errors import Problem
from shared.http.work import Call, called
from shared.model.profile import Profile
from shared.model.time import from_micros
from shared.node import Node
from shared.queue.protocol import QueueError, Task
from shared.sealing import MasterKey
from shared.settings import FirestoreDatabase, Settings
from shared.store.protocol import StoreError
from shared.work.engine import Engine
from tests.sim import invariants
from tests.sim.fleet_ports import (
    FleetCounters,
    FleetQueue,
    FleetService,
    FleetStore,
    Ledgers,
    Post,
    Script,
    Swept,
)
from tests.sim.ports import LATEST, SimKeeps
from tests.sim.world import Faults, Killed, World

BEGINNINGS: Mapping[str, datetime] = {
    "an ordinary day": datetime(2026, 11, 22, 3, tzinfo=UTC),
    "a day of 25 hours in California": datetime(2026, 11, 1, 4, 30, tzinfo=UTC),
    "a day of 23 hours in California": datetime(2027, 3, 14, 5, 30, tzinfo=UTC),
    "a night of Berlin with an hour twice": datetime(2026, 10, 24, 22, tzinfo=UTC),
    "a night of Berlin without an hour": datetime(2027, 3, 27, 22, tzinfo=UTC),
}
"""A few hours before the midnight of the quotas, or before the clocks of a zone change."""
CHANGES = (
    datetime(2026, 11, 1, 9, tzinfo=UTC),
    datetime(2027, 3, 14, 10, tzinfo=UTC),
    datetime(2026, 10, 25, 1, tzinfo=UTC),
    datetime(2027, 3, 28, 1, tzinfo=UTC),
)
BEGUN = 300.0
"""Seconds of peace in which the fleet is set up."""
COPY = 60.0
"""Seconds that a copy of what is configured may be old, in the cloud."""
SCHEDULES = ("every 5m", "every 15m", "every 15m", "every 30m", "every 1h", "20 * * * *")
NIGHTLY = ("30 2 * * *", "15 1-3 * * *")
ZONES = ("Europe/Berlin", "America/Los_Angeles")
LEVELS = ("protected", "protected", "protected", "best-effort", "unprotected")
COMMANDS = ("pause", "resume", "change", "remove", "add", "level", "ask")


@dataclass
class Lived:
    seed: int
    wrong: list[str]
    seen: Counter[str]


def declared(random: Random) -> Declared:
    nightly = random.random() < 0.15
    return Declared(
        service="scripted",
        schedule=random.choice(NIGHTLY if nightly else SCHEDULES),
        zone=random.choice(ZONES),
        level=random.choice(LEVELS),  # type: ignore[arg-type]
        priority=random.choice((1, 100)),
        grace=random.choice((150, 600, 600)),
        caps=Caps(
            writes=random.choice((10, 20, 40)), seconds=5, object_writes=0, object_megabytes=0
        ),
    )


class Fleet:
    """store, engine, post: what makes one, so that a test may give a broken one.

    faults: of those that are not drawn; nothing else befalls such a fleet. trouble: seconds until
    all shall be well, of these. wanted: the fleet, at home, in place of a drawn one.
    """

    def __init__(
        self,
        seed: int,
        *,
        store: Callable[[World, timedelta], FleetStore] = FleetStore,
        engine: Callable[..., Engine] = Engine,
        post: Callable[[World, Ledgers], Post] = Post,
        faults: Faults | None = None,
        trouble: float = BEGUN,
        wanted: Mapping[str, Declared] | None = None,
    ) -> None:
        random = Random(seed)
        self.seed = seed
        self._random = random
        self._engine_of = engine
        self.at_home = random.random() < 0.25 or wanted is not None
        self.every = AT_HOME_EACH if self.at_home else IN_CLOUD_EACH
        name = random.choice(list(BEGINNINGS))
        drawn = Faults.drawn(random) if faults is None else faults
        if faults is None:
            hours = random.uniform(0.3, 0.8) if self.at_home else random.uniform(1, 5)
            trouble = hours * 3600
        self.world = world = World(random, Faults(), trouble, BEGINNINGS[name])
        self._faults = drawn
        self._is_drawn = faults is None
        self.store = store(world, self.every)
        self.queue = FleetQueue(world, self._call, self.store)
        self.post = post(world, self.store.known)
        self.counters = FleetCounters(world)
        self.service = FleetService(world)
        self.wanted = (
            {f"c{n}": declared(random) for n in range(random.randrange(1, 11))}
            if wanted is None
            else wanted
        )
        # Where all come often, who does the work is away for an hour: nothing is heard of any.
        self._is_brisk = self._is_drawn and wanted is None and random.random() < 0.25
        if self._is_brisk:
            self.wanted = {
                id: replace(one, schedule="every 15m", caps=replace(one.caps, writes=10))
                for id, one in self.wanted.items()
            }
        for id in self.wanted:
            self.service.scripts[id] = Script.drawn(random, trouble) if faults is None else Script()
        self._excused = set[str]()
        self._copy: tuple[float, Collectors] | None = None
        self._end: float | None = None
        self._is_away = False
        self._settings = Settings(
            firestore=None if self.at_home else FirestoreDatabase("p", "d"),
        )

    def play(self) -> Lived:
        world = self.world
        world.start("owner", self._set_up)
        world.at(BEGUN, self._begin_trouble)
        self._each(60.0, "tick", self._tick, 60.0)
        self._each(90.0, "sweep", self._sweep, self.every.total_seconds())
        world.at(max(BEGUN, world.faults_end) + LATEST, self._insist)
        world.run(world.faults_end + 8 * 3600, self._is_settled)
        if not world.wrong:
            self._judge()
        return Lived(self.seed, world.wrong, world.seen)

    # What happens

    def _begin_trouble(self) -> None:
        world, random, end = self.world, self._random, self.world.faults_end
        world.faults = self._faults
        if not self._is_drawn:
            return
        for outages in (world.outages, self.queue.outages):
            for _ in range(random.choice((0, 0, 1, 2))):
                start = random.uniform(BEGUN, end)
                outages.append((start, min(end, start + random.choice((60, 600, 1800, 3600)))))
        midnight = (end_of("day", world.beginning) - world.beginning).total_seconds()
        if random.random() < 0.4 and not self.at_home and midnight < 6 * 3600:
            lost = random.uniform(BEGUN, min(end, midnight))
            self.counters.lost = (lost, random.choice((17_500, 19_900)))
        if self._is_brisk or random.random() < 0.2:
            start = random.uniform(BEGUN, max(BEGUN, end - 3600))
            self.queue.stalls.append((start, min(end, start + random.choice((1200, 3600)))))
        self._run_beside_slots(end)
        for _ in range(random.choice((0, 2, 6, 12))):
            what = random.choice(COMMANDS)
            id = random.choice(list(self.wanted))
            world.at(
                random.uniform(BEGUN, end),
                lambda what=what, id=id: world.start("owner", lambda: self._command(what, id)),  # type: ignore[misc]
            )

    def _run_beside_slots(self, end: float) -> None:
        """The owner is impatient when a slot comes, as if knowing."""
        world, random = self.world, self._random
        for id, collector in self.store.config.collectors.items():
            if random.random() < 0.2:
                after = world.beginning + timedelta(seconds=random.uniform(BEGUN, end))
                slot = collector.slots.next(after, offset_of(id, collector.slots))
                time = (slot - world.beginning).total_seconds() + random.uniform(-60, 60)
                if time < end:
                    world.at(
                        time,
                        lambda id=id: world.start("owner", lambda: self._command("run", id)),  # type: ignore[misc]
                    )

    def _each(self, time: float, name: str, body: Callable[[], None], every: float) -> None:
        def again() -> None:
            if not self.world.happens(0.02):
                self.world.start(name, body)
            self._each(time + every, name, body, every)

        self.world.at(time, again)

    # The functions

    def _config(self) -> Collectors:
        """At home as it is, in the cloud perhaps a little old."""
        now = self.world.now
        if not self.at_home and self._copy is not None and now < self._copy[0] + COPY:
            return self._copy[1]
        held = self.store.read(Collectors, "collectors")
        config = held.document if held is not None else Collectors()
        self._copy = (now, config)
        return config

    def _engine(self) -> Engine:
        world = self.world
        work = CollectWork(
            self._config,
            Profile,
            lambda: MasterKey(bytes(32)),
            {"scripted": self.service},
            world.clock,
        )
        return self._engine_of(
            store=self.store,
            queue=self.queue,
            keeps=SimKeeps(world),
            works={WORK: work},
            kind=kind(
                self._config,
                lambda id, took: note_measured(self.store, id, took),  # type: ignore[arg-type]
                world.clock,
            ),
            clock=world.clock,
            monotonic=world.monotonic,
            stopping=lambda: world.happens(world.faults.crowded / 4),
            memory=lambda: 2 * 10**9 if world.happens(world.faults.crowded) else 0,
        )

    def _collecting(self) -> Collecting:
        return Collecting(self.store, self._engine(), self._config, self.world.clock)  # type: ignore[arg-type]

    def _tick(self) -> None:
        try:
            self._collecting().tick()
        except (StoreError, QueueError):
            self.world.seen["a tick that could not look"] += 1

    def _call(self, task: Task) -> None:
        call = msgspec.convert(dict(task.body), Call)
        again, id = call.again, str(call.collector)
        at = from_micros(call.slot) if call.slot is not None else None
        try:
            outcome = called(self._collecting(), id, call)
        except (StoreError, Problem) as error:
            is_later = isinstance(error, Problem)
            self.world.seen["a slot while a run goes on" if is_later else "a store in a call"] += 1
            self.world.process.failed = True
            raise Killed from None  # what calls it must call again
        seen = self.world.seen
        seen[f"outcome {outcome}"] += 1
        if again and outcome == "done":
            seen["caught up by a restart"] += 1
        if again and outcome == "stale":
            seen["a restart that came too late"] += 1
        if at is not None and outcome == "done":
            near = any(abs(at - change) <= timedelta(hours=1, minutes=30) for change in CHANGES)
            cron = not self.wanted[id].schedule.startswith("every")
            seen["a slot by the clock while clocks change"] += near and cron

    def _sweep(self) -> None:
        world, process = self.world, self.world.process
        swept = self.store.known.sweeps[process] = Swept()
        monitor = Monitor(
            store=self.store,  # type: ignore[arg-type]
            collecting=self._collecting(),
            clock=world.clock,
            every=self.every,
            tell=self.post,
            books=Books(self.store, lambda: 1, None if self.at_home else self.counters),  # type: ignore[arg-type]
            reports=dict,
            spares=not self.at_home,
            completed=lambda: setattr(swept, "completed", True),
        )
        raised = True
        try:
            monitor.sweep()
            raised = False
            world.seen["the store was away, and is back"] += self._is_away
            self._is_away = False
        except (StoreError, QueueError) as error:
            self._is_away = str(error) == "an outage" and isinstance(error, StoreError)
            world.seen["a sweep that could not look"] += 1
        finally:
            del self.store.known.sweeps[process]
        self.store.violated(
            invariants.l3_only_a_whole_sweep_gives_a_sign_of_life(
                swept.completed, swept.wrote, raised
            )
        )

    # The owner

    @property
    def _node(self) -> Node:
        return Node(self._settings, self.store, self.world.clock)  # type: ignore[arg-type]

    def _set_up(self) -> None:
        for id in self.wanted:
            self._obey("add", id)

    def _command(self, what: str, id: str) -> None:
        try:
            self._obey(what, id)
        except StoreError:
            self.world.seen["owner: told to try again"] += 1

    def _obey(self, what: str, id: str) -> None:
        node, random, seen = self._node, self._random, self.world.seen
        seen[f"owner: {what}"] += 1
        if what in ("pause", "remove", "change", "level"):
            self._excused.add(id)
        services: Mapping[str, Any] = {"scripted": self.service}
        try:
            match what:
                case "add":
                    commands.add(node, services, id, self.wanted[id], None)
                case "remove":
                    commands.remove(node, id)
                case "pause" | "resume":
                    commands.pause(node, id, paused=what == "pause")
                case "change":
                    schedule = random.choice(("every 1m", "every 5m", "every 15m"))
                    commands.change(node, services, id, {"schedule": schedule}, {}, {}, None)
                case "level":
                    level = random.choice(LEVELS)
                    commands.change(node, services, id, {"level": level}, {}, {}, None)
                case "run":
                    commands.run(node, id)
                    seen["a run beside a slot"] += self._has_slot(id)
                case "ask":
                    commands.what_if(node, [f"tolerate {random.randrange(5)}"])
        except Refused as refused:
            seen["a refused change"] += "leave no plan" in str(refused)

    def _has_slot(self, id: str) -> bool:
        """Whether one of its own is at hand, too: its task waits, or comes within two minutes."""
        now = self.world.beginning + timedelta(seconds=self.world.now)
        collector = self.store.config.collectors.get(id)
        if collector is None:
            return False
        offset = offset_of(id, collector.slots)
        near = collector.slots.next(now, offset) - now < timedelta(minutes=2)
        return near or now - collector.slots.last(now, offset) < timedelta(minutes=2)

    def _insist(self) -> None:
        """The owner's last word, once nobody sleeps over an earlier one: nothing stays paused."""
        world = self.world

        def resumes() -> None:
            for id, collector in self.store.config.collectors.items():
                if collector.paused:
                    self._obey("resume", id)

        if any(process.name == "owner" for process in world.alive):
            world.at(world.now + 60, self._insist)
        else:
            world.start("owner", resumes)
            world.at(world.now + 60, self._find_end)

    # What must hold in the end

    def _find_end(self) -> None:
        """A slot of each after all is well, its grace, and some sweeps."""
        config, world = self.store.config, self.world
        now = world.beginning + timedelta(seconds=world.now)
        wait = max([self._wait(id, now) for id in config.collectors], default=timedelta(0))
        sweeps = max(3 * self.every, timedelta(minutes=5))
        self._end = world.now + min(wait, timedelta(hours=2.5)).total_seconds()
        held = config.held
        if held is not None and now < held.until < now + timedelta(hours=6):
            self._end += (held.until - now).total_seconds()
        self._end += sweeps.total_seconds()

    def _wait(self, id: str, now: datetime) -> timedelta:
        collector = self.store.config.collectors[id]
        slot = collector.slots.next(now, offset_of(id, collector.slots))
        return slot - now + timedelta(seconds=LATEST + 600)

    def _was_held(self, id: str, due: datetime) -> bool:
        """Whether it had to wait when that slot came, or might have by a clock that is wrong."""
        configured = [*self.store.known.holds, self.store.config]
        holds = [config for config in configured if id in config.collectors]
        return any(config.is_held(id, due - timedelta(minutes=20)) for config in holds)

    def _is_settled(self) -> bool:
        return self._end is not None and self.world.now >= self._end

    def _judge(self) -> None:
        store, world = self.store, self.world
        known, violated = store.known, store.violated
        violated(invariants.i14_every_alert_is_told(known.made, known.told))
        now = world.beginning + timedelta(seconds=world.now)
        waiting = {id for id in store.config.collectors if store.config.is_held(id, now)}
        violated(
            invariants.t1_a_stuck_run_is_told_of(
                known.stuck, known.made.values(), self._excused | waiting
            )
        )
        healed = world.beginning + timedelta(seconds=world.faults_end + LATEST)
        for id, collector in store.config.collectors.items():
            held = store.documents.get(id)
            job = held.document if held is not None else None
            slots, offset = collector.slots, offset_of(id, collector.slots)
            due = slots.last(now - timedelta(seconds=700), offset)
            if collector.paused or self._was_held(id, due):
                continue
            if due >= healed + timedelta(minutes=5):
                violated(
                    invariants.l2_all_are_up(
                        id, job, store.watched, due, self.service.scripts[id].is_broken, now
                    )
                )
            for n in range(int(job.cursor or 0) if job is not None else 0):
                if f"{id}-{n}" not in store.records:
                    world.violated(f"{id} lost its record {n}")
                    break
