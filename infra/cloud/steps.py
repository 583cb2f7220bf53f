"""What a deployment consists of: steps that look, decide and say what to do.

A step changes nothing by itself. It is true to one rule: whatever was done of it before, looking
and deciding again leads to what is still to be done, and to nothing once all is right.
"""

from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

from infra.cloud.api import Api, Call


class Blocked(Exception):
    """Something stands in the way that only the owner can move; the text says what, and how."""


class Deploy(NamedTuple):
    """A run of `gcloud` with these arguments, which uploads and builds something.

    files: for options that name one: the text of each by the word that stands for its path.
    """

    arguments: tuple[str, ...]
    files: tuple[tuple[str, str], ...] = ()


class Wait(NamedTuple):
    """Nothing to do but to look again after a while."""


class Change(NamedTuple):
    """says: what it does, as in `create in us-central1`. act: the request that does it.

    then: from the answer to a second request, without which the first has no effect. waits:
    whether to wait until the operation that the request begins is done.
    """

    says: str
    act: Call | Deploy | Wait
    then: Callable[[Any], Call] | None = None
    waits: bool = True


class Step(ABC):
    """One thing that a node needs.

    title: what it is about, as in `bucket my-project-yurt`. wanted: what it will be like, in a
    line, said without looking. optional: what is refused to the owner is told and left out.
    beside: it may be done at the same time as its neighbours of which that holds, too. stays: what
    stays after `removal`, and why; None if nothing does.
    """

    title: str
    wanted: str
    optional: bool = False
    beside: bool = False
    stays: str | None = None

    @abstractmethod
    def look(self, api: Api) -> Any:
        """What is there, as the API says it. Reads only."""

    @abstractmethod
    def decide(self, found: Any) -> Sequence[Change]:
        """What to do, in this order; nothing when it is right. `Blocked`. Pure."""

    def removal(self, found: Any) -> Sequence[Change]:  # noqa: ARG002 - what most steps have
        """What takes it down again. Pure."""
        return ()

    @property
    def is_removable(self) -> bool:
        """Whether there is something to take down, or to say about why it stays."""
        return self.stays is not None or type(self).removal is not Step.removal
