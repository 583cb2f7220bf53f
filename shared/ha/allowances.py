"""What is free of each quota, and when its days and months begin. Pure."""

from datetime import UTC, date, datetime, timedelta
from typing import Annotated, Literal
from zoneinfo import ZoneInfo

from msgspec import Meta, Struct

PACIFIC = ZoneInfo("America/Los_Angeles")
"""The zone in which days and months of allowances begin at midnight
(https://cloud.google.com/firestore/quotas)."""

LONGEST_MONTH = 31
"""Days."""

BYTES = {"GB": 10**9, "GiB": 2**30}
"""Of the units that are amounts of data."""

Window = Literal["day", "month", "stock"]
Recurring = Literal["day", "month"]
Text = Annotated[str, Meta(min_length=1)]
Positive = Annotated[float, Meta(gt=0)]


class Allowance(Struct, frozen=True, forbid_unknown_fields=True):
    """Something of which so much is free.

    title: what is counted. window: `day`, from midnight to midnight in the Pacific zone, `month`,
    or `stock`, which is what is kept at any time. scope: whose it is, and so who shares it.
    beyond: whether what is more is billed or refused. price: USD for each `per` units of it, of a
    stock for a month. source: where the figures are from.
    """

    title: Text
    amount: Positive
    unit: Text
    window: Window
    scope: Literal["project", "billing account"]
    beyond: Literal["billed", "refused"]
    price: Annotated[float, Meta(ge=0)]
    per: Positive
    source: Annotated[str, Meta(pattern=r"^https://")]
    note: str = ""

    @property
    def unit_price(self) -> float:
        """USD."""
        return self.price / self.per


def began(window: Window, now: datetime) -> datetime | None:
    """When the current day or month of the Pacific zone began, in UTC; None for a stock."""
    if window == "stock":
        return None
    return began_day(now) if window == "day" else _midnight(_today(now).replace(day=1))


def began_day(now: datetime) -> datetime:
    """The same of a day."""
    return _midnight(_today(now))


def ends(window: Window, now: datetime) -> datetime | None:
    """When the next one begins, and all is free again; None for a stock. A day has 23 hours, or
    25, when the clocks change."""
    return None if window == "stock" else end_of(window, now)


def end_of(window: Recurring, now: datetime) -> datetime:
    """The same, of what comes again."""
    today = _today(now)
    if window == "day":
        return _midnight(today + timedelta(days=1))
    return _midnight((today.replace(day=1) + timedelta(days=LONGEST_MONTH)).replace(day=1))


def days_touched(start: datetime, end: datetime) -> int:
    """Days of the Pacific zone of which a time has a part."""
    if end <= start:
        return 0
    return (_today(end - timedelta(microseconds=1)) - _today(start)).days + 1


def _today(now: datetime) -> date:
    return now.astimezone(PACIFIC).date()


def _midnight(day: date) -> datetime:
    # The clocks of the zone change at two o'clock, so there is one midnight each day.
    return datetime(day.year, day.month, day.day, tzinfo=PACIFIC).astimezone(UTC)
