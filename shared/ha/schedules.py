"""When a collector's slots are: each so often, or by cron in a time zone. Pure."""

import re
from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import lru_cache
from zoneinfo import ZoneInfo

from shared.model.time import EPOCH

SHORTEST = timedelta(minutes=1)
LONGEST = timedelta(days=31)
"""What comes less often is not seen to be late before it is forgotten; cron says it better."""

_EVERY = re.compile(r"every\s+(?:([0-9]+)\s*)?(minutes?|mins?|m|hours?|h|days?|d|weeks?|w)")
_UNITS = {
    "m": timedelta(minutes=1),
    "h": timedelta(hours=1),
    "d": timedelta(days=1),
    "w": timedelta(weeks=1),
}
_FIELDS = 5
_TWICE = timedelta(hours=2)
"""More than any clock is set back by."""
_FOR_EVER = timedelta(days=8 * 366)
"""Two 29ths of February are at most so far apart."""


class BadSchedule(ValueError):
    """It is no schedule, or one that cannot be met; the text says why, and what to write."""


@dataclass(frozen=True, slots=True)
class Schedule:
    """every: the time between two slots, of one that goes by it; their offset is the collector's
    own. cron, zone: of one that goes by the clock of an IANA zone."""

    every: timedelta | None = None
    cron: str = ""
    zone: str = "UTC"

    def slots(self, after: datetime, until: datetime, offset: timedelta) -> Iterator[datetime]:
        """Those with after < slot <= until, in order.

        offset: of the slots that come each so often, from the whole multiples since 1970.
        """
        if self.every is None:
            yield from _until(self._cron(after), until)
            return
        slot = EPOCH + offset + ((after - EPOCH - offset) // self.every + 1) * self.every
        while slot <= until:
            yield slot
            slot += self.every

    def next(self, after: datetime, offset: timedelta) -> datetime:
        """The first slot after then."""
        if self.every is None:
            return next(self._cron(after)).astimezone(UTC)
        return EPOCH + offset + ((after - EPOCH - offset) // self.every + 1) * self.every

    def last(self, until: datetime, offset: timedelta) -> datetime:
        """The last slot that was not after then."""
        if self.every is None:
            return self._last(until)
        return EPOCH + offset + ((until - EPOCH - offset) // self.every) * self.every

    def _last(self, until: datetime) -> datetime:
        """Of those that come by going on: backward, hours that come twice are seen otherwise."""
        start = until + timedelta(microseconds=1)
        while True:
            start = next(self._cron(start, reverse=True)).astimezone(UTC) - _TWICE
            found = deque(_until(self._cron(start), until), maxlen=1)
            if found:
                return found[0]

    def count(self, start: datetime, end: datetime, offset: timedelta) -> int:
        """How many have start <= slot < end."""
        if self.every is None:
            return _counted(self, start, end)
        before = EPOCH + offset
        return -((before - end) // self.every) + (before - start) // self.every

    def _cron(self, after: datetime, *, reverse: bool = False) -> Iterator[datetime]:
        from cronsim import CronSim  # functions that know collectors only by name do without it

        return CronSim(self.cron, after.astimezone(ZoneInfo(self.zone)), reverse=reverse)


@lru_cache(maxsize=4096)
def schedule(text: str, zone: str = "UTC") -> Schedule:
    """From `every 15 minutes`, `every 1h`, or five fields of cron. `BadSchedule`."""
    words = " ".join(text.lower().split())
    zone = _zone(zone)
    if words.startswith("every"):
        return Schedule(every=_every(words))
    fields = text.split()
    if len(fields) != _FIELDS:
        raise BadSchedule(
            f"{text!r} is no schedule: write `every 15 minutes`, `every 6h`, or five fields of "
            "cron such as `0 7 * * *`"
        )
    return _checked(Schedule(cron=" ".join(fields), zone=zone), text)


def _every(words: str) -> timedelta:
    found = _EVERY.fullmatch(words)
    if found is None:
        raise BadSchedule(
            f"{words!r} is no schedule: after `every` comes a number of minutes, hours, days or "
            "weeks, as in `every 15 minutes`"
        )
    try:
        every = int(found[1] or 1) * _UNITS[found[2][0]]
    except OverflowError:
        every = LONGEST * 2
    if not SHORTEST <= every <= LONGEST:
        raise BadSchedule(f"{words!r} cannot be met: from a minute to 31 days is possible")
    return every


def _zone(name: str) -> str:
    try:
        ZoneInfo(name)
    except (KeyError, ValueError, OSError) as error:
        raise BadSchedule(
            f"there is no time zone {name!r}; write one like Europe/Berlin"
        ) from error
    return name


def _checked(found: Schedule, text: str) -> Schedule:
    from cronsim import CronSim, CronSimError

    try:
        first = next(CronSim(found.cron, datetime(2024, 1, 1, tzinfo=UTC)))
    except (CronSimError, StopIteration) as error:
        raise BadSchedule(
            f"{text!r} is no schedule that comes: {str(error) or 'no such day'}"
        ) from None
    if first > datetime(2024, 1, 1, tzinfo=UTC) + _FOR_EVER:
        raise BadSchedule(f"{text!r} is no schedule that comes: there is no such day")
    return found


def _until(slots: Iterator[datetime], until: datetime) -> Iterator[datetime]:
    for slot in slots:
        if slot > until:
            return
        yield slot.astimezone(UTC)


@lru_cache(maxsize=4096)
def _counted(found: Schedule, start: datetime, end: datetime) -> int:
    """The windows of a plan are few, and many collectors have the same schedule."""
    slots = found.slots(start - timedelta(microseconds=1), end, timedelta(0))
    return sum(slot < end for slot in slots)
