"""The port to the platform's own counters."""

from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import NamedTuple, Protocol

from shared.ha.allowances import Allowance


class Unknown(NamedTuple):
    """It cannot be said now; never to be taken for 0. why: in words."""

    why: str


Reading = float | Unknown
"""In the unit of the allowance."""


class Counters(Protocol):
    """Figures of the whole project, whoever spent it. Of allowances that belong to a billing
    account other projects may use, too, which is not seen."""

    def read(self, asked: Mapping[str, Allowance], now: datetime) -> Mapping[str, Reading]:
        """What was used of each of these since its window began, or is kept of a stock.

        asked: by name. now: with a zone. What nobody counts is left out; what cannot be asked is
        unknown, and spoils no other. Never raises for either. Takes seconds, never minutes.
        """
        ...

    @property
    def late(self) -> timedelta:
        """By how much counts may be behind."""
        ...
