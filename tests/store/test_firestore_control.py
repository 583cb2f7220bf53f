"""How a commit in several batches stands up to others, to lost answers and to being killed."""

from collections.abc import Callable
from typing import Any

import pytest
from google.api_core import exceptions
from google.cloud import firestore

from shared.meter import metered
from shared.model.records import Event
from shared.store.firestore import FirestoreStore
from shared.store.gateway import Gateway
from shared.store.protocol import Conflict, StoreError, StoreUnavailable
from tests.store.conftest import Before, Lose, kill
from tests.store.samples import NOON, SECOND, Job, at, event, fix

LARGE = [event(f"{i:02}", title="x" * 500_000) for i in range(12)]
BATCHES = 3
"""In which they are written."""


def ids(store: FirestoreStore) -> list[str]:
    return [one.id for one in store.page(Event).records]


class TestCosts:
    def test_a_commit_is_one_request_and_no_read(self, store: FirestoreStore) -> None:
        with metered() as spent:
            first = store.commit("job", "one", None, at("1"), [fix()])
            records = [event(str(i)) for i in range(100)]
            store.commit("job", "one", first.version, at("2"), records)
        assert (spent.calls, spent.writes, spent.reads) == (2, 103, 0)

    def test_of_a_large_one_each_batch_is_one_write_more(self, store: FirestoreStore) -> None:
        with metered() as spent:
            store.commit("job", "one", None, at("1"), LARGE)
        assert (spent.calls, spent.writes, spent.reads) == (BATCHES, len(LARGE) + BATCHES, 0)

    def test_a_stale_one_is_one_read(self, store: FirestoreStore) -> None:
        store.commit("job", "one", None, at("1"))
        with metered() as spent, pytest.raises(Conflict):
            store.commit("job", "one", None, at("2"), LARGE)
        assert (spent.calls, spent.writes, spent.reads) == (2, 0, 1)

    def test_other_calls(self, store: FirestoreStore) -> None:
        for i in range(3):
            store.commit("job", str(i), None, at("1", due=NOON))
        cases: list[tuple[Callable[[], object], int]] = [
            (lambda: store.control(Job, "job", "1"), 1),
            (lambda: store.control(Job, "job", "none"), 1),
            (lambda: store.controls(Job, "job"), 3),
            (lambda: store.due(Job, "job", NOON), 1),
            (lambda: store.due(Job, "job", NOON + SECOND, limit=2), 2),
        ]
        for call, reads in cases:
            with metered() as spent:
                call()
            assert (spent.calls, spent.reads, spent.writes) == (1, reads, 0)


@pytest.mark.parametrize("began", [True, False], ids=["again", "first"])
class TestInterrupted:
    """In each place between the batches, whether there was a control document before or not."""

    @pytest.fixture
    def over(self, store: FirestoreStore, began: bool) -> str | None:
        return store.commit("job", "one", None, at("0")).version if began else None

    @pytest.mark.parametrize("number", range(BATCHES))
    def test_a_run_that_was_killed_is_run_again(
        self, store: FirestoreStore, before: Before, over: str | None, number: int
    ) -> None:
        before(number, kill)
        with pytest.raises(KeyboardInterrupt):
            store.commit("job", "one", over, at("1"), LARGE)
        held = store.control(Job, "job", "one")
        assert (held.document if held else None) == (Job(cursor="0") if over else None)
        assert [one.id for one in store.controls(Job, "job")] == (["one"] if over else [])
        made = store.commit("job", "one", held.version if held else None, at("1"), LARGE)
        assert store.control(Job, "job", "one") == made
        assert made.document.new.get("event", 0) + made.document.known.get("event", 0) == 12
        assert ids(store) == [one.id for one in LARGE]

    @pytest.mark.parametrize("number", range(BATCHES))
    def test_a_stale_run_is_refused_in_the_middle(
        self,
        store: FirestoreStore,
        other: FirestoreStore,
        before: Before,
        over: str | None,
        number: int,
    ) -> None:
        def take() -> None:
            held = other.control(Job, "job", "one")
            other.commit("job", "one", held.version if held else None, at("taken"), [event("a")])

        before(number, take)
        with pytest.raises(Conflict):
            store.commit("job", "one", over, at("1"), LARGE)
        held = store.control(Job, "job", "one")
        assert held is not None
        assert held.document.cursor == "taken"
        assert len(ids(store)) == 1 + number * 4

    @pytest.mark.parametrize("number", range(BATCHES))
    def test_an_answer_that_was_lost(
        self,
        store: FirestoreStore,
        lose: Lose,
        over: str | None,
        number: int,
    ) -> None:
        lose(number)
        made = store.commit("job", "one", over, at("1"), LARGE)
        assert made.document == Job(cursor="1", new={"event": len(LARGE)})
        assert store.control(Job, "job", "one") == made
        assert ids(store) == [one.id for one in LARGE]

    def test_a_record_that_came_between_is_known(
        self, store: FirestoreStore, other: FirestoreStore, before: Before, over: str | None
    ) -> None:
        before(1, lambda: other.put([LARGE[0], LARGE[5], LARGE[11]]))
        made = store.commit("job", "one", over, at("1"), LARGE)
        assert made.document == Job(cursor="1", new={"event": 10}, known={"event": 2})
        assert store.control(Job, "job", "one") == made


def test_a_decision_is_made_anew_where_records_were_known(store: FirestoreStore) -> None:
    store.put([event("old")])
    told: list[tuple[dict[str, int], dict[str, int]]] = []

    def decide(added: Any) -> Job:
        told.append((dict(added.new), dict(added.known)))
        return Job()

    store.commit("job", "one", None, decide, [event("old"), event("new")])
    assert told == [({"event": 2}, {}), ({"event": 1}, {"event": 1})]


def test_an_answer_that_never_came(store: FirestoreStore, monkeypatch: pytest.MonkeyPatch) -> None:
    """It may have happened: the document says."""
    first = store.commit("job", "one", None, at("0"))
    commit = firestore.WriteBatch.commit

    def lose(batch: firestore.WriteBatch, **options: Any) -> Any:
        writes = list(batch._write_pbs)
        commit(batch, **options)
        batch._write_pbs = writes
        raise exceptions.DeadlineExceeded("no answer")

    with monkeypatch.context() as losing:
        losing.setattr("shared.store.gateway.WITHIN", 0.5)
        losing.setattr(firestore.WriteBatch, "commit", lose)
        losing.setattr(Gateway, "get", lambda *_: (_ for _ in ()).throw(StoreUnavailable("no")))
        with pytest.raises(StoreUnavailable):
            store.commit("job", "one", first.version, at("1"), [event()])
    held = store.control(Job, "job", "one")
    assert held is not None
    assert held.document == Job(cursor="1", new={"event": 1})
    with pytest.raises(Conflict):
        store.commit("job", "one", first.version, at("1"), [event()])


def test_full_segments_are_passed_by_under_the_guard(store: FirestoreStore) -> None:
    large = [fix(NOON + i * SECOND, extra={"x": "x" * 60_000}) for i in range(30)]
    version = None
    for i, one in enumerate(large):
        made = store.commit("job", "one", version, at(str(i)), [one, event(str(i))])
        assert made.document == Job(cursor=str(i), new={"fix": 1, "event": 1})
        version = made.version
    assert list(store.track("phone", NOON, NOON + 60 * SECOND)) == large
    assert len(ids(store)) == len(large)


def test_a_control_document_that_is_too_large(store: FirestoreStore) -> None:
    with pytest.raises(StoreError, match="larger than"):
        store.commit("job", "one", None, at("x" * 1_000_000), [event()])
    assert ids(store) == []
