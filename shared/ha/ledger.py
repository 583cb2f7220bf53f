"""The ledger: what was taken of each allowance, as the platform counts it. Pure.

It is made of the platform's counters at each look, and says nothing that they would not say again;
what is damaged is made anew. What phones and questions take is what they took on days that are
over: all that the platform counted, without what runs counted themselves.
"""

from collections.abc import Iterable, Mapping
from datetime import datetime, timedelta
from typing import ClassVar

from msgspec import Struct
from msgspec.structs import replace

from shared.ha.allowances import Allowance, began, began_day
from shared.ha.collectors import Vector
from shared.model.time import Instant

LEDGER = "ledger"
"""The name of the document in the store."""

REMEMBERED = 7
"""Days that a forecast is made of."""
ENOUGH = 3
"""Days after which it is made of them, and not of what phones usually take."""
OLD_AFTER = timedelta(hours=1)
"""A ledger that was not made anew for so long is not relied on."""


class DayOf(Struct, frozen=True, kw_only=True):
    """began: its midnight. besides: what reports and questions took."""

    began: Instant
    besides: dict[str, float]


class Ledger(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """at: when the counters were asked. late: seconds by which they may be behind. used: of each
    allowance, since its window began, or kept. unknown: why it is not known of others. days: that
    are over, the newest last. free: what imports may take today besides what they have; None
    before there was a plan. taken: by imports on that day, at that time. counted: the part of it
    that is surely in `used`, since it was taken before the look before.
    """

    SHAPE: ClassVar[int] = 1
    MENDED: ClassVar[str] = "a node that runs makes it anew within minutes"

    at: Instant
    late: float = 0.0
    used: dict[str, float] = {}
    unknown: dict[str, str] = {}
    days: tuple[DayOf, ...] = ()
    free: dict[str, float] | None = None
    taken: dict[str, float] = {}
    counted: dict[str, float] = {}

    @property
    def known(self) -> datetime:
        """Up to when it is known what was used."""
        return self.at - timedelta(seconds=self.late)

    def used_by(self, allowances: Mapping[str, Allowance], now: datetime) -> dict[str, float]:
        """Of windows that still go on; nothing was used of others."""
        return {
            name: amount
            for name, amount in self.used.items()
            if name in allowances
            and began(allowances[name].window, now) == began(allowances[name].window, self.known)
        }

    def lack(self, names: Iterable[str], now: datetime) -> str | None:
        """Why it cannot be relied on for these allowances, if it cannot."""
        if not self.at <= now + OLD_AFTER or now - self.at > OLD_AFTER:
            return f"what was used of the quotas is known up to {self.at:%Y-%m-%d %H:%M} UTC only"
        for name in names:
            if name in self.unknown:
                return f"nobody knows how much of {name} was used: {self.unknown[name]}"
        return None

    def forecast(self, usual: Vector) -> dict[str, float]:
        """What reports and questions take a day. usual: of what is not `measured`."""
        return {**usual, **self.measured()}

    def measured(self) -> dict[str, float]:
        """What is taken a day besides runs, once enough was seen of it. Of allowances of a month
        nothing is: too little of it was seen by then."""
        if len(self.days) < ENOUGH:
            return {}
        names = {name for day in self.days for name in day.besides}
        return {name: max(day.besides.get(name, 0.0) for day in self.days) for name in names}


def is_over(before: Ledger | None, now: datetime) -> bool:
    """Whether a day has ended since the ledger was made, so that `with_day` is wanted."""
    return before is not None and began_day(before.known) < began_day(now)


def with_day(
    before: Ledger, allowances: Mapping[str, Allowance], counted: Vector, now: datetime
) -> tuple[DayOf, ...]:
    """The days that are remembered, with the one that the ledger is of, which is over.

    counted: what runs took on it. A ledger that was not made in the last hours of its day knows too
    little of it.
    """
    day = began_day(before.known)
    if began_day(now) - before.known > _LAST_HOURS:
        return before.days
    besides = {
        name: max(0.0, amount - counted.get(name, 0.0))
        for name, amount in before.used.items()
        if name in allowances and allowances[name].window == "day"
    }
    return (*before.days, DayOf(began=day, besides=besides))[-REMEMBERED:]


_LAST_HOURS = timedelta(hours=1)


def with_free(ledger: Ledger, before: Ledger | None, free: Vector, taken: Vector) -> Ledger:
    """before: the ledger of the look before. free, taken: by imports on this day."""
    same_day = before is not None and began_day(before.at) == began_day(ledger.at)
    counted = before.taken if before is not None and same_day else {}
    return replace(ledger, free=dict(free), taken=dict(taken), counted=counted)
