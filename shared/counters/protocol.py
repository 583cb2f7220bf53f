"""The port of counters: what the platform itself says was used of the quotas."""

from collections.abc import Iterable, Mapping
from datetime import datetime, timedelta
from typing import NamedTuple, Protocol


class Unknown(NamedTuple):
    """It cannot be said now. why: in words."""

    why: str


Reading = float | Unknown
"""In the unit of the allowance."""


class Counters(Protocol):
    @property
    def late(self) -> timedelta:
        """By how much counts may be behind."""
        ...

    def read(self, names: Iterable[str], now: datetime) -> Mapping[str, Reading]:
        """What was used of these allowances since their windows began, or is kept.

        Never raises for what cannot be asked: that is unknown. Names that nothing counts are left
        out.
        """
        ...
