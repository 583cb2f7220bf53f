"""What a run of a collector asks a service."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Protocol

from shared.model.profile import Profile
from shared.model.steps import STEP_RECORDS, Step

ANSWER_WITHIN = 20.0
"""Seconds that a service may be silent. A run's lease is renewed between steps, so each request and
what is made of it must take less than half of it."""


class BadOptions(ValueError):
    """The options of a collector cannot be used; the text says which, and what to write."""


class NotLetIn(Exception):
    """The service refuses the credentials: only the owner can mend that. The text says what to do,
    and holds no secret."""


class CannotBeAsked(Exception):
    """The service will never answer this: trying again does not help; the text says what to do."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Asked:
    """collector: its id; what records and rejects say they come from is stable under it.

    options: as `Service.checked` gave them back. secret: a password or token, None if there is
    none. cursor: of the last step that was committed, perhaps long ago; None the first time. now:
    what counts as the future. profile: for local times and numbers. most: records in a step, about:
    what one run may write is bounded, and a step is not divided.
    """

    collector: str
    options: Mapping[str, Any]
    secret: str | None
    cursor: str | None
    now: datetime
    profile: Profile
    most: int = STEP_RECORDS


class Service(Protocol):
    """A module for one kind of service.

    NAME: as owners write it. VERSION: grows when it would now read the same things differently.
    """

    @property
    def NAME(self) -> str: ...  # noqa: N802 - constants of a module

    @property
    def VERSION(self) -> int: ...  # noqa: N802

    def checked(self, options: Mapping[str, Any]) -> dict[str, Any]:
        """The options, with defaults filled in. `BadOptions`. Asks nobody."""
        ...

    def steps(self, asked: Asked) -> Iterator[Step]:
        """What is new since the cursor, in steps of about `asked.most` records and `STEP_BYTES` at
        most; it ends when the service has nothing more now.

        Going on from the cursor of any step gives the same records as going on without a stop: a
        run may die between any two, and the next begins at the last that was committed. The cursor
        of the last step is where the next run, perhaps days later, goes on; where nothing is new
        there need be no step. What cannot be read is a `Bad` of its step, and stops nothing. `done`
        counts bytes, as far as is known, from 0 in each call, and never falls.

        `OSError` (also of the network): the same may succeed later. `NotLetIn`. `CannotBeAsked`.
        Memory does not grow with what the service has, whatever it sends.
        """
        ...
