"""A bench for the engine: a real store, and all else in plain sight."""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any, cast

from shared.model.records import Event
from shared.queue.protocol import QueueUnavailable, Task, Waiting
from shared.store.protocol import Store
from shared.work.engine import Engine, Outcome
from shared.work.jobs import Job
from shared.work.runs import Budget
from shared.work.works import Part
from tests.store.samples import NOON, event

Act = Part | Exception | Callable[[], object]
"""What a script does next: a part, an error, or something that happens in between."""


class Dead(BaseException):
    """The process ends here."""


def die() -> None:
    raise Dead


def part(n: int, *ids: str, **facts: Any) -> Part:
    """The n-th part, of 100 bytes, with events of these ids."""
    records = [event(id) for id in ids]
    return Part(str(n), n * 100, 1000, records, **facts)


@dataclass
class Script:
    """A work that follows a script; the cursor is the number of parts that were taken."""

    acts: list[Act]
    version: int = 1
    begun: list[tuple[str, str | None]] = field(default_factory=list)
    forgotten: list[str] = field(default_factory=list)
    forgets: bool = True

    def versions(self) -> Mapping[str, int]:
        return {"script": self.version}

    def parts(self, job: str, spec: Mapping[str, Any], cursor: str | None) -> Iterator[Part]:
        self.begun.append((job, cursor))
        for act in self._after(int(cursor or 0)):
            if isinstance(act, Part):
                yield act
            elif isinstance(act, Exception):
                raise act
            else:
                act()

    def _after(self, done: int) -> list[Act]:
        parts = [i for i, act in enumerate(self.acts) if isinstance(act, Part) and not act.beat]
        taken = [i for i in parts if int(cast(Part, self.acts[i]).cursor) <= done]
        return self.acts[taken[-1] + 1 :] if taken else list(self.acts)

    def forget(self, job: str, spec: Mapping[str, Any]) -> None:
        if not self.forgets:
            raise OSError("the disk is away")
        self.forgotten.append(job)


@dataclass
class Tasks:
    """A queue that keeps what it was given until a test takes it."""

    added: list[Task] = field(default_factory=list)
    lost: bool = False

    def add(self, task: Task) -> bool:
        if self.lost:
            raise QueueUnavailable("not just now")
        if any(task.name == other.name for other in self.added):
            return False
        self.added.append(task)
        return True

    def waiting(self) -> Iterator[Waiting]:
        for task in self.added:
            yield Waiting(task.name, 0, task.after or NOON)

    def close(self) -> None: ...


@dataclass
class Kept:
    data: list[bytes] = field(default_factory=list)
    error: OSError | None = None

    def put(self, data: bytes) -> str:
        if self.error is not None:
            raise self.error
        self.data.append(data)
        return ""


@dataclass
class Bench:
    store: Store
    script: Script = field(default_factory=lambda: Script([part(1, "a"), part(2, "b")]))
    tasks: Tasks = field(default_factory=Tasks)
    kept: Kept = field(default_factory=Kept)
    budget: Budget = field(default_factory=Budget)
    now: datetime = NOON
    memory: int = 0

    @property
    def engine(self) -> Engine:
        return Engine(
            store=self.store,
            queue=self.tasks,
            keeps=self.kept,
            works={"script": self.script},
            budget=self.budget,
            clock=lambda: self.now,
            monotonic=self.seconds,
            memory=lambda: self.memory,
        )

    def submit(self, *acts: Act, again: bool = False) -> Job:
        if acts:
            self.script.acts = list(acts)
        return self.engine.submit("job", "script", {}, "a script", again=again)

    def run(self, token: int | None = None) -> Outcome:
        """As the newest task asks, or one for `token`."""
        newest = self.tasks.added[-1].body["token"] if self.tasks.added else 0
        return self.engine.run("job", int(newest) if token is None else token)

    def dies(self) -> None:
        """A run of which nothing is heard any more."""
        try:
            self.run()
        except Dead:
            return
        raise AssertionError("it lived")

    def seconds(self) -> float:
        return (self.now - NOON).total_seconds()

    def passes(self, seconds: float) -> None:
        self.now += timedelta(seconds=seconds)

    def lets(self, seconds: float) -> Callable[[], None]:
        """An act: time passes."""
        return lambda: self.passes(seconds)

    @property
    def job(self) -> Job:
        return self.engine.job("job")

    @property
    def records(self) -> list[str]:
        return sorted(record.id for record in self.store.page(Event).records)


class Wrapped:
    """The store, but for what a test puts in its way, once. commit: gets the real one."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self.commit_once: Callable[..., Any] | None = None

    def commit(self, *args: Any, **kwargs: Any) -> Any:
        instead, self.commit_once = self.commit_once, None
        if instead is not None:
            return instead(*args, **kwargs)
        return self._store.commit(*args, **kwargs)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._store, name)
