"""Group commit through its own door: who shares a transaction, who fails, who is told what."""

import sqlite3
import threading
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import pytest

from shared.store.group_commit import GroupCommit

Work = Callable[[sqlite3.Connection], None]


def insert(number: int) -> Work:
    def work(connection: sqlite3.Connection) -> None:
        connection.execute("INSERT INTO number VALUES (?)", (number,))

    return work


def perform(connection: sqlite3.Connection, works: Sequence[Work]) -> None:
    for work in works:
        work(connection)


class Outcomes:
    """Collects what each work was told, and waits for a number of them."""

    def __init__(self) -> None:
        self._told = threading.Semaphore(0)
        self.by_name: dict[str, Exception | None] = {}

    def of(self, name: str) -> Callable[[Exception | None], None]:
        def settle(error: Exception | None) -> None:
            assert name not in self.by_name, "told twice"
            self.by_name[name] = error
            self._told.release()

        return settle

    def wait_for(self, count: int) -> None:
        for _ in range(count):
            assert self._told.acquire(timeout=30)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    with sqlite3.connect(tmp_path / "x.db") as connection:
        connection.execute("PRAGMA journal_mode = WAL")
        connection.execute("CREATE TABLE number (n INTEGER)")
    connection.close()
    return tmp_path / "x.db"


@pytest.fixture
def commits(path: Path) -> Iterator[GroupCommit[Work]]:
    connection = sqlite3.connect(path, isolation_level=None, check_same_thread=False)
    commits = GroupCommit(connection, perform)
    yield commits
    commits.close()
    connection.close()


@pytest.fixture
def other(path: Path) -> Iterator[sqlite3.Connection]:
    connection = sqlite3.connect(path, isolation_level=None)
    yield connection
    connection.close()


def numbers(connection: sqlite3.Connection) -> list[int]:
    return [n for (n,) in connection.execute("SELECT n FROM number ORDER BY n")]


def test_one_at_fault_does_not_harm_the_others_of_its_group(
    commits: GroupCommit[Work], other: sqlite3.Connection
) -> None:
    told = Outcomes()
    gate = threading.Event()

    def wait(_: sqlite3.Connection) -> None:
        assert gate.wait(timeout=30)

    def fault(_: sqlite3.Connection) -> None:
        raise ValueError("not this one")

    commits.submit(wait, 30, told.of("first"))
    for name, work in (("a", insert(1)), ("b", fault), ("c", insert(3))):
        commits.submit(work, 30, told.of(name))
    gate.set()
    told.wait_for(4)
    assert told.by_name["a"] is None
    assert isinstance(told.by_name["b"], ValueError)
    assert told.by_name["c"] is None
    assert numbers(other) == [1, 3]


def test_behind_a_lock_only_those_whose_time_is_up_are_told(
    commits: GroupCommit[Work], other: sqlite3.Connection
) -> None:
    told = Outcomes()
    other.execute("BEGIN IMMEDIATE")
    commits.submit(insert(1), 0.2, told.of("hasty"))
    commits.submit(insert(2), 30, told.of("patient"))
    told.wait_for(1)
    assert isinstance(told.by_name["hasty"], sqlite3.OperationalError)
    assert "patient" not in told.by_name
    other.execute("ROLLBACK")
    told.wait_for(1)
    assert told.by_name["patient"] is None
    assert numbers(other) == [2]


def test_an_answer_that_fails_stops_no_later_commit(
    commits: GroupCommit[Work], other: sqlite3.Connection
) -> None:
    def broken(_: Exception | None) -> None:
        raise RuntimeError("the connection is gone")

    commits.submit(insert(1), 30, broken)
    commits.run(insert(2), 30)
    assert numbers(other) == [1, 2]


def test_closing_commits_what_waits_and_refuses_what_comes(
    commits: GroupCommit[Work], other: sqlite3.Connection
) -> None:
    told = Outcomes()
    for number in range(50):
        commits.submit(insert(number), 30, told.of(str(number)))
    commits.close()
    assert set(told.by_name.values()) == {None}
    assert numbers(other) == list(range(50))
    with pytest.raises(sqlite3.OperationalError, match="closed"):
        commits.run(insert(51), 30)


def test_many_threads_at_once_lose_nothing(
    commits: GroupCommit[Work], other: sqlite3.Connection
) -> None:
    def report(first: int) -> None:
        for number in range(first, first + 100):
            commits.run(insert(number), 30)

    threads = [threading.Thread(target=report, args=(n * 100,)) for n in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert numbers(other) == list(range(800))
