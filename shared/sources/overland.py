"""Overland, and what speaks like it (GPSLogger's Dawarich sender): GeoJSON features in batches.

Facts are from the app's README and code. Units there are SI. A batch holds positions, visits,
finished trips and events in the app's life; beside them may stand where the phone is now, while a
backlog is being sent, and the trip it is on.

What is delivered twice is stored once, with one exception: an event in the app's life that has no
timestamp is of the time it arrived, and so of another time when it arrives again.
"""

from collections.abc import Iterator
from datetime import datetime
from functools import partial
from typing import Any, NamedTuple

from shared.model.ids import named_id
from shared.model.records import Event, Fix, Status, Visit
from shared.model.time import MICROSECOND, parse_rfc3339
from shared.sources.fields import (
    Rules,
    course,
    level,
    number,
    one_of,
    percentage,
    position,
    read_fields,
    text,
    texts,
    unless_negative,
)
from shared.sources.push import (
    Decoded,
    Outbox,
    Path,
    Push,
    keep_beside,
    parse_json,
    plausible,
    read_each,
    with_extra,
)

NAME = "overland"
VERSION = 1


def decode(push: Push) -> Decoded:
    """The records of one batch."""
    decoded = Decoded()
    if not push.body:
        return decoded
    try:
        batch = parse_json(push.body)
    except ValueError as error:
        decoded.fault(str(error))
        return decoded
    if not isinstance(batch, dict):
        decoded.fault("not a batch: a JSON object with a list of locations")
        return decoded
    rules = _PERCENT if any(map(_says_percent, _features(batch))) else _FRACTION
    read_each(push, _features(batch), partial(_feature, rules), decoded)
    if batch.get("trip") is not None:
        read_each(push, [(("trip",), batch["trip"])], _trip_in_progress, decoded)
    beside = {name: value for name, value in batch.items() if name not in _OF_A_BATCH}
    keep_beside("batch", beside, (), 0, decoded)
    return decoded


def reply(_push: Push, _outbox: Outbox, _decoded: Decoded) -> bytes:
    """The app compares `result` exactly, needs an object, and sends all again for anything else."""
    return b'{"result":"ok"}'


def _features(batch: dict[str, Any]) -> Iterator[tuple[Path, Any]]:
    locations = batch.get("locations")
    if isinstance(locations, list):
        for index, feature in enumerate(locations):
            yield ("locations", index), feature
    elif locations is not None:
        yield ("locations",), locations
    if batch.get("current") is not None:
        yield ("current",), batch["current"]


def _says_percent(item: tuple[Path, Any]) -> bool:
    """Whether a feature's battery level is one above 1: then 1 means 1 % in the whole batch."""
    properties = item[1].get("properties") if isinstance(item[1], dict) else None
    said = properties.get("battery_level") if isinstance(properties, dict) else None
    if said is None or type(said) is float:
        return said is not None and said > 1
    try:
        return (number(said) or 0) > 1
    except ValueError:
        return False


def _feature(rules: "_Levels", push: Push, feature: dict[str, Any], decoded: Decoded) -> None:
    properties, geometry = feature.get("properties"), feature.get("geometry")
    if not isinstance(properties, dict):
        raise ValueError("the feature has no properties")
    start, beside = len(decoded.records), _beside_properties(feature)
    if properties.get("type") == "trip":
        _finished_trip(push, properties, decoded)
        if geometry is not None:
            beside["geometry"] = geometry
    elif geometry is None or ("action" in properties and _is_empty(geometry)):
        _sign_of_life(rules, push, properties, decoded)
    else:
        coordinates = _coordinates(geometry)
        if properties.get("action") == "visit":
            told = 2
            _visit(push, properties, coordinates, decoded)
        else:
            told = 3 if _is_altitude(properties, coordinates) else 2
            _position(rules, push, properties, coordinates, decoded)
        if len(coordinates) > told:
            beside.setdefault("geometry", {})["coordinates"] = coordinates
    if beside:
        decoded.records[start] = with_extra(decoded.records[start], "feature", beside)


def _beside_properties(feature: dict[str, Any]) -> dict[str, Any]:
    """What a feature says in members that GeoJSON does not ask of a point with properties."""
    beside = {name: feature[name] for name in feature.keys() - _OF_A_FEATURE}
    if feature.get("type") not in (None, "Feature"):
        beside["type"] = feature["type"]
    geometry = feature.get("geometry")
    if isinstance(geometry, dict):
        more = geometry.keys() - _OF_A_GEOMETRY
        if more:
            beside["geometry"] = {name: geometry[name] for name in more}
    return beside


def _is_empty(geometry: Any) -> bool:
    """Whether it is a point that is nowhere: what the app may send when it has no position yet."""
    found = geometry.get("coordinates") if isinstance(geometry, dict) else None
    return isinstance(found, list) and all(degrees is None for degrees in found)


def _coordinates(geometry: Any) -> list[Any]:
    found = geometry.get("coordinates") if isinstance(geometry, dict) else None
    if not isinstance(found, list) or len(found) < 2 or geometry.get("type", "Point") != "Point":
        raise ValueError("the geometry is no point")
    return found


def _is_altitude(properties: dict[str, Any], coordinates: list[Any]) -> bool:
    """Whether the third coordinate says nothing but the altitude, which it becomes if need be."""
    if len(coordinates) < 3:
        return False
    if properties.get("altitude") is None:
        properties["altitude"] = coordinates[2]
    return coordinates[2] is None or bool(properties["altitude"] == coordinates[2])


def _position(
    rules: "_Levels",
    push: Push,
    properties: dict[str, Any],
    coordinates: list[Any],
    decoded: Decoded,
) -> None:
    lat, lon = position(coordinates[1], coordinates[0])
    time, offset = _instant(push, "timestamp", properties.pop("timestamp", None))
    fields, extra = read_fields(properties, rules.fix)
    decoded.records.append(
        Fix(
            source=NAME,
            source_version=VERSION,
            device=push.device,
            time=time,
            offset=offset,
            lat=lat,
            lon=lon,
            extra=extra,
            **fields,
        )
    )


def _sign_of_life(
    rules: "_Levels", push: Push, properties: dict[str, Any], decoded: Decoded
) -> None:
    timestamp, time = properties.pop("timestamp", None), push.received
    if timestamp is not None or "action" not in properties:
        time, _ = _instant(push, "timestamp", timestamp)
    fields, extra = read_fields(properties, rules.status)
    decoded.records.append(
        Status(
            source=NAME,
            source_version=VERSION,
            device=push.device,
            time=time,
            extra=extra,
            **fields,
        )
    )


def _visit(
    push: Push, properties: dict[str, Any], coordinates: list[Any], decoded: Decoded
) -> None:
    lat, lon = position(coordinates[1], coordinates[0])
    arrival = _end_of_visit(push, properties, "arrival_date")
    departure = _end_of_visit(push, properties, "departure_date")
    # The app reports an arrival, and once more, with both ends, when the stay is over.
    time = arrival or departure
    if time is None:
        time, _ = _instant(push, "timestamp", properties.get("timestamp"))
    known = "from" if arrival else "until" if departure else "at"
    fields, extra = read_fields(properties, _VISIT)
    decoded.records.append(
        Visit(
            id=named_id("visit", push.device, known, time),
            source=NAME,
            source_version=VERSION,
            asof=departure or time,
            device=push.device,
            time=time,
            arrival=arrival,
            departure=departure,
            lat=lat,
            lon=lon,
            extra=extra,
            **fields,
        )
    )


def _end_of_visit(push: Push, properties: dict[str, Any], name: str) -> datetime | None:
    value = properties.pop(name, None)
    # Apple says "not known" with its distant past and distant future.
    if value is None or (isinstance(value, str) and value[:5] in ("", "0000-", "0001-", "4001-")):
        return None
    return _instant(push, name, value)[0]


def _finished_trip(push: Push, trip: dict[str, Any], decoded: Decoded) -> None:
    end, _ = _instant(push, "end", trip.pop("end", None))
    decoded.records.append(_trip(push, trip, end, asof=end))


def _trip_in_progress(push: Push, trip: dict[str, Any], decoded: Decoded) -> None:
    times = [record.time for record in decoded.records if isinstance(record, Fix | Status)]
    # Times are whole seconds: of a trip that ended within the second, the end must win.
    asof = max(times) - MICROSECOND if times else None
    decoded.records.append(_trip(push, trip, None, asof))


def _trip(push: Push, trip: dict[str, Any], end: datetime | None, asof: datetime | None) -> Event:
    start, offset = _instant(push, "start", trip.pop("start", None))
    return Event(
        id=named_id("trip", push.device, start),
        source=NAME,
        source_version=VERSION,
        asof=asof,
        type="trip",
        device=push.device,
        time=start,
        end=end,
        offset=offset,
        extra=read_fields(trip, {})[1],
    )


def _instant(push: Push, name: str, value: Any) -> tuple[datetime, int | None]:
    """The time in a member, and its offset from UTC in minutes where it says one."""
    if not isinstance(value, str):
        raise ValueError(f"{name} is missing or no text")
    try:
        time, offset = parse_rfc3339(value)
    except ValueError as error:
        raise ValueError(f"{name}: {error}") from error
    return plausible(time, push.received), offset


_STATUS: Rules = {
    "action": ("trigger", text),
    "battery_level": ("battery", level),
    "battery_state": (
        "power",
        one_of({"unknown": None, "unplugged": "unplugged", "charging": "charging", "full": "full"}),
    ),
}
_FIX: Rules = {
    **_STATUS,
    "altitude": ("altitude", number),
    "speed": ("speed", unless_negative),
    "course": ("course", course),
    "horizontal_accuracy": ("accuracy", unless_negative),
    "vertical_accuracy": ("altitude_accuracy", unless_negative),
    "speed_accuracy": ("speed_accuracy", unless_negative),
    "course_accuracy": ("course_accuracy", unless_negative),
    "motion": ("motion", texts),
    "wifi": ("wifi", text),
}


class _Levels(NamedTuple):
    """Rules by which to read a batch. The app's battery levels go to 1. GPSLogger sends percent
    under the same name: a batch with a level above 1 has percent throughout, but its 1 % alone
    cannot be told from the app's 1."""

    status: Rules
    fix: Rules


_IN_PERCENT: Rules = {"battery_level": ("battery", percentage)}
_FRACTION = _Levels(_STATUS, _FIX)
_PERCENT = _Levels({**_STATUS, **_IN_PERCENT}, {**_FIX, **_IN_PERCENT})
_VISIT: Rules = {"horizontal_accuracy": ("accuracy", unless_negative)}
_OF_A_BATCH = ("locations", "current", "trip")
_OF_A_FEATURE = {"type", "geometry", "properties"}
_OF_A_GEOMETRY = {"type", "coordinates"}
