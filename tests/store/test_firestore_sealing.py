"""Sealing in Firestore: what it costs and saves, and how it stands up to others and to kills."""

import random
import tracemalloc
from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest
from google.cloud import firestore

from shared.meter import metered
from shared.model.records import Fix
from shared.store import sealed
from shared.store.firestore import FirestoreStore
from shared.store.protocol import Latest, NewerData, StoreUnavailable
from tests.store.conftest import Before, Documents, Lose, kill
from tests.store.index_entries import index_entries
from tests.store.samples import NOON, SECOND, fix, seal_all, status

DAY = timedelta(days=1)
LATER = NOON + 4_000 * DAY
EVER = (NOON - 4_000 * DAY, LATER)
SOME = [fix(NOON + i * DAY) for i in range(12)]


def track(store: FirestoreStore) -> list[Fix]:
    return list(store.track("phone", *EVER))


def noise(count: int, size: int, gap: timedelta = SECOND) -> list[Fix]:
    """Fixes that hardly compress."""
    draw = random.Random(0)
    return [fix(NOON + i * gap, extra={"x": draw.randbytes(size).hex()}) for i in range(count)]


def slices(documents: Documents) -> list[bytes]:
    return [one["data"] for one in documents("sealed").values() if "data" in one]


class TestCosts:
    def test_the_newest_needs_no_slice(self, store: FirestoreStore) -> None:
        store.put(SOME)
        seal_all(store, "phone", LATER)
        newest = Latest(fix(NOON + 20 * DAY), status(NOON + 20 * DAY))
        store.put(newest.reports())
        with metered() as spent:
            assert store.latest("phone") == newest
        assert spent.reads == 9

    def test_what_is_sealed_already_costs_little(self, store: FirestoreStore) -> None:
        store.put(SOME)
        seal_all(store, "phone", LATER)
        with metered() as spent:
            assert seal_all(store, "phone", LATER) == 1
        assert (spent.reads, spent.writes, spent.deletes) == (3, 0, 0)

    def test_it_is_a_fraction_of_the_size(
        self, store: FirestoreStore, documents: Documents
    ) -> None:
        draw = random.Random(0)
        given = [
            fix(NOON + i * SECOND, lat=round(52 + draw.random(), 6), lon=13.0, accuracy=5.0)
            for i in range(2_000)
        ]
        store.put(given)
        opened = sum(
            len(key) + len(packed)
            for segment in documents("segment").values()
            for key, packed in segment["fixes"].items()
        )
        seal_all(store, "phone", LATER)
        assert sum(map(len, slices(documents))) < opened / 4

    def test_years_are_a_few_reads(self, store: FirestoreStore, documents: Documents) -> None:
        given = [fix(NOON + i * DAY / 2) for i in range(1_200)]
        for first in range(0, len(given), 200):
            store.put(given[first : first + 200])
        store.put([status(NOON + 600 * DAY)])
        opened = len(documents("segment"))
        with metered() as spent:
            calls = seal_all(store, "phone", LATER)
        assert calls <= 5
        assert spent.reads <= opened + 8 * calls
        assert spent.writes <= 2 * calls
        assert spent.deletes == opened + calls - 2  # the slice, each time it is replaced
        assert documents("segment") == {}
        with metered() as spent:
            assert track(store) == given
        assert (spent.reads, spent.calls) == (6, 6)
        with metered() as spent:
            assert store.latest("phone").fix == given[-1]
        assert spent.reads <= 11

    def test_a_month_is_one_read(self, store: FirestoreStore) -> None:
        given = [fix(NOON + i * timedelta(minutes=5), battery=0.5) for i in range(30 * 288)]
        for first in range(0, len(given), 1_000):
            store.put(given[first : first + 1_000])
        seal_all(store, "phone", LATER)
        with metered() as spent:
            assert sum(1 for _ in store.track("phone", NOON, NOON + 30 * DAY)) == len(given)
        assert spent.reads == 5 + 1


class TestLimits:
    def test_a_hostile_track(self, store: FirestoreStore, documents: Documents) -> None:
        """More than a slice holds, then more in the middle of it."""
        given = noise(48, 40_000, timedelta(minutes=11))
        for one in given[::2]:
            store.put([one])
        seal_all(store, "phone", LATER)
        for one in given[1::2]:
            store.put([one])
        seal_all(store, "phone", LATER)
        assert track(store) == given
        packs = slices(documents)
        assert len(packs) >= 3
        assert max(map(len, packs)) <= 900_000
        for name, fields in documents("sealed").items():
            assert index_entries("sealed", fields) == 0, name

    def test_an_instant_that_no_slice_holds_stays_open(
        self, store: FirestoreStore, documents: Documents
    ) -> None:
        draw = random.Random(0)
        many = [
            fix(accuracy=50.0 - i, extra={"x": draw.randbytes(20_000).hex()}) for i in range(60)
        ]
        for one in many:
            store.put([one])
        store.put([fix(NOON - DAY), fix(NOON + DAY)])
        seal_all(store, "phone", LATER)
        assert track(store) == [fix(NOON - DAY), many[-1], fix(NOON + DAY)]
        assert len(slices(documents)) == 1
        seal_all(store, "phone", LATER)
        assert track(store) == [fix(NOON - DAY), many[-1], fix(NOON + DAY)]

    def test_it_takes_little_memory(self, store: FirestoreStore) -> None:
        extra = {"x": "x" * 1_400}
        for first in range(0, 8_000, 500):
            store.put([fix(NOON + i * 9 * SECOND, extra=extra) for i in range(first, first + 500)])
        tracemalloc.start()
        try:
            seal_all(store, "phone", LATER)
            _, sealing = tracemalloc.get_traced_memory()
            tracemalloc.reset_peak()
            assert sum(1 for _ in store.track("phone", *EVER)) == 8_000
            _, reading = tracemalloc.get_traced_memory()
        finally:
            tracemalloc.stop()
        # All of it is 12 MB, and as much again in fixes.
        assert sealing < 40_000_000
        assert reading < 16_000_000


class TestErased:
    def test_its_bytes_are_dropped_and_its_tombstone_is_kept(
        self, store: FirestoreStore, documents: Documents
    ) -> None:
        secret = "nobody shall know"
        given = [fix(NOON + i * DAY, wifi=secret) for i in range(5)]
        store.put(given)
        seal_all(store, "phone", LATER)
        store.erase("phone", [one.time for one in given])
        seal_all(store, "phone", LATER)
        assert documents("segment") == {}
        (data,) = slices(documents)
        assert {kind for _, kind, _ in sealed.items_in(data)} == {"erased"}
        store.put(given)
        assert track(store) == []
        seal_all(store, "phone", LATER)
        assert slices(documents) == [data]


COMMITS = 4
"""Of sealing SOME, which are late, into the slice that is there: one to the slice and its
directory, one to delete; twice, by the spans that they are in."""


class TestInterrupted:
    """In each place between what sealing writes."""

    @pytest.fixture(autouse=True)
    def old(self, store: FirestoreStore) -> list[Fix]:
        dense = [fix(NOON + i * SECOND, battery=0.5) for i in range(1, 100)]
        store.put([SOME[0], SOME[-1]])
        seal_all(store, "phone", LATER)
        store.put([*SOME, *dense])
        self.expected = [SOME[0], *dense, *SOME[1:]]
        return self.expected

    @pytest.mark.parametrize("number", range(COMMITS))
    def test_by_a_kill(
        self, store: FirestoreStore, before: Before, documents: Documents, number: int
    ) -> None:
        before(number, kill)
        with pytest.raises(KeyboardInterrupt):
            seal_all(store, "phone", LATER)
        assert track(store) == self.expected
        seal_all(store, "phone", LATER)
        assert track(store) == self.expected
        assert documents("segment") == {}
        assert len(slices(documents)) == 1

    @pytest.mark.parametrize("number", range(COMMITS))
    def test_by_a_lost_answer(
        self, store: FirestoreStore, lose: Lose, documents: Documents, number: int
    ) -> None:
        lose(number)
        seal_all(store, "phone", LATER)
        assert track(store) == self.expected
        assert documents("segment") == {}
        assert len(slices(documents)) == 1

    @pytest.mark.parametrize("number", range(COMMITS))
    def test_by_another_who_seals(
        self,
        store: FirestoreStore,
        other: FirestoreStore,
        before: Before,
        documents: Documents,
        number: int,
    ) -> None:
        def seal() -> None:
            seal_all(other, "phone", LATER)

        before(number, seal)
        seal_all(store, "phone", LATER)
        assert track(store) == self.expected
        assert documents("segment") == {}
        assert len(slices(documents)) == 1

    @pytest.mark.parametrize("number", range(COMMITS))
    def test_by_what_comes_in(
        self, store: FirestoreStore, other: FirestoreStore, before: Before, number: int
    ) -> None:
        new = [fix(NOON + DAY / 2), fix(NOON + SECOND / 2), fix(NOON + 2 * DAY, accuracy=1.0)]

        def come() -> None:
            for one in new:
                other.put([one])
            other.erase("phone", [SOME[3].time, NOON + 50 * SECOND])

        before(number, come)
        seal_all(store, "phone", LATER)
        gone = {SOME[2].time, SOME[3].time, NOON + 50 * SECOND}
        kept = [one for one in self.expected if one.time not in gone]
        expected = sorted([*kept, *new], key=lambda one: one.time)
        assert track(store) == expected
        seal_all(store, "phone", LATER)
        assert track(store) == expected

    @pytest.mark.parametrize("number", range(COMMITS))
    def test_a_track_is_of_one_moment(
        self, store: FirestoreStore, other: FirestoreStore, before: Before, number: int
    ) -> None:
        """Begun at any moment, and read on when all is sealed and more has come."""
        reading = other.track("phone", *EVER)
        begun: list[Fix] = []

        def begin() -> None:
            begun.append(next(reading))

        before(number, begin)
        seal_all(store, "phone", LATER)
        store.put([fix(NOON + 40 * DAY)])
        assert [*begun, *reading] == self.expected


def test_the_newest_is_of_one_moment(
    store: FirestoreStore, other: FirestoreStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    """All is sealed while it looks: after each of its reads."""
    store.put([fix(NOON - DAY), fix(NOON)])
    stream, done = firestore.Query.stream, list[bool]()

    def interrupted(query: Any, **options: Any) -> Any:
        found = list(stream(query, **options))
        if not done:
            done.append(True)
            seal_all(other, "phone", LATER)
        return iter(found)

    monkeypatch.setattr(firestore.Query, "stream", interrupted)
    assert store.latest("phone", before=NOON).fix == fix(NOON - DAY)
    assert done


def test_a_cursor_that_is_none_is_refused(store: FirestoreStore) -> None:
    for cursor in ("", "day", "entry:1", "day:x"):
        with pytest.raises(ValueError, match="cursor"):
            store.seal("phone", LATER, cursor)


@pytest.mark.parametrize("newer", ["directory", "slice"])
def test_newer_data_is_refused(store: FirestoreStore, firestore_project: str, newer: str) -> None:
    store.put([fix()])
    seal_all(store, "phone", LATER)
    store.put([fix(NOON + SECOND)])
    client = firestore.Client(project=firestore_project)
    for document in client.collection("sealed").list_documents():
        if (document.id == "phone") == (newer == "directory"):
            document.update({"shape": 9})
    client.close()
    calls: list[Callable[[], object]] = [
        lambda: track(store),
        lambda: store.latest("phone", before=NOON + SECOND),
        lambda: store.seal("phone", LATER, None),
    ]
    for call in calls:
        with pytest.raises(NewerData, match="update Yurt"):
            call()


def test_a_closed_store_is_unavailable(store: FirestoreStore) -> None:
    store.close()
    with pytest.raises(StoreUnavailable, match="closed"):
        store.seal("phone", LATER, None)
