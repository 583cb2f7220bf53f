"""What Google's exports of locations have in common: devices, coordinates, times.

Nothing of it is documented by Google. The facts are those that readers of many real exports agree
on, foremost the community's description at locationhistoryformat.com.
"""

import re
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import Any, TypeVar

import msgspec
from msgspec.structs import replace

from shared.model.ids import content_id, named_id
from shared.model.records import Record
from shared.model.time import EPOCH, parse_rfc3339
from shared.sources.fields import kept, position, required_number, text
from shared.sources.push import REPORT_LIMIT, plausible

R = TypeVar("R", bound=Record)

ACCOUNT = "google"
"""The device of what an export does not say the device of."""

_E7 = 10_000_000
_WRAP = 2**32
_MOST_LATITUDE, _MOST_LONGITUDE = 900_000_000, 1_800_000_000
_msgpack = msgspec.msgpack.Encoder()
_PLAIN_TAG = re.compile(r"-?[0-9A-Za-z_]{1,40}")
_DEGREES = re.compile(
    r"(?:geo:)?[ \t]*(-?[0-9]{1,3}(?:\.[0-9]{1,30})?)[ \t]*°?[ \t]*,"
    r"[ \t]*(-?[0-9]{1,3}(?:\.[0-9]{1,30})?)[ \t]*°?[ \t]*"
)

MOTIONS: Mapping[str, str] = {
    "STILL": "stationary",
    "ON_FOOT": "walking",
    "WALKING": "walking",
    "RUNNING": "running",
    "ON_BICYCLE": "cycling",
    "CYCLING": "cycling",
    "IN_VEHICLE": "driving",
    "IN_ROAD_VEHICLE": "driving",
    "IN_FOUR_WHEELER_VEHICLE": "driving",
    "IN_TWO_WHEELER_VEHICLE": "driving",
    "IN_PASSENGER_VEHICLE": "driving",
    "IN_CAR": "driving",
    "IN_BUS": "driving",
    "IN_RAIL_VEHICLE": "in_rail_vehicle",
}
"""Detected activities in the words that phones use for `motion`; of the others nothing is said."""


def device_id(tag: object) -> str:
    """Our id of a device: `google-` and the tag by which the export tells devices apart.

    The tag (`deviceTag` of Takeout, `deviceId` of Timeline Edits) is a signed integer, so ids like
    `google--538926953` are as they should be.
    """
    if tag is None:
        return ACCOUNT
    said = str(tag)
    if _PLAIN_TAG.fullmatch(said):
        return f"{ACCOUNT}-{said}"
    return f"{ACCOUNT}-{content_id(said.encode('utf-8', 'backslashreplace'))[:16]}"


def degrees(lat: Any, lon: Any) -> tuple[float, float]:
    """Latitude and longitude of integers in 1e-7 degrees; `ValueError` for no place on Earth.

    Some years' exports have negative values as unsigned integers of 32 bits.
    """
    lat = _unwrapped("latitude", lat, _MOST_LATITUDE)
    lon = _unwrapped("longitude", lon, _MOST_LONGITUDE)
    return lat / _E7, lon / _E7


def _unwrapped(name: str, value: Any, most: int) -> float:
    number = value if type(value) is int else required_number(name, value)
    if number > most:
        number -= _WRAP
    elif number < -most:
        number += _WRAP
    if not -most <= number <= most:
        raise ValueError(f"{name} is {value}: in 1e-7 degrees it lies between -{most} and {most}")
    return number


def point(said: Any) -> tuple[float, float]:
    """Latitude and longitude of `12.3°, 4.5°` (Android) or `geo:12.3,4.5` (iOS)."""
    found = _DEGREES.fullmatch(said) if isinstance(said, str) else None
    if found is None:
        raise ValueError("the point is missing, or not written as latitude and longitude")
    return position(float(found[1]), float(found[2]))


def instant(said: Any, now: datetime) -> datetime:
    """The instant of an RFC 3339 text, or of milliseconds since 1970 as text or number.

    An offset in the text is where the export was made as often as where the owner was then, so
    it is not told. `ValueError` for no time, and for one that no phone can have meant.
    """
    if said is None:
        raise ValueError("its time is missing")
    if isinstance(said, str) and not said.isdecimal():
        return plausible(parse_rfc3339(said)[0].astimezone(UTC), now)
    try:
        time = EPOCH + timedelta(milliseconds=int(said))
    except (OverflowError, TypeError, ValueError) as error:
        raise ValueError("its time is neither RFC 3339 nor milliseconds since 1970") from error
    return plausible(time, now)


def within_limit(record: R, said: Any, raws: dict[str, bytes]) -> R:
    """The record; one whose `extra` is too large without it, and what it was made from as raw."""
    if len(_msgpack.encode(record.extra)) <= REPORT_LIMIT:
        return record
    data = msgspec.json.encode(said)
    sha256 = content_id(data)
    raws[sha256] = data
    return replace(record, raw=sha256, extra={})


def members(value: Any, name: str = "it") -> dict[str, Any]:
    """A JSON object as it is; `ValueError` for anything else."""
    if not isinstance(value, dict):
        raise ValueError(f"{name} is missing" if value is None else f"{name} is no JSON object")
    return value


def span(start: Any, end: Any, now: datetime) -> tuple[datetime, datetime]:
    """When something began and ended; `ValueError` if it ended before."""
    began, ended = instant(start, now), instant(end, now)
    if ended < began:
        raise ValueError("it ends before it begins")
    return began, ended


def place_id(place: str) -> str:
    """Our id of a place by the one that Google Maps has for it."""
    return named_id("place", ACCOUNT, place)


def visit_id(device: str, arrival: datetime, place: str | None, lat: float, lon: float) -> str:
    """A visit is told by who came when to where."""
    return named_id("visit", device, arrival, place or f"{lat:.5f},{lon:.5f}")


def title(activity: Any) -> str | None:
    """A kind of movement as a person reads it: `IN_BUS` of Android is the `in bus` of iOS."""
    said = text(activity) if isinstance(activity, str) else None
    return said.replace("_", " ").lower() if said else None


def without(said: Mapping[str, Any], *names: str) -> dict[str, Any]:
    """What else an object says, as every store can hold it."""
    return {
        name: kept(value)
        for name, value in said.items()
        if name not in names and value not in (None, {}, [])
    }


def with_extra(record: R, more: Mapping[str, Any]) -> R:
    return replace(record, extra={**more, **record.extra})
