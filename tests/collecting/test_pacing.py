"""A long import beside collectors keeps to what is free each day, and says when it will be done."""

from collections.abc import Iterator, Mapping
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from msgspec import Struct

from shared.collecting.books import Books
from shared.collecting.pacing import Pacing
from shared.commands.jobs import job_state
from shared.ha.allowances import began_day
from shared.ha.collectors import COLLECTORS, Caps, Collector, Collectors
from shared.ha.ledger import LEDGER, Ledger
from shared.meter import metered
from shared.model.records import Event
from shared.node import Node, open_node
from shared.settings import Settings
from shared.work.engine import Engine
from shared.work.works import Part
from shared.workshop import CLOUD
from tests.collecting.counted import Counted
from tests.work.bench import Kept, Tasks

START = datetime(2026, 11, 25, 12, 0, tzinfo=UTC)
LOOKS_EACH = timedelta(minutes=10)
EACH = 50


class Mail:
    """A work of many mails, `EACH` in a part."""

    def __init__(self, mails: int) -> None:
        self.parts_in_all = mails // EACH

    def versions(self) -> Mapping[str, int]:
        return {"mail": 1}

    def parts(self, job: str, spec: Mapping[str, Any], cursor: str | None) -> Iterator[Part]:
        for number in range(int(cursor or 0), self.parts_in_all):
            mails = [
                Event(
                    id=f"event:{number}-{n}",
                    source="mail",
                    source_version=1,
                    type="test",
                    time=START,
                )
                for n in range(EACH)
            ]
            yield Part(str(number + 1), number + 1, self.parts_in_all, mails)

    def forget(self, job: str, spec: Mapping[str, Any]) -> None: ...


class Damaged(Struct):
    """No ledger."""

    at: str


class World:
    """Time passes in steps of a minute, tasks are called at once, and a platform counts."""

    def __init__(self, folder: Path, mails: int) -> None:
        self.now = START
        self.node: Node = open_node(Settings(data=folder), lambda: self.now)
        self.counters = Counted()
        self.tasks = Tasks()
        self.books = Books(self.node.store, lambda: 0, self.counters)
        self.written: dict[datetime, int] = {}
        self.late: list[tuple[datetime, int]] = []
        mail = Collector(
            service="x", schedule="every 1h", created=START, caps=Caps(writes=100, seconds=5)
        )
        self.config = Collectors(collectors={"mail": mail})
        self.node.store.write(COLLECTORS, self.config, over=None)
        self.engine = Engine(
            store=self.node.store,
            queue=self.tasks,
            keeps=Kept(),
            works={"mail": Mail(mails)},
            budget=CLOUD,
            pace=Pacing(self.node.store, lambda: self.now),
            clock=lambda: self.now,
            memory=lambda: 0,
        )

    def minute(self, *, looks: bool) -> None:
        self.now += timedelta(minutes=1)
        if self.now.minute == 0:
            self._wrote(100)  # the collector, all it may
        if looks:
            self.counters.used["firestore.writes"] = self._counted()
            self.books.look(self.config, self.now)
            self.engine.sweep()
        tasks, self.tasks.added = self.tasks.added, []
        for task in tasks:
            with metered() as meter:
                self.engine.run("decade", int(task.body["token"]))
            self._wrote(meter.writes)

    def _wrote(self, writes: int) -> None:
        day = began_day(self.now)
        self.written[day] = self.written.get(day, 0) + writes
        self.late.append((self.now, writes))

    def _counted(self) -> float:
        """What the platform says by now of today, some minutes late."""
        day, known = began_day(self.now), self.now - self.counters.late
        return sum(writes for at, writes in self.late if day <= at <= known)

    def until(self, end: datetime) -> str:
        while self.now < end and self.engine.job("decade").state != "done":
            self.minute(looks=self.now.minute % 10 == 0)
        return self.engine.job("decade").state


@pytest.fixture
def world(tmp_path: Path) -> Iterator[World]:
    world = World(tmp_path, mails=40_000)
    world.minute(looks=True)
    world.engine.submit("decade", "mail", {}, "a decade of mail")
    yield world
    world.node.close()


def test_it_takes_as_many_days_as_the_quota_asks_and_says_so(world: World) -> None:
    day_end = datetime(2026, 11, 26, 8, tzinfo=UTC)
    assert world.until(day_end - timedelta(hours=1)) == "ready"
    state = job_state(world.node, "decade")
    assert state is not None
    assert (state.paced, state.paced_by) == (day_end, "today's share of firestore.writes is used")
    assert (state.stuck, state.fix) == (False, None)
    assert state.done_by is not None
    assert world.until(START + timedelta(days=7)) == "done"
    # 40,000 documents, of which about 15,000 a day are left beside the collector.
    assert len(world.written) == 3
    assert abs(world.now - state.done_by) < timedelta(days=1)
    # Never more than may be planned with, and nearly all of it but for a recovery.
    assert max(world.written.values()) <= 18_000
    assert world.written[began_day(day_end)] >= 17_000 - 504


def test_on_a_new_day_it_waits_until_the_quotas_were_looked_at(world: World) -> None:
    world.until(datetime(2026, 11, 26, 7, 59, tzinfo=UTC))
    before = dict(world.written)
    world.engine.resume("decade")
    world.now = datetime(2026, 11, 26, 8, 1, tzinfo=UTC)
    world.minute(looks=False)
    assert sum(world.written.values()) - sum(before.values()) <= 105  # it only puts itself off
    state = job_state(world.node, "decade")
    assert state is not None
    assert state.paced_by == "the quotas of the new day are looked at first"


def test_a_damaged_ledger_makes_it_wait_for_the_next_look(world: World) -> None:
    held = world.node.store.read(Ledger, LEDGER)
    assert held is not None
    world.node.store.write(LEDGER, Damaged(at="never"), over=held.version)
    world.minute(looks=False)
    state = job_state(world.node, "decade")
    assert state is not None
    assert state.paced_by == "the quotas are looked at first"
    for _ in range(12):
        world.minute(looks=True)
    assert world.engine.job("decade").progress.done > 0


def test_where_nobody_looks_at_quotas_it_is_not_paced(tmp_path: Path) -> None:
    world = World(tmp_path, mails=2_000)
    world.engine.submit("decade", "mail", {}, "a decade of mail")
    for _ in range(3):
        world.minute(looks=False)
    assert world.engine.job("decade").state == "done"
    world.node.close()
