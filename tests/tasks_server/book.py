"""What the service knows of one queue: its tasks, the names that were used, attempts, back-off.

No thread, no clock, no network: whoever uses it brings the time, and takes turns.
"""

import uuid
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, NamedTuple

from google.cloud import tasks_v2

from tests.tasks_server.creation import Refusal, Wire
from tests.tasks_server.faults import Faults

REFUSED_FOR = timedelta(hours=24)

_DEADLINE_EXCEEDED, _UNAVAILABLE, _UNKNOWN = 4, 14, 2


@dataclass(frozen=True)
class Retry:
    """When a task is called again. A queue made without saying otherwise has these.

    attempts: -1 for no end. A task is given up once it had that many *and* `duration` has passed
    since the first.
    """

    attempts: int = 100
    duration: timedelta = timedelta(0)
    shortest: timedelta = timedelta(seconds=0.1)
    longest: timedelta = timedelta(hours=1)
    doublings: int = 16

    def pause(self, failures: int) -> timedelta:
        """It doubles, then grows by as much as it did last, then stays."""
        doublings = min(failures - 1, self.doublings)
        steps = max(1, failures - self.doublings)
        return min(self.shortest * (1 << doublings) * steps, self.longest)

    def is_over(self, failures: int, since: timedelta) -> bool:
        return 0 < self.attempts <= failures and since >= self.duration


class Call(NamedTuple):
    """A call to be made. id: the task's. attempt: counts from 1. extra: it was made already."""

    id: str
    task: Wire
    attempt: int
    executions: int
    previous: int | None
    extra: bool = False


@dataclass
class _Entry:
    task: Wire
    due: datetime
    first: datetime | None = None
    executions: int = 0
    previous: int | None = None
    running: bool = False


class Book:
    def __init__(self, queue: str, retry: Retry, faults: Faults, scale: float) -> None:
        self.queue = queue
        self.paused = False
        self._retry = retry
        self._faults = faults
        self._scale = scale
        self._entries: dict[str, _Entry] = {}
        self._used: dict[str, datetime] = {}
        self._extra: list[tuple[datetime, Call]] = []
        self._running = 0

    # Of the API

    def create(self, task: Wire, now: datetime) -> Wire:
        task.name = task.name or f"{self.queue}/tasks/{uuid.uuid4().int % 10**19}"
        id = _id(task.name)
        if id in self._entries:
            raise Refusal("ALREADY_EXISTS", "Requested entity already exists")
        if id in self._used and now - self._used[id] < REFUSED_FOR:
            raise Refusal(
                "ALREADY_EXISTS",
                "The task cannot be created because a task with this name existed too recently.",
            )
        task.create_time = now.replace(microsecond=0)
        late = timedelta(seconds=self._faults.lateness() * self._scale)
        self._entries[id] = _Entry(task, _time(task.schedule_time) + late)
        return task

    def get(self, id: str) -> Wire:
        if id in self._entries:
            return self._entries[id].task
        raise Refusal(
            "NOT_FOUND",
            "The task no longer exists, though a task with this name existed recently."
            if id in self._used
            else "Requested entity was not found.",
        )

    def delete(self, id: str, now: datetime) -> None:
        self.get(id)
        del self._entries[id]
        self._used[id] = now

    def after(self, id: str, limit: int) -> list[Wire]:
        """The tasks by name, those after `id`."""
        return [self._entries[one].task for one in sorted(self._entries) if one > id][:limit]

    # Of the calls

    @property
    def ids(self) -> list[str]:
        """Of the tasks that wait or are being called."""
        return sorted(self._entries)

    @property
    def is_empty(self) -> bool:
        return not (self._entries or self._extra or self._running)

    def next_due(self) -> datetime | None:
        """When there is a call to be made, if nothing else happens."""
        if self.paused:
            return None
        waiting = [entry.due for entry in self._entries.values() if not entry.running]
        return min(waiting + [due for due, _ in self._extra], default=None)

    def begin(self, now: datetime) -> Iterator[Call]:
        """The calls that are due; each has begun when it is given out."""
        if self.paused:
            return
        due = [(one.due, id) for id, one in self._entries.items() if one.due <= now]
        ids = [id for _, id in sorted(due) if not self._entries[id].running]
        again = [call for when, call in self._extra if when <= now]
        self._extra = [(when, call) for when, call in self._extra if when > now]
        for id in self._faults.order(ids):
            if id in self._entries:  # meanwhile it may have been deleted
                yield self._begun(id, now)
        for call in again:
            self._running += 1
            yield call

    def end(self, call: Call, status: int | None, now: datetime) -> None:
        """status: what the worker answered; None if it was not heard in time."""
        self._running -= 1
        if call.extra:
            return
        entry = self._entries.get(call.id)
        if entry is None:  # deleted while it was being called
            return
        entry.running = False
        if status is not None and 200 <= status < 300:
            self.delete(call.id, now)
            return
        self._failed(entry, status, now)
        assert entry.first is not None
        if self._retry.is_over(call.attempt, now - entry.first):
            self.delete(call.id, now)
            return
        entry.due = now + self._retry.pause(call.attempt) * self._scale
        entry.task.schedule_time = entry.due

    def _begun(self, id: str, now: datetime) -> Call:
        entry = self._entries[id]
        task = entry.task
        entry.running = True
        self._running += 1
        task.dispatch_count += 1
        attempt = tasks_v2.Attempt(schedule_time=entry.due, dispatch_time=now)
        if entry.first is None:
            entry.first = now
            task.first_attempt = tasks_v2.Attempt(dispatch_time=now)
        task.last_attempt = attempt
        call = Call(id, task, task.dispatch_count, entry.executions, entry.previous)
        if self._faults.duplicates():
            late = timedelta(seconds=self._faults.lateness() * self._scale)
            self._extra.append((now + late, call._replace(extra=True)))
        return call

    def _failed(self, entry: _Entry, status: int | None, now: datetime) -> None:
        entry.previous = status
        if status is not None:
            entry.task.response_count += 1
            entry.task.last_attempt.response_time = now
            # Where the function never ran, the service does not count an execution.
            entry.executions += status < 500
        entry.task.last_attempt.response_status = _status(status)


def _status(status: int | None) -> dict[str, int | str]:
    if status is None:
        return {"code": _DEADLINE_EXCEEDED, "message": "DEADLINE_EXCEEDED(4): Request timed out"}
    code = _UNAVAILABLE if status == 503 else _UNKNOWN
    return {"code": code, "message": f"HTTP status code {status}"}


def _id(name: str) -> str:
    return name.rpartition("/")[2]


def _time(timestamp: Any) -> datetime:
    """A time as the client's library gives it, as a plain one."""
    return datetime.fromtimestamp(timestamp.timestamp(), timestamp.tzinfo)
