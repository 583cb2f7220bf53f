"""What was heard of phones last."""

from collections.abc import Mapping

from shared.ha.phones import Report
from shared.model.access import ACCESS, Access
from shared.model.records import last_heard
from shared.store.changing import current
from shared.store.protocol import Store


def reports(store: Store) -> Mapping[str, Report]:
    """By id, of those that are paired and were ever heard of. Raises `StoreError`."""
    found = dict[str, Report]()
    for device in current(store, ACCESS, Access()).devices.values():
        if device.current is None:
            continue
        heard = store.latest(device.id).reports()
        if heard:
            last = last_heard(heard)
            found[device.id] = Report(last.time, last.battery, device.name)
    return found


def paired(store: Store) -> int:
    """How many phones may report."""
    devices = current(store, ACCESS, Access()).devices.values()
    return sum(device.current is not None for device in devices)
