"""Records to put, and each call of the store."""

import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from typing import Any

from msgspec import Struct, field

from shared.model.records import Event, Fix, Status
from shared.store.protocol import Added, Control, Store

NOON = datetime(2026, 11, 22, 12, tzinfo=UTC)
SECOND = timedelta(seconds=1)


def fix(time: datetime = NOON, device: str = "phone", **facts: Any) -> Fix:
    facts = {"lat": 52.5, "lon": 13.4, **facts}
    return Fix(source="test", source_version=1, device=device, time=time, **facts)


def status(time: datetime = NOON, device: str = "phone", **facts: Any) -> Status:
    return Status(source="test", source_version=1, device=device, time=time, **facts)


def event(id: str = "one", time: datetime = NOON, **facts: Any) -> Event:
    facts = {"source": "test", "source_version": 1, "type": "trip", **facts}
    return Event(id=id, time=time, **facts)


class Note(Struct, frozen=True):
    text: str


class Job(Control, frozen=True, kw_only=True, omit_defaults=True):
    """A control document. new, known: what its last commit added."""

    cursor: str = ""
    new: dict[str, int] = field(default_factory=dict)
    known: dict[str, int] = field(default_factory=dict)


def at(cursor: str, **facts: Any) -> Callable[[Added], Job]:
    """Decides for this cursor."""
    return lambda added: Job(cursor=cursor, new=dict(added.new), known=dict(added.known), **facts)


def seal_all(store: Store, device: str, before: datetime) -> int:
    """In how many calls."""
    cursor, calls = store.seal(device, before, None), 1
    while cursor is not None:
        cursor, calls = store.seal(device, before, cursor), calls + 1
    return calls


def every_call(store: Store) -> dict[str, Callable[[], object]]:
    """Each call of the port, those that write first."""
    return {
        "put": lambda: store.put([fix(), event()]),
        "erase": lambda: store.erase("phone", [NOON]),
        "write": lambda: store.write("note", Note(""), over=None),
        "commit": lambda: store.commit("job", "one", None, at("1"), [event("first")]),
        "count": lambda: store.count({"a": 1}),
        "get": lambda: store.get(Event, "one"),
        "page": lambda: store.page(Event),
        "raw": lambda: store.raw("ab"),
        "track": lambda: list(store.track("phone", NOON, NOON + SECOND)),
        "latest": lambda: store.latest("phone"),
        "read": lambda: store.read(Note, "note"),
        "control": lambda: store.control(Job, "job", "one"),
        "controls": lambda: store.controls(Job, "job"),
        "due": lambda: store.due(Job, "job", NOON),
        "counters": store.counters,
    }


WRITING = ("put", "erase", "write", "commit", "count")


def outcomes(
    calls: dict[str, Callable[[], object]], within: float
) -> dict[str, type[Exception] | None]:
    """What each call raises, all made at once; none may take longer than `within` seconds."""

    def attempt(call: Callable[[], object]) -> type[Exception] | None:
        began = time.monotonic()
        try:
            call()
        except Exception as error:  # noqa: BLE001 - it is what is asked for
            return type(error)
        finally:
            assert time.monotonic() - began < within
        return None

    with ThreadPoolExecutor(len(calls)) as pool:
        return dict(zip(calls, pool.map(attempt, calls.values()), strict=True))
