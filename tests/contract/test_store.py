"""What the store port promises (`shared.store.protocol`), held against both adapters."""

import base64
import hashlib
import itertools
import random
import threading
import tracemalloc
import uuid
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta, timezone
from typing import Any, ClassVar

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from msgspec import Struct
from msgspec.structs import replace

from shared.meter import Meter, metered
from shared.model import packing
from shared.model.ids import content_id, named_id
from shared.model.records import AnyRecord, Event, Fix, Message, Person, Place, Status
from shared.store.protocol import (
    ID_LIMIT,
    RECORD_LIMIT,
    Conflict,
    Latest,
    NewerData,
    Store,
    StoreUnavailable,
)
from tests.contract.conftest import Opener
from tests.store.samples import NOON, SECOND, Note, event, every_call, fix, status

EVER = (datetime(1800, 1, 1, tzinfo=UTC), datetime(2200, 1, 1, tzinfo=UTC))
ODD_NAMES = ["Ünï çødé ☃", "a/b", ".", "..", "__x__", "a\0b", "x" * 1_000, " ", "~", "%2F", "😀"]


def track(store: Store, device: str = "phone") -> list[Fix]:
    return list(store.track(device, *EVER))


FULL_FIX = fix(
    NOON + timedelta(microseconds=123_456),
    lat=-89.123456789,
    lon=-179.1234567,
    raw="ab" * 32,
    where="locations[3]",
    asof=NOON,
    extra={"unknown": [1, None, {"é": 2.5}], "empty": {}},
    offset=-330,
    accuracy=4.7,
    altitude=-12.0,
    altitude_accuracy=3.0,
    speed=0.0,
    speed_accuracy=0.5,
    course=359.9,
    course_accuracy=10.0,
    battery=0.01,
    power="charging",
    network="wifi",
    wifi="home ☕",
    pressure=101_325.0,
    motion=("walking", "driving"),
    trigger="c",
)


class TestTracks:
    def test_a_fix_comes_back_as_it_was(self, store: Store) -> None:
        store.put([FULL_FIX])
        assert track(store) == [FULL_FIX]

    def test_a_status_comes_back_as_it_was(self, store: Store) -> None:
        given = status(battery=0.5, power="full", network="mobile", trigger="p", extra={"a": 1})
        store.put([given])
        assert store.latest("phone") == Latest(None, given)
        assert track(store) == []

    def test_nothing_is_known_of_a_stranger(self, store: Store) -> None:
        assert track(store) == []
        assert store.latest("phone") == Latest(None, None)

    def test_putting_nothing_is_allowed(self, store: Store) -> None:
        store.put([])
        store.erase("phone", [])
        store.count({})
        assert store.counters() == {}

    def test_it_comes_by_time_whatever_order_and_windows_it_came_in(self, store: Store) -> None:
        dense = [fix(NOON + i * SECOND) for i in range(120)]
        sparse = [fix(NOON - timedelta(hours=i)) for i in range(1, 60)]
        store.put(dense[::-1])
        for one in sparse[::7]:
            store.put([one])
        store.put(sparse)
        assert track(store) == sparse[::-1] + dense

    @pytest.mark.parametrize(
        ("start", "end", "expected"),
        [
            (0, 5, [0, 1, 2, 3, 4]),
            (2, 3, [2]),
            (2, 2, []),
            (3, 2, []),
            (-100_000, 1, [0]),
            (4, 100_000, [4]),
        ],
    )
    def test_the_start_is_in_and_the_end_is_out(
        self, store: Store, start: int, end: int, expected: list[int]
    ) -> None:
        store.put([fix(NOON + i * SECOND) for i in range(5)])
        found = store.track("phone", NOON + start * SECOND, NOON + end * SECOND)
        assert [one.time for one in found] == [NOON + i * SECOND for i in expected]

    def test_microseconds_and_centuries_are_kept_apart(self, store: Store) -> None:
        times = [
            datetime(1900, 1, 1, tzinfo=UTC),
            datetime(1969, 12, 31, 23, 59, 59, 999_999, tzinfo=UTC),
            datetime(1970, 1, 1, tzinfo=UTC),
            NOON - timedelta(microseconds=1),
            NOON,
            NOON + timedelta(microseconds=1),
            datetime(2100, 12, 31, 23, 59, 59, 999_999, tzinfo=UTC),
        ]
        store.put([fix(time) for time in times])
        assert [one.time for one in track(store)] == times
        for earlier, later in itertools.pairwise(times):
            assert store.latest("phone", before=later).fix == fix(earlier)

    def test_another_zone_is_the_same_instant(self, store: Store) -> None:
        east = timezone(timedelta(hours=9))
        store.put([fix(NOON), fix(NOON.astimezone(east))])
        assert track(store) == [fix(NOON)]

    @pytest.mark.parametrize("device", ODD_NAMES)
    def test_devices_do_not_meet(self, store: Store, device: str) -> None:
        others = [*ODD_NAMES, "phone", "a", "a.d2026-11-22"]
        store.put([fix(device=other, lat=i) for i, other in enumerate(others)])
        store.erase("phone", [NOON])
        assert track(store, device) == [fix(device=device, lat=others.index(device))]
        assert store.latest(device).fix == fix(device=device, lat=others.index(device))

    def test_the_best_of_one_instant_is_read_and_all_are_kept(self, store: Store) -> None:
        rough, fine = fix(accuracy=80.0), fix(accuracy=5.0, lat=52.6)
        more = fix(accuracy=5.0, lat=52.6, battery=0.5)
        for order in itertools.permutations([rough, fine, more]):
            device = uuid.uuid4().hex
            for one in order:
                store.put([replace(one, device=device)])
            assert track(store, device) == [replace(more, device=device)]
            assert store.latest(device).fix == replace(more, device=device)

    def test_a_fix_and_a_status_of_one_instant_are_two_things(self, store: Store) -> None:
        store.put([fix(), status()])
        assert store.latest("phone") == Latest(fix(), status())

    def test_a_report_above_the_limit_is_refused_before_anything_is_kept(
        self, store: Store
    ) -> None:
        large = fix(extra={"x": "x" * (RECORD_LIMIT + 1)})
        with pytest.raises(ValueError, match="larger than"):
            store.put([fix(NOON - SECOND), event(), large])
        assert track(store) == []
        assert store.get(Event, "one") is None

    def test_large_reports_find_a_place(self, store: Store) -> None:
        size = 400_000
        given = [fix(NOON + i * SECOND, extra={"x": str(i) * size}) for i in range(4)]
        for one in given:  # each alone, so that windows fill before it is known
            store.put([one])
        store.put([status(NOON + 4 * SECOND)])
        assert track(store) == given
        assert store.latest("phone") == Latest(given[-1], status(NOON + 4 * SECOND))

    def test_a_report_as_large_as_may_be(self, store: Store) -> None:
        spare = len(packing.pack(fix(extra={"x": "x" * 70_000}))) - 70_000
        given = [fix(extra={"x": letter * (RECORD_LIMIT - spare)}) for letter in "abcd"]
        for one in given:
            store.put([one])
        assert track(store) == [given[-1]]
        assert store.latest("phone").fix == given[-1]

    def test_a_long_track_takes_little_memory(self, store: Store) -> None:
        count = 20_000
        extra = {"x": "x" * 300}
        for start in range(0, count, 1_000):
            store.put(
                [fix(NOON + i * 10 * SECOND, extra=extra) for i in range(start, start + 1_000)]
            )
        tracemalloc.start()
        read = sum(1 for _ in store.track("phone", *EVER))
        _, peak = tracemalloc.get_traced_memory()
        tracemalloc.stop()
        assert read == count
        # All of it would be 30 MB and more.
        assert peak < 16_000_000


class TestLatest:
    def test_the_newest_stands_however_late_others_come(self, store: Store) -> None:
        store.put([fix(NOON), status(NOON + SECOND)])
        store.put([fix(NOON - timedelta(days=400) - i * SECOND) for i in range(300)])
        store.put([status(NOON - timedelta(days=400))])
        assert store.latest("phone") == Latest(fix(NOON), status(NOON + SECOND))

    def test_before(self, store: Store) -> None:
        dense = [fix(NOON + i * SECOND) for i in range(100)]
        alive = status(NOON - timedelta(days=9))
        old = fix(NOON - timedelta(days=800))
        store.put([*dense, alive, old])
        cases: list[tuple[datetime, Latest]] = [
            (NOON + timedelta(days=1), Latest(dense[-1], alive)),
            (NOON + 50 * SECOND, Latest(dense[49], alive)),
            (NOON, Latest(old, alive)),
            (alive.time, Latest(old, None)),
            (old.time + timedelta(microseconds=1), Latest(old, None)),
            (old.time, Latest(None, None)),
        ]
        for before, expected in cases:
            assert store.latest("phone", before=before) == expected

    def test_erased_ones_do_not_count(self, store: Store) -> None:
        dense = [fix(NOON + i * SECOND) for i in range(100)]
        store.put([fix(NOON - timedelta(days=30)), *dense])
        store.erase("phone", [one.time for one in dense[50:]])
        assert store.latest("phone").fix == dense[49]
        store.erase("phone", [one.time for one in dense])
        assert store.latest("phone").fix == fix(NOON - timedelta(days=30))
        assert store.latest("phone", before=NOON).fix == fix(NOON - timedelta(days=30))


class TestErasing:
    def test_what_was_erased_stays_erased(self, store: Store) -> None:
        kept, gone = fix(NOON), fix(NOON + SECOND)
        store.put([kept, gone, status(NOON + SECOND)])
        store.erase("phone", [gone.time])
        store.put([gone])
        store.put([fix(gone.time, lat=1.0), status(NOON + SECOND)])
        assert track(store) == [kept]
        assert store.latest("phone") == Latest(kept, None)

    def test_before_it_arrives_and_whichever_way_it_comes(self, store: Store) -> None:
        dense = [fix(NOON + i * SECOND) for i in range(150)]
        store.erase("phone", [dense[3].time, dense[149].time])
        store.put([dense[3]])  # alone
        store.put(dense)  # among many
        store.put([fix(dense[3].time, extra={"x": "x" * 800_000})])  # as one that fills a document
        assert track(store) == dense[:3] + dense[4:149]
        assert store.latest("phone").fix == dense[148]

    def test_before_anything_arrived_there(self, store: Store) -> None:
        store.erase("phone", [NOON + 149 * SECOND])
        store.put([fix(NOON + i * SECOND) for i in range(150)])
        store.put([status(NOON + i * SECOND) for i in range(150)])
        last = NOON + 148 * SECOND
        assert store.latest("phone") == Latest(fix(last), status(last))

    def test_many_at_once_and_again(self, store: Store) -> None:
        dense = [fix(NOON + i * SECOND) for i in range(400)]
        large = [fix(NOON + i * SECOND / 2, extra={"x": "x" * 300_000}) for i in (1, 3, 5, 7)]
        store.put([*dense, *large])
        odd = [one.time for one in dense[1::2]]
        for _ in range(2):
            store.erase("phone", odd + [one.time for one in large])
        assert track(store) == dense[::2]


def reports() -> st.SearchStrategy[AnyRecord]:
    times = st.integers(0, 40).map(lambda i: NOON + i * timedelta(seconds=7))
    spread = st.integers(0, 5).map(lambda i: NOON + i * timedelta(hours=31))
    facts = st.fixed_dictionaries({"accuracy": st.sampled_from([None, 5.0, 9.0])})
    return st.one_of(
        st.builds(lambda time, facts: fix(time, **facts), times | spread, facts),
        st.builds(status, times | spread),
    )


class TestOrder:
    """The store ends the same after any interleaving of the same calls."""

    @settings(
        max_examples=12,
        deadline=None,
        suppress_health_check=[HealthCheck.function_scoped_fixture],
    )
    @given(data=st.data())
    def test_of_reports_and_erasures(self, store: Store, data: st.DataObject) -> None:
        batches = data.draw(st.lists(st.lists(reports(), max_size=30), min_size=1, max_size=4))
        erased = data.draw(st.lists(st.integers(0, 40), max_size=4))
        calls: list[Sequence[AnyRecord] | list[datetime]] = [*batches]
        calls += [[NOON + i * timedelta(seconds=7)] for i in erased]
        orders = [calls, data.draw(st.permutations(calls + calls[:2]))]
        ends = [self._end_of(store, order) for order in orders]
        assert ends[0] == ends[1]
        gone = {time for call in calls for time in call if isinstance(time, datetime)}
        assert not gone & {one.time for one in ends[0][0]}
        given = {r.time for b in batches for r in b if isinstance(r, Fix)}
        assert {one.time for one in ends[0][0]} == given - gone

    def _end_of(
        self, store: Store, calls: Sequence[Sequence[AnyRecord] | list[datetime]]
    ) -> tuple[list[Fix], Latest]:
        device = uuid.uuid4().hex
        for call in calls:
            records = [replace(r, device=device) for r in call if isinstance(r, Fix | Status)]
            if records:
                store.put(records)
            else:
                store.erase(device, [time for time in call if isinstance(time, datetime)])
        found = [replace(one, device="") for one in store.track(device, *EVER)]
        last = store.latest(device)
        return found, Latest(
            replace(last.fix, device="") if last.fix else None,
            replace(last.status, device="") if last.status else None,
        )

    def test_of_versions_of_a_record(self, store: Store) -> None:
        versions = [
            event(title="older module, later asof", asof=NOON + SECOND),
            event(title="newer module", source_version=2),
            event(title="newer module, early", source_version=2, asof=NOON - SECOND),
            event(title="newer module, late", source_version=2, asof=NOON),
            event(title="newer module, late, and greater", source_version=2, asof=NOON),
        ]
        for i, order in enumerate(itertools.permutations(versions)):
            if i % 10:
                continue
            id = f"event-{i}"
            for one in order[:3]:
                store.put([replace(one, id=id)])
            store.put([replace(one, id=id) for one in order[3:]])
            assert store.get(Event, id) == replace(versions[4], id=id)

    def test_a_version_may_move_in_time_and_lose_its_time(self, store: Store) -> None:
        person = Person(source="test", source_version=1, id="ann", names=("Ann",), time=NOON)
        store.put([person])
        assert store.page(Person).records == [person]
        moved = replace(person, source_version=2, time=NOON + SECOND)
        store.put([moved])
        assert store.page(Person).records == [moved]
        timeless = replace(person, source_version=3, time=None)
        store.put([timeless, moved])
        assert store.page(Person).records == []
        assert store.get(Person, "ann") == timeless


class TestRecords:
    def test_they_come_back_as_they_were(self, store: Store) -> None:
        message = Message(
            source="test",
            source_version=3,
            id=named_id("message", "<a@b>"),
            time=NOON,
            subject="日本 \0 ☃",
            text="x" * 100_000,
            labels=("a", "b"),
            extra={"n": 2**53, "list": [1.5, None, True]},
        )
        store.put([message])
        assert store.get(Message, message.id) == message
        assert store.get(Place, message.id) is None

    @pytest.mark.parametrize("id", ODD_NAMES)
    def test_ids_may_be_odd(self, store: Store, id: str) -> None:
        store.put([event(other, title=other[:9]) for other in ODD_NAMES])
        assert store.get(Event, id) == event(id, title=id[:9])

    def test_an_id_above_the_limit_is_refused(self, store: Store) -> None:
        with pytest.raises(ValueError, match="larger than"):
            store.put([event("é" * (ID_LIMIT // 2) + "x")])

    def test_a_record_above_the_limit_is_refused(self, store: Store) -> None:
        with pytest.raises(ValueError, match="larger than"):
            store.put([event("small"), event(title="x" * RECORD_LIMIT)])
        assert store.get(Event, "small") is None

    def test_text_that_is_not_unicode_is_refused(self, store: Store) -> None:
        with pytest.raises(ValueError, match="surrogates"):
            store.put([event("small"), event(title="\ud800")])
        assert store.get(Event, "small") is None

    def test_reports_records_and_raws_go_together(self, store: Store) -> None:
        raw = b"\0\xff" * 10
        for _ in range(2):
            store.put([fix(), status(), event()], {content_id(raw): raw})
            assert store.latest("phone") == Latest(fix(), status())
            assert store.get(Event, "one") == event()
            assert store.raw(content_id(raw)) == raw

    @pytest.mark.parametrize("size", [0, 1, 900_000, 900_001, 3_000_000])
    def test_raws_of_any_size(self, store: Store, size: int) -> None:
        raw = random.Random(size).randbytes(size)
        sha256 = hashlib.sha256(raw).hexdigest()
        assert store.raw(sha256) is None
        for _ in range(2):
            store.put([], {sha256: raw})
            assert store.raw(sha256) == raw

    def test_raws_of_any_content(self, store: Store) -> None:
        noise, text = random.Random(0).randbytes(60_000), b"And what did she say? " * 3_000
        contents = [text, base64.b64encode(noise), text + noise + text, noise + text + noise]
        raws = {content_id(raw): raw for raw in contents}
        store.put([], raws)
        assert {sha256: store.raw(sha256) for sha256 in raws} == raws

    def test_many_raws_in_one_call_and_some_of_them_again(self, store: Store) -> None:
        draw = random.Random(0)
        given = [draw.randbytes(10) * draw.choice([0, 1, 9, 300]) for _ in range(1_200)]
        given += [draw.randbytes(size) for size in (200_000, 300_000, 950_000)]
        raws = {content_id(raw): raw for raw in given}
        names = list(raws)
        store.put([], raws)
        store.put([], {sha256: raws[sha256] for sha256 in names[::3]} | {"ab": b"more"})
        store.put([], {sha256: raws[sha256] for sha256 in reversed(names)})
        for sha256 in (*names[::100], *names[-3:]):
            assert store.raw(sha256) == raws[sha256]
        assert store.raw("ab") == b"more"


class TestPages:
    TIMES: ClassVar = [NOON + (i // 4) * SECOND for i in range(23)]

    def _ids(
        self, store: Store, limit: int, between: Callable[[], None] = lambda: None, **query: Any
    ) -> list[str]:
        ids: list[str] = []
        cursor = None
        while True:
            page = store.page(Event, limit=limit, cursor=cursor, **query)
            assert len(page.records) <= limit
            ids += [record.id for record in page.records]
            between()
            if page.cursor is None:
                return ids
            cursor = page.cursor

    @pytest.fixture
    def ids(self, store: Store) -> list[str]:
        ids = [f"{i % 4}-{i:02}-é/" for i in range(23)]
        store.put([event(id, time) for id, time in zip(ids, self.TIMES, strict=True)])
        store.put([Place(source="test", source_version=1, id="home", name="home", time=NOON)])
        return ids

    @pytest.mark.parametrize("limit", [1, 3, 23, 100])
    def test_each_record_once_in_both_directions(
        self, store: Store, ids: list[str], limit: int
    ) -> None:
        assert self._ids(store, limit) == ids
        assert self._ids(store, limit, newest_first=True) == ids[::-1]

    def test_within_times(self, store: Store, ids: list[str]) -> None:
        within: dict[str, Any] = {"start": NOON + SECOND, "end": NOON + 3 * SECOND}
        assert self._ids(store, 3, **within) == ids[4:12]
        assert self._ids(store, 3, newest_first=True, **within) == ids[4:12][::-1]

    @pytest.mark.parametrize("newest_first", [False, True])
    def test_records_that_come_meanwhile_disturb_nothing(
        self, store: Store, ids: list[str], newest_first: bool
    ) -> None:
        new = iter(range(1_000))

        def between() -> None:
            i = next(new)
            store.put([event(f"new-{i}", self.TIMES[i % 23])])

        found = self._ids(store, 4, between, newest_first=newest_first)
        old = [id for id in found if not id.startswith("new")]
        assert old == (ids[::-1] if newest_first else ids)
        assert len(found) == len(set(found))

    @pytest.mark.parametrize("cursor", ["", "x", "é", "AAAA", "OTk5OTk5OTk5OTk5OTk5OTk5OTkKYQ"])
    def test_a_cursor_that_is_none_is_refused(self, store: Store, cursor: str) -> None:
        with pytest.raises(ValueError, match="cursor"):
            store.page(Event, cursor=cursor)


class NewNote(Struct, frozen=True):
    SHAPE: ClassVar[int] = 2
    text: str


class TestDocuments:
    def test_a_document_is_replaced_over_its_version_only(self, store: Store) -> None:
        assert store.read(Note, "note") is None
        first = store.write("note", Note("one"), over=None)
        assert store.read(Note, "note") == (Note("one"), first)
        second = store.write("note", Note("two"), over=first)
        assert second != first
        for over in (first, None, "no version", ""):
            with pytest.raises(Conflict):
                store.write("note", Note("three"), over=over)
        assert store.read(Note, "note") == (Note("two"), second)

    def test_equal_content_is_a_new_version(self, store: Store) -> None:
        first = store.write("note", Note("one"), over=None)
        second = store.write("note", Note("one"), over=first)
        with pytest.raises(Conflict):
            store.write("note", Note("one"), over=first)
        assert second != first

    def test_there_is_nothing_to_write_over(self, store: Store) -> None:
        version = store.write("other", Note("one"), over=None)
        with pytest.raises(Conflict):
            store.write("note", Note("one"), over=version)
        assert store.read(Note, "note") is None

    def test_names_may_be_odd(self, store: Store) -> None:
        versions = {name: store.write(name, Note(name), over=None) for name in ODD_NAMES}
        for name, version in versions.items():
            assert store.read(Note, name) == (Note(name), version)

    def test_of_many_writers_each_change_is_kept(self, opener: Opener) -> None:
        opener().write("note", Note(""), over=None)

        def add(letter: str) -> None:
            store = opener()
            while True:
                held = store.read(Note, "note")
                assert held is not None
                try:
                    store.write("note", Note(held.document.text + letter), over=held.version)
                except Conflict:
                    continue
                return

        with ThreadPoolExecutor(6) as pool:
            list(pool.map(add, "abcdef"))
        held = opener().read(Note, "note")
        assert held is not None
        assert sorted(held.document.text) == list("abcdef")

    def test_counters(self, store: Store) -> None:
        names = [*ODD_NAMES[:-5], "", "401", "a.b", "`\\"]
        store.count(dict.fromkeys(names, 2))
        store.count({"401": 5, "new": -1})
        assert store.counters() == {**dict.fromkeys(names, 2), "401": 7, "new": -1}
        assert list(store.counters()) == sorted(store.counters())


class TestManyAtOnce:
    def test_writers_lose_nothing(self, opener: Opener) -> None:
        stores = [opener() for _ in range(2)]
        given = [
            [fix(NOON + (i * 25 + j) * SECOND, battery=0.5) for j in range(25)] for i in range(8)
        ]

        def write(i: int) -> None:
            store = stores[i % 2]
            store.put([*given[i][:20], event("shared", source_version=i), event(f"own-{i}")])
            for one in given[i][20:]:
                store.put([one])
            store.count({"reports": 25})

        with ThreadPoolExecutor(8) as pool:
            list(pool.map(write, range(8)))
        assert track(stores[0]) == [one for batch in given for one in batch]
        assert stores[1].counters() == {"reports": 200}
        assert stores[0].get(Event, "shared") == event("shared", source_version=7)
        assert [stores[0].get(Event, f"own-{i}") for i in range(8)] == [
            event(f"own-{i}") for i in range(8)
        ]

    def test_a_store_is_shared_by_threads_and_opened_once(self, store: Store) -> None:
        together = threading.Barrier(8)

        def write(i: int) -> None:
            together.wait()
            store.put([fix(NOON + i * SECOND)])

        with ThreadPoolExecutor(8) as pool:
            list(pool.map(write, range(8)))
        assert len(track(store)) == 8


def test_the_meter_counts_what_is_written_and_what_is_read(store: Store) -> None:
    with metered() as put:
        store.put([fix(), event()], {"ab": b"raw"})
    assert (put.reads, put.writes, put.deletes, put.calls) == (0, 3, 0, 1)
    assert put.sent > 100
    reading: list[tuple[Callable[[], object], int]] = [
        (lambda: store.get(Event, "one"), 1),
        (lambda: store.get(Event, "none"), 1),
        (lambda: store.page(Event), 1),
        (lambda: store.page(Place), 1),
        (lambda: store.raw("ab"), 1),
        (lambda: store.read(Note, "note"), 1),
    ]
    for i, (call, reads) in enumerate(reading):
        with metered() as spent:
            call()
        assert (i, spent) == (i, Meter(reads=reads, calls=1))
    # How many depends on how reports are kept.
    for call in (lambda: track(store), lambda: store.latest("phone")):
        with metered() as spent:
            call()
        assert spent.reads > 0
        assert (spent.writes, spent.deletes, spent.sent) == (0, 0, 0)


def test_what_was_put_is_there_when_opened_again(opener: Opener) -> None:
    store = opener()
    store.put([fix(), event()], {"ab": b"raw"})
    store.erase("phone", [NOON + SECOND])
    version = store.write("note", Note("one"), over=None)
    store.count({"a": 1})
    store.close()
    again = opener()
    again.put([fix(NOON + SECOND)])
    assert track(again) == [fix()]
    assert again.get(Event, "one") == event()
    assert again.raw("ab") == b"raw"
    assert again.read(Note, "note") == (Note("one"), version)
    assert again.counters() == {"a": 1}


class TestNewerData:
    def test_a_record(self, store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
        with monkeypatch.context() as newer:
            newer.setattr(Event, "SHAPE", 2)
            store.put([event()])
        calls: list[Callable[[], object]] = [
            lambda: store.get(Event, "one"),
            lambda: store.page(Event),
            lambda: store.put([event(source_version=9)]),
        ]
        for call in calls:
            with pytest.raises(NewerData, match="update Yurt"):
                call()
        monkeypatch.setattr(Event, "SHAPE", 2)
        assert store.get(Event, "one") == event()

    def test_a_report(self, store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
        with monkeypatch.context() as newer:
            newer.setattr(packing, "PACKING", 2)
            store.put([fix()])
        with pytest.raises(NewerData, match="update Yurt"):
            track(store)
        with pytest.raises(NewerData, match="update Yurt"):
            store.latest("phone")

    def test_a_document(self, store: Store) -> None:
        store.write("note", NewNote("new"), over=None)
        with pytest.raises(NewerData, match="update Yurt"):
            store.read(Note, "note")


def test_a_closed_store_is_unavailable(store: Store) -> None:
    store.put([fix()])
    store.close()
    for call in every_call(store).values():
        with pytest.raises(StoreUnavailable, match="closed"):
            call()
    store.close()
