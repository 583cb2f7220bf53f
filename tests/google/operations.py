"""What takes a while: operations that finish after being looked at often enough, never by time."""

import itertools
from collections.abc import Callable
from typing import Any

from tests.google.refusal import Refusal

Json = dict[str, Any]
Finish = Callable[[], Json]


class Operation:
    """Something under way. finish: makes it happen, and gives the response; may refuse.

    metadata: told whether it is done. resource: what it is about; looking at that counts, too.
    """

    def __init__(
        self,
        name: str,
        resource: str,
        polls: int,
        finish: Finish,
        metadata: Callable[[bool], Json],
    ) -> None:
        self.name = name
        self.resource = resource
        self.done = False
        self.outcome: Json = {}
        self._left = polls
        self._finish = finish
        self._metadata = metadata

    def look(self) -> None:
        if not self.done:
            self._left -= 1
            if self._left < 0:
                self.complete()

    def complete(self) -> None:
        if not self.done:
            self.done = True
            try:
                self.outcome = {"response": self._finish()}
            except Refusal as refusal:
                self.outcome = {"error": refusal.rpc()}

    def shown(self) -> Json:
        """As `google.longrunning.Operation`."""
        shown: Json = {"name": self.name, "metadata": self._metadata(self.done)}
        return {**shown, "done": True, **self.outcome} if self.done else shown


class Operations:
    """All operations. polls: how often one is seen unfinished before it is done."""

    def __init__(self, polls: int) -> None:
        self._polls = polls
        self._all: dict[str, Operation] = {}
        self._numbers = itertools.count(1)

    def begin(
        self,
        prefix: str,
        resource: str,
        finish: Finish,
        metadata: Callable[[bool], Json] | None = None,
    ) -> Json:
        """prefix: what its name begins with; the service adds a number of its own."""
        name = f"{prefix}{next(self._numbers):08x}"
        operation = Operation(name, resource, self._polls, finish, metadata or (lambda _: {}))
        self._all[name] = operation
        return operation.shown()

    def get(self, name: str) -> Operation:
        """Looks at it once."""
        if name not in self._all:
            raise Refusal("NOT_FOUND", f"Operation '{name}' was not found.")
        operation = self._all[name]
        operation.look()
        return operation

    def look(self, resource: str) -> None:
        """Looks at what is under way with the resource, or with anything below it."""
        for operation in self._under_way():
            if operation.resource == resource or operation.resource.startswith(f"{resource}/"):
                operation.look()

    def is_busy(self, resource: str) -> bool:
        return any(operation.resource == resource for operation in self._under_way())

    def settle(self) -> None:
        """Time passes: everything that is under way ends."""
        for operation in self._under_way():
            operation.complete()

    def _under_way(self) -> list[Operation]:
        return [operation for operation in self._all.values() if not operation.done]
