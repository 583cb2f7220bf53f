"""Devices that are known from archives: listed beside those that were paired."""

from collections.abc import Sequence
from datetime import datetime

from shared.model.access import ACCESS, Access, Device
from shared.model.records import AnyRecord, Fix, Status
from shared.store.changing import change, current
from shared.store.protocol import Store

MOST = 200
"""Devices from archives that are listed: each report that comes in has the list read. A person has
had some dozen."""


class Devices:
    """Adds each device whose reports are imported to those the owner can ask for."""

    def __init__(self, store: Store, now: datetime) -> None:
        self._store = store
        self._now = now
        self._known: set[str] | None = None
        self._full = False

    def see(self, records: Sequence[AnyRecord]) -> bool:
        """Called before the records are put: who can read them finds their device.

        False if one of them is not listed, because there are `MOST` already.
        """
        ids = {record.device for record in records if isinstance(record, (Fix, Status))}
        if not ids:
            return True
        if self._known is None:
            self._known = set(current(self._store, ACCESS, Access()).devices)
        missing = ids - self._known
        if missing and not self._full:
            access = change(
                self._store, ACCESS, Access(), lambda access: self._with(access, missing)
            )
            self._known = set(access.devices)
            self._full = _room_in(access) == 0
            missing -= self._known
        return not missing

    def _with(self, access: Access, ids: set[str]) -> Access:
        for id in sorted(ids - access.devices.keys())[: _room_in(access)]:
            device = Device(id=id, name=id, app="archive", created=self._now)
            access = access.with_device(device)
        return access


def _room_in(access: Access) -> int:
    return max(0, MOST - sum(device.app == "archive" for device in access.devices.values()))
