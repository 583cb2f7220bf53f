"""The home node's crew: jobs go on while it is at work, and stop when it is told to."""

import contextlib
import threading
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest

from infra.crew import Crew
from infra.running import turn_at_jobs
from shared.alerting.registry import CHANNELS
from shared.commands import alerts
from shared.ha.outbox import Outbox, alert_of
from shared.ha.watching import WATCHED, Watched
from shared.meter import Meter
from shared.node import Node
from shared.queue.protocol import QueueUnavailable, Task, Workable
from shared.work.engine import Engine
from shared.work.jobs import LEASE
from shared.work.works import Part
from shared.workshop import collecting_of, engine_of
from tests.alerting.servers import Web
from tests.eventually import eventually
from tests.http.asking import asker


class Counting:
    """A work of so many parts, which holds at one of them until it is let go.

    at: the parts that were begun, over all runs. death: raised at the part that holds.
    """

    def __init__(self, parts: int, holds: int | None = None, *, beats: bool = False) -> None:
        self._parts, self._holds, self._beats = parts, holds, beats
        self.at: list[int] = []
        self.held, self.go = threading.Event(), threading.Event()
        self.death: BaseException | None = None

    def versions(self) -> Mapping[str, int]:
        return {"count": 1}

    def parts(self, job: str, spec: Mapping[str, Any], cursor: str | None) -> Iterator[Part]:
        for number in range(int(cursor or 0), self._parts):
            self.at.append(number)
            if number == self._holds and not self.go.is_set():
                self.held.set()
                if self.death is not None:
                    raise self.death
                assert self.go.wait(30)
            if self._beats:
                yield Part(str(number), number, self._parts, beat=True)
            yield Part(str(number + 1), number + 1, self._parts)

    def forget(self, job: str, spec: Mapping[str, Any]) -> None:
        pass


class Home:
    """A node whose engine knows one more work, and its crew."""

    def __init__(self, node: Node, work: Counting) -> None:
        self.node = node
        self.stopping = threading.Event()
        engine = engine_of(node, stopping=self.stopping.is_set)
        self.engine = Engine(
            store=engine.store,
            queue=engine.queue,
            keeps=engine.keeps,
            works={**engine.works, "count": work},
            clock=engine.clock,
            stopping=engine.stopping,
        )

    def crew(self, sweep_each: float = 30.0) -> Crew:
        queue, slots = self.node.queue, self.node.slots_queue
        assert isinstance(queue, Workable)
        assert isinstance(slots, Workable)
        collecting = collecting_of(self.node)
        return Crew(self.node, self.engine, collecting, queue, slots, self.stopping, sweep_each)

    def begin(self) -> None:
        self.engine.submit("count-1", "count", {}, "counting")

    def state(self) -> str:
        return self.engine.job("count-1").state


@pytest.fixture
def node(tmp_path: Path) -> Iterator[Node]:
    with asker(tmp_path) as asked:
        yield asked.node


def test_jobs_go_on_while_it_is_at_work(node: Node) -> None:
    home = Home(node, Counting(3))
    home.begin()
    with home.crew().at_work():
        eventually(lambda: home.state() == "done")
        home.engine.submit("count-2", "count", {}, "more, begun meanwhile")
        eventually(lambda: home.engine.job("count-2").state == "done")
    assert list(node.queue.waiting()) == []


@pytest.mark.parametrize("beats", [False, True])
def test_a_chunk_in_hand_ends_soon_and_goes_on_at_the_next_start(node: Node, beats: bool) -> None:
    work = Counting(100, holds=50, beats=beats)
    home = Home(node, work)
    home.begin()
    with home.crew().at_work():
        assert work.held.wait(30)
        home.stopping.set()
        work.go.set()
    assert home.state() == "ready"
    assert work.at[-1] == 50, "no part was begun after the signal"
    second = Home(node, work)
    with second.crew().at_work():
        eventually(lambda: second.state() == "done")
    assert work.at == ([*range(51), *range(50, 100)] if beats else [*range(100)])


def test_what_a_killed_process_was_running_goes_on_at_once(node: Node) -> None:
    work = Counting(3, holds=1)
    killed = Home(node, work)
    killed.begin()
    work.death = KeyboardInterrupt()
    taken = killed.crew().queue.take()
    assert taken is not None
    with pytest.raises(KeyboardInterrupt):
        killed.crew().call(taken.task)
    assert killed.state() == "running", "its lease is good for a while, by a clock that stands"
    work.death = None
    work.go.set()
    home = Home(node, work)
    with home.crew().at_work():
        eventually(lambda: home.state() == "done")


def test_while_a_command_has_the_turn_it_waits(node: Node) -> None:
    work = Counting(3)
    home = Home(node, work)
    home.begin()
    with turn_at_jobs(node.settings.data) as turn:
        assert turn.taken()
        with home.crew().at_work():
            eventually(lambda: [task.attempts for task in node.queue.waiting()] == [1])
        assert (home.state(), work.at) == ("ready", []), "nor does waiting keep it from ending"


def test_what_a_killed_command_was_running_goes_on_at_once(node: Node) -> None:
    work = Counting(3)
    home = Home(node, work)
    home.begin()
    with contextlib.ExitStack() as command, home.crew().at_work():
        turn = command.enter_context(turn_at_jobs(node.settings.data))
        eventually(turn.taken)
        home.engine.submit("count-2", "count", {}, "another")
        home.engine._claim("count-2", 1, Meter())
        assert home.engine.job("count-2").state == "running"
        command.close()
        eventually(lambda: home.engine.job("count-2").state == "done", LEASE.total_seconds() / 3)


def test_it_sweeps_now_and_then(node: Node, monkeypatch: pytest.MonkeyPatch) -> None:
    swept = threading.Semaphore(0)
    trouble = [QueueUnavailable("no answer"), ValueError("a fault"), None]

    def sweep(*_: object) -> None:
        swept.release()
        error = trouble.pop(0) if len(trouble) > 1 else trouble[0]
        if error is not None:
            raise error

    monkeypatch.setattr("infra.crew.sweep", sweep)
    with Home(node, Counting(0)).crew(sweep_each=0.001).at_work():
        for _ in range(5):
            assert swept.acquire(timeout=30)


def test_after_each_look_a_sign_of_life_is_given_and_alerts_are_told(node: Node) -> None:
    outbox = Outbox(alerts=(alert_of("failed", "mail", node.clock(), "mail failed: no way"),))
    node.store.write(WATCHED, Watched(outbox=outbox), over=None)
    with Web().running() as web:
        alerts.add(node, CHANNELS, "chat", "webhook", {}, f"{web.url}/chat")
        alerts.set_ping(node, f"{web.url}/life")
        with Home(node, Counting(0)).crew(sweep_each=0.01).at_work():
            eventually(lambda: len(web.requests) >= 2)
    assert [(r.method, r.path) for r in web.requests] == [("POST", "/chat"), ("GET", "/life")]
    assert alerts.alerts_state(node).channels[0].untold == 0


def test_a_task_that_nobody_knows_is_dropped(node: Node, caplog: pytest.LogCaptureFixture) -> None:
    node.queue.add(Task("unknown", "paint", {"colour": "red"}))
    with Home(node, Counting(0)).crew().at_work():
        eventually(lambda: not list(node.queue.waiting()))
    assert "'paint' is dropped" in caplog.text
