"""What goes wrong, by seed: the same seed and the same order of requests give the same faults."""

import random
from collections import deque
from dataclasses import dataclass, field
from typing import Literal

Fault = Literal["refused", "aborted", "lost", "hung", "exhausted"]
"""Of a request to the API. refused: 503, nothing happened. aborted: 409, nothing happened, though
not because of the name. lost: it happened, and the connection ended without an answer. hung: it
happened, and no answer comes for a minute. exhausted: 429."""


@dataclass
class Faults:
    """refused, lost: how often (0 to 1) a request to the API meets that fault. duplicated: how
    often a task is called once more after it was done. unheard: how often a worker's answer is not
    heard, so that the call counts as one that took too long. late: by up to how many seconds a call
    comes late. shuffled: calls come in any order.
    """

    seed: int = 0
    refused: float = 0
    lost: float = 0
    duplicated: float = 0
    unheard: float = 0
    late: float = 0
    shuffled: bool = False
    script: deque[Fault] = field(default_factory=deque)
    """Of the next requests to the API, one each, before chance has its turn."""

    def __post_init__(self) -> None:
        self._random = random.Random(self.seed)

    def of_request(self) -> Fault | None:
        if self.script:
            return self.script.popleft()
        drawn = self._random.random()
        if drawn < self.refused:
            return "refused"
        return "lost" if drawn < self.refused + self.lost else None

    def duplicates(self) -> bool:
        return self._random.random() < self.duplicated

    def leaves_unheard(self) -> bool:
        return self._random.random() < self.unheard

    def lateness(self) -> float:
        return self._random.uniform(0, self.late)

    def order(self, names: list[str]) -> list[str]:
        """The order in which these are called, soonest first where nothing is shuffled."""
        return self._random.sample(names, len(names)) if self.shuffled else names
