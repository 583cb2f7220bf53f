"""One history: jobs among faults, then peace, in which everything must come to its end."""

from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from random import Random

from shared.queue.protocol import QueueError, Task
from shared.store.protocol import StoreError
from shared.work.engine import Engine
from shared.work.jobs import ENDED, Job
from shared.work.runs import Budget
from tests.sim.ports import LATEST, SimKeeps, SimQueue, SimSpool, SimStore
from tests.sim.works import Plan, SimWork
from tests.sim.world import Faults, Killed, World

PATIENCE = 6 * 3600.0
"""Seconds of peace after which nothing may be left to do."""
COMMANDS = ("pause", "resume", "cancel", "submit", "again", "upgrade")


@dataclass
class Outcome:
    seed: int
    wrong: list[str]
    seen: Counter[str]


class History:
    """engine: what makes one, so that a test may give a broken one. faults: none for peace."""

    def __init__(
        self,
        seed: int,
        *,
        engine: Callable[..., Engine] = Engine,
        store: Callable[[World], SimStore] = SimStore,
        faults: Faults | None = None,
    ) -> None:
        random = Random(seed)
        self.seed = seed
        self._make = engine
        self._random = random
        trouble = random.uniform(100, 1500) if faults is None else 0.0
        drawn = Faults.drawn(random) if faults is None else faults
        self.world = world = World(random, drawn, trouble)
        self.store = store(world)
        self.spool = SimSpool(world)
        self.keeps = SimKeeps(world)
        self.queue = SimQueue(world, self._call)
        plans = {f"job{i}": Plan.drawn(random) for i in range(random.choice((1, 1, 2)))}
        self.work = SimWork(world, self.spool, plans)
        self._budget = Budget(
            seconds=random.choice((3, 20, 45)), writes=random.choice((8, 40, 10_000))
        )
        self._has_insisted = False
        self._last_wishes: set[str] = set()

    def play(self) -> Outcome:
        world = self.world
        for name in self.work.plans:
            self._command(self._random.uniform(0, 5), "submit", name)
        if world.is_faulty():
            self._trouble()
        self._insist_after(world.faults_end + LATEST)
        self._sweeps(30.0)
        world.run(world.faults_end + PATIENCE, self._is_settled)
        if not world.wrong:
            self._judge()
        return Outcome(self.seed, world.wrong, world.seen)

    # What happens

    def _trouble(self) -> None:
        world, random, end = self.world, self._random, self.world.faults_end
        for _ in range(random.choice((0, 0, 1, 3))):
            start = random.uniform(0, end)
            world.outages.append((start, min(end, start + random.uniform(5, 300))))
        for _ in range(random.choice((0, 1, 4, 10))):
            self._command(
                random.uniform(0, end),
                random.choice(COMMANDS),
                random.choice(list(self.work.plans)),
            )
        if not world.clocks_are_right:
            for _ in range(random.randrange(4)):
                jump = random.choice((-86_400, -3600, -60, 0, 60, 3600, 86_400))
                world.at(random.uniform(0, end), lambda jump=jump: self._jump(jump))  # type: ignore[misc]
            if random.random() < 0.5:
                world.at(end, lambda: self._jump(0))

    def _jump(self, to: float) -> None:
        self.world.jump = to
        self.world.seen["a jump of the clock"] += 1

    def _engine(self) -> Engine:
        return self._make(
            store=self.store,
            queue=self.queue,
            keeps=self.keeps,
            works={"sim": self.work},
            budget=self._budget,
            clock=self.world.clock,
            monotonic=self.world.monotonic,
            stopping=lambda: self.world.happens(self.world.faults.crowded / 4),
            memory=lambda: 2 * 10**9 if self.world.happens(self.world.faults.crowded) else 0,
        )

    def _call(self, task: Task) -> None:
        id, token = str(task.body["job"]), int(task.body["token"])
        try:
            outcome = self._engine().run(id, token)
        except StoreError:
            self.world.seen["a run that the store ended"] += 1
            self.world.process.failed = True
            raise Killed from None  # what calls it must call again
        self.world.seen[f"outcome {outcome}"] += 1

    def _sweeps(self, time: float) -> None:
        def sweep() -> None:
            if not self.world.happens(0.2):
                self.world.start("sweep", self._sweep)
            self._sweeps(time + 60)

        self.world.at(time, sweep)

    def _sweep(self) -> None:
        try:
            self.world.seen["revived by a sweep"] += len(self._engine().sweep())
        except (StoreError, QueueError):
            self.world.seen["a sweep that could not look"] += 1

    # The owner

    def _command(self, time: float, what: str, name: str) -> None:
        self.world.at(time, lambda: self.world.start(what, lambda: self._obey(what, name)))

    def _obey(self, what: str, name: str) -> None:
        engine, spec = self._engine(), {"name": name}
        self.world.seen[f"owner: {what}"] += 1
        try:
            if what == "upgrade":
                self.work.version += 1
            elif what == "insist":
                self._insist(engine, name)
            elif what in ("submit", "again"):
                engine.submit(name, "sim", spec, name, again=what == "again")
            else:
                {"pause": engine.pause, "resume": engine.resume, "cancel": engine.cancel}[what](
                    name
                )
        except LookupError:
            self.world.seen["owner: no such job"] += 1
        except StoreError:
            self.world.seen["owner: told to try again"] += 1

    def _insist_after(self, time: float) -> None:
        """Once nobody is left who sleeps over an earlier wish."""

        def insist() -> None:
            if any(process.name in COMMANDS for process in self.world.alive):
                self._insist_after(time + 60)
            else:
                for name in self.work.plans:
                    self.world.start("insist", lambda name=name: self._obey("insist", name))  # type: ignore[misc]
                self._has_insisted = True

        self.world.at(time, insist)

    def _insist(self, engine: Engine, name: str) -> None:
        """The owner's last word. Mostly that it shall be done."""
        word = self._random.random()
        begun = name in self.store.documents
        if begun and word < 0.1:
            engine.cancel(name)
        elif begun and word < 0.2:
            engine.pause(name)
        else:
            engine.submit(name, "sim", {"name": name}, name)
            self._last_wishes.add(name)

    # What must hold in the end

    def _is_settled(self) -> bool:
        if not self._has_insisted:
            return False
        jobs = [held.document for held in self.store.documents.values()]
        return len(jobs) == len(self.work.plans) and all(
            job.state not in ("ready", "running") and job.due is None for job in jobs
        )

    def _judge(self) -> None:
        for name, plan in self.work.plans.items():
            held = self.store.documents.get(name)
            if held is None:
                self.world.violated(f"{name} was never begun")
            else:
                self._judge_job(name, plan, held.document)
        self._judge_spool()

    def _judge_job(self, name: str, plan: Plan, job: Job) -> None:
        violated = self.world.violated
        if job.state in ("ready", "running") or job.due is not None:
            violated(f"{name} sleeps: {job}")
            return
        if job.lease is not None or job.wish is not None:
            violated(f"{name} is {job.state}, and yet held or wished for: {job}")
        if name in self._last_wishes:
            self._judge_end(name, plan, job)
        self._judge_records(name, plan, job)

    def _judge_end(self, name: str, plan: Plan, job: Job) -> None:
        due = "done" if plan.good == plan.parts else "failed"
        if job.state != due:
            self.world.violated(f"{name} is {job.state} instead of {due}: {job.last_error}")
        if due == "done" and job.last_error is not None:
            self.world.violated(f"{name} is done, and yet says {job.last_error}")
        if due == "failed" and not job.last_error:
            self.world.violated(f"{name} failed without a word")
        if due == "failed" and int(job.cursor or 0) != plan.pieces + plan.good:
            self.world.violated(f"{name} failed at {job.cursor}, not where it is broken")

    def _judge_records(self, name: str, plan: Plan, job: Job) -> None:
        violated, store = self.world.violated, self.store
        begun = store.begun[name, job.begun]
        parts = max(0, int(job.cursor or 0) - plan.pieces)
        expected = plan.ids(name, parts)
        new, known = job.progress.new.get("event", 0), job.progress.known.get("event", 0)
        if new + known != len(expected):
            violated(f"{name} counts {new} new and {known} known of {len(expected)}")
        really_new = len(set(expected) - begun.known)
        if new > really_new or (new < really_new and not begun.is_in_steps):
            violated(f"{name} counts {new} new, of which {really_new} are")
        if missing := [id for id in expected if id not in store.records]:
            violated(f"{name} lost {missing}")
        every = plan.ids(name, plan.good)
        if strange := [id for id in store.records if id.startswith(f"{name}-") and id not in every]:
            violated(f"{name} has {strange}")
        if any(f"raw-{name}-{part}" not in store.raws for part in range(parts)):
            violated(f"{name} lost raws")
        if job.progress.done != int(job.cursor or 0):
            violated(f"{name} is at {job.cursor}, and says {job.progress.done}")

    def _judge_spool(self) -> None:
        for hand, pieces in self.spool.pieces.items():
            name, _, begun = hand.rpartition("-")
            job = self.store.documents[name].document
            if job.begun == int(begun) and job.state not in ENDED:
                continue
            # A run that lost its job and came to an end before it knew could not clear up; nor
            # could one that nobody follows, such as whoever begins a job anew.
            if hand not in self.spool.left and any(
                not process.failed for process in pieces.values()
            ):
                self.world.violated(f"{hand} has {sorted(pieces)} in the spool for ever")
