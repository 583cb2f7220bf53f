"""What the queue port promises (`shared.queue.protocol`), held against both adapters: the home
node's, and that for Cloud Tasks on a server of our own."""

import json
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from datetime import datetime, timedelta
from pathlib import Path
from typing import NamedTuple, Protocol

import pytest

from shared.queue import cloudtasks, local
from shared.queue.cloudtasks import CloudTasksQueue
from shared.queue.local import LocalQueue
from shared.queue.protocol import (
    BODY_LIMIT,
    FARTHEST,
    LONGEST_CALL,
    NAME_LIMIT,
    REFUSED_FOR,
    Queue,
    QueueUnavailable,
    Task,
    Waiting,
    Workable,
)
from tests.queue.clock import NOON, Clock
from tests.tasks_server.listener import Listener, Received
from tests.tasks_server.server import INVOKER, TasksServer

SECOND = timedelta(seconds=1)
GIVEN_UP = 100
"""Calls, with both."""


class Called(NamedTuple):
    name: str
    work: str
    body: dict[str, str | int]


Answer = Callable[[Called], bool]
"""Whether the call succeeds."""


class Node(Protocol):
    """A node with a queue, its clock in the test's hand."""

    clock: Clock

    def open(self) -> Queue:
        """The queue, as another process would open it."""
        ...

    def work(self, answer: Answer) -> list[Called]:
        """Makes each call that is due by the clock, once."""
        ...


class HomeNode:
    def __init__(self, folder: Path, stack: ExitStack) -> None:
        self.clock = Clock()
        self._path = folder / "queue.db"
        self._stack = stack
        self._worker = self.open()

    def open(self) -> LocalQueue:
        queue = LocalQueue(self._path, self.clock)
        self._stack.callback(queue.close)
        return queue

    def work(self, answer: Answer) -> list[Called]:
        calls = []
        while (taken := self._worker.take()) is not None:
            call = Called(taken.task.name, taken.task.work, dict(taken.task.body))
            calls.append(call)
            (self._worker.done if answer(call) else self._worker.failed)(taken)
        return calls


class CloudNode:
    def __init__(self, stack: ExitStack) -> None:
        self.clock = Clock()
        self._stack = stack
        self._listeners = {
            work: stack.enter_context(Listener(self._answered(work))) for work in ("work", "tick")
        }
        self._server = TasksServer(
            routes={work: listener.url for work, listener in self._listeners.items()},
            clock=self.clock,
            dispatching=False,
        )
        stack.enter_context(self._server)
        self._calls: list[Called] = []
        self._answer: Answer = lambda _: True

    def open(self) -> CloudTasksQueue:
        queue = CloudTasksQueue(
            self._server.queue,
            target=self._server.target,
            account=INVOKER,
            audience=self._server.target,
            clock=self.clock,
            endpoint=self._server.endpoint,
        )
        self._stack.callback(queue.close)
        return queue

    def work(self, answer: Answer) -> list[Called]:
        self._calls, self._answer = [], answer
        self._server.deliver()
        return self._calls

    def _answered(self, work: str) -> Callable[[Received], int]:
        def answer(received: Received) -> int:
            assert received.method == "POST"
            assert received.headers["content-type"] == "application/json"
            name = received.headers["x-cloudtasks-taskname"].partition("-")[2]
            self._calls.append(Called(name, work, json.loads(received.body)))
            return 200 if self._answer(self._calls[-1]) else 500

        return answer


@pytest.fixture(params=["local", "cloudtasks"])
def node(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Node]:
    with ExitStack() as stack:
        yield HomeNode(tmp_path, stack) if request.param == "local" else CloudNode(stack)


@pytest.fixture
def queue(node: Node) -> Queue:
    return node.open()


def task(name: str = "a", work: str = "work", after: datetime | None = None, **body: int) -> Task:
    return Task(name, work, body, after)


def well(_: Called) -> bool:
    return True


def badly(_: Called) -> bool:
    return False


def names(calls: list[Called]) -> list[str]:
    return sorted(call.name for call in calls)


class TestAdding:
    def test_a_task_is_called_as_it_was_added(self, node: Node, queue: Queue) -> None:
        body: dict[str, str | int] = {"job": "ünï ☃ \"'", "token": 2**53, "": -1}
        assert queue.add(Task("a-b_C-9", "tick", body))
        assert node.work(well) == [Called("a-b_C-9", "tick", body)]
        assert node.work(well) == []

    def test_an_empty_body_is_one(self, node: Node, queue: Queue) -> None:
        queue.add(task())
        assert node.work(well) == [Called("a", "work", {})]

    def test_the_largest_task_is_taken(self, node: Node, queue: Queue) -> None:
        name, after = "n" * NAME_LIMIT, NOON + FARTHEST
        body: dict[str, str | int] = {"x": "b" * (BODY_LIMIT - len('{"x":""}'))}
        assert queue.add(Task(name, "work", body, after))
        node.clock.now = after
        assert node.work(well) == [Called(name, "work", body)]

    @pytest.mark.parametrize(
        "bad",
        [
            task(""),
            task("n" * (NAME_LIMIT + 1)),
            task("a b"),
            task("a/b"),
            task("a\n"),
            task("ä"),
            task(work=""),
            task(work="../work"),
            task(after=NOON + FARTHEST + SECOND),
            Task("a", "work", {"x": "b" * BODY_LIMIT}),
        ],
        ids=lambda bad: repr(bad)[:60],
    )
    def test_what_no_queue_takes_is_refused(self, queue: Queue, bad: Task) -> None:
        with pytest.raises(ValueError, match=r"task|due|body"):
            queue.add(bad)
        assert list(queue.waiting()) == []

    def test_another_process_sees_it(self, node: Node, queue: Queue) -> None:
        queue.add(task())
        assert [waiting.name for waiting in node.open().waiting()] == ["a"]

    def test_nothing_is_added_to_a_closed_queue(self, queue: Queue) -> None:
        queue.add(task())
        queue.close()
        with pytest.raises(QueueUnavailable):
            queue.add(task("b"))


class TestNames:
    def test_a_used_name_is_refused(self, node: Node, queue: Queue) -> None:
        assert queue.add(task(first=1))
        assert not queue.add(task(second=2))
        assert not node.open().add(task(third=3))
        assert node.work(well) == [Called("a", "work", {"first": 1})]

    def test_of_many_who_add_at_once_one_does(self, node: Node) -> None:
        queues = [node.open() for _ in range(4)]
        with ThreadPoolExecutor(4) as threads:
            for name in ("a", "b", "c"):
                added = threads.map(lambda queue, name=name: queue.add(task(name)), queues)
                assert sorted(added) == [False, False, False, True]

    def test_it_is_refused_while_its_task_is_called(self, node: Node, queue: Queue) -> None:
        added = []

        def call(_: Called) -> bool:
            added.append(queue.add(task()))
            return True

        queue.add(task())
        node.work(call)
        assert added == [False]

    def test_it_is_refused_for_a_day_after_its_task_is_done(self, node: Node, queue: Queue) -> None:
        queue.add(task())
        node.work(well)
        node.clock.pass_by(hours=23)
        assert not queue.add(task())
        assert node.work(well) == []
        node.clock.now = NOON + REFUSED_FOR + SECOND
        assert queue.add(task())
        assert names(node.work(well)) == ["a"]

    def test_it_is_refused_for_a_day_after_its_task_was_dropped(
        self, node: Node, queue: Queue
    ) -> None:
        queue.add(task())
        for _ in range(GIVEN_UP):
            assert names(node.work(badly)) == ["a"]
            node.clock.pass_by(hours=1)
        assert node.work(well) == []
        assert list(queue.waiting()) == []
        assert not queue.add(task())
        node.clock.pass_by(days=1)
        assert queue.add(task())

    def test_a_task_that_fails_keeps_its_name(self, node: Node, queue: Queue) -> None:
        queue.add(task())
        for _ in range(3):
            node.work(badly)
            node.clock.pass_by(days=2)
            assert not queue.add(task())


class TestWaiting:
    def test_nothing_waits(self, queue: Queue) -> None:
        assert list(queue.waiting()) == []

    def test_what_waits_is_listed_with_its_time(self, node: Node, queue: Queue) -> None:
        later = NOON + timedelta(days=3, microseconds=1)
        queue.add(task("now"))
        queue.add(task("later", after=later))
        queue.add(task("past", after=NOON - timedelta(days=3)))
        expected = [Waiting("later", 0, later), Waiting("now", 0, NOON), Waiting("past", 0, NOON)]
        assert sorted(queue.waiting()) == expected

    def test_a_task_that_is_being_called_waits(self, node: Node, queue: Queue) -> None:
        seen: list[Waiting] = []

        def call(_: Called) -> bool:
            seen.extend(node.open().waiting())
            return True

        queue.add(task())
        node.work(call)
        assert seen == [Waiting("a", 1, NOON)]
        assert list(queue.waiting()) == []

    def test_failures_are_counted(self, node: Node, queue: Queue) -> None:
        queue.add(task())
        for attempts in range(1, 6):
            node.work(badly)
            (waiting,) = queue.waiting()
            assert (waiting.name, waiting.attempts) == ("a", attempts)
            assert waiting.due > node.clock.now
            node.clock.now = waiting.due

    def test_many_are_listed_page_by_page(
        self, queue: Queue, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(cloudtasks, "_PAGE_SIZE", 10)
        monkeypatch.setattr(local, "_ROWS_AT_ONCE", 10)
        added = [f"task-{number}" for number in range(30)]
        for name in added:
            queue.add(task(name))
        assert sorted(waiting.name for waiting in queue.waiting()) == sorted(added)


class TestCalls:
    def test_it_is_not_called_before_its_time(self, node: Node, queue: Queue) -> None:
        queue.add(task(after=NOON + 10 * SECOND))
        queue.add(task("b"))
        assert names(node.work(well)) == ["b"]
        node.clock.now = NOON + 10 * SECOND - timedelta(microseconds=1)
        assert node.work(well) == []
        node.clock.now = NOON + 10 * SECOND
        assert names(node.work(well)) == ["a"]

    def test_who_fails_is_called_again_after_pauses_that_grow(
        self, node: Node, queue: Queue
    ) -> None:
        queue.add(task(x=1))
        pauses = []
        for _ in range(8):
            assert node.work(badly) == [Called("a", "work", {"x": 1})]
            assert node.work(badly) == []
            (waiting,) = queue.waiting()
            pauses.append(waiting.due - node.clock.now)
            node.clock.now = waiting.due
        assert pauses == sorted(set(pauses))
        assert names(node.work(well)) == ["a"]
        node.clock.pass_by(days=1)
        assert node.work(well) == []

    def test_a_failure_holds_up_nobody(self, node: Node, queue: Queue) -> None:
        for name in ("a", "b", "c"):
            queue.add(task(name))
        assert names(node.work(lambda call: call.name != "a")) == ["a", "b", "c"]
        assert [waiting.name for waiting in queue.waiting()] == ["a"]

    def test_a_call_may_add_the_next(self, node: Node, queue: Queue) -> None:
        def call(called: Called) -> bool:
            return called.name != "chunk-1" or queue.add(task("chunk-2"))

        queue.add(task("chunk-1"))
        assert names(node.work(call) + node.work(call)) == ["chunk-1", "chunk-2"]


def test_only_the_home_node_calls_by_itself(node: Node, queue: Queue) -> None:
    assert isinstance(queue, Workable) == isinstance(node, HomeNode)
    assert timedelta(minutes=30) >= LONGEST_CALL
