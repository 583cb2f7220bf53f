"""Group commit: threads that want to be durable at the same time share one sync of the disk."""

import logging
import sqlite3
import threading
import time
from collections import deque
from collections.abc import Callable, Sequence
from typing import Generic, NamedTuple, TypeVar

from shared.store.protocol import Settle
from shared.wal import is_locked

W = TypeVar("W")

_MOST_IN_A_GROUP = 256
_ATTEMPT = 0.1
"""Seconds that one attempt waits for another process's lock. Between attempts those whose time is
up are told so, and newcomers join the group."""


_log = logging.getLogger(__name__)


class _Waiting(NamedTuple, Generic[W]):
    work: W
    deadline: float
    settle: Settle


class GroupCommit(Generic[W]):
    """Commits what many threads bring, in few transactions, from one thread of its own.

    perform: does the work of a group inside a transaction. It may be called again after a
    rollback, with the same work in other company, so it must have no other effect.
    """

    def __init__(
        self,
        connection: sqlite3.Connection,
        perform: Callable[[sqlite3.Connection, Sequence[W]], None],
    ) -> None:
        connection.execute(f"PRAGMA busy_timeout = {int(_ATTEMPT * 1000)}")
        self._connection = connection
        self._perform = perform
        self._queue: deque[_Waiting[W]] = deque()
        self._gate = threading.Lock()
        self._closed = False
        self._wake = threading.Lock()
        self._wake.acquire()
        self._awake = False
        self._thread: threading.Thread | None = None

    def run(self, work: W, within: float) -> None:
        """Returns once the work is durable.

        `sqlite3.OperationalError` when that could not be had within `within` seconds; whatever
        the work itself raised otherwise, without harm to the others of its group.
        """
        errors: list[Exception | None] = []
        settled = threading.Lock()
        settled.acquire()

        def settle(error: Exception | None) -> None:
            errors.append(error)
            settled.release()

        self.submit(work, within - 5 * _ATTEMPT, settle)
        if not settled.acquire(timeout=within):
            raise sqlite3.OperationalError("the disk does not answer in time")
        error = errors[0]
        if error is not None:
            raise error

    def submit(self, work: W, within: float, settle: Settle) -> None:
        """As `run`, but returns at once; `settle` is called, once, with the error or None.

        It is called by the thread that commits, so it must be quick and must not raise.
        """
        waiting = _Waiting(work, time.monotonic() + within, settle)
        with self._gate:
            if self._closed:
                raise sqlite3.OperationalError("the store is closed")
            if self._thread is None:
                # Started by the first who writes: most commands only read.
                self._thread = threading.Thread(target=self._run, name="commits", daemon=True)
                self._thread.start()
            self._queue.append(waiting)
            if not self._awake:
                self._awake = True
                self._wake.release()

    def close(self) -> None:
        """Commits what is waiting; later calls of `run` are refused."""
        with self._gate:
            self._closed = True
            if not self._awake:
                self._awake = True
                self._wake.release()
        if self._thread is not None:
            self._thread.join(timeout=10)

    def _run(self) -> None:
        finished = False
        while not finished:
            self._wake.acquire()
            group: list[_Waiting[W]] = []
            while self._join(group):
                self._commit(group)
                group.clear()
            finished = self._slept()

    def _slept(self) -> bool:
        """Whether all is done for good; otherwise there is a wake-up to come."""
        with self._gate:
            self._awake = bool(self._queue)
            if self._awake:
                self._wake.release()
            return self._closed and not self._awake

    def _join(self, group: list[_Waiting[W]]) -> bool:
        while self._queue and len(group) < _MOST_IN_A_GROUP:
            group.append(self._queue.popleft())
        return bool(group)

    def _commit(self, group: list[_Waiting[W]]) -> None:
        while group:
            try:
                self._transaction(group)
            except Exception as error:  # noqa: BLE001 - it belongs to whoever waits for this work
                if is_locked(error):
                    now = time.monotonic()
                    _settle([w for w in group if w.deadline <= now], error)
                    group[:] = [w for w in group if w.deadline > now]
                    self._join(group)
                    continue
                if len(group) == 1 or isinstance(error, sqlite3.OperationalError):
                    # A full or failing disk: the same would happen to each.
                    _settle(group, error)
                    return
                for waiting in group:  # one of them is at fault: the others shall not suffer
                    self._commit([waiting])
                return
            else:
                _settle(group, None)
                return

    def _transaction(self, group: list[_Waiting[W]]) -> None:
        connection = self._connection
        connection.execute("BEGIN IMMEDIATE")
        try:
            self._perform(connection, [waiting.work for waiting in group])
            connection.execute("COMMIT")
        except BaseException:
            if connection.in_transaction:
                connection.execute("ROLLBACK")
            raise


def _settle(group: Sequence[_Waiting[W]], error: Exception | None) -> None:
    for waiting in group:
        try:
            waiting.settle(error)
        except Exception as fault:  # noqa: BLE001 - nobody's answer may end the thread of all
            _log.error("an answer could not be given: %s", type(fault).__name__)
