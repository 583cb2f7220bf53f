"""What is particular to the Firestore adapter: what it costs, its limits, its failures."""

import json
import random
import tracemalloc
from collections import Counter
from collections.abc import Callable
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from google.api_core import exceptions
from google.cloud import firestore

from shared.meter import Meter, metered
from shared.model.records import Event, Fix, Place
from shared.store import gateway
from shared.store.firestore import FirestoreStore
from shared.store.indexes import UNINDEXED
from shared.store.protocol import NewerData, StoreError, StoreUnavailable
from tests.emulators import Emulator, new_project
from tests.store.conftest import Documents
from tests.store.index_entries import index_entries
from tests.store.samples import NOON, SECOND, Note, event, every_call, fix, outcomes, status

DAY = timedelta(days=1)
MIDNIGHT = NOON.replace(hour=0)
INDEXES = Path(__file__).parents[2] / "infra" / "firestore.indexes.json"


def put_in_batches(store: FirestoreStore, fixes: list[Fix], size: int = 200) -> None:
    for start in range(0, len(fixes), size):
        store.put(fixes[start : start + size])


def drawn(store: FirestoreStore, start: datetime, days: float) -> int:
    return sum(1 for _ in store.track("phone", start, start + days * DAY))


class TestCosts:
    def test_a_live_fix_is_one_write_and_no_read(self, store: FirestoreStore) -> None:
        for i in range(3):
            with metered() as spent:
                store.put([fix(NOON + i * SECOND), status(NOON + i * SECOND)])
            assert (spent.writes, spent.reads, spent.deletes, spent.calls) == (1, 0, 0, 1)
            assert spent.sent > 0

    def test_a_thousand_batched_fixes_are_ten_writes_at_most(self, store: FirestoreStore) -> None:
        with metered() as spent:
            put_in_batches(store, [fix(NOON + i * SECOND) for i in range(4_000)])
        assert spent.writes <= 4 * 6
        assert spent.reads == 0

    def test_a_day_is_thirty_reads_at_most(self, store: FirestoreStore) -> None:
        # As dense as one a second spread over its hours, at a fraction of the work.
        for hour in range(24):
            begin = MIDNIGHT + timedelta(hours=hour)
            store.put([fix(begin + i * SECOND) for i in range(60)])
        store.put([fix(NOON + timedelta(minutes=30))])
        with metered() as spent:
            assert drawn(store, MIDNIGHT, 1) == 24 * 60 + 1
        assert spent.reads <= 30
        with metered() as spent:
            assert drawn(store, MIDNIGHT - 10 * DAY, 1) == 0
        assert (spent.reads, spent.calls) == (5, 5)

    def test_the_newest_of_years_is_a_few_reads(self, store: FirestoreStore) -> None:
        put_in_batches(store, [fix(NOON - i * DAY / 2) for i in range(400)])
        store.put([fix(NOON + SECOND)])
        with metered() as spent:
            assert store.latest("phone").fix == fix(NOON + SECOND)
        assert spent.reads <= 9
        with metered() as spent:
            assert store.latest("phone", before=NOON - 100 * DAY).fix is not None
        assert spent.reads <= 12

    def test_a_status_of_long_ago_is_found_without_reading_all_since(
        self, store: FirestoreStore
    ) -> None:
        store.put([status(NOON - 300 * DAY)])
        put_in_batches(store, [fix(NOON - i * DAY) for i in range(300)])
        with metered() as spent:
            assert store.latest("phone").status == status(NOON - 300 * DAY)
        assert spent.reads <= 9

    def test_other_calls(self, store: FirestoreStore) -> None:
        version = store.write("note", Note("one"), over=None)
        large = random.Random(0).randbytes(2_000_000)
        store.put([event(), event("two")], {"ab": large, "ef": b"x" * 2_000_000})
        store.put([fix()])
        cases: list[tuple[Callable[[], object], tuple[int, int, int]]] = [
            (lambda: store.put([event("three")]), (0, 1, 0)),
            (lambda: store.put([event(source_version=2)]), (1, 1, 0)),
            (lambda: store.put([event(source_version=1)]), (1, 0, 0)),
            (lambda: store.get(Event, "one"), (1, 0, 0)),
            (lambda: store.get(Event, "none"), (1, 0, 0)),
            (lambda: store.page(Event), (3, 0, 0)),
            (lambda: store.page(Place), (1, 0, 0)),
            (lambda: store.raw("ab"), (4, 0, 0)),
            (lambda: store.raw("ef"), (1, 0, 0)),
            (lambda: store.raw("none"), (2, 0, 0)),
            (lambda: store.put([], {"cd": large[:900_001]}), (1, 2, 0)),
            (lambda: store.put([], {"cd": b"x" * 900_001}), (0, 1, 0)),
            (lambda: store.erase("phone", [NOON]), (4, 1, 0)),
            (lambda: store.erase("phone", [NOON]), (4, 0, 0)),
            (lambda: store.read(Note, "note"), (1, 0, 0)),
            (lambda: store.write("note", Note("two"), over=version), (0, 1, 0)),
            (lambda: store.count({"a": 1, "b": 2}), (0, 1, 0)),
            (store.counters, (1, 0, 0)),
        ]
        for i, (call, expected) in enumerate(cases):
            with metered() as spent:
                call()
            assert (i, spent.reads, spent.writes, spent.deletes) == (i, *expected)


class TestLimits:
    def test_a_hostile_track(self, store: FirestoreStore, documents: Documents) -> None:
        """Fixes with much to say each second, and large ones within one minute."""
        extra = {"x": "x" * 300}
        dense = [fix(NOON + i * SECOND, extra=extra) for i in range(1_200)]
        put_in_batches(store, dense)
        large = [fix(MIDNIGHT + i * SECOND, extra={"x": "x" * 60_000}) for i in range(40)]
        put_in_batches(store, large[:20])
        for one in large[20:]:
            store.put([one])
        assert list(store.track("phone", MIDNIGHT, MIDNIGHT + DAY)) == large + dense
        segments = documents("segment")
        assert Counter(segment["span"] for segment in segments.values()) == {
            "minute": 21,
            "entry": 23,
        }
        for segment in segments.values():
            assert index_entries("segment", segment) < 20

    def test_a_full_window_is_tried_once(self, store: FirestoreStore) -> None:
        # Each small enough for its minute, together too many for it.
        for i in range(30):
            store.put([fix(NOON + i * SECOND, extra={"x": "x" * 60_000})])
        with metered() as spent:
            store.put([fix(NOON + 30 * SECOND, extra={"x": "x" * 60_000})])
        assert (spent.calls, spent.writes) == (1, 1)
        assert drawn(store, MIDNIGHT, 1) == 31

    def test_a_full_window_can_still_be_erased_from(self, store: FirestoreStore) -> None:
        times = [NOON + i * SECOND for i in range(20)]
        for at in times:
            store.put([fix(at, extra={"x": "x" * 60_000})])
        store.erase("phone", times[::2])
        assert [one.time for one in store.track("phone", MIDNIGHT, MIDNIGHT + DAY)] == times[1::2]

    def test_tombstones_that_burst_a_window_go_elsewhere(
        self,
        store: FirestoreStore,
        firestore_project: str,
        documents: Documents,
    ) -> None:
        secret = fix(NOON, wifi="nobody shall know", extra={"x": "x" * 7_000})
        store.put([secret])
        count, spent = 0, Meter()
        while spent.calls < 2:  # until the hour is full
            count += 1
            with metered() as spent:
                store.put([fix(NOON + count * SECOND, extra={"x": "x" * 14_000})])
        another = FirestoreStore(firestore_project)  # that does not know of it
        with metered() as spent:
            another.erase("phone", [NOON + i * SECOND / 2 for i in range(1, 5_000, 2)] + [NOON])
        another.close()
        assert spent.writes > 1
        assert drawn(store, MIDNIGHT, 1) == count
        assert "nobody shall know" not in repr(documents("segment"))

    def test_what_was_erased_is_gone(self, store: FirestoreStore, documents: Documents) -> None:
        secret = "nobody shall know"
        given = [fix(NOON - DAY, wifi=secret)]
        given += [fix(NOON + i * SECOND, wifi=secret) for i in range(100)]
        given += [
            fix(MIDNIGHT + i * SECOND, wifi=secret, extra={"x": "x" * 850_000}) for i in (0, 1)
        ]
        put_in_batches(store, given)
        assert secret in repr(documents("segment"))
        store.erase("phone", [one.time for one in given])
        assert secret not in repr(documents("segment"))

    def test_a_track_of_large_fixes_takes_little_memory(self, store: FirestoreStore) -> None:
        put_in_batches(
            store, [fix(NOON + i * SECOND, extra={"x": "x" * 600_000}) for i in range(40)]
        )
        tracemalloc.start()
        assert drawn(store, MIDNIGHT, 1) == 40
        _, peak = tracemalloc.get_traced_memory()
        tracemalloc.stop()
        # Of 24 MB.
        assert peak < 14_000_000

    def test_large_batches_are_sent_in_parts(self, store: FirestoreStore) -> None:
        raws = {f"{i:064}": random.Random(i).randbytes(1_500_000) for i in range(4)}
        with metered() as spent:
            store.put([event(f"{i}", title="x" * 500_000) for i in range(10)], raws)
        assert spent.calls >= 5
        assert {sha256: store.raw(sha256) for sha256 in raws} == raws
        assert len(store.page(Event).records) == 10

    def test_a_raw_that_was_half_written_is_not_there(
        self, store: FirestoreStore, firestore_project: str
    ) -> None:
        store.put([], {"ab": random.Random(0).randbytes(2_000_000)})
        client = firestore.Client(project=firestore_project)
        client.document("raw/ab.1").delete()
        client.close()
        assert store.raw("ab") is None

    def test_a_document_that_is_too_large(self, store: FirestoreStore) -> None:
        with pytest.raises(StoreError, match="larger than Firestore keeps"):
            store.write("note", Note("x" * 1_100_000), over=None)


def test_each_query_has_its_index(store: FirestoreStore, monkeypatch: pytest.MonkeyPatch) -> None:
    """The emulator would answer without one; Firestore refuses."""
    queries: list[Any] = []
    stream = firestore.Query.stream

    def recorded(query: Any, **options: Any) -> Any:
        queries.append(query._to_protobuf())
        return stream(query, **options)

    monkeypatch.setattr(firestore.Query, "stream", recorded)
    store.put([*(fix(NOON - i * DAY) for i in range(60)), status(), event(), event("two")])
    for call in every_call(store).values():
        call()
    list(store.track("phone", NOON - 100 * DAY, NOON))
    store.latest("phone", before=NOON)
    for newest_first in (False, True):
        cursor = store.page(Event, limit=1, newest_first=newest_first).cursor
        store.page(Event, start=NOON, end=NOON + DAY, newest_first=newest_first, cursor=cursor)
    indexes = [
        (
            index["collectionGroup"],
            [(field["fieldPath"], field["order"]) for field in index["fields"]],
        )
        for index in json.loads(INDEXES.read_text())["indexes"]
    ]
    used = {indexes.index(needed_index(query)) for query in queries if not is_of_members(query)}
    assert used == set(range(len(indexes))), "an index that no query needs costs storage"


def is_of_members(query: Any) -> bool:
    """Whether it needs but the index that Firestore has of every list, unless told otherwise."""
    if query.where.field_filter.op.name != "ARRAY_CONTAINS_ANY":
        return False
    collection, field = query.from_[0].collection_id, query.where.field_filter.field.field_path
    assert field not in UNINDEXED[collection]
    return not query.order_by


def needed_index(query: Any) -> tuple[str, list[tuple[str, str]]]:
    """Of equal fields any direction would do; ours are ascending and in the order of the table."""
    (collection,) = query.from_
    filters = [f.field_filter for f in query.where.composite_filter.filters] or [
        query.where.field_filter
    ]
    equal = [(f.field.field_path, "ASCENDING") for f in filters if f.op.name == "EQUAL"]
    ordered = [
        (order.field.field_path, order.direction.name)
        for order in query.order_by
        if order.field.field_path != "__name__"
    ]
    unequal = {f.field.field_path for f in filters if f.op.name != "EQUAL"}
    assert unequal <= {ordered[0][0]}
    assert {order.direction.name for order in query.order_by} == {ordered[0][1]}
    return collection.collection_id, equal + ordered


class TestFailures:
    def test_an_emulator_that_hangs_dies_and_comes_back(
        self, disposable_firestore_emulator: Emulator, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        emulator, store = disposable_firestore_emulator, FirestoreStore(new_project())
        assert emulator.process is not None
        store.put([fix()])
        calls = every_call(store)
        unavailable = dict.fromkeys(calls, StoreUnavailable)
        with monkeypatch.context() as impatient:
            impatient.setattr(gateway, "WITHIN", 1.0)
            emulator.process.pause()
            assert outcomes(calls, within=4) == unavailable
            emulator.process.resume()
        store.put([fix()])
        assert list(store.track("phone", NOON + SECOND, NOON + 2 * SECOND)) == []
        with monkeypatch.context() as impatient:
            impatient.setattr(gateway, "WITHIN", 1.0)
            emulator.stop()
            assert outcomes(calls, within=4) == unavailable
        store.close()

    @pytest.mark.parametrize(
        ("answer", "expected", "text"),
        [
            (exceptions.ResourceExhausted("Quota exceeded."), StoreUnavailable, "quota"),
            (exceptions.PermissionDenied("no"), StoreError, "roles/datastore.user"),
            (exceptions.Unauthenticated("no"), StoreError, "roles/datastore.user"),
            (exceptions.NotFound("The database (default) does not exist"), StoreError, "create"),
            (exceptions.FailedPrecondition("needs an index"), StoreError, "indexes.json"),
            (exceptions.OutOfRange("odd"), StoreError, "odd"),
        ],
    )
    def test_what_firestore_says_is_told_with_what_to_do(
        self,
        store: FirestoreStore,
        monkeypatch: pytest.MonkeyPatch,
        answer: Exception,
        expected: type[StoreError],
        text: str,
    ) -> None:
        def fail(*_: object, **__: object) -> None:
            raise answer

        monkeypatch.setattr(firestore.Query, "stream", fail)
        with pytest.raises(expected, match=text) as raised:
            store.page(Event)
        assert isinstance(raised.value, StoreUnavailable) == (expected is StoreUnavailable)

    def test_an_answer_that_was_lost(
        self, store: FirestoreStore, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """The write took place, and is tried again."""
        first = store.write("note", Note("one"), over=None)
        commit = firestore.WriteBatch.commit
        lost: list[Exception] = []

        def lose(batch: firestore.WriteBatch, **options: Any) -> Any:
            writes = list(batch._write_pbs)
            results = commit(batch, **options)
            if lost:
                batch._write_pbs = writes
                raise lost.pop()
            return results

        monkeypatch.setattr(firestore.WriteBatch, "commit", lose)
        for over, name in ((first, "note"), (None, "new")):
            lost.append(exceptions.ServiceUnavailable("connection reset"))
            version = store.write(name, Note("two"), over=over)
            assert store.read(Note, name) == (Note("two"), version)
        lost.append(exceptions.DeadlineExceeded("no answer"))
        store.put([fix(), event()])
        assert store.get(Event, "one") == event()
        assert drawn(store, MIDNIGHT, 1) == 1
        assert not lost

    def test_no_credentials(self, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
        monkeypatch.delenv("FIRESTORE_EMULATOR_HOST", raising=False)
        monkeypatch.setenv("GOOGLE_APPLICATION_CREDENTIALS", str(tmp_path / "none.json"))
        with pytest.raises(StoreError, match="gcloud auth application-default login"):
            FirestoreStore("demo-x").put([fix()])


class TestNewerSegments:
    def test_are_refused_and_stay_marked(
        self, store: FirestoreStore, firestore_project: str
    ) -> None:
        store.put([fix()])
        client = firestore.Client(project=firestore_project)
        (document,) = client.collection("segment").list_documents()
        document.update({"shape": 9})
        store.put([fix(NOON + SECOND)])
        assert document.get().get("shape") == 9
        client.close()
        for call in (lambda: drawn(store, MIDNIGHT, 1), lambda: store.latest("phone")):
            with pytest.raises(NewerData, match="update Yurt"):
                call()


def test_the_meter_counts_for_the_thread_that_asks(store: FirestoreStore) -> None:
    with metered() as outer:
        store.put([fix()])
        with metered() as inner:
            store.put([fix()])
    assert (outer.writes, inner.writes) == (2, 1)
    assert outer == Meter(writes=2, calls=2, sent=2 * inner.sent)


def test_opening_asks_nothing_of_the_network(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FIRESTORE_EMULATOR_HOST", "127.0.0.1:9")
    made: list[object] = []
    monkeypatch.setattr(firestore, "Client", lambda **given: made.append(given))
    FirestoreStore("demo-x").close()
    assert made == []
