"""Where the owner was: the newest position known at a moment."""

from datetime import datetime

from shared.commands.access import access_of, device_named
from shared.commands.answers import Location
from shared.commands.errors import Failed
from shared.commands.when import When
from shared.model.access import Device
from shared.model.records import Fix
from shared.node import Node


def where(node: Node, when: When | None = None, device: str | None = None) -> Location:
    """The newest fix at or before a moment (None: of all), of one device or of any.

    `Refused` for a device nobody knows; `Failed` when no position is known.
    """
    access = access_of(node)
    devices = [device_named(access, device)] if device else list(access.devices.values())
    before = when.before if when else None
    found = [(_newest(node, d, before), d) for d in devices]
    known = [(fix, d) for fix, d in found if fix is not None]
    if not known:
        raise Failed(_nothing(devices, device, when))
    fix, owner = max(known, key=lambda pair: pair[0].time)
    return _location(fix, owner, when.asked if when else node.clock())


def _newest(node: Node, device: Device, before: datetime | None) -> Fix | None:
    return node.store.latest(device.id, before).fix


def _location(fix: Fix, device: Device, asked: datetime) -> Location:
    return Location(
        device=device.id,
        name=device.name,
        time=fix.time,
        lat=fix.lat,
        lon=fix.lon,
        accuracy=fix.accuracy,
        age=(asked - fix.time).total_seconds(),
        asked=asked,
        altitude=fix.altitude,
        speed=fix.speed,
        course=fix.course,
        battery=fix.battery,
    )


def _nothing(devices: list[Device], device: str | None, when: When | None) -> str:
    if not devices:
        return "no position is known, because no device is paired yet; pair one: yurt pair NAME"
    who = f" of {devices[0].name}" if device else ""
    if when is not None:
        return f"no position{who} is known from that time or before; the last known: yurt where"
    return (
        f"no position{who} is known yet; open the app on the phone and let it report once, "
        "or look what is wrong: yurt doctor"
    )
