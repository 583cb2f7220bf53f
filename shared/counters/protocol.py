"""The port to the platform's own counters."""

from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import NamedTuple, Protocol

from shared.ha.allowances import Allowance


class Unknown(NamedTuple):
    """It could not be asked, or nobody tells it; never to be taken for 0."""

    why: str


Reading = float | Unknown
"""In the unit of the allowance."""


class Counters(Protocol):
    """Figures of the whole project, whoever spent it. Of allowances that belong to a billing
    account other projects may use, too, which is not seen."""

    def read(self, asked: Mapping[str, Allowance], now: datetime) -> Mapping[str, Reading]:
        """What was used of each of these since its window began, or is kept of a stock.

        asked: by name. now: with a zone. All that was asked is in the answer, and one that is
        unknown spoils no other. Takes seconds, never minutes.
        """
        ...

    def late(self, name: str) -> timedelta:
        """How old the newest of what is counted may be: what was spent in the time before a reading
        may be missing in it. 0 for what is not counted at all."""
        ...
