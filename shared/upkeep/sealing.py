"""Sealing: old reports of every device are packed tightly, by a job once a week."""

from collections.abc import Iterator, Mapping
from datetime import datetime, timedelta
from typing import Any

import msgspec
from msgspec import Struct

from shared.model.access import ACCESS, Access
from shared.model.time import Instant
from shared.store.changing import current
from shared.store.protocol import Store
from shared.work.jobs import Job
from shared.work.works import Part

OLD = timedelta(days=35)
"""What phones still add to is left open: they deliver after weeks without a network, too."""

EACH = timedelta(days=7)

JOB = "seal"
"""The id of the job, the last one as the next."""


class Spec(Struct, frozen=True):
    before: Instant


class _Place(Struct, frozen=True):
    """done: devices that are finished. device, cursor: where the store goes on."""

    done: int
    device: str
    cursor: str | None


class SealWork:
    """The kind of work `seal`."""

    def __init__(self, store: Store) -> None:
        self._store = store

    def versions(self) -> Mapping[str, int]:
        return {"seal": 1}

    def parts(
        self,
        job: str,  # noqa: ARG002 - the port's signature
        spec: Mapping[str, Any],
        cursor: str | None,
    ) -> Iterator[Part]:
        before = msgspec.convert(spec, Spec).before
        place = msgspec.json.decode(cursor, type=_Place) if cursor else _Place(0, "", None)
        devices = sorted(current(self._store, ACCESS, Access()).devices)
        for device in devices:
            if device < place.device or (device == place.device and place.cursor is None):
                continue
            within = place.cursor if device == place.device else None
            while True:
                within = self._store.seal(device, before, within)
                place = _Place(place.done + (within is None), device, within)
                yield Part(msgspec.json.encode(place).decode(), place.done, len(devices))
                if within is None:
                    break

    def forget(self, job: str, spec: Mapping[str, Any]) -> None:
        """It leaves nothing behind."""


def is_due(last: Job | None, now: datetime) -> bool:
    """Whether to begin again; not a job that goes on, or that its owner paused."""
    if last is None:
        return True
    return last.state in ("done", "failed", "cancelled") and now >= last.created + EACH


def spec(now: datetime) -> dict[str, Any]:
    """What a job that begins now seals."""
    sealed: dict[str, Any] = msgspec.to_builtins(Spec(now - OLD))
    return sealed
