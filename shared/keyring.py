"""Tokens, checked against a copy of the access document, so that a request costs no look-up."""

import threading
from collections.abc import Callable
from datetime import datetime, timedelta
from typing import NamedTuple

from shared.model.access import ACCESS, Access, Device, OwnerToken, promoted, token_hash
from shared.store.changing import change, current
from shared.store.protocol import Store, StoreError

_UNKNOWN_AGE = timedelta(seconds=5)


class Keyring:
    """Checks tokens against a copy of the access document, at most `max_age` old.

    A token the copy does not know makes it read again, at most every five seconds: a device that
    was paired just now gets in, a flood of wrong tokens costs the store next to nothing.
    """

    def __init__(self, store: Store, clock: Callable[[], datetime], max_age: timedelta) -> None:
        self._store = store
        self._clock = clock
        self._max_age = max_age
        self._lock = threading.Lock()
        self._copy = _Copy.of(Access(), b"", None)
        self._attempts = 0
        self._failure: StoreError | None = None

    @property
    def access(self) -> Access:
        return self._copy.access

    def device(self, token: str) -> Device | None:
        """The device whose token this is. The first use of a renewed token retires the old one."""
        hashed = token_hash(token)
        found = self._fresh(self._max_age).devices.get(hashed)
        if found is None:
            found = self._fresh(min(self._max_age, _UNKNOWN_AGE)).devices.get(hashed)
        if found is not None and found.pending == hashed:
            found = self._promote(found.id, hashed)
        return found

    def device_at_hand(self, token: str) -> Device | None:
        """The device, if that is known without asking the store or changing anything in it."""
        copy = self._copy
        if not self._is_fresh(copy, self._max_age):
            return None
        hashed = token_hash(token)
        found = copy.devices.get(hashed)
        return found if found is not None and found.current == hashed else None

    def owner(self, token: str) -> OwnerToken | None:
        hashed = token_hash(token)
        found = self._fresh(self._max_age).owners.get(hashed)
        if found is None:
            found = self._fresh(min(self._max_age, _UNKNOWN_AGE)).owners.get(hashed)
        return found

    def change(self, decide: Callable[[Access], Access]) -> Access:
        """Writes what `decide` makes of the current document; it is asked again on a conflict."""
        access = change(self._store, ACCESS, Access(), decide)
        with self._lock:
            self._copy = _Copy.of(access, self._copy.stamp, self._copy.checked)
        return access

    def _promote(self, id: str, hashed: str) -> Device | None:
        def decide(access: Access) -> Access:
            device = access.devices.get(id)
            if device is None or device.pending != hashed:
                return access
            return access.with_device(promoted(device))

        device = self.change(decide).devices.get(id)
        return device if device is not None and device.current == hashed else None

    def _is_fresh(self, copy: "_Copy", max_age: timedelta) -> bool:
        now = self._clock()
        return (
            copy.stamp == self._store.stamp()
            and copy.checked is not None
            and copy.checked <= now < copy.checked + max_age
        )

    def _fresh(self, max_age: timedelta) -> "_Copy":
        copy, attempt = self._copy, self._attempts
        if self._is_fresh(copy, max_age):
            return copy
        now, stamp = self._clock(), self._store.stamp()
        with self._lock:
            # Whoever waited shares what came of the attempt it waited for: when the store is away,
            # one after the other would each wait for it in vain.
            if self._attempts != attempt:
                if self._failure is not None:
                    raise self._failure
                if self._copy.stamp == stamp:
                    return self._copy
            self._failure = None
            try:
                access = current(self._store, ACCESS, Access())
            except StoreError as error:
                self._failure = error
                raise
            finally:
                self._attempts += 1
            self._copy = _Copy.of(access, stamp, now)
            return self._copy


class _Copy(NamedTuple):
    """Replaced as a whole, so that a request never sees half of a change.

    stamp: the store's, from before it was read. checked: when that was.
    """

    access: Access
    devices: dict[str, Device]
    owners: dict[str, OwnerToken]
    stamp: bytes
    checked: datetime | None

    @classmethod
    def of(cls, access: Access, stamp: bytes, checked: datetime | None) -> "_Copy":
        devices: dict[str, Device] = {}
        for device in access.devices.values():
            devices |= {h: device for h in (device.current, device.pending) if h is not None}
        owners = {token.hash: token for token in access.tokens.values()}
        return cls(access, devices, owners, stamp, checked)
