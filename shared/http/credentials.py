"""Who is asking: the token in a request, checked against a copy of the access document."""

import base64
import binascii
import threading
from collections.abc import Callable, Iterator
from datetime import datetime, timedelta

from werkzeug.wrappers import Request

from shared.model.access import ACCESS, Access, Device, OwnerToken, promoted, token_hash
from shared.store.protocol import Conflict, Store

URL_PARAMETERS = ("token", "api_key")
"""Where a token may stand in a URL; `api_key` is what apps made for Dawarich send."""

_UNKNOWN_AGE = timedelta(seconds=5)


def tokens_in(request: Request) -> Iterator[str]:
    """The tokens a request offers: Basic's password or user, bearer, the URL."""
    header = request.environ.get("HTTP_AUTHORIZATION", "")
    scheme, _, value = header.partition(" ")
    value = value.strip()
    if scheme.lower() == "bearer" and value:
        yield value
    elif scheme.lower() == "basic" and value:
        yield from _basic(value)
    if request.environ.get("QUERY_STRING"):
        for name in URL_PARAMETERS:
            token = request.args.get(name)
            if token:
                yield token


def _basic(value: str) -> Iterator[str]:
    try:
        decoded = base64.b64decode(value, validate=True).decode("utf-8")
    except (binascii.Error, ValueError):
        # Overland's OwnTracks mode forgets to encode what it sends.
        decoded = value
    user, _, password = decoded.partition(":")
    if password:
        yield password
    elif user:
        yield user


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
        self._version: str | None = None
        self._stamp = b""
        self._checked: datetime | None = None
        self.access = Access()
        self._devices: dict[str, Device] = {}
        self._owners: dict[str, OwnerToken] = {}

    def device(self, token: str) -> Device | None:
        """The device whose token this is. The first use of a renewed token retires the old one."""
        hashed = token_hash(token)
        self._refresh(self._max_age)
        found = self._devices.get(hashed)
        if found is None:
            self._refresh(min(self._max_age, _UNKNOWN_AGE))
            found = self._devices.get(hashed)
        if found is not None and found.pending == hashed:
            found = self._promote(found.id, hashed)
        return found

    def owner(self, token: str) -> OwnerToken | None:
        hashed = token_hash(token)
        self._refresh(self._max_age)
        found = self._owners.get(hashed)
        if found is None:
            self._refresh(min(self._max_age, _UNKNOWN_AGE))
            found = self._owners.get(hashed)
        return found

    def change(self, decide: Callable[[Access], Access]) -> Access:
        """Writes what `decide` makes of the current document; it is asked again on a conflict."""
        while True:
            held = self._store.read(Access, ACCESS)
            access, version = held or (Access(), None)
            changed = decide(access)
            if changed == access:
                return access
            try:
                self._hold(changed, self._store.write(ACCESS, changed, over=version))
            except Conflict:
                continue
            return changed

    def _promote(self, id: str, hashed: str) -> Device | None:
        def decide(access: Access) -> Access:
            device = access.devices.get(id)
            if device is None or device.pending != hashed:
                return access
            return access.with_device(promoted(device))

        device = self.change(decide).devices.get(id)
        return device if device is not None and device.current == hashed else None

    def _refresh(self, max_age: timedelta) -> None:
        now, stamp, checked = self._clock(), self._store.stamp(), self._checked
        if stamp == self._stamp and checked is not None and checked <= now < checked + max_age:
            return
        with self._lock:
            if self._checked is not checked and self._stamp == stamp:  # another was faster
                return
            if self._version is None or self._store.version(ACCESS) != self._version:
                held = self._store.read(Access, ACCESS)
                self._hold(*(held or (Access(), None)))
            self._stamp, self._checked = stamp, now

    def _hold(self, access: Access, version: str | None) -> None:
        devices: dict[str, Device] = {}
        for device in access.devices.values():
            devices |= {h: device for h in (device.current, device.pending) if h is not None}
        self.access = access
        self._devices = devices
        self._owners = {token.hash: token for token in access.tokens.values()}
        self._version = version
