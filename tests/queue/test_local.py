"""The home node's queue beyond the port: leases, what dies, who else uses the file."""

import os
import signal
import sqlite3
import subprocess
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from datetime import timedelta
from pathlib import Path

import pytest

from shared.queue import local
from shared.queue.local import AT_ONCE, MOST_ATTEMPTS, LocalQueue, pause_after
from shared.queue.protocol import (
    LONGEST_CALL,
    QueueError,
    QueueUnavailable,
    Taken,
    Task,
    Waiting,
)
from tests.queue.clock import NOON, Clock

TASK = Task("a", "work", {"job": "j", "token": 1})
MICROSECOND = timedelta(microseconds=1)


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "data" / "queue.db"


@pytest.fixture
def queue(path: Path, clock: Clock) -> Iterator[LocalQueue]:
    with closing(LocalQueue(path, clock)) as queue:
        yield queue


def taken(queue: LocalQueue) -> Taken:
    found = queue.take()
    assert found is not None
    return found


@pytest.mark.parametrize(
    ("failures", "seconds"),
    [(-5, 0), (0, 0), (1, 1), (2, 2), (3, 4), (12, 2048), (13, 3600), (99, 3600), (10**9, 3600)],
)
def test_pauses(failures: int, seconds: int) -> None:
    assert pause_after(failures) == timedelta(seconds=seconds)


def test_the_file_is_the_owners_alone(queue: LocalQueue, path: Path) -> None:
    assert path.stat().st_mode & 0o777 == 0o600
    assert path.parent.stat().st_mode & 0o777 == 0o700


def test_what_is_added_is_synced(queue: LocalQueue, path: Path) -> None:
    with closing(sqlite3.connect(path)) as connection:
        assert connection.execute("PRAGMA journal_mode").fetchone() == ("wal",)
    # The setting belongs to a connection.
    assert queue._connection.execute("PRAGMA synchronous").fetchone() == (2,)


def test_of_a_task_that_is_done_only_the_name_stays(
    queue: LocalQueue, path: Path, clock: Clock
) -> None:
    def rows() -> list[tuple[str, bytes]]:
        with closing(sqlite3.connect(path)) as connection:
            return connection.execute("SELECT name, body FROM task ORDER BY name").fetchall()

    queue.add(TASK)
    queue.done(taken(queue))
    assert rows() == [("a", b"")]
    clock.pass_by(days=1)
    queue.add(TASK._replace(name="b"))
    assert [name for name, _ in rows()] == ["b"]


class TestLeases:
    def test_who_has_a_task_has_it_alone(self, queue: LocalQueue, clock: Clock) -> None:
        queue.add(TASK)
        assert taken(queue) == Taken(TASK._replace(after=NOON), 1)
        assert queue.take() is None
        clock.now = NOON + LONGEST_CALL - MICROSECOND
        assert queue.take() is None

    def test_a_task_that_nobody_finished_comes_again(self, queue: LocalQueue, clock: Clock) -> None:
        queue.add(TASK)
        taken(queue)
        clock.now = NOON + LONGEST_CALL
        assert taken(queue).attempt == 2
        assert list(queue.waiting()) == [Waiting("a", 2, NOON + LONGEST_CALL)]

    @pytest.mark.parametrize("late", ["done", "failed"])
    def test_who_is_late_changes_nothing(self, queue: LocalQueue, clock: Clock, late: str) -> None:
        queue.add(TASK)
        first = taken(queue)
        clock.now = NOON + LONGEST_CALL
        second = taken(queue)
        getattr(queue, late)(first)
        assert list(queue.waiting()) == [Waiting("a", 2, NOON + LONGEST_CALL)]
        assert queue.take() is None
        queue.done(second)
        assert list(queue.waiting()) == []
        queue.failed(second)
        clock.pass_by(hours=2)
        assert queue.take() is None

    def test_a_task_is_given_out_once(self, path: Path, clock: Clock) -> None:
        queues = [LocalQueue(path, clock) for _ in range(4)]
        for number in range(40):
            queues[0].add(TASK._replace(name=f"task-{number}"))
        with ThreadPoolExecutor(4) as threads:
            found = list(threads.map(lambda number: queues[number % 4].take(), range(60)))
        given = [one.task.name for one in found if one is not None]
        assert sorted(given) == sorted(f"task-{number}" for number in range(40))
        for queue in queues:
            queue.close()

    def test_what_kills_its_process_is_given_up(self, queue: LocalQueue, clock: Clock) -> None:
        queue.add(TASK)
        queue.add(TASK._replace(name="b", after=NOON + timedelta(days=9)))
        for attempt in range(1, MOST_ATTEMPTS + 1):
            assert taken(queue).attempt == attempt
            clock.now += LONGEST_CALL
        assert queue.take() is None
        assert [waiting.name for waiting in queue.waiting()] == ["b"]


class TestRecovery:
    def test_what_a_dead_process_had_is_free_at_once(self, queue: LocalQueue, clock: Clock) -> None:
        queue.add(TASK)
        for attempt in range(1, AT_ONCE + 1):
            assert taken(queue).attempt == attempt
            queue.recover()
        assert taken(queue).attempt == AT_ONCE + 1

    def test_what_goes_on_to_kill_its_process_has_to_wait(
        self, queue: LocalQueue, clock: Clock
    ) -> None:
        queue.add(TASK)
        for _ in range(AT_ONCE + 1):
            taken(queue)
            queue.recover()
        assert queue.take() is None
        clock.now += pause_after(1)
        assert queue.take() is not None

    def test_pauses_and_later_tasks_stay(self, queue: LocalQueue, clock: Clock) -> None:
        queue.add(TASK)
        queue.failed(taken(queue))
        queue.add(TASK._replace(name="later", after=NOON + timedelta(hours=1)))
        before = sorted(queue.waiting())
        queue.recover()
        assert sorted(queue.waiting()) == before
        assert queue.take() is None

    def test_the_dead_man_cannot_finish_it(self, queue: LocalQueue) -> None:
        queue.add(TASK)
        dead = taken(queue)
        queue.recover()
        alive = taken(queue)
        queue.done(dead)
        assert len(list(queue.waiting())) == 1
        queue.done(alive)
        assert list(queue.waiting()) == []


ADDS_UNTIL_KILLED = """
import sys
from datetime import UTC, datetime
from pathlib import Path
from shared.queue.local import LocalQueue
from shared.queue.protocol import Task

queue = LocalQueue(Path(sys.argv[1]), lambda: datetime(2026, 1, 1, 12, tzinfo=UTC))
queue.add(Task("taken", "work", {}))
queue.take()
number = 0
while True:
    queue.add(Task(f"task-{number}", "work", {"number": number}))
    print(number, flush=True)
    number += 1
"""


def test_what_was_added_survives_a_kill(path: Path, clock: Clock) -> None:
    process = subprocess.Popen(
        [sys.executable, "-c", ADDS_UNTIL_KILLED, str(path)], stdout=subprocess.PIPE, text=True
    )
    assert process.stdout is not None
    for line in process.stdout:
        if int(line) == 25:
            os.kill(process.pid, signal.SIGKILL)
            break
    last = max([25, *map(int, process.stdout)])
    process.stdout.close()
    assert process.wait() == -signal.SIGKILL
    with closing(LocalQueue(path, clock)) as queue:
        found = {waiting.name for waiting in queue.waiting()}
        assert found >= {"taken", *(f"task-{number}" for number in range(last + 1))}
        queue.recover()
        names = []
        while (one := queue.take()) is not None:
            names.append(one.task.name)
        assert sorted(names) == sorted(found)


class TestOthers:
    def test_many_open_a_new_file_at_once(self, path: Path, clock: Clock) -> None:
        with ThreadPoolExecutor(8) as threads:
            queues = list(threads.map(lambda _: LocalQueue(path, clock), range(8)))
            added = threads.map(
                lambda number: queues[number].add(TASK._replace(name=str(number))), range(8)
            )
            assert all(added)
        assert len(list(queues[0].waiting())) == 8
        for queue in queues:
            queue.close()

    def test_who_holds_the_file_is_not_waited_for_long(
        self, path: Path, clock: Clock, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(local, "_PATIENCE", 0.05)
        with (
            closing(LocalQueue(path, clock)) as queue,
            closing(sqlite3.connect(path, isolation_level=None)) as other,
        ):
            other.execute("BEGIN IMMEDIATE")
            with pytest.raises(QueueUnavailable, match="locked"):
                queue.add(TASK)
            other.execute("ROLLBACK")
            assert queue.add(TASK)

    def test_a_newer_file_is_refused(self, path: Path, clock: Clock) -> None:
        LocalQueue(path, clock).close()
        with closing(sqlite3.connect(path)) as connection:
            connection.execute("PRAGMA user_version = 99")
        with pytest.raises(QueueError, match="newer version of Yurt"):
            LocalQueue(path, clock)

    def test_a_file_that_is_no_database_is_refused(self, path: Path, clock: Clock) -> None:
        path.parent.mkdir()
        path.write_bytes(b"no database" * 100)
        with pytest.raises(QueueError, match="yurt doctor"):
            LocalQueue(path, clock)

    def test_a_folder_that_cannot_be_made_is_an_error_of_ours(
        self, tmp_path: Path, clock: Clock
    ) -> None:
        (tmp_path / "file").touch()
        with pytest.raises(QueueError):
            LocalQueue(tmp_path / "file" / "queue.db", clock)
