"""GeoJSON (RFC 7946): a FeatureCollection of one Point a fix."""

from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Annotated

import msgspec
from msgspec import Meta, Struct

from shared.model.records import Fix, Network, Power
from shared.model.time import Instant

MEDIA_TYPE = "application/geo+json"
EXTENSION = "geojson"

_encoder = msgspec.json.Encoder()


class Point(Struct, frozen=True, kw_only=True, tag_field="type", tag="Point"):
    """coordinates: longitude, latitude and, where known, altitude in metres."""

    coordinates: Annotated[list[float], Meta(min_length=2, max_length=3)]


class Properties(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What a fix says besides where it was. name: the device's."""

    device: str
    name: str
    time: Instant
    offset: int | None = None
    accuracy: float | None = None
    altitude_accuracy: float | None = None
    speed: float | None = None
    speed_accuracy: float | None = None
    course: float | None = None
    course_accuracy: float | None = None
    battery: float | None = None
    power: Power | None = None
    network: Network | None = None
    wifi: str | None = None
    pressure: float | None = None
    motion: tuple[str, ...] = ()
    trigger: str | None = None
    source: str


class Feature(Struct, frozen=True, kw_only=True, tag_field="type", tag="Feature"):
    """One fix."""

    id: str
    geometry: Point
    properties: Properties


class FeatureCollection(
    Struct, frozen=True, kw_only=True, tag_field="type", tag="FeatureCollection"
):
    """Fixes. next: the URL of the next page, or null (a foreign member, RFC 7946 section 6.1)."""

    features: list[Feature]
    next: str | None


def write(
    fixes: Iterable[Fix],
    names: Mapping[str, str],
    following: Callable[[], str | None] | None = None,
) -> Iterator[bytes]:
    """One object: a `FeatureCollection`, one feature a line."""
    encode = _encoder.encode
    before = b'{"type":"FeatureCollection","features":[\n'
    for fix in fixes:
        yield before + encode(_feature(fix, names.get(fix.device, fix.device)))
        before = b",\n"
    if before != b",\n":
        yield before
    yield b'\n],"next":' + encode(following() if following else None) + b"}\n"


def _feature(fix: Fix, name: str) -> Feature:
    here = [fix.lon, fix.lat]
    if fix.altitude is not None:
        here.append(fix.altitude)
    return Feature(
        id=fix.id,
        geometry=Point(coordinates=here),
        properties=Properties(
            device=fix.device,
            name=name,
            time=fix.time,
            offset=fix.offset,
            accuracy=fix.accuracy,
            altitude_accuracy=fix.altitude_accuracy,
            speed=fix.speed,
            speed_accuracy=fix.speed_accuracy,
            course=fix.course,
            course_accuracy=fix.course_accuracy,
            battery=fix.battery,
            power=fix.power,
            network=fix.network,
            wifi=fix.wifi,
            pressure=fix.pressure,
            motion=fix.motion,
            trigger=fix.trigger,
            source=fix.source,
        ),
    )
