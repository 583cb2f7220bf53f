"""Phones that went quiet, by how they usually report. Pure.

A phone that lies still may say nothing for hours, and each app has its own ways, so nobody
configures when one is late: what is usual is the longest silence of each of the last days.
"""

from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import NamedTuple

from msgspec import Struct

from shared.ha.allowances import began_day
from shared.model.time import Instant

REMEMBERED = 7
"""Days."""
USUALLY = 3
"""Days with reports within those, from which on a device is one that usually reports."""
LONGER, AT_LEAST, AT_MOST = 1.5, timedelta(hours=2), timedelta(days=2)
"""It is quiet after so many times its longest silence, within these bounds."""


class Report(NamedTuple):
    """last: when something was last heard of a device. battery: 0 to 1, then. name: the owner's."""

    last: datetime
    battery: float | None
    name: str


class Gap(Struct, frozen=True, kw_only=True):
    """day: its midnight. longest: seconds between two reports, the later of which came then."""

    day: Instant
    longest: float


class Phone(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """last: report. days: with reports, the newest last. quiet: since when."""

    last: Instant
    days: tuple[Gap, ...] = ()
    quiet: Instant | None = None


def usual(phone: Phone) -> timedelta | None:
    """After which silence it is quiet; None for one that does not usually report."""
    if len(phone.days) < USUALLY:
        return None
    longest = max(gap.longest for gap in phone.days)
    return min(AT_MOST, max(AT_LEAST, timedelta(seconds=longest * LONGER)))


def heard(before: Phone | None, report: Report, now: datetime) -> Phone:
    """What is known of a phone after a look."""
    if before is None:
        return Phone(last=report.last)
    days = tuple(gap for gap in before.days if now - gap.day <= timedelta(days=REMEMBERED + 1))
    if report.last > before.last:
        longest = (report.last - before.last).total_seconds()
        # One long absence does not make long absences usual; several do.
        limit = usual(before)
        longest = min(longest, limit.total_seconds()) if limit is not None else longest
        days = _with(days, began_day(now), longest)
        return Phone(last=report.last, days=days[-REMEMBERED:])
    phone = Phone(last=before.last, days=days, quiet=before.quiet)
    limit = usual(phone)
    if phone.quiet is None and limit is not None and now >= phone.last + limit:
        return Phone(last=phone.last, days=days, quiet=phone.last + limit)
    return phone


def look(
    before: Mapping[str, Phone], reports: Mapping[str, Report], now: datetime
) -> dict[str, Phone]:
    """The phones of which something was ever heard."""
    return {id: heard(before.get(id), report, now) for id, report in reports.items()}


def _with(days: tuple[Gap, ...], day: datetime, longest: float) -> tuple[Gap, ...]:
    if days and days[-1].day == day:
        return (*days[:-1], Gap(day=day, longest=max(days[-1].longest, longest)))
    return (*days, Gap(day=day, longest=longest))
