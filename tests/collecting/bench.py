"""A node with one collector, whose service a test scripts and whose clock it moves."""

from collections.abc import Callable, Iterator, Mapping
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import msgspec
from msgspec.structs import replace

from shared.collecting.collecting import Collecting
from shared.ha.collectors import COLLECTORS, Collector, Collectors
from shared.http.work import Call, called
from shared.model.records import Event
from shared.model.steps import Step
from shared.node import Node, open_node
from shared.queue.protocol import Workable
from shared.services.protocol import Asked
from shared.settings import Settings
from shared.work.jobs import Job
from shared.workshop import collecting_of

START = datetime(2026, 11, 25, 12, 0, tzinfo=UTC)
Gives = Callable[[Asked], Iterator[Step]]


class Clock:
    def __init__(self) -> None:
        self.now = START

    def __call__(self) -> datetime:
        return self.now

    def forward(self, **more: float) -> datetime:
        self.now += timedelta(**more)
        return self.now


class Scripted:
    """A service that gives what a test says. asked: in what it was asked, in order."""

    NAME = "scripted"
    VERSION = 1

    def __init__(self) -> None:
        self.asked: list[Asked] = []
        self.gives: Gives = lambda asked: iter(())

    def checked(self, options: Mapping[str, Any]) -> dict[str, Any]:
        return dict(options)

    def steps(self, asked: Asked) -> Iterator[Step]:
        self.asked.append(asked)
        return self.gives(asked)


class Bench:
    """A node with one collector, `mail`, each quarter of an hour."""

    def __init__(self, folder: Path) -> None:
        self.clock = Clock()
        self.node: Node = open_node(Settings(data=folder), self.clock)
        self.service = Scripted()
        self.configure(schedule="*/15 * * * *")

    @property
    def collecting(self) -> Collecting:
        return collecting_of(self.node, services={"scripted": self.service})

    def configure(self, **more: Any) -> None:
        held = self.node.store.read(Collectors, COLLECTORS)
        there = held.document.collectors.get("mail") if held else None
        made = there or Collector(service="scripted", schedule="every 1h", created=START)
        written = Collectors(collectors={"mail": replace(made, **more)})
        self.node.store.write(COLLECTORS, written, over=held.version if held else None)

    def job(self) -> Job:
        job = self.collecting.job("mail")
        assert job is not None
        return job

    def tick(self, **more: float) -> list[str]:
        """Time passes, a tick comes, and all that is due is called."""
        self.clock.forward(**more)
        self.collecting.tick()
        return self.work()

    def work(self) -> list[str]:
        """What comes of all tasks that are due."""
        queue, outcomes = self.node.slots_queue, []
        assert isinstance(queue, Workable)
        while taken := queue.take():
            call = msgspec.convert(dict(taken.task.body), Call)
            outcomes.append(called(self.collecting, str(call.collector), call))
            queue.done(taken)
        return outcomes


def event(text: str) -> Event:
    return Event(id=f"event:{text}", source="scripted", source_version=1, type="test", time=START)


def raising(error: Exception) -> Gives:
    def gives(asked: Asked) -> Iterator[Step]:
        raise error

    return gives


def titles(bench: Bench) -> set[str]:
    return {record.id for record in bench.node.store.page(Event).records}
