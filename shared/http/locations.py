"""Where the devices are and were: `/loc`."""

from datetime import UTC, datetime
from typing import Annotated, Literal

from msgspec import UNSET, Meta, Struct, UnsetType, field
from werkzeug.wrappers import Request, Response

from shared.commands.access import access_of
from shared.formats.table import FORMATS
from shared.http import pages
from shared.http.errors import Problem
from shared.http.parameters import Cursor, From, To, in_order
from shared.http.responses import json_response
from shared.model.access import Device
from shared.model.records import Fix, last_heard
from shared.model.time import EPOCH, Instant
from shared.node import Node
from shared.store.protocol import Latest

_FOREVER = datetime.max.replace(tzinfo=UTC)

Chosen = Annotated[
    str, Meta(min_length=1, description="a device by name or id; all devices without it")
]
Every = Annotated[
    int,
    Meta(
        ge=1,
        le=31_622_400,
        description="whole seconds, up to a year of them: of each such interval, counted from "
        "1970, only the first fix",
    ),
]
Format = Annotated[
    Literal["csv", "geojson", "gpx", "json", "owntracks"],
    Meta(description="csv, geojson, gpx, json (the default) or owntracks"),
]
Limit = Annotated[
    int, Meta(ge=1, le=1_000_000, description="how many fixes a page has at most, up to 1000000")
]


class Parameters(Struct, frozen=True, kw_only=True):
    start: From | UnsetType = field(name="from", default=UNSET)
    end: To | UnsetType = field(name="to", default=UNSET)
    device: Chosen | UnsetType = UNSET
    format: Format | UnsetType = UNSET
    every: Every | UnsetType = UNSET
    limit: Limit | UnsetType = UNSET
    cursor: Cursor | UnsetType = UNSET


class LastKnown(Struct, frozen=True, kw_only=True):
    """Where a device was last. age: seconds from `time` until now.

    last_report: when it last gave any sign of life; battery: the newest known by then, 0 to 1.
    """

    device: str
    name: str
    time: Instant
    lat: float
    lon: float
    accuracy: float | None
    battery: float | None
    age: float
    last_report: Instant


def locations(node: Node, request: Request, asked: Parameters) -> Response:
    devices = _devices(node, asked.device)
    if asked.start is not UNSET or asked.end is not UNSET:
        return _track(node, request, asked, devices)
    for name in ("every", "limit", "cursor"):
        if getattr(asked, name) is not UNSET:
            raise Problem(
                400,
                f"the parameter {name} is for tracks: say `from` or `to` as well, or leave it out "
                "to get the last known positions",
            )
    latest = [(device, node.store.latest(device.id)) for device in devices]
    if asked.format is UNSET or asked.format == "json":
        return json_response(
            [
                _last_known(device, last.fix, last, node.clock())
                for device, last in latest
                if last.fix is not None
            ]
        )
    format = FORMATS[asked.format]
    fixes = (last.fix for _, last in latest if last.fix is not None)
    return Response(b"".join(format.write(fixes, _names(devices))), mimetype=format.MEDIA_TYPE)


def _devices(node: Node, name: str | UnsetType) -> list[Device]:
    access = access_of(node)
    if name is UNSET:
        return [access.devices[id] for id in sorted(access.devices)]
    device = access.device_named(name)
    if device is None:
        raise Problem(404, f"there is no device {name!r}; /device lists those that are there")
    return [device]


def _names(devices: list[Device]) -> dict[str, str]:
    return {device.id: device.name for device in devices}


def _last_known(device: Device, fix: Fix, latest: Latest, now: datetime) -> LastKnown:
    heard = last_heard(latest.reports())
    return LastKnown(
        device=device.id,
        name=device.name,
        time=fix.time,
        lat=fix.lat,
        lon=fix.lon,
        accuracy=fix.accuracy,
        battery=heard.battery,
        age=(now - fix.time).total_seconds(),
        last_report=heard.time,
    )


def _track(node: Node, request: Request, asked: Parameters, devices: list[Device]) -> Response:
    in_order(asked.start or None, asked.end or None)
    end = _FOREVER if asked.end is UNSET else asked.end
    start = min(EPOCH, end) if asked.start is UNSET else asked.start
    track = pages.Track(
        devices=[device.id for device in devices],
        start=start,
        end=end,
        every=asked.every or None,
        limit=asked.limit or None,
    )
    page = pages.TrackPage(node.store, track, asked.cursor or None)
    format = FORMATS[asked.format or "json"]
    body, following = page.write(format, _names(devices), pages.address(node.settings, request))
    return pages.linked(Response(body, mimetype=format.MEDIA_TYPE), following)
