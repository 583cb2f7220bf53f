"""A queue in memory, for whoever drives the engine itself: what is added is taken in that order."""

from collections import deque
from collections.abc import Iterator
from datetime import UTC, datetime

from shared.queue.protocol import Task, Waiting


class InlineQueue:
    """`Queue` in memory, for one thread that adds and one that takes."""

    def __init__(self) -> None:
        self._tasks: deque[Task] = deque()
        self._names: set[str] = set()

    def add(self, task: Task) -> bool:
        if task.name in self._names:
            return False
        self._names.add(task.name)
        self._tasks.append(task)
        return True

    def take(self) -> Task | None:
        """The task that was added first, whether it is due or not."""
        return self._tasks.popleft() if self._tasks else None

    def waiting(self) -> Iterator[Waiting]:
        for task in list(self._tasks):
            yield Waiting(task.name, 0, task.after or datetime.min.replace(tzinfo=UTC))

    def close(self) -> None:
        self._tasks.clear()
