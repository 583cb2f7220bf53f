"""What the store port promises of control documents, held against both adapters."""

import threading
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from typing import ClassVar
from unittest.mock import ANY

import pytest

from shared.model.records import AnyRecord, Event
from shared.store.protocol import Added, Conflict, NewerData, Store
from tests.contract.conftest import Opener
from tests.contract.test_store import ODD_NAMES, track
from tests.store.samples import NOON, SECOND, Job, at, event, fix, status

LARGE = [event(f"large-{i}", title="x" * 500_000) for i in range(12)]
"""More than fits in one batch of a store that has batches."""


def ids(store: Store, given: Sequence[Event]) -> list[str]:
    return [one.id for one in given if store.get(Event, one.id) is not None]


class TestCommit:
    def test_over_the_version_that_was_read(self, store: Store) -> None:
        assert store.control(Job, "job", "one") is None
        first = store.commit("job", "one", None, at("1"))
        assert first.document == Job(cursor="1")
        assert store.control(Job, "job", "one") == first
        second = store.commit("job", "one", first.version, at("2", due=NOON))
        assert second.version != first.version
        assert second.document == Job(cursor="2", due=NOON)
        assert store.control(Job, "job", "one") == second
        third = store.commit("job", "one", second.version, at("2"))
        assert third.version != second.version
        assert store.control(Job, "job", "one") == (Job(cursor="2"), third.version)

    def test_with_records_and_raws(self, store: Store) -> None:
        store.commit("job", "one", None, at("1"), [event(), fix(), status()], {"ab": b"raw"})
        assert store.get(Event, "one") == event()
        assert track(store) == [fix()]
        assert store.latest("phone") == (fix(), status())
        assert store.raw("ab") == b"raw"

    @pytest.mark.parametrize("many", [[event("late")], LARGE], ids=["few", "many"])
    def test_over_another_version_nothing_changes(self, store: Store, many: list[Event]) -> None:
        first = store.commit("job", "one", None, at("1"))
        second = store.commit("job", "one", first.version, at("2"))
        records: list[AnyRecord] = [*many, fix()]
        for over in (first.version, None, "no version", ""):
            with pytest.raises(Conflict, match="one"):
                store.commit("job", "one", over, at("3"), records, {"ab": b"raw"})
        assert store.control(Job, "job", "one") == second
        assert (ids(store, many), track(store), store.raw("ab")) == ([], [], None)

    def test_there_is_nothing_to_commit_over(self, store: Store) -> None:
        other = store.commit("job", "other", None, at("1"))
        with pytest.raises(Conflict):
            store.commit("job", "one", other.version, at("1"), [event()])
        assert store.control(Job, "job", "one") is None
        assert store.get(Event, "one") is None

    @pytest.mark.parametrize("over", [None, "1"])
    def test_of_more_than_fits_at_once(self, store: Store, over: str | None) -> None:
        if over is not None:
            over = store.commit("job", "one", None, at(over)).version
        raws = {f"{i:064}": bytes([i]) * 700_000 for i in range(5)}
        made = store.commit("job", "one", over, at("2"), LARGE, raws)
        assert store.control(Job, "job", "one") == made
        assert made.document == Job(cursor="2", new={"event": len(LARGE)})
        assert ids(store, LARGE) == [one.id for one in LARGE]
        assert {sha256: store.raw(sha256) for sha256 in raws} == raws

    def test_a_decision_that_fails_changes_nothing(self, store: Store) -> None:
        def fail(_: Added) -> Job:
            raise ZeroDivisionError

        with pytest.raises(ZeroDivisionError):
            store.commit("job", "one", None, fail, [event()])
        assert store.control(Job, "job", "one") is None
        assert store.get(Event, "one") is None

    def test_a_record_that_cannot_be_kept_changes_nothing(self, store: Store) -> None:
        with pytest.raises(ValueError, match="larger than"):
            store.commit("job", "one", None, at("1"), [event("x" * 1_001), event()])
        assert store.control(Job, "job", "one") is None
        assert store.get(Event, "one") is None

    @pytest.mark.parametrize("name", ODD_NAMES)
    def test_names_may_be_odd(self, store: Store, name: str) -> None:
        pairs = [("job", name), (name, "job"), (name, name), ("job", "other")]
        for family, id in pairs:
            store.commit(family, id, None, at(f"{family}{id}"))
        for family, id in pairs:
            held = store.control(Job, family, id)
            assert held is not None
            assert held.document == Job(cursor=f"{family}{id}")
            assert id in {found.id for found in store.controls(Job, family)}

    def test_what_is_erased_stays_erased(self, store: Store) -> None:
        store.erase("phone", [NOON])
        store.commit("job", "one", None, at("1"), [fix(), fix(NOON + SECOND)])
        assert track(store) == [fix(NOON + SECOND)]


class TestAdded:
    """What `decide` is told, which is also what the document says that it makes of it."""

    CASES: ClassVar[dict[str, tuple[list[AnyRecord], dict[str, int], dict[str, int]]]] = {
        "nothing": ([], {}, {}),
        "new": ([event("a"), event("b"), fix()], {"event": 2, "fix": 1}, {}),
        "known": ([event("old")], {}, {"event": 1}),
        "a newer version": ([event("old", source_version=2)], {}, {"event": 1}),
        "both": ([event("a"), event("old")], {"event": 1}, {"event": 1}),
        "twice": ([event("a"), event("a", source_version=2)], {"event": 1}, {"event": 1}),
        "reports": ([fix(), status(), status(NOON + SECOND)], {"fix": 1, "status": 2}, {}),
    }

    @pytest.mark.parametrize("case", CASES)
    def test_it(self, store: Store, case: str) -> None:
        records, new, known = self.CASES[case]
        store.put([event("old")])
        store.commit("job", "one", None, at("1"), records)
        held = store.control(Job, "job", "one")
        assert held is not None
        assert (held.document.new, held.document.known) == (new, known)

    def test_of_more_than_fits_at_once(self, store: Store) -> None:
        store.put([LARGE[0], LARGE[7], LARGE[11]])
        made = store.commit("job", "one", None, at("1"), LARGE)
        assert made.document == Job(cursor="1", new={"event": 9}, known={"event": 3})
        assert store.control(Job, "job", "one") == made


class TestManyAtOnce:
    def test_of_those_over_one_version_one_commits(self, opener: Opener) -> None:
        first = opener().commit("job", "one", None, at("0"))
        together = threading.Barrier(6)

        def run(letter: str) -> bool:
            store = opener()
            together.wait()
            try:
                store.commit("job", "one", first.version, at(letter), [event(letter)])
            except Conflict:
                return False
            return True

        with ThreadPoolExecutor(6) as pool:
            committed = [letter for letter in pool.map(lambda x: x * run(x), "abcdef") if letter]
        (winner,) = committed
        store = opener()
        assert ids(store, [event(letter) for letter in "abcdef"]) == [winner]
        assert store.controls(Job, "job") == [("one", Job(cursor=winner, new={"event": 1}), ANY)]

    def test_nothing_of_those_that_follow_is_lost(self, opener: Opener) -> None:
        """Each adds its letter, as often as it takes; all put one record beside their own."""
        opener().commit("job", "one", None, at(""))

        def run(letter: str) -> None:
            store = opener()
            records = [event("shared"), event(letter)]
            while True:
                held = store.control(Job, "job", "one")
                assert held is not None
                step = at(held.document.cursor + letter)
                try:
                    store.commit("job", "one", held.version, step, records)
                except Conflict:
                    continue
                return

        with ThreadPoolExecutor(4) as pool:
            list(pool.map(run, "abcd"))
        store = opener()
        held = store.control(Job, "job", "one")
        assert held is not None
        assert sorted(held.document.cursor) == list("abcd")
        assert held.document.known == {"event": 1}
        assert len(store.page(Event).records) == 5


class TestLists:
    @pytest.fixture
    def names(self, store: Store) -> list[str]:
        names = sorted([*ODD_NAMES, "a", "b"], key=str.encode)
        for name in names[::2] + names[1::2]:
            store.commit("job", name, None, at(name))
        store.commit("other", "c", None, at("c", due=NOON))
        return names

    @pytest.mark.parametrize("limit", [1, 5, 100])
    def test_a_family_in_pages_by_id(self, store: Store, names: list[str], limit: int) -> None:
        found: list[str] = []
        while page := store.controls(Job, "job", after=found[-1] if found else "", limit=limit):
            assert len(page) <= limit
            found += [one.id for one in page]
        assert found == names

    def test_each_can_be_committed_over(self, store: Store, names: list[str]) -> None:
        for id, document, version in store.controls(Job, "job"):
            assert document == Job(cursor=id)
            store.commit("job", id, version, at("again"))
        assert {one.document.cursor for one in store.controls(Job, "job")} == {"again"}
        assert len(store.controls(Job, "job")) == len(names)

    def test_those_that_are_due_the_longest_overdue_first(self, store: Store) -> None:
        dues = {"b": 0, "a": 0, "late": 5, "early": -90_000, "never": None, "later": 5.000001}
        for id, seconds in dues.items():
            time = NOON + timedelta(seconds=seconds) if seconds is not None else None
            store.commit("job", id, None, at(id, due=time))
        store.commit("other", "c", None, at("c", due=NOON))

        def due(seconds: float, limit: int = 100) -> list[str]:
            before = NOON + timedelta(seconds=seconds)
            return [one.id for one in store.due(Job, "job", before, limit=limit)]

        assert due(-100_000) == []
        assert due(0) == ["early"]
        assert due(5) == ["early", "a", "b"]
        assert due(5.000001) == ["early", "a", "b", "late"]
        assert due(9) == ["early", "a", "b", "late", "later"]
        assert due(9, limit=2) == ["early", "a"]
        assert [one.id for one in store.due(Job, "other", NOON + SECOND)] == ["c"]
        assert store.due(Job, "none", NOON) == []

    def test_what_was_done_is_not_due(self, store: Store) -> None:
        made = store.commit("job", "one", None, at("1", due=NOON))
        assert store.due(Job, "job", NOON + SECOND) == [("one", *made)]
        made = store.commit("job", "one", made.version, at("2", due=NOON + SECOND))
        assert store.due(Job, "job", NOON + SECOND) == []
        store.commit("job", "one", made.version, at("3"))
        assert store.due(Job, "job", NOON + 9 * SECOND) == []


class NewJob(Job, frozen=True, kw_only=True, omit_defaults=True):
    SHAPE: ClassVar[int] = 2


def test_newer_data_is_refused(store: Store) -> None:
    store.commit("job", "one", None, lambda _: NewJob(cursor="1", due=NOON))
    calls: list[Callable[[], object]] = [
        lambda: store.control(Job, "job", "one"),
        lambda: store.controls(Job, "job"),
        lambda: store.due(Job, "job", NOON + SECOND),
    ]
    for call in calls:
        with pytest.raises(NewerData, match="update Yurt"):
            call()


def test_what_was_committed_is_there_when_opened_again(opener: Opener) -> None:
    store = opener()
    made = store.commit("job", "one", None, at("1", due=NOON), [event()])
    store.close()
    assert opener().control(Job, "job", "one") == made
    assert opener().due(Job, "job", NOON + SECOND) == [("one", *made)]
