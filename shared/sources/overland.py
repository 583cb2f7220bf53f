"""Overland, and what speaks like it (GPSLogger's Dawarich sender): GeoJSON features in batches.

Facts are from the app's README and code. Units there are SI. A batch holds positions, visits,
finished trips and events in the app's life; beside them may stand where the phone is now, while a
backlog is being sent, and the trip it is on.
"""

from collections.abc import Iterator
from datetime import datetime
from typing import Any

from shared.model.ids import named_id
from shared.model.records import Event, Fix, Status, Visit
from shared.model.time import MICROSECOND, parse_rfc3339
from shared.sources.fields import (
    Rules,
    course,
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
    Fault,
    Outbox,
    Path,
    Push,
    parse_json,
    plausible,
    read_each,
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
        decoded.faults.append(Fault(str(error)))
        return decoded
    if not isinstance(batch, dict):
        decoded.faults.append(Fault("not a batch: a JSON object with a list of locations"))
        return decoded
    read_each(push, _features(batch), _feature, decoded)
    if batch.get("trip") is not None:
        read_each(push, [(("trip",), batch["trip"])], _trip_in_progress, decoded)
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


def _feature(push: Push, feature: dict[str, Any], decoded: Decoded) -> None:
    properties, geometry = feature.get("properties"), feature.get("geometry")
    if not isinstance(properties, dict):
        raise ValueError("the feature has no properties")
    if properties.get("type") == "trip":
        _finished_trip(push, {**properties, "geometry": geometry}, decoded)
    elif geometry is None:
        _sign_of_life(push, properties, decoded)
    elif properties.get("action") == "visit":
        _visit(push, properties, _coordinates(geometry), decoded)
    else:
        _position(push, properties, _coordinates(geometry), decoded)


def _coordinates(geometry: Any) -> list[Any]:
    found = geometry.get("coordinates") if isinstance(geometry, dict) else None
    if not isinstance(found, list) or len(found) < 2:
        raise ValueError("the geometry is no point")
    return found


def _position(
    push: Push, properties: dict[str, Any], coordinates: list[Any], decoded: Decoded
) -> None:
    lat, lon = position(coordinates[1], coordinates[0])
    time, offset = _instant(push, "timestamp", properties.pop("timestamp", None))
    if len(coordinates) > 2:
        properties.setdefault("altitude", coordinates[2])
    fields, extra = read_fields(properties, _FIX)
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


def _sign_of_life(push: Push, properties: dict[str, Any], decoded: Decoded) -> None:
    time, _ = _instant(push, "timestamp", properties.pop("timestamp", None))
    fields, extra = read_fields(properties, _STATUS)
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


def _level(value: Any) -> float | None:
    """0 to 1; GPSLogger sends percent under the same name, so what is above 1 is percent."""
    level = unless_negative(value)
    return level if level is None or level <= 1 else percentage(level)


_STATUS: Rules = {
    "action": ("trigger", text),
    "battery_level": ("battery", _level),
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
_VISIT: Rules = {"horizontal_accuracy": ("accuracy", unless_negative)}
