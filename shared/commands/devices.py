"""Devices: what was last heard of each, taking one's credential away, sharing, commands to apps."""

from datetime import datetime, timedelta

from msgspec.structs import replace

from shared.commands.access import access_of, device_named, is_paired
from shared.commands.answers import DeviceState, Queued, Shared, Unpaired
from shared.commands.errors import Refused
from shared.model.access import Access, Device
from shared.model.records import last_heard
from shared.node import Node
from shared.store.protocol import Latest

SILENT_AFTER = timedelta(days=1)
"""Apps that report only significant moves say something about once an hour, or at least daily."""


ACTIONS = ("reportLocation", "reportSteps", "status", "dump", "waypoints", "clearWaypoints")
"""What OwnTracks can be told without further data (its manual, `_type=cmd`)."""


def device_states(node: Node) -> list[DeviceState]:
    """All devices by name, those that were unpaired included."""
    access, now = access_of(node), node.clock()
    devices = sorted(access.devices.values(), key=lambda device: device.name.casefold())
    return [_state(device, node.store.latest(device.id), now) for device in devices]


def unpair(node: Node, name: str) -> Unpaired:
    """Takes the device's credential away. Its id, name and records stay, so that they are found."""

    def decide(access: Access) -> Access:
        device = device_named(access, name)
        retired = replace(
            device,
            current=None,
            pending=None,
            sealed_key=None,
            earlier_keys=(),
            sees=(),
            commands=(),
        )
        return access.without_device(device.id).with_device(retired)

    device = device_named(node.keyring.change(decide), name)
    return Unpaired(device=device.id, name=device.name)


def sharing(node: Node, name: str) -> Shared:
    return _shared(device_named(access_of(node), name))


def share(node: Node, name: str, others: list[str]) -> Shared:
    """Lets the app of a device show where these others are, and nobody else."""

    def decide(access: Access) -> Access:
        device = _owntracks(access, name, "shows friends")
        sees = tuple(dict.fromkeys(device_named(access, other).id for other in others))
        if device.id in sees:
            raise Refused(f"{device.name} knows where it is itself; name other devices")
        return access.with_device(replace(device, sees=sees))

    return _shared(device_named(node.keyring.change(decide), name))


def send(node: Node, name: str, action: str) -> Queued:
    """Answers the next report of a device with a command. One that waits already is not doubled."""
    known = next((name for name in ACTIONS if name.casefold() == action.casefold()), None)
    if known is None:
        raise Refused(f'OwnTracks knows no command "{action}"; it knows: {", ".join(ACTIONS)}')
    command = {"_type": "cmd", "action": known}

    def decide(access: Access) -> Access:
        device = _owntracks(access, name, "takes commands")
        if command in device.commands:
            return access
        return access.with_commands(device.id, (*device.commands, command))

    device = device_named(node.keyring.change(decide), name)
    waiting = tuple(str(command.get("action")) for command in device.commands)
    return Queued(device=device.id, name=device.name, waiting=waiting)


def _state(device: Device, latest: Latest, now: datetime) -> DeviceState:
    reports = latest.reports()
    heard = last_heard(reports) if reports else None
    quiet = now - (heard.time if heard else device.created)
    return DeviceState(
        device=device.id,
        name=device.name,
        app=device.app,
        paired=is_paired(device),
        encrypted=device.sealed_key is not None,
        created=device.created,
        last_report=heard.time if heard else None,
        age=quiet.total_seconds() if heard else None,
        battery=heard.battery if heard else None,
        silent=is_paired(device) and quiet >= SILENT_AFTER,
        sees=device.sees,
    )


def _owntracks(access: Access, name: str, does: str) -> Device:
    device = device_named(access, name)
    if device.app != "owntracks":
        raise Refused(f"{device.name} is paired with the app {device.app}; only OwnTracks {does}")
    if not is_paired(device):
        raise Refused(f'{device.name} is not paired; pair it again: yurt pair "{device.name}"')
    return device


def _shared(device: Device) -> Shared:
    return Shared(device=device.id, name=device.name, sees=device.sees)
