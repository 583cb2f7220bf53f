"""`Records.json` of Google Takeout, before 2022 `Location History.json`: every position Google had.

`{"locations": [...]}`, oldest first or newest first, of all phones of an account together; the
`deviceTag` tells them apart. Coordinates are integers in 1e-7 degrees, accuracies and altitudes in
metres, `velocity` in metres a second, `heading` in degrees. Since 2022 the time is an RFC 3339
`timestamp`, before it was `timestampMs`: text of milliseconds. Of Wi-Fi scans only the number of
access points is kept.
"""

from collections.abc import Iterator, Sequence
from datetime import UTC, datetime
from functools import lru_cache, partial
from operator import attrgetter
from typing import Annotated, Any

import msgspec
from msgspec import Meta, Raw, Struct

from shared.model.records import Fix
from shared.model.steps import File, Step
from shared.sources import google
from shared.sources.fields import (
    Rules,
    charging,
    course,
    not_negative,
    number,
    read_fields,
    unless_negative,
)
from shared.sources.json_items import Found, Lists, Run, bad_item, not_known, outline, steps
from shared.sources.push import NEWEST_AHEAD, OLDEST, parse_json, plausible

NAME = "google_records"
VERSION = 1
KEEPS = False

_NAMES = ("records.json", "location history.json")
_NO_POSITION = "it has no coordinates"
_SHORT = Annotated[str, Meta(max_length=100)]
_TIME = Annotated[datetime, Meta(tz=True)]
_NOT_NEGATIVE = Annotated[float, Meta(ge=0)]


class _Guess(Struct, forbid_unknown_fields=True, gc=False):
    type: _SHORT
    confidence: int


class _Sample(Struct, forbid_unknown_fields=True, rename="camel", gc=False):
    activity: Annotated[list[_Guess], Meta(max_length=30)]
    timestamp: _SHORT | None = None
    timestamp_ms: _SHORT | None = None


class _Scan(Struct, gc=False):
    access_points: list[Raw] = msgspec.field(name="accessPoints", default_factory=list)


class _Metadata(Struct, forbid_unknown_fields=True, rename="camel", gc=False):
    wifi_scan: _Scan
    timestamp: _SHORT | None = None
    timestamp_ms: _SHORT | None = None


class _Point(Struct, forbid_unknown_fields=True, rename="camel", gc=False):
    """A point as nearly all are. One with anything else is read member by member."""

    latitude_e7: int | None = None
    longitude_e7: int | None = None
    timestamp: _TIME | None = None
    timestamp_ms: str | None = None
    accuracy: _NOT_NEGATIVE | None = None
    altitude: float | None = None
    vertical_accuracy: _NOT_NEGATIVE | None = None
    velocity: _NOT_NEGATIVE | None = None
    heading: Annotated[float, Meta(ge=0, le=360)] | None = None
    activity: Annotated[list[_Sample], Meta(max_length=10)] | None = None
    source: _SHORT | None = None
    device_tag: int | None = None
    platform_type: _SHORT | None = None
    form_factor: _SHORT | None = None
    server_timestamp: _SHORT | None = None
    device_timestamp: _SHORT | None = None
    battery_charging: bool | None = None
    active_wifi_scan: _Scan | None = None
    location_metadata: Annotated[list[_Metadata], Meta(max_length=50)] | None = None
    os_level: int | None = None
    place_id: _SHORT | None = None
    device_designation: _SHORT | None = None


_LISTS: Lists = {("locations",): msgspec.json.Decoder(list[_Point])}
_seldom = attrgetter(
    "device_timestamp",
    "os_level",
    "place_id",
    "device_designation",
    "active_wifi_scan",
    "location_metadata",
)
_NOTHING_SELDOM = (None,) * 6
_RULES: Rules = {
    "accuracy": ("accuracy", not_negative),
    "altitude": ("altitude", number),
    "verticalAccuracy": ("altitude_accuracy", unless_negative),
    "velocity": ("speed", unless_negative),
    "heading": ("course", course),
    "batteryCharging": ("power", charging),
}


def recognise(path: str, head: bytes) -> bool:
    """Whether it is an object with `locations` in Google's form: other apps have such lists too.

    Where a large member hides what follows, the name decides.
    """
    named = path.rpartition("/")[2].lower() in _NAMES
    found = outline(head) if named or b'"locations"' in head else None
    if found is None or found.is_list:
        return False
    inside = found.members.get("locations")
    if inside:
        return not inside.isdisjoint(("latitudeE7", "longitudeE7", "timestampMs", "deviceTag"))
    return named


def read(file: File, cursor: str | None) -> Iterator[Step]:
    return steps(file.content, cursor, _LISTS, partial(_found, file.now))


def _found(now: datetime, run: Run) -> Found:
    if run.first is None:
        return not_known(run)
    found = Found([], [], {})
    newest = now + NEWEST_AHEAD
    texts: Sequence[bytes] = ()
    for n, point in enumerate(run.values):
        try:
            if point is not None:
                found.records.append(_fix(point, now, newest))
            else:
                texts = texts or run.texts()
                found.records.append(_odd(parse_json(texts[n]), now, found.raws))
        except (ValueError, RecursionError) as error:
            texts = texts or run.texts()
            found.bad.append(bad_item(run.where(n), str(error), texts[n]))
    return found


def _fix(point: _Point, now: datetime, newest: datetime) -> Fix:
    lat, lon = point.latitude_e7, point.longitude_e7
    if lat is None or lon is None:
        raise ValueError(_NO_POSITION)
    time = point.timestamp
    if time is None:
        time = google.instant(point.timestamp_ms, now)
    elif time.tzinfo is not UTC or not OLDEST <= time <= newest:
        time = plausible(time, now).astimezone(UTC)
    if -900_000_000 <= lat <= 900_000_000 and -1_800_000_000 <= lon <= 1_800_000_000:
        north, east = lat / 10_000_000, lon / 10_000_000
    else:
        north, east = google.degrees(lat, lon)
    charges = point.battery_charging
    motion, extra = _extra(point)
    return Fix(
        source=NAME,
        source_version=VERSION,
        device=_device(point.device_tag),
        time=time,
        lat=north,
        lon=east,
        accuracy=point.accuracy,
        altitude=point.altitude,
        altitude_accuracy=point.vertical_accuracy,
        speed=point.velocity,
        course=point.heading,
        power=None if charges is None else charging(charges),
        motion=motion,
        extra=extra,
    )


def _extra(point: _Point) -> tuple[tuple[str, ...], dict[str, Any]]:
    """What a point says of how the phone moved, and what has no field, by Google's own names."""
    motion: tuple[str, ...] = ()
    extra: dict[str, Any] = {}
    if point.source is not None:
        extra["source"] = point.source
    if point.platform_type is not None:
        extra["platformType"] = point.platform_type
    if point.form_factor is not None:
        extra["formFactor"] = point.form_factor
    if point.server_timestamp is not None:
        extra["serverTimestamp"] = point.server_timestamp
    if point.activity:
        motion, extra["activity"] = _detected(point.activity)
    if _seldom(point) != _NOTHING_SELDOM:
        _add_seldom(point, extra)
    return motion, extra


def _add_seldom(point: _Point, extra: dict[str, Any]) -> None:
    said = {
        "deviceTimestamp": point.device_timestamp,
        "osLevel": point.os_level,
        "placeId": point.place_id,
        "deviceDesignation": point.device_designation,
    }
    extra.update({name: value for name, value in said.items() if value is not None})
    if point.active_wifi_scan is not None:
        extra["activeWifiScan"] = _count(point.active_wifi_scan)
    if point.location_metadata:
        extra["locationMetadata"] = [
            {"timestamp": scan.timestamp or scan.timestamp_ms, "wifiScan": _count(scan.wifi_scan)}
            for scan in point.location_metadata
        ]


def _count(scan: _Scan) -> dict[str, int]:
    return {"accessPoints": len(scan.access_points)}


def _detected(samples: list[_Sample]) -> tuple[tuple[str, ...], list[Any]]:
    """How the phone moved by the first sample; and of each when it was taken, and the activities
    with their confidences in percent."""
    motion: tuple[str, ...] = ()
    told: list[Any] = []
    for sample in samples:
        guesses: dict[str, int] = {}
        likeliest, most = "", -1
        for guess in sample.activity:
            confidence = guess.confidence
            guesses[guess.type] = confidence
            if confidence > most:
                likeliest, most = guess.type, confidence
        if not told and likeliest in google.MOTIONS:
            motion = (google.MOTIONS[likeliest],)
        told.append([sample.timestamp or sample.timestamp_ms, guesses])
    return motion, told


@lru_cache(maxsize=1000)
def _device(tag: int | None) -> str:
    return google.device_id(tag)


def _odd(point: Any, now: datetime, raws: dict[str, bytes]) -> Fix:
    """The fix of a point that is not as usual, e.g. with numbers as text."""
    if not isinstance(point, dict):
        raise ValueError(f"{type(point).__name__} where a JSON object belongs")
    said = dict(point)
    lat, lon = said.pop("latitudeE7", None), said.pop("longitudeE7", None)
    if lat is None or lon is None:
        raise ValueError(_NO_POSITION)
    north, east = google.degrees(lat, lon)
    stamp, millis = said.pop("timestamp", None), said.pop("timestampMs", None)
    time = google.instant(millis if stamp is None else stamp, now)
    fields, extra = read_fields(_without_addresses(said), _RULES)
    device = google.device_id(extra.pop("deviceTag", None))
    samples = _usual_samples(extra.get("activity"))
    if samples:
        fields["motion"], extra["activity"] = _detected(samples)
    fix = Fix(
        source=NAME,
        source_version=VERSION,
        device=device,
        time=time,
        lat=north,
        lon=east,
        extra=extra,
        **fields,
    )
    return google.within_limit(fix, point, raws)


def _usual_samples(said: Any) -> list[_Sample]:
    try:
        return msgspec.convert(said, list[_Sample])
    except msgspec.ValidationError:
        return []


def _without_addresses(said: Any) -> Any:
    """The same with the number of access points where a list of them was."""
    if isinstance(said, list):
        return [_without_addresses(item) for item in said]
    if isinstance(said, dict):
        return {
            name: len(value)
            if name == "accessPoints" and isinstance(value, list)
            else _without_addresses(value)
            for name, value in said.items()
        }
    return said
