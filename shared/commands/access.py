"""Finding and changing who may come in."""

from collections.abc import Sequence

from shared.commands.errors import Refused
from shared.model.access import ACCESS, Access, Device
from shared.node import Node
from shared.store.changing import current


def access_of(node: Node) -> Access:
    return current(node.store, ACCESS, Access())


def device_named(access: Access, name: str) -> Device:
    """The device of this name or id; `Refused`, naming those there are, when there is none."""
    device = access.device_named(name)
    if device is None:
        raise Refused(f'there is no device "{name}"; {_known(list(access.devices.values()))}')
    return device


def is_paired(device: Device) -> bool:
    """Whether it has a credential. One that was unpaired stays known, for its records."""
    return device.current is not None or device.pending is not None


def _known(devices: Sequence[Device]) -> str:
    if not devices:
        return "none is paired yet: yurt pair NAME"
    return "there is: " + ", ".join(sorted(device.name for device in devices))
