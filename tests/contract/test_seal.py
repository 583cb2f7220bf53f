"""Sealing changes nothing that can be read, whenever it happens; held against both adapters."""

import random
import threading
import uuid
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime, timedelta

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from msgspec.structs import replace

from shared.model.records import AnyRecord, Fix, Status
from shared.store.protocol import Latest, Store
from tests.contract.conftest import Opener
from tests.contract.test_store import track
from tests.store.samples import NOON, SECOND, fix, seal_all, status

LATER = NOON + timedelta(days=400)
YEAR = [fix(NOON, battery=0.5)] + [fix(NOON + i * timedelta(hours=31)) for i in range(1, 100)]
DENSE = [fix(NOON + i * SECOND, battery=0.5) for i in range(150)]


def test_a_stranger_has_nothing_to_seal(store: Store) -> None:
    assert seal_all(store, "stranger", LATER) <= 1


def test_what_was_sealed_is_read_as_before(store: Store) -> None:
    given: list[AnyRecord] = [*YEAR, *DENSE, status(NOON - SECOND), status(LATER)]
    store.put(given)
    seal_all(store, "phone", LATER)
    assert track(store) == DENSE + YEAR[1:]
    assert list(store.track("phone", NOON + SECOND, NOON + 3 * SECOND)) == DENSE[1:3]
    assert store.latest("phone") == Latest(YEAR[-1], status(LATER))
    assert store.latest("phone", before=LATER).status == status(NOON - SECOND)
    assert store.latest("phone", before=NOON + 5 * SECOND).fix == DENSE[4]


def test_what_comes_late_is_united_with_it(store: Store) -> None:
    store.put([*YEAR[::2], *DENSE[::3]])
    seal_all(store, "phone", LATER)
    store.put([*YEAR, *DENSE])
    for _ in range(2):
        assert track(store) == DENSE + YEAR[1:]
        seal_all(store, "phone", LATER)


@pytest.mark.parametrize("erased_first", [True, False])
def test_what_was_erased_stays_erased(store: Store, erased_first: bool) -> None:
    gone = DENSE[::2]
    store.put([*DENSE, status(DENSE[0].time)])
    if erased_first:
        store.erase("phone", [one.time for one in gone])
        seal_all(store, "phone", LATER)
    else:
        seal_all(store, "phone", LATER)
        store.erase("phone", [one.time for one in gone])
    for _ in range(2):
        assert track(store) == DENSE[1::2]
        assert store.latest("phone") == Latest(DENSE[-1], None)
        assert store.latest("phone", before=DENSE[-1].time).fix == DENSE[-3]
        seal_all(store, "phone", LATER)
        store.put([*gone, status(DENSE[0].time)])


def test_the_best_of_one_instant_is_read_wherever_it_is(store: Store) -> None:
    fine, rough = fix(accuracy=5.0), fix(accuracy=80.0, lat=1.0)
    for order in ([fine, rough], [rough, fine]):
        device = uuid.uuid4().hex
        for one in order:
            store.put([replace(one, device=device)])
            seal_all(store, device, LATER)
            store.put([replace(one, device=device)])
        assert track(store, device) == [replace(fine, device=device)]
        assert store.latest(device).fix == replace(fine, device=device)


def test_what_is_too_new_stays_as_it_is(store: Store) -> None:
    store.put([*YEAR, *DENSE])
    seal_all(store, "phone", NOON - timedelta(days=9))
    seal_all(store, "phone", NOON + timedelta(days=30))
    assert len(track(store)) == len(YEAR) + len(DENSE) - 1


def test_devices_do_not_meet(store: Store) -> None:
    devices = ["phone", "phone.x", "a/b", "Ünï", "x" * 300]
    store.put([fix(device=device, lat=i) for i, device in enumerate(devices)])
    for device in devices:
        seal_all(store, device, LATER)
    for i, device in enumerate(devices):
        assert track(store, device) == [fix(device=device, lat=i)]


class Model:
    """What a store has to read after the same calls."""

    def __init__(self) -> None:
        self.given: list[Fix | Status] = []
        self.erased: set[datetime] = set()

    def track(self) -> list[Fix]:
        fixes = [one for one in self.given if isinstance(one, Fix) and one.time not in self.erased]
        best = {one.time: one for one in sorted(fixes, key=self._rank)}
        return [best[time] for time in sorted(best)]

    def latest(self, before: datetime) -> Latest:
        kept = [one for one in self.given if one.time < before and one.time not in self.erased]
        statuses = [one for one in kept if isinstance(one, Status)]
        return Latest(
            max((one for one in self.track() if one.time < before), default=None, key=by_time),
            max(statuses, default=None, key=by_time),
        )

    def _rank(self, one: Fix) -> float:
        return -one.accuracy if one.accuracy is not None else float("-inf")


def by_time(report: Fix | Status) -> datetime:
    return report.time


class TestAnyOrder:
    """At random moments among random calls; in slices and stretches as small as they may be."""

    @settings(
        max_examples=5,
        deadline=None,
        suppress_health_check=[HealthCheck.function_scoped_fixture],
    )
    @given(seed=st.integers(0, 10**9))
    def test_of_calls(self, store: Store, monkeypatch: pytest.MonkeyPatch, seed: int) -> None:
        monkeypatch.setattr("shared.store.sealed._OPENED", 1_500)
        monkeypatch.setattr("shared.store.history._SEGMENTS", 3)
        monkeypatch.setattr("shared.store.history._SLICES", 2)
        draw, model, device = random.Random(seed), Model(), uuid.uuid4().hex
        cursor: str | None = None
        for number in range(draw.randint(3, 6)):
            reports, erased = some(draw, device)
            model.given += reports
            model.erased |= set(erased)
            store.put(reports)
            store.erase(device, erased)
            for _ in range(draw.randint(0, 3)):
                before = NOON + timedelta(days=draw.choice([0, 1, 5, 60]))
                cursor = store.seal(device, before, cursor)
            if number == 2:
                seal_all(store, device, LATER)
            assert track(store, device) == model.track()
            for before in (draw.choice(model.given).time, LATER):
                assert store.latest(device, before=before) == model.latest(before)


def some(draw: random.Random, device: str) -> tuple[list[Fix | Status], list[datetime]]:
    """Reports, and times to erase."""

    def time() -> datetime:
        wide = timedelta(hours=draw.choice([0, 0, 31, 31 * 24]) * draw.randint(0, 3))
        return NOON + wide + draw.randint(0, 40) * 7 * SECOND

    reports: list[Fix | Status] = []
    for _ in range(draw.choice([1, 5, 60])):
        accuracy = draw.choice([None, 5.0, 9.0])
        is_fix = draw.random() < 0.8
        reports.append(fix(time(), device, accuracy=accuracy) if is_fix else status(time(), device))
    return reports, [time() for _ in range(draw.choice([0, 0, 3]))]


@pytest.fixture
def history() -> list[Fix]:
    return [fix(NOON + i * timedelta(hours=7)) for i in range(120)]


def test_nobody_misses_anything_meanwhile(opener: Opener, history: list[Fix]) -> None:
    """Two seal at once, while one writes and erases, and one reads."""
    early, late = history[::2], history[1::2]
    opener().put(early)
    done = threading.Event()

    def seal() -> None:
        store = opener()
        while not done.is_set():
            seal_all(store, "phone", LATER)
        seal_all(store, "phone", LATER)

    def write() -> None:
        store = opener()
        try:
            for first in range(0, len(late), 6):
                store.put(late[first : first + 6])
                store.erase("phone", [late[first].time])
        finally:
            done.set()

    def read() -> None:
        store = opener()
        while not done.is_set():
            assert {one.time for one in early} <= {one.time for one in track(store)}
            assert store.latest("phone", before=early[50].time).fix in (early[49], late[49])

    with ThreadPoolExecutor(4) as pool:
        for work in [pool.submit(work) for work in (seal, seal, write, read)]:
            work.result()
    erased = {one.time for one in late[::6]}
    assert track(opener()) == [one for one in history if one.time not in erased]
