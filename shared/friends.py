"""Friends: what a phone is shown of other devices, as far as the owner shares them."""

import threading
from collections.abc import Callable
from datetime import datetime, timedelta

from shared.model.access import Device
from shared.model.ids import named_id
from shared.model.records import Person
from shared.sources.push import Friend
from shared.store.protocol import Store


class Friends:
    """Cards and last positions, kept for `max_age`: each report of a phone that sees others asks
    for them, and in the cloud finding a last position costs several reads."""

    def __init__(self, store: Store, clock: Callable[[], datetime], max_age: timedelta) -> None:
        self._store = store
        self._clock = clock
        self._max_age = max_age
        self._lock = threading.Lock()
        self._found: dict[str, tuple[datetime, Friend]] = {}

    def friend(self, device: Device) -> Friend:
        now = self._clock()
        with self._lock:
            found = self._found.get(device.id)
        if found is not None and found[0] <= now < found[0] + self._max_age:
            return found[1]
        friend = self._look_up(device)
        with self._lock:
            self._found[device.id] = (now, friend)
        return friend

    def _look_up(self, device: Device) -> Friend:
        card = self._store.get(Person, named_id("person", device.id))
        face = self._store.raw(card.face) if card is not None and card.face is not None else None
        name = card.names[0] if card is not None and card.names else device.name
        return Friend(device.id, device.name[:2], name, self._store.latest(device.id).fix, face)
