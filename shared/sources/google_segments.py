"""Segments of a timeline as phones export them: a visit, an activity, a path or a memory each.

Android and iOS say the same in different forms: `{"latLng": "12.3°, 4.5°"}` and numbers, or
`"geo:12.3,4.5"` and numbers as text; the points of a path have a `time`, or minutes from the
beginning of the segment. The phone is not named, so all belongs to the account's device. Offsets
from UTC are taken from the fields that tell them: those in the texts are of where it was exported.
"""

from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import Any

import msgspec

from shared.model.ids import named_id
from shared.model.records import Event, Fix, Visit
from shared.sources import google
from shared.sources.fields import number, required_number
from shared.sources.json_items import Found, bad_item

_OFFSETS = ("startTimeTimezoneUtcOffsetMinutes", "endTimeTimezoneUtcOffsetMinutes")
_KINDS = ("visit", "activity", "timelinePath", "timelineMemory")
_CLOCK = ("startTime", "endTime", _OFFSETS[0])
_NUMBERS = frozenset(
    ("probability", "hierarchyLevel", "distanceMeters", "distanceFromOriginKms", "confidence")
)
_MOST_OFFSET = 14 * 60


def read_segment(
    source: Mapping[str, Any], now: datetime, value: Any, where: str, found: Found
) -> None:
    """Adds a segment's records. source: name and version."""
    segment = google.members(value)
    start, end = google.span(segment.get("startTime"), segment.get("endTime"), now)
    kinds = [kind for kind in _KINDS if segment.get(kind) is not None]
    if not kinds:
        raise ValueError("there is no visit, activity, path or memory in it")
    common = {**source, "device": google.ACCOUNT}
    rest = google.without(segment, *_CLOCK, *_KINDS)
    offset = _offset(segment.get(_OFFSETS[0]))
    for kind in kinds:
        said = segment[kind]
        if kind == "timelinePath":
            _path(said, start, offset, common, now, f"{where}.{kind}", found)
        elif kind == "visit":
            record = _visit(google.members(said, kind), start, end, common)
            extra = rest if offset is None else {_OFFSETS[0]: offset, **rest}
            record = google.with_extra(record, extra)
            found.records.append(google.within_limit(record, segment, found.raws))
        else:
            read = _activity if kind == "activity" else _memory
            event = read(google.members(said, kind), start, end, offset, common)
            event = google.with_extra(event, rest)
            found.records.append(google.within_limit(event, segment, found.raws))


def _offset(minutes: Any) -> int | None:
    found = number(minutes) if minutes is not None else None
    if found is None or not found.is_integer() or abs(found) > _MOST_OFFSET:
        return None
    return int(found)


def _visit(
    said: dict[str, Any], start: datetime, end: datetime, common: Mapping[str, Any]
) -> Visit:
    candidate = google.members(said.get("topCandidate"), "topCandidate")
    lat, lon = place_point(candidate.get("placeLocation"))
    place = candidate.get("placeId", candidate.get("placeID"))
    place = place if isinstance(place, str) and place else None
    extra = _plain(google.without(said, "topCandidate"))
    rest = _plain(google.without(candidate, "placeLocation", "placeId", "placeID"))
    if place is not None:
        rest["placeId"] = place
    return Visit(
        id=google.visit_id(google.ACCOUNT, start, place, lat, lon),
        time=start,
        arrival=start,
        departure=end,
        lat=lat,
        lon=lon,
        place=google.place_id(place) if place is not None else None,
        extra={**extra, "topCandidate": rest},
        **common,
    )


def _activity(
    said: dict[str, Any],
    start: datetime,
    end: datetime,
    offset: int | None,
    common: Mapping[str, Any],
) -> Event:
    candidate = said.get("topCandidate")
    kind = candidate.get("type") if isinstance(candidate, dict) else None
    extra = _plain(google.without(said, "start", "topCandidate"))
    if isinstance(candidate, dict):
        extra["topCandidate"] = _plain(google.without(candidate, "type"))
    lat = lon = None
    if said.get("start") is not None:
        lat, lon = place_point(said["start"])
    if said.get("end") is not None:
        extra["end"] = list(place_point(said["end"]))
    return Event(
        id=named_id("trip", google.ACCOUNT, start, end),
        type="trip",
        time=start,
        end=end,
        offset=offset,
        title=google.title(kind),
        lat=lat,
        lon=lon,
        extra=extra,
        **common,
    )


def _memory(
    said: dict[str, Any],
    start: datetime,
    end: datetime,
    offset: int | None,
    common: Mapping[str, Any],
) -> Event:
    return Event(
        id=named_id("memory", google.ACCOUNT, start, end),
        type="memory",
        time=start,
        end=end,
        offset=offset,
        extra=_plain(google.without(said)),
        **common,
    )


def _path(
    points: Any,
    start: datetime,
    offset: int | None,
    common: Mapping[str, Any],
    now: datetime,
    where: str,
    found: Found,
) -> None:
    if not isinstance(points, list):
        raise ValueError("its timelinePath is no list")
    for n, value in enumerate(points):
        try:
            said = google.members(value)
            lat, lon = place_point(said.get("point"))
            extra = google.without(said, "point", "time", "durationMinutesOffsetFromStartTime")
            fix = Fix(
                time=_time_on_path(said, start, now),
                offset=offset,
                lat=lat,
                lon=lon,
                extra=extra,
                **common,
            )
            found.records.append(google.within_limit(fix, said, found.raws))
        except ValueError as error:
            data = msgspec.json.encode(value)
            found.bad.append(bad_item(f"{where}[{n}]", str(error), data))


def _time_on_path(said: dict[str, Any], start: datetime, now: datetime) -> datetime:
    if said.get("time") is not None:
        return google.instant(said["time"], now)
    minutes = required_number(
        "durationMinutesOffsetFromStartTime", said.get("durationMinutesOffsetFromStartTime")
    )
    if not 0 <= minutes <= 60 * 24 * 366:
        raise ValueError("its durationMinutesOffsetFromStartTime is beyond any segment")
    return start + timedelta(minutes=minutes)


def place_point(said: Any) -> tuple[float, float]:
    """Latitude and longitude of a text that `google.point` reads, or an object with one."""
    return google.point(said.get("latLng") if isinstance(said, dict) else said)


def _plain(said: dict[str, Any]) -> dict[str, Any]:
    """With numbers for the texts of them that iOS writes."""
    return {name: _as_number(value) if name in _NUMBERS else value for name, value in said.items()}


def _as_number(value: Any) -> Any:
    try:
        found = number(value) if isinstance(value, str) else None
    except ValueError:
        return value
    return value if found is None else found
