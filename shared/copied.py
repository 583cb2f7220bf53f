"""A document of the node's own, read from a copy, so that who needs it often costs no look-up."""

import threading
from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Generic

from shared.store.changing import current
from shared.store.protocol import D, Store


class Copied(Generic[D]):
    """name: of the document; default: while there is none. max_age: of the copy, where the store
    cannot tell that the document was changed."""

    def __init__(
        self,
        store: Store,
        name: str,
        default: D,
        clock: Callable[[], datetime],
        max_age: timedelta,
    ) -> None:
        self._store = store
        self._name = name
        self._default = default
        self._clock = clock
        self._max_age = max_age
        self._lock = threading.Lock()
        self._copy: tuple[D, bytes, datetime] | None = None

    def __call__(self) -> D:
        """Raises `StoreError` when there is no copy that is young enough, and none to be had."""
        with self._lock:
            now, stamp = self._clock(), self._store.stamp()
            if self._copy is not None:
                held, at_stamp, read = self._copy
                if at_stamp == stamp and read <= now < read + self._max_age:
                    return held
            # The stamp is from before, so that a change meanwhile is seen the next time.
            self._copy = (current(self._store, self._name, self._default), stamp, now)
            return self._copy[0]

    def forget(self) -> None:
        """The next call reads."""
        with self._lock:
            self._copy = None
