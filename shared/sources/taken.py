"""When a picture was taken: which of the times that are said of it stands, and in what zone.

Cameras write local time, often without the offset from UTC; clocks are reset by empty batteries;
names carry dates. What stands is always said with where it is from.
"""

import re
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import Any, NamedTuple

from shared.model.profile import Profile
from shared.model.time import from_epoch

AHEAD = timedelta(days=1)
"""A time further than this after now is of a clock that was wrong."""
OLDEST = datetime(1826, 1, 1, tzinfo=UTC)
"""Before the first photograph: owners date their scans, and mean it."""

_OFFSETS = (
    *range(-12 * 60, 15 * 60, 60),
    # From the Marquesas and Newfoundland to Nepal, central Australia and the Chatham Islands.
    *(-570, -210, -150, 210, 270, 330, 345, 390, 525, 570, 630, 765, 825),
)
"""Minutes east of UTC that clocks have shown since there are digital cameras."""
_NEAR = timedelta(minutes=5)
"""How old a GPS fix may be, or how wrong a camera's clock, for its offset to be told from it."""

IN_NAME = "name"
DAY_IN_NAME = "day in name"
MODIFIED = "file modified"
ZONE = "zone"
WEAK = (IN_NAME, DAY_IN_NAME, MODIFIED)
"""Where a time is from that anything an export says of the file overrules."""


class LocalTime(NamedTuple):
    """A time as somebody's clock showed it. offset: minutes east of UTC, where it is said."""

    name: str
    shown: datetime
    offset: int | None


class KnownTime(NamedTuple):
    """A time in UTC. name: where it is from."""

    name: str
    time: datetime


class Taken(NamedTuple):
    """extra: `time_from`, `offset_from` (`zone`: the owner's, for want of better), and under
    `time_doubted` what was said and not believed."""

    time: datetime | None
    offset: int | None
    extra: dict[str, Any]


def taken(
    times: Sequence[LocalTime],
    *,
    known: KnownTime | None,
    name: str,
    modified: datetime | None,
    now: datetime,
    profile: Profile,
) -> Taken:
    """The first of `times` that can be meant, else `known`, else that of the file's name, or of the
    file itself. known: also tells the offset of the others. name, modified: of the file."""
    doubted: list[str] = []
    if known and not (plausible(known.time, now) and not is_reset(known.time)):
        doubted.append(f"{known.name} {known.time.isoformat()}")
        known = None
    named = in_name(name, now, profile)
    for said in times:
        found = _in_utc(said, known, profile)
        if found.time and plausible(found.time, now) and not _reset(said, known, named):
            return _with(found, doubted)
        doubted.append(f"{said.name} {said.shown.isoformat()}")
    if known:
        return _with(Taken(known.time, None, {"time_from": known.name}), doubted)
    if named.time:
        return _with(named, doubted)
    if modified and plausible(modified, now):
        return _with(Taken(modified, None, {"time_from": MODIFIED}), doubted)
    return _with(Taken(None, None, {}), doubted)


def plausible(time: datetime, now: datetime) -> bool:
    return OLDEST <= time <= now + AHEAD


def is_reset(shown: datetime) -> bool:
    """Whether a clock that was never set shows this: the first second of some year."""
    return shown.timetuple()[1:6] == (1, 1, 0, 0, 0) and not shown.microsecond


def offset_between(shown: datetime, time: datetime) -> int | None:
    """The offset of a clock that showed `shown` (without zone) at about `time`; None where none
    that is in use fits."""
    ahead = shown.replace(tzinfo=UTC) - time
    best = min(_OFFSETS, key=lambda minutes: abs(ahead - timedelta(minutes=minutes)))
    return best if abs(ahead - timedelta(minutes=best)) <= _NEAR else None


def shifted(shown: datetime, offset: int) -> datetime | None:
    """UTC of what a clock with that offset showed; None beyond the calendar."""
    try:
        return shown.replace(tzinfo=UTC) - timedelta(minutes=offset)
    except OverflowError:
        return None


def _with(found: Taken, doubted: list[str]) -> Taken:
    return found._replace(extra=found.extra | ({"time_doubted": doubted} if doubted else {}))


def _in_utc(said: LocalTime, known: KnownTime | None, profile: Profile) -> Taken:
    extra = {"time_from": said.name}
    if said.offset is not None:
        return Taken(shifted(said.shown, said.offset), said.offset, extra)
    offset = offset_between(said.shown, known.time) if known else None
    if known and offset is not None:
        return Taken(shifted(said.shown, offset), offset, extra | {"offset_from": known.name})
    offset = _zone_offset(said.shown, profile)
    return Taken(shifted(said.shown, offset), offset, extra | {"offset_from": ZONE})


def _zone_offset(shown: datetime, profile: Profile) -> int:
    # Zones had odd seconds before there were time zones.
    try:
        away = shown.replace(tzinfo=profile.tzinfo()).utcoffset()
    except OverflowError:
        away = None
    return round(away.total_seconds() / 60) if away else 0


def _reset(said: LocalTime, known: KnownTime | None, named: Taken) -> bool:
    if not is_reset(said.shown):
        return False
    witnesses = [time for time in (known and known.time, named.time) if time]
    return not any(abs(said.shown.replace(tzinfo=UTC) - t) <= timedelta(days=1) for t in witnesses)


_IN_NAME = re.compile(
    r"(?<!\d)(?P<year>(?:19|20)\d\d)(?P<sep>[-_.]?)(?P<month>\d\d)(?P=sep)(?P<day>\d\d)"
    r"(?:(?:[-_ T.]{0,2}| at )(?P<hour>\d\d)(?P<colon>[-_.:h]?)(?P<minute>\d\d)(?:(?P=colon)|m)"
    r"(?P<second>\d\d)(?P<milli>\d{3})?)?(?!\d)"
)
"""IMG_20190704_123456, PXL_20190704_123456789, IMG-20190704-WA0001 (a day only), 2019-07-04
12.34.56, Screenshot_20190704-123456, Screenshot from 2019-07-04 12-34-56 …"""
_MILLISECONDS = re.compile(r"(?<!\d)1\d{12}(?!\d)")
"""FB_IMG_1562243696123: since 1970."""
_FIRST_CAMERA = datetime(1990, 1, 1, tzinfo=UTC)


def in_name(name: str, now: datetime, profile: Profile) -> Taken:
    """The time that a phone or program put into a file's name, if there is one."""
    for found in _IN_NAME.finditer(name):
        if (taken := _from_name(name, found, profile)) and _FIRST_CAMERA <= taken[0] <= now + AHEAD:
            time, offset, origin = taken
            extra = {"time_from": origin} | ({"offset_from": ZONE} if offset is not None else {})
            return Taken(time, offset, extra)
    for found in _MILLISECONDS.finditer(name):
        time = from_epoch(int(found[0]) / 1000)
        if time <= now + AHEAD:
            return Taken(time, None, {"time_from": IN_NAME})
    return Taken(None, None, {})


def _from_name(
    name: str, found: re.Match[str], profile: Profile
) -> tuple[datetime, int | None, str] | None:
    date = [int(found[part]) for part in ("year", "month", "day")]
    clock = [int(found[part]) for part in ("hour", "minute", "second") if found["hour"]]
    # A day alone is kept as its noon, which is that day wherever it was.
    try:
        shown = datetime(*date, *(clock or [12]), tzinfo=UTC)  # type: ignore[arg-type,misc]
    except ValueError:
        return None
    origin = IN_NAME if clock else DAY_IN_NAME
    if clock and name.startswith("PXL_"):
        # Pixel phones write UTC.
        return shown + timedelta(milliseconds=int(found["milli"] or 0)), None, origin
    offset = _zone_offset(shown.replace(tzinfo=None), profile)
    return (time, offset, origin) if (time := shifted(shown, offset)) else None
