"""An iCalendar object (RFC 5545): its events, as `Event`s of the type `calendar`.

A series is one record: `time` is its first instance, and its rule stays in `extra` (`rrule`,
`rdate`, `exdate`). An instance that was changed (RECURRENCE-ID) is a record of its own. What is
cancelled stays, and says so in `extra` (`status`; `method` of an object that only cancels).

A day is no moment: an all-day event runs from midnight to midnight in the owner's zone, has
`all_day` in `extra`, and its dates as they came in `dtstart` and `dtend` (the day after the last).
A time without a zone is read as the owner's, with `floating_time`; so is one in a zone that neither
the object nor anybody else defines, with `zone_unknown`.

Which version stands: `asof` is when the server says that the object changed; without one, the
event's own LAST-MODIFIED or DTSTAMP; without those, when it was read. The id is made from UID
alone, so an invitation in two calendars is one event. `extra` holds what has no field, by property
in lower case, as `entry` gives it. To-dos, journals and what is busy are no events: each is a
`Bad`, and kept as it came.
"""

import calendar
import math
import re
from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, date, datetime, time, timedelta, timezone, tzinfo
from typing import Any, NamedTuple
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from shared.model.ids import content_id, named_id
from shared.model.records import Event
from shared.model.steps import Bad
from shared.sources.contentlines import Component, Line, components
from shared.sources.resources import (
    Keeping,
    Read,
    bad_object,
    entry,
    extra_of,
    is_too_large,
)

VERSION = 1
"""Of all that reads iCalendar: one that is ahead of the others would win over every copy."""

MOST_EVENTS = 2_000
"""Events of one object; beyond are instances of a series that somebody changed one by one."""

_TITLE = 1_000
_DAY = timedelta(days=1)
_MOST_OBSERVANCES = 50
_NEVER = datetime.combine(date.max, time())

_DATE = re.compile(r"\d{8}")
_TIME = re.compile(r"(\d{8})T(\d\d)(\d\d)(\d\d)(Z?)", re.IGNORECASE)
_OFFSET = re.compile(r"([+-])(\d\d)(\d\d)(\d\d)?")
_NTH = re.compile(r"([+-]?[1-5])(MO|TU|WE|TH|FR|SA|SU)")
_WEEKDAYS = ("MO", "TU", "WE", "TH", "FR", "SA", "SU")
_GEO_URI = re.compile(r"geo:(-?[\d.]+),(-?[\d.]+)", re.IGNORECASE)
_FIELDS = frozenset({"uid", "summary", "duration", "geo", "recurrence-id"})
_TIMES = frozenset({"dtstart", "dtend"})
_OTHERS = {"vtodo": "a to-do", "vjournal": "a journal entry", "vfreebusy": "a time that is busy"}


class _Moment(NamedTuple):
    """at: the instant. offset: minutes east of UTC that are local then. day: for all day.
    noted: for `extra`, how it was read where it does not say all."""

    at: datetime
    offset: int | None = None
    day: date | None = None
    noted: Mapping[str, Any] = {}


def read(data: bytes, keeping: Keeping) -> Read:
    """The events of the first calendar in the bytes. Raises nothing, whatever the bytes."""
    if is_too_large(data):
        reason = "a calendar object larger than any that is read"
        return Read(bad=[bad_object(data, keeping, reason)])
    found = next((one for one in components(data) if one.name == "vcalendar"), None)
    if found is None:
        reason = "it is no calendar object: BEGIN:VCALENDAR is missing"
        return Read(bad=[bad_object(data, keeping, reason)])
    records: list[Event] = []
    bad: list[Bad] = []
    zones = _Zones(found, keeping.profile.tzinfo())
    events = [one for one in found.components if one.name == "vevent"]
    for number, component in enumerate(events[:MOST_EVENTS]):
        try:
            records.append(_event(component, number, data, found, zones, keeping))
        except (ValueError, OverflowError) as error:
            bad.append(bad_object(data, keeping, f"event {number + 1} cannot be read: {error}"))
    bad += _rest(found, len(events), data, keeping)
    return Read(records, {content_id(data): data} if records else {}, bad)


def _rest(found: Component, events: int, data: bytes, keeping: Keeping) -> Iterator[Bad]:
    """What is not read of it."""
    for name, what in _OTHERS.items():
        if any(one.name == name for one in found.components):
            yield bad_object(data, keeping, f"{what} is no event; it is kept as it came")
    if found.cut or events > MOST_EVENTS:
        yield bad_object(data, keeping, "there is more in it than is read; it is kept as it came")
    if not found.components:
        yield bad_object(data, keeping, "there is no event in it")


def _event(
    component: Component,
    number: int,
    data: bytes,
    found: Component,
    zones: "_Zones",
    keeping: Keeping,
) -> Event:
    """`ValueError`, `OverflowError` if it says no time that can be meant."""
    said: dict[str, Line] = {}
    for line in component.lines:
        said.setdefault(line.name, line)
    if "dtstart" not in said:
        raise ValueError("it does not say when it begins (DTSTART)")
    start = zones.moment(said["dtstart"])
    lat, lon = _position(said)
    summary = said["summary"].plain()[:_TITLE] if "summary" in said else None
    method = next((line for line in found.lines if line.name == "method"), None)
    rest = [(line.name, entry(line)) for line in component.lines if not _is_told(line)]
    if method:
        rest.append(("method", entry(method)))
    return Event(
        id=_id(said, number, data, keeping),
        source=keeping.source,
        source_version=VERSION,
        raw=content_id(data),
        where=keeping.where,
        asof=keeping.changed or _revised(said, zones) or keeping.seen,
        type="calendar",
        time=start.at,
        end=_end(said, start, zones),
        offset=start.offset,
        title=summary or None,
        lat=lat,
        lon=lon,
        extra={**extra_of(rest), **start.noted},
    )


def _is_told(line: Line) -> bool:
    """Whether the fields say all of it. Of a local time they do not: a rule needs its zone."""
    return line.name in _FIELDS or (line.name in _TIMES and line.value.strip()[-1:] in ("Z", "z"))


def _id(said: Mapping[str, Line], number: int, data: bytes, keeping: Keeping) -> str:
    uid = said["uid"].plain() if "uid" in said else ""
    if uid:
        # As it is written: an instant would change with what is known of its zone.
        instance = said["recurrence-id"].plain().upper() if "recurrence-id" in said else ""
        return named_id("event", "calendar", uid, *([instance] if instance else []))
    if keeping.place:
        return named_id("event", "place", keeping.place, str(number))
    return named_id("event", "hash", content_id(data), str(number))


def _revised(said: Mapping[str, Line], zones: "_Zones") -> datetime | None:
    for name in ("last-modified", "dtstamp"):
        if name in said:
            try:
                return zones.moment(said[name]).at
            except (ValueError, OverflowError):
                continue
    return None


def _end(said: Mapping[str, Line], start: _Moment, zones: "_Zones") -> datetime | None:
    """None where it has no length, or none that can be meant."""
    try:
        if "dtend" in said:
            end = zones.moment(said["dtend"]).at
        elif "duration" in said:
            length = _length(said["duration"].plain())
            # Days are days of the calendar, which a change of clocks makes longer or shorter.
            end = zones.midnight(start.day + length).at if start.day else start.at + length
        elif start.day:
            end = zones.midnight(start.day + _DAY).at
        else:
            return None
    except (ValueError, OverflowError):
        return None
    return end if end > start.at else None


def _length(text: str) -> timedelta:
    from icalendar.prop import vDuration

    length: timedelta = vDuration.from_ical(text[:100])  # type: ignore[no-untyped-call]
    return length


def _position(said: Mapping[str, Line]) -> tuple[float | None, float | None]:
    pairs: list[Sequence[str]] = []
    if "geo" in said:
        pairs.append(said["geo"].fields())
    if "x-apple-structured-location" in said:
        found = _GEO_URI.match(said["x-apple-structured-location"].plain())
        pairs += [found.groups()] if found else []
    for pair in pairs:
        try:
            lat, lon = map(float, pair)
        except ValueError:
            continue
        if math.isfinite(lat) and math.isfinite(lon) and abs(lat) <= 90 and abs(lon) <= 180:
            return lat, lon
    return None, None


# When


class _Zones:
    """The times of one object. home: the owner's zone."""

    def __init__(self, found: Component, home: tzinfo) -> None:
        self._home = home
        self._defined = {
            _value(one, "tzid"): one for one in found.components if one.name == "vtimezone"
        }
        self._known: dict[str, tzinfo | _Rules | None] = {}

    def moment(self, line: Line) -> _Moment:
        text = line.plain()
        if _DATE.fullmatch(text):
            return self.midnight(_date(text))
        found = _TIME.fullmatch(text)
        if found is None:
            raise ValueError(f"{text[:40]!r} is no time")
        day, hour, minute, second, utc = found.groups()
        # A leap second is the one before it.
        clock = time(int(hour), int(minute), min(int(second), 59))
        local = datetime.combine(_date(day), clock)
        if utc:
            return _Moment(local.replace(tzinfo=UTC))
        tzid = line.parameter("tzid")
        zone = self._zone(tzid)
        if isinstance(zone, _Rules):
            return _local(local, zone.at(local))
        if zone is None:
            noted = {"zone_unknown": tzid} if tzid else {"floating_time": True}
            return _local(local, self._home)._replace(noted=noted)
        return _local(local, zone)

    def midnight(self, day: date) -> _Moment:
        begun = _local(datetime.combine(day, time()), self._home)
        return begun._replace(day=day, noted={"all_day": True})

    def _zone(self, tzid: str) -> "tzinfo | _Rules | None":
        if tzid not in self._known:
            self._known[tzid] = self._found(tzid) if tzid else None
        return self._known[tzid]

    def _found(self, tzid: str) -> "tzinfo | _Rules | None":
        """A zone of the world by its name, or what the object defines under it."""
        from icalendar.timezone.windows_to_olson import WINDOWS_TO_OLSON

        defined = self._defined.get(tzid)
        names = [tzid, WINDOWS_TO_OLSON.get(tzid, "")]
        # Some have a prefix of their own: /freeassociation.sourceforge.net/Europe/Berlin
        pieces = tzid.split("/")[-3:]
        names += ["/".join(pieces[n:]) for n in range(len(pieces) - 1)]
        if defined is not None:
            names.append(_value(defined, "x-lic-location"))
        for name in filter(None, names):
            try:
                return ZoneInfo(name)
            except (ZoneInfoNotFoundError, ValueError, OSError):
                continue
        return _rules(defined) if defined is not None else None


def _local(local: datetime, zone: tzinfo) -> _Moment:
    there = local.replace(tzinfo=zone)
    offset = there.utcoffset() or timedelta()
    return _Moment(there.astimezone(UTC), round(offset.total_seconds() / 60))


def _date(digits: str) -> date:
    return date(int(digits[:4]), int(digits[4:6]), int(digits[6:8]))


def _value(component: Component, name: str) -> str:
    return next((line.plain() for line in component.lines if line.name == name), "")


class _Observance(NamedTuple):
    """One of the offsets of a zone, and when it begins to hold: once, or each year from `start` to
    `until` on the nth weekday of a month (from its end, if negative)."""

    start: datetime
    before: timedelta
    offset: timedelta
    yearly: tuple[int, int, int] | None
    until: datetime
    dates: Sequence[datetime]

    def begun(self, local: datetime) -> datetime | None:
        """When it last began, seen from then."""
        onsets = [self.start, *self.dates]
        if self.yearly is not None:
            years = {min(local.year, self.until.year) - n for n in (0, 1)}
            onsets += [self._onset(year, *self.yearly) for year in years if year > self.start.year]
        return max((at for at in onsets if at <= min(local, self.until)), default=None)

    def _onset(self, year: int, month: int, nth: int, weekday: int) -> datetime:
        first, days = calendar.monthrange(year, month)
        matching = range((weekday - first) % 7 + 1, days + 1, 7)
        nth = min(nth - 1, len(matching) - 1) if nth > 0 else max(nth, -len(matching))
        return self.start.replace(year=year, month=month, day=matching[nth])


class _Rules(NamedTuple):
    """A zone as an object defines it."""

    observances: Sequence[_Observance]

    def at(self, local: datetime) -> tzinfo:
        """The offset that holds at a time of its clocks."""
        begun = [
            (at, each.offset) for each in self.observances if (at := each.begun(local)) is not None
        ]
        first = min(self.observances, key=lambda each: each.start)
        return timezone(max(begun)[1] if begun else first.before)


def _rules(defined: Component) -> _Rules | None:
    """None where it is not defined as zones of the world are."""
    parts = [one for one in defined.components if one.name in ("standard", "daylight")]
    try:
        observances = [_observance(one) for one in parts[:_MOST_OBSERVANCES]]
    except (ValueError, OverflowError):
        return None
    return _Rules(observances) if observances else None


def _observance(part: Component) -> _Observance:
    yearly, until = _yearly(_value(part, "rrule"))
    dates = [item for line in part.lines if line.name == "rdate" for item in line.items()]
    return _Observance(
        _clock(_value(part, "dtstart")),
        _utc_offset(_value(part, "tzoffsetfrom")),
        _utc_offset(_value(part, "tzoffsetto")),
        yearly,
        until,
        [_clock(item) for item in dates[:_MOST_OBSERVANCES]],
    )


def _clock(text: str) -> datetime:
    found = _TIME.fullmatch(text)
    if found is None:
        raise ValueError("no time of a clock")
    day, hour, minute, second, _ = found.groups()
    return datetime.combine(_date(day), time(int(hour), int(minute), min(int(second), 59)))


def _utc_offset(text: str) -> timedelta:
    found = _OFFSET.fullmatch(text)
    if found is None:
        raise ValueError("no offset from UTC")
    sign, hours, minutes, seconds = found.groups()
    east = timedelta(hours=int(hours), minutes=int(minutes), seconds=int(seconds or 0))
    if east >= _DAY:
        raise ValueError("an offset of more than a day")
    return -east if sign == "-" else east


def _yearly(rule: str) -> tuple[tuple[int, int, int] | None, datetime]:
    """Month, nth, weekday (0 for Monday), and until when. `ValueError` for another rule."""
    if not rule:
        return None, _NEVER
    parts = dict(part.partition("=")[::2] for part in rule.upper().split(";"))
    until = _clock(parts.pop("UNTIL")) if "UNTIL" in parts else _NEVER
    day = _NTH.fullmatch(parts.pop("BYDAY", ""))
    month = parts.pop("BYMONTH", "")
    parts.pop("WKST", None)
    usual = parts.pop("FREQ", "") == "YEARLY" and parts.pop("INTERVAL", "1") == "1"
    if day is None or not month.isdigit() or not 1 <= int(month) <= 12 or not usual or parts:
        raise ValueError("no rule that a zone has")
    return (int(month), int(day[1]), _WEEKDAYS.index(day[2])), until
