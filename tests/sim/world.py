"""A world of one seed: its clock, its processes, and who of them goes on.

Every process is a thread, but only one of them moves, until it comes to an effect: there it gives
its place to whoever is next by the clock. So any two can meet between any two effects, and one seed
is always the same history.
"""

import heapq
import threading
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from random import Random

BEGINNING = datetime(2026, 11, 22, 12, tzinfo=UTC)


class Killed(BaseException):
    """The process is no more. Not an `Exception`: nothing in it may notice."""


@dataclass(frozen=True)
class Faults:
    """How likely each is, at each effect that it can befall."""

    killed: float = 0
    asleep: float = 0
    unavailable: float = 0
    unanswered: float = 0
    late: float = 0
    doubted: float = 0
    in_steps: float = 0
    refused: float = 0
    twice: float = 0
    delayed: float = 0
    dropped: float = 0
    crowded: float = 0

    @classmethod
    def drawn(cls, random: Random) -> "Faults":
        """Of each none, some or much, so that histories differ in kind."""
        return cls(**{name: random.choice((0, 0.01, 0.08)) for name in cls.__dataclass_fields__})


@dataclass(eq=False)
class Process:
    """skew: seconds by which its clock is wrong. granted: the token that it claimed, by job.
    owes_a_task: it has made a job ready, and not yet added the task for it. failed: it could not
    do all it had to, because it was killed or could not reach the store.
    """

    name: str
    body: Callable[[], None]
    skew: float
    granted: dict[str, int] = field(default_factory=dict)
    killed: bool = False
    failed: bool = False
    owes_a_task: bool = False
    thread: "_Thread | None" = None


class _Thread:
    """Runs processes, one after the other."""

    def __init__(self) -> None:
        self.turn = threading.Lock()
        self.turn.acquire()
        self.given: tuple[World, Process] | None = None
        threading.Thread(target=self._run, daemon=True).start()

    def _run(self) -> None:
        while True:
            self.turn.acquire()
            assert self.given is not None
            world, process = self.given
            following: Process | None = process
            while following is not None:
                following.thread = self
                world.live(following)
                following = world.go_on(self)


_idle: list[_Thread] = []


class World:
    """beginning: what its clock says when nothing has happened yet."""

    def __init__(
        self, random: Random, faults: Faults, faults_end: float, beginning: datetime = BEGINNING
    ) -> None:
        self.random = random
        self.beginning = beginning
        self.faults = faults
        self.faults_end = faults_end
        self.outages: list[tuple[float, float]] = []
        self.now = 0.0
        self.jump = 0.0
        self.clocks_are_right = random.random() < 0.5
        self.process = Process("nobody", lambda: None, 0)
        self.alive: list[Process] = []
        self.seen: Counter[str] = Counter()
        self.wrong: list[str] = []
        self._coming: list[tuple[float, int, Process | Callable[[], None]]] = []
        self._count = 0
        self._main = threading.Lock()
        self._main.acquire()
        self._ending = False
        self._is_settled: Callable[[], bool] = lambda: False

    # What the processes see

    def clock(self) -> datetime:
        seconds = self.now + self.jump + self.process.skew
        return self.beginning + timedelta(seconds=seconds)

    def monotonic(self) -> float:
        return self.now

    # What happens

    def is_faulty(self) -> bool:
        return self.now < self.faults_end

    def happens(self, chance: float) -> bool:
        return self.now < self.faults_end and self.random.random() < chance

    def violated(self, what: str) -> None:
        self.wrong.append(f"at {self.now:.1f} s, {self.process.name}: {what}")

    def at(self, time: float, event: Callable[[], None]) -> None:
        self._push(time, event)

    def start(self, name: str, body: Callable[[], None]) -> None:
        skew = self.random.choice((0, 0, 1.5, -1.5))
        if not self.clocks_are_right and self.happens(0.05):
            self.seen["a wrong clock"] += 1
            skew = self.random.choice((-1000, -100, 100, 1000))
        process = Process(name, body, skew)
        self.alive.append(process)
        self._push(self.now, process)

    def effect(self) -> None:
        """Before and after each effect: others come to move, and the process may die."""
        if self.process.killed:
            raise Killed
        if self.happens(self.faults.killed):
            self.die()
        if self.happens(self.faults.asleep):
            self.seen["a long sleep"] += 1
            self.sleep(self.random.uniform(5, 400))
        else:
            self.sleep(0.3 * self.random.random() ** 3)

    def die(self) -> None:
        self.seen["killed"] += 1
        if self.process.owes_a_task:
            self.seen["killed between a commit and its task"] += 1
        self.process.killed = self.process.failed = True
        raise Killed

    def sleep(self, seconds: float) -> None:
        process = self.process
        assert process.thread is not None
        self._push(self.now + seconds, process)
        following = self._next()
        if following is not process:
            self._give(following)
            process.thread.turn.acquire()
        if self._ending:
            process.killed = True
        if process.killed:
            raise Killed

    # How it goes on

    def run(self, until: float, is_settled: Callable[[], bool]) -> None:
        """Until it is settled and nobody is alive, but no longer than that."""
        self._is_settled = is_settled
        self._push(until, self._coming.clear)
        self._hand_over()
        self._ending = True
        while self.alive:  # whoever is left must give its thread back
            self._coming = [(0, 0, self.alive[0])]
            self._hand_over()

    def _hand_over(self) -> None:
        following = self._next()
        if following is not None:
            self._give(following)
            self._main.acquire()

    def live(self, process: Process) -> None:
        try:
            if not self._ending:
                process.body()
        except Killed:
            pass
        except Exception as error:  # noqa: BLE001 - of the engine: a finding
            self.violated(f"raised {type(error).__name__}: {error}")
        process.thread = None
        self.alive.remove(process)

    def go_on(self, thread: _Thread) -> Process | None:
        """Whom a thread whose process is over shall run; None when others go on."""
        following = self._next()
        if following is not None and following.thread is None:
            return following
        _idle.append(thread)
        self._give(following)
        return None

    def _give(self, process: Process | None) -> None:
        if process is None:
            self._main.release()
            return
        if process.thread is None:
            process.thread = _idle.pop() if _idle else _Thread()
            process.thread.given = (self, process)
        process.thread.turn.release()

    def _next(self) -> Process | None:
        while self._coming and (self._ending or not self._is_over()):
            time, _, following = heapq.heappop(self._coming)
            self.now = max(self.now, time)
            if isinstance(following, Process):
                self.process = following
                return following
            following()
        return None

    def _is_over(self) -> bool:
        return bool(self.wrong) or (not self.alive and self._is_settled())

    def _push(self, time: float, what: Process | Callable[[], None]) -> None:
        self._count += 1
        heapq.heappush(self._coming, (time, self._count, what))
