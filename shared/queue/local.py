"""The queue of a home node: one SQLite file in write-ahead mode, safe to open from many processes.

A command adds to it while the node runs; the node's `worker` calls what is due. Whoever takes a
task holds it under a lease, so what a killed process had taken comes again.
"""

import contextlib
import sqlite3
import threading
from collections.abc import Callable, Iterator
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import msgspec

from shared.model.time import from_micros, to_micros
from shared.queue.limits import encoded_body
from shared.queue.protocol import (
    LONGEST_CALL,
    REFUSED_FOR,
    QueueError,
    QueueUnavailable,
    Taken,
    Task,
    Waiting,
)
from shared.wal import write_ahead

MOST_ATTEMPTS = 100
"""With pauses of up to an hour, a task is given up after about four days of failures."""
FIRST_PAUSE, LONGEST_PAUSE = timedelta(seconds=1), timedelta(hours=1)
AT_ONCE = 3
"""How often a task is called without a pause after its process died: whoever restarts a node does
not want to wait. If that goes on, the task may be what kills it."""

_SHAPE = 1
_TABLE = """
    CREATE TABLE task (
        name TEXT PRIMARY KEY, work TEXT NOT NULL, body BLOB NOT NULL, attempts INTEGER NOT NULL,
        due INTEGER NOT NULL, free INTEGER, ended INTEGER
    ) WITHOUT ROWID;
    CREATE INDEX task_by_free ON task (free) WHERE free IS NOT NULL;
    CREATE INDEX task_by_end ON task (ended) WHERE ended IS NOT NULL
"""
# due: of the next call or the current one. free: when it may be taken, after its pause or lease.
# Of a task that was done or dropped only the name is left, and when it ended.

_PATIENCE = 3.0  # seconds for another process's lock
_ROWS_AT_ONCE = 500


class LocalQueue:
    """`Queue` and `Workable` on one SQLite file, made on first use."""

    def __init__(self, path: Path, clock: Callable[[], datetime]) -> None:
        self._clock = clock
        self._lock = threading.Lock()
        self._changed = threading.Condition()
        self._changes = 0
        with _as_queue_errors():
            path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            path.touch(mode=0o600)
            self._connection = _connected(path)

    def add(self, task: Task) -> bool:
        now = self._clock()
        body = encoded_body(task, now)
        due = to_micros(max(task.after or now, now))
        with self._transaction() as connection:
            connection.execute("DELETE FROM task WHERE ended <= ?", (to_micros(now - REFUSED_FOR),))
            added = connection.execute(
                "INSERT OR IGNORE INTO task VALUES (?, ?, ?, 0, ?, ?, NULL)",
                (task.name, task.work, body, due, due),
            ).rowcount
        if added:
            self._notify(1)
        return bool(added)

    def waiting(self) -> Iterator[Waiting]:
        # Pages by name, so that no read transaction stays open and keeps the log from shrinking.
        after = ""
        while True:
            rows = self._rows(
                "SELECT name, attempts, due FROM task WHERE free IS NOT NULL AND name > ? "
                "ORDER BY name LIMIT ?",
                (after, _ROWS_AT_ONCE),
            )
            for name, attempts, due in rows:
                yield Waiting(name, attempts, from_micros(due))
            if len(rows) < _ROWS_AT_ONCE:
                return
            after = rows[-1][0]

    def take(self, patience: float = 0) -> Taken | None:
        seen = self._changes
        taken = self._take()
        if taken is None and patience:
            with self._changed:
                self._changed.wait_for(lambda: self._changes != seen, patience)
            taken = self._take()
        return taken

    def done(self, taken: Taken) -> None:
        with self._transaction() as connection:
            _end(connection, taken.task.name, taken.attempt, self._clock())

    def failed(self, taken: Taken) -> None:
        name, attempt, now = taken.task.name, taken.attempt, self._clock()
        with self._transaction() as connection:
            if attempt >= MOST_ATTEMPTS:
                _end(connection, name, attempt, now)
            else:
                _put_off(connection, name, attempt, now + pause_after(attempt))

    def wake(self) -> None:
        self._notify(None)

    def recover(self) -> None:
        now = self._clock()
        with self._transaction() as connection:
            held = connection.execute("SELECT name, attempts FROM task WHERE free > due").fetchall()
            for name, attempts in held:
                _put_off(connection, name, attempts, now + pause_after(attempts - AT_ONCE))

    def close(self) -> None:
        self.wake()
        with self._lock:
            self._connection.close()

    def _take(self) -> Taken | None:
        now = to_micros(self._clock())
        # Looking locks nobody out, and mostly nothing is due.
        while self._rows("SELECT 1 FROM task WHERE free <= ? LIMIT 1", (now,)):
            with self._transaction() as connection:
                row = connection.execute(
                    "SELECT name, work, body, attempts, free FROM task WHERE free <= ? "
                    "ORDER BY free LIMIT 1",
                    (now,),
                ).fetchone()
                taken = _taken(connection, row, now) if row is not None else None
            if taken is not None:
                return taken
        return None

    def _notify(self, waiters: int | None) -> None:
        with self._changed:
            self._changes += 1
            if waiters is None:
                self._changed.notify_all()
            else:
                self._changed.notify(waiters)

    def _rows(self, sql: str, values: tuple[Any, ...]) -> list[Any]:
        with _as_queue_errors(), self._lock:
            return self._connection.execute(sql, values).fetchall()

    @contextlib.contextmanager
    def _transaction(self) -> Iterator[sqlite3.Connection]:
        with _as_queue_errors(), self._lock:
            connection = self._connection
            connection.execute("BEGIN IMMEDIATE")
            try:
                yield connection
                connection.execute("COMMIT")
            except BaseException:
                if connection.in_transaction:
                    connection.execute("ROLLBACK")
                raise


def pause_after(failures: int) -> timedelta:
    """How long a task waits after so many failed calls."""
    if failures <= 0:
        return timedelta(0)
    doublings = min(failures - 1, 20)  # by then it is the longest, and the number stays small
    return min(FIRST_PAUSE * (1 << doublings), LONGEST_PAUSE)


def _taken(connection: sqlite3.Connection, row: Any, now: int) -> Taken | None:
    """The task under a lease; None if its last call was one too many and nobody reported it."""
    name, work, body, attempts, free = row
    if attempts >= MOST_ATTEMPTS:
        _end(connection, name, attempts, from_micros(now))
        return None
    lease = to_micros(from_micros(now) + LONGEST_CALL)
    connection.execute(
        "UPDATE task SET attempts = ?, due = ?, free = ? WHERE name = ?",
        (attempts + 1, free, lease, name),
    )
    return Taken(Task(name, work, msgspec.json.decode(body), from_micros(free)), attempts + 1)


def _put_off(connection: sqlite3.Connection, name: str, attempt: int, due: datetime) -> None:
    connection.execute(
        "UPDATE task SET due = ?, free = ? WHERE name = ? AND attempts = ? AND free IS NOT NULL",
        (to_micros(due), to_micros(due), name, attempt),
    )


def _end(connection: sqlite3.Connection, name: str, attempt: int, now: datetime) -> None:
    connection.execute(
        "UPDATE task SET body = x'', free = NULL, ended = ? "
        "WHERE name = ? AND attempts = ? AND free IS NOT NULL",
        (to_micros(now), name, attempt),
    )


def _connected(path: Path) -> sqlite3.Connection:
    # Threads take turns by a lock of ours.
    connection = sqlite3.connect(
        path, timeout=_PATIENCE, isolation_level=None, check_same_thread=False
    )
    try:
        if not write_ahead(connection, _PATIENCE):
            raise QueueError(
                f"the file system of {path} cannot share memory between processes, which the queue "
                "needs; put the data on a local disk: --data"
            )
        connection.execute("PRAGMA synchronous = FULL")
        _make(connection, path)
    except BaseException:
        connection.close()
        raise
    return connection


def _make(connection: sqlite3.Connection, path: Path) -> None:
    connection.execute("BEGIN IMMEDIATE")  # of two processes that open it first, one makes it
    (shape,) = connection.execute("PRAGMA user_version").fetchone()
    if shape > _SHAPE:
        raise QueueError(
            f"{path} was written by a newer version of Yurt (shape {shape}, this one knows "
            f"{_SHAPE}); update Yurt or choose other data with --data"
        )
    if shape == 0:
        for statement in _TABLE.split(";"):
            connection.execute(statement)
        connection.execute(f"PRAGMA user_version = {_SHAPE}")
    connection.execute("COMMIT")


@contextlib.contextmanager
def _as_queue_errors() -> Iterator[None]:
    try:
        yield
    except sqlite3.OperationalError as error:
        raise QueueUnavailable(f"the queue cannot be used just now: {error}") from error
    except sqlite3.ProgrammingError as error:
        raise QueueUnavailable("the queue is closed") from error
    except (sqlite3.DatabaseError, OSError) as error:
        raise QueueError(f"the queue cannot be used: {error}; run `yurt doctor`") from error
