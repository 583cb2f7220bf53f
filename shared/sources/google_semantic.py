"""`Semantic Location History/2021/2021_MAY.json` of Google Takeout: visits and the ways between.

`{"timelineObjects": [{"placeVisit": {…}} | {"activitySegment": {…}}]}`, a file a month, until 2024.
Coordinates are integers in 1e-7 degrees, distances in metres, probabilities in percent. Times are
RFC 3339 (`startTimestamp`), before 2022 text of milliseconds (`startTimestampMs`).
"""

from collections.abc import Iterator, Mapping
from datetime import datetime
from functools import partial
from typing import Any

import msgspec

from shared.model.ids import named_id
from shared.model.records import Event, Fix, Place, Visit
from shared.model.steps import File, Step
from shared.sources import google
from shared.sources.fields import not_negative, text
from shared.sources.json_items import (
    Found,
    Lists,
    Run,
    bad_item,
    not_known,
    outline,
    read_each,
    steps,
)

NAME = "google_semantic"
VERSION = 1
KEEPS = False

_LISTS: Lists = {("timelineObjects",): msgspec.json.Decoder(list[Any])}
_SOURCE: dict[str, Any] = {"source": NAME, "source_version": VERSION}
_DEEPEST_VISIT = 10
_OF_A_PLACE = ("placeId", "address", "semanticType")


def recognise(path: str, head: bytes) -> bool:  # noqa: ARG001 - the name is in any language
    """Whether it is an object with `timelineObjects`."""
    found = outline(head) if b'"timelineObjects"' in head else None
    return found is not None and not found.is_list and "timelineObjects" in found.members


def read(file: File, cursor: str | None) -> Iterator[Step]:
    return steps(file.content, cursor, _LISTS, partial(_found, file.now))


def _found(now: datetime, run: Run) -> Found:
    return not_known(run) if run.first is None else read_each(run, partial(_object, now))


def _object(now: datetime, value: Any, where: str, found: Found) -> None:
    said = google.members(value)
    if said.get("placeVisit") is not None:
        _visit(google.members(said["placeVisit"]), now, f"{where}.placeVisit", found)
    if said.get("activitySegment") is not None:
        _segment(google.members(said["activitySegment"]), now, f"{where}.activitySegment", found)
    rest = google.without(said, "placeVisit", "activitySegment")
    if rest or not said:
        raise ValueError("there is neither a placeVisit nor an activitySegment in it")


def _visit(said: dict[str, Any], now: datetime, where: str, found: Found, depth: int = 1) -> None:
    location = said.get("location")
    location = location if isinstance(location, dict) else {}
    arrival, departure = _span(said, now)
    lat, lon = google.degrees(
        *_first_pair(
            (location.get("latitudeE7"), location.get("longitudeE7")),
            (said.get("centerLatE7"), said.get("centerLngE7")),
        )
    )
    common = _common(location)
    place = _place(location, arrival, found)
    extra = google.without(said, "location", "duration", "simplifiedRawPath", "childVisits")
    beside = google.without(location, "latitudeE7", "longitudeE7", "sourceInfo", "accuracyMetres")
    path = _path(said.get("simplifiedRawPath"), common, now, f"{where}.simplifiedRawPath", found)
    children = said.get("childVisits")
    if isinstance(children, list) and depth < _DEEPEST_VISIT:
        _children(children, now, f"{where}.childVisits", found, depth)
    elif children:
        extra["childVisits"] = google.without({"": children})[""]
    record = Visit(
        id=google.visit_id(common["device"], arrival, place, lat, lon),
        time=arrival,
        arrival=arrival,
        departure=departure,
        lat=lat,
        lon=lon,
        accuracy=_accuracy(location.get("accuracyMetres")),
        place=google.place_id(place) if place is not None else None,
        extra=extra | _unless_empty("location", beside) | _unless_empty("simplifiedRawPath", path),
        **common,
    )
    found.records.append(google.within_limit(record, said, found.raws))


def _children(children: list[Any], now: datetime, where: str, found: Found, depth: int) -> None:
    for n, child in enumerate(children):
        try:
            _visit(google.members(child), now, f"{where}[{n}]", found, depth + 1)
        except ValueError as error:
            data = msgspec.json.encode(child)
            found.bad.append(bad_item(f"{where}[{n}]", str(error), data))


def _segment(said: dict[str, Any], now: datetime, where: str, found: Found) -> None:
    start = said.get("startLocation")
    start = start if isinstance(start, dict) else {}
    began, ended = _span(said, now)
    common = _common(start)
    lat = lon = None
    if start.get("latitudeE7") is not None:
        lat, lon = google.degrees(start["latitudeE7"], start.get("longitudeE7"))
    for location in _stops(said):
        _place(location, began, found)
    extra = google.without(said, "startLocation", "duration", "activityType", "simplifiedRawPath")
    path = _path(said.get("simplifiedRawPath"), common, now, f"{where}.simplifiedRawPath", found)
    beside = google.without(start, "latitudeE7", "longitudeE7", "sourceInfo")
    record = Event(
        id=named_id("trip", common["device"], began, ended),
        type="trip",
        time=began,
        end=ended,
        title=google.title(said.get("activityType")),
        lat=lat,
        lon=lon,
        extra=extra
        | _unless_empty("startLocation", beside)
        | _unless_empty("simplifiedRawPath", path),
        **common,
    )
    found.records.append(google.within_limit(record, said, found.raws))


def _stops(said: dict[str, Any]) -> list[Any]:
    """Places that a way begins at, ends at and leads over."""
    transit = said.get("transitPath")
    stops = transit.get("transitStops") if isinstance(transit, dict) else None
    found = [said.get("startLocation"), said.get("endLocation")]
    return found + (stops if isinstance(stops, list) else [])


def _place(location: Any, asof: datetime, found: Found) -> str | None:
    """Google's id of a place, if it has one; adds a record of one that has a name too."""
    if not isinstance(location, dict) or not isinstance(location.get("placeId"), str):
        return None
    place: str = location["placeId"]
    name = text(location["name"]) if location.get("name") else None
    if place and name:
        lat = lon = None
        if location.get("latitudeE7") is not None:
            lat, lon = google.degrees(location["latitudeE7"], location.get("longitudeE7"))
        record = Place(
            id=google.place_id(place),
            name=name,
            lat=lat,
            lon=lon,
            time=asof,
            asof=asof,
            extra=google.without({n: location.get(n) for n in _OF_A_PLACE}),
            device=google.ACCOUNT,
            **_SOURCE,
        )
        found.records.append(google.within_limit(record, location, found.raws))
    return place or None


def _path(
    said: Any, common: Mapping[str, Any], now: datetime, where: str, found: Found
) -> dict[str, Any]:
    """Adds the fixes of a path's points, and returns what else it says."""
    if not isinstance(said, dict):
        return {}
    points = said.get("points")
    for n, value in enumerate(points if isinstance(points, list) else ()):
        try:
            point = google.members(value)
            lat, lon = google.degrees(point.get("latE7"), point.get("lngE7"))
            fix = Fix(
                time=google.instant(point.get("timestamp", point.get("timestampMs")), now),
                lat=lat,
                lon=lon,
                accuracy=_accuracy(point.get("accuracyMeters")),
                extra=google.without(
                    point, "latE7", "lngE7", "timestamp", "timestampMs", "accuracyMeters"
                ),
                **common,
            )
            found.records.append(google.within_limit(fix, point, found.raws))
        except ValueError as error:
            data = msgspec.json.encode(value)
            found.bad.append(bad_item(f"{where}.points[{n}]", str(error), data))
    return google.without(said, "points")


def _span(said: dict[str, Any], now: datetime) -> tuple[datetime, datetime]:
    duration = google.members(said.get("duration"), "duration")
    return google.span(
        duration.get("startTimestamp", duration.get("startTimestampMs")),
        duration.get("endTimestamp", duration.get("endTimestampMs")),
        now,
    )


def _common(location: dict[str, Any]) -> dict[str, Any]:
    source = location.get("sourceInfo")
    tag = source.get("deviceTag") if isinstance(source, dict) else None
    return {**_SOURCE, "device": google.device_id(tag)}


def _first_pair(*pairs: tuple[Any, Any]) -> tuple[Any, Any]:
    for pair in pairs:
        if None not in pair:
            return pair
    raise ValueError("it has no coordinates")


def _accuracy(value: Any) -> float | None:
    return None if value is None else not_negative(value)


def _unless_empty(name: str, said: dict[str, Any]) -> dict[str, Any]:
    return {name: said} if said else {}
