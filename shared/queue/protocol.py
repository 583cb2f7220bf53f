"""The queue port: deferred calls. `tests/contract` holds every adapter to it.

Delivery is at least once, in no order, perhaps late, perhaps twice at once. A task whose call fails
is called again, after a wait that grows; after many failures it is dropped. So a task is a hint to
look, never the only place where something is known.

Errors. `QueueUnavailable` when trying again later may help, any other `QueueError` says what the
owner has to do. After either, the task may have been added or not.
"""

from collections.abc import Iterator, Mapping
from datetime import datetime, timedelta
from typing import NamedTuple, Protocol, runtime_checkable

NAME_LIMIT = 200
BODY_LIMIT = 10_000
"""Bytes. Cloud Tasks bills each 32 KiB; what is larger belongs in the store."""
FARTHEST = timedelta(days=29)
"""How far ahead a task can be. Cloud Tasks takes 30 days by a clock that is not ours."""
LONGEST_CALL = timedelta(minutes=30)
"""A call that takes longer may be made again meanwhile. Cloud Tasks waits no longer either."""
REFUSED_FOR = timedelta(days=1)


class QueueError(Exception):
    """Something about the queue that the caller cannot mend by calling differently."""


class QueueUnavailable(QueueError):
    """The queue cannot be reached or takes no more just now: try the same call again later."""


class Task(NamedTuple):
    """name: letters, digits, `-` and `_`, at most `NAME_LIMIT`. work: which handler is called
    (`work`, later `tick`). body: JSON members for it, at most `BODY_LIMIT` when encoded. after: not
    before then, at most `FARTHEST` from now (None: at once).
    """

    name: str
    work: str
    body: Mapping[str, str | int]
    after: datetime | None = None


class Waiting(NamedTuple):
    """A task that has not been called with success, or is being called. attempts: calls that were
    made. due: of the next call, or of the one that is being made.
    """

    name: str
    attempts: int
    due: datetime


class Queue(Protocol):
    def add(self, task: Task) -> bool:
        """Adds a task durably. False, and nothing is added, when its name is used.

        A name stays used for up to `REFUSED_FOR` after its task was done or dropped, or less. So
        False says that such a task waits, is being called, or was called lately; who wants another
        call needs another name. True means that this call added it; but where an answer got lost on
        the way it may mean the same as False, since a repeated request cannot tell whose name it
        meets.

        `ValueError` for a task that no queue takes.
        """
        ...

    def waiting(self) -> Iterator[Waiting]:
        """Every task that was added before the call and still waits, in no order."""
        ...

    def close(self) -> None: ...


class Taken(NamedTuple):
    """A task to be called now. attempt: 1 the first time."""

    task: Task
    attempt: int


@runtime_checkable
class Workable(Protocol):
    """A queue whose tasks are called in this process (by `worker`), not over HTTP by a service."""

    def take(self, patience: float = 0) -> Taken | None:
        """A task that is due, which nobody else gets within `LONGEST_CALL`.

        None if there is none, after waiting up to `patience` seconds for this process to add one.
        """
        ...

    def done(self, taken: Taken) -> None:
        """The call succeeded. Nothing happens if somebody else has the task meanwhile."""
        ...

    def failed(self, taken: Taken) -> None:
        """The call failed: the task comes again later, or is dropped. Otherwise as `done`."""
        ...

    def wake(self) -> None:
        """Whoever waits in `take` looks again at once."""
        ...

    def recover(self) -> None:
        """Gives back what a process that is no more had taken.

        Only for whoever knows that nobody else calls tasks of this queue.
        """
        ...
