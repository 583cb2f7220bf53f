"""The threads that call a home node's tasks. Time is real here, as the threads wait for it."""

import logging
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from shared.queue import worker
from shared.queue.local import LocalQueue
from shared.queue.protocol import QueueUnavailable, Taken, Task
from tests.eventually import eventually


def utc_now() -> datetime:
    return datetime.now(UTC)


@pytest.fixture
def queue(tmp_path: Path) -> Iterator[LocalQueue]:
    with closing(LocalQueue(tmp_path / "queue.db", utc_now)) as queue:
        yield queue


@contextmanager
def working(
    queue: LocalQueue, call: Callable[[Task], object], threads: int = 2
) -> Iterator[threading.Event]:
    stop = threading.Event()
    thread = threading.Thread(target=worker.run, args=(queue, call, stop, threads))
    thread.start()
    try:
        yield stop
    finally:
        stop.set()
        thread.join(30)
        assert not thread.is_alive()


def task(name: str, after: datetime | None = None) -> Task:
    return Task(name, "work", {}, after)


def empty(queue: LocalQueue) -> bool:
    return not list(queue.waiting())


def test_a_task_of_this_process_is_called_at_once(queue: LocalQueue) -> None:
    called: list[float] = []
    with working(queue, lambda _: called.append(time.monotonic())):
        time.sleep(0.1)  # until the threads wait
        began = time.monotonic()
        queue.add(task("a"))
        eventually(lambda: bool(called))
        assert called[0] - began < worker.LOOK_EVERY / 2
        eventually(lambda: empty(queue))


ADD = """
import sys
from datetime import UTC, datetime
from pathlib import Path
from shared.queue.local import LocalQueue
from shared.queue.protocol import Task

LocalQueue(Path(sys.argv[1]), lambda: datetime.now(UTC)).add(Task("a", "work", {}))
"""


def test_a_task_of_another_process_is_called_soon(queue: LocalQueue, tmp_path: Path) -> None:
    called: list[float] = []
    with working(queue, lambda _: called.append(time.monotonic())):
        subprocess.run([sys.executable, "-c", ADD, str(tmp_path / "queue.db")], check=True)
        began = time.monotonic()
        eventually(lambda: bool(called))
        assert called[0] - began < worker.LOOK_EVERY + 0.5


def test_idle_threads_cost_next_to_nothing(queue: LocalQueue) -> None:
    with working(queue, lambda _: None, threads=4):
        time.sleep(0.1)
        before = time.process_time()
        time.sleep(1)
        assert time.process_time() - before < 0.1


def test_so_many_are_called_at_once(queue: LocalQueue) -> None:
    together = threading.Barrier(3, timeout=10)  # breaks, if one of them has to wait for another
    for number in range(3):
        queue.add(task(f"task-{number}"))
    with working(queue, lambda _: together.wait(), threads=3):
        eventually(lambda: empty(queue))


def test_a_call_that_raises_comes_again_and_stops_nobody(
    queue: LocalQueue, caplog: pytest.LogCaptureFixture
) -> None:
    calls: list[str] = []

    def call(task: Task) -> None:
        calls.append(task.name)
        if calls.count("bad") == 1 and task.name == "bad":
            raise RuntimeError("51.5007, -0.1246")

    queue.add(task("bad"))
    with working(queue, call, threads=1):
        eventually(lambda: len(calls) == 1)
        queue.add(task("good"))
        eventually(lambda: empty(queue))
    assert calls == ["bad", "good", "bad"]
    assert "bad, call 1: RuntimeError" in caplog.text
    assert "51.5" not in caplog.text


def test_what_a_process_left_behind_is_called(queue: LocalQueue) -> None:
    queue.add(task("a"))
    assert queue.take() is not None  # and that process died
    calls: list[Task] = []
    with working(queue, calls.append):
        eventually(lambda: empty(queue))
    assert [one.name for one in calls] == ["a"]


def test_it_stops_at_once_when_idle_and_after_the_call_when_not(queue: LocalQueue) -> None:
    began, go_on = threading.Event(), threading.Event()

    def call(_: Task) -> None:
        began.set()
        go_on.wait(10)

    with working(queue, lambda _: None) as stop:
        time.sleep(0.1)
        stopped = time.monotonic()
        stop.set()
    assert time.monotonic() - stopped < worker.LOOK_EVERY / 2

    queue.add(task("a"))
    queue.add(task("b"))
    with working(queue, call, threads=1) as stop:
        assert began.wait(10)
        stop.set()
        go_on.set()
    assert [waiting.name for waiting in queue.waiting()] == ["b"]


def test_a_queue_that_fails_for_a_while_is_asked_again(
    queue: LocalQueue, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    failures = ["the disk is full", "the disk is full"]
    take = queue.take

    def failing(patience: float = 0) -> Taken | None:
        if failures:
            raise QueueUnavailable(failures.pop())
        return take(patience)

    monkeypatch.setattr(worker, "LOOK_EVERY", 0.01)
    monkeypatch.setattr(queue, "take", failing)
    queue.add(task("a", utc_now() - timedelta(days=1)))
    with caplog.at_level(logging.ERROR), working(queue, lambda _: None):
        eventually(lambda: empty(queue))
    assert "the disk is full" in caplog.text
