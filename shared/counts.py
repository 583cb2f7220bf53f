"""Counters of things that must not cost a write each, such as requests without a credential."""

import logging
import threading
from collections import Counter
from collections.abc import Callable
from datetime import datetime, timedelta

from shared.store.protocol import Store, StoreError

_EVERY = timedelta(minutes=1)
_log = logging.getLogger(__name__)


class Counts:
    """Collects in memory and writes at most once a minute."""

    def __init__(self, store: Store, clock: Callable[[], datetime]) -> None:
        self._store = store
        self._clock = clock
        self._lock = threading.Lock()
        self._counts: Counter[str] = Counter()
        self._written: datetime | None = None

    def add(self, name: str) -> None:
        now = self._clock()
        with self._lock:
            self._counts[name] += 1
            if self._written is not None and self._written <= now < self._written + _EVERY:
                return
            self._written = now
        self.flush()

    def flush(self) -> None:
        with self._lock:
            counts, self._counts = self._counts, Counter()
        if not counts:
            return
        try:
            self._store.count(counts)
        except StoreError as error:
            _log.warning("counters could not be written: %s", error)
            with self._lock:
                self._counts += counts
