"""How Firestore keeps raws: what they cost, where they are, what is left of what failed."""

import random
from collections.abc import Iterator
from typing import Any

import pytest

from shared.blobs.protocol import BlobsError, BlobsUnavailable
from shared.meter import metered
from shared.model.ids import content_id
from shared.store.firestore import FirestoreStore
from shared.store.protocol import Conflict, NewerData, StoreError, StoreUnavailable
from shared.store.raws import WORTH_AN_OBJECT
from tests.store.conftest import Documents
from tests.store.index_entries import index_entries
from tests.store.samples import at, event


class Objects:
    """What raws need of the port, in memory."""

    def __init__(self) -> None:
        self.all: dict[str, bytes] = {}
        self.failure: BlobsError | None = None
        self.read_bytes = 0

    def put(self, name: str, data: bytes) -> None:
        if self.failure is not None:
            raise self.failure
        self.all[name] = data

    def read(self, name: str, start: int, size: int) -> bytes | None:
        if self.failure is not None:
            raise self.failure
        self.read_bytes += size
        return self.all[name][start : start + size] if name in self.all else None


@pytest.fixture
def objects() -> Objects:
    return Objects()


@pytest.fixture(params=["beside objects", "alone"])
def store(
    request: pytest.FixtureRequest, firestore_project: str, objects: Objects
) -> Iterator[FirestoreStore]:
    store = opened(firestore_project, objects if request.param == "beside objects" else None)
    yield store
    store.close()


@pytest.fixture
def beside_objects(firestore_project: str, objects: Objects) -> Iterator[FirestoreStore]:
    store = opened(firestore_project, objects)
    yield store
    store.close()


def opened(project: str, objects: Objects | None) -> FirestoreStore:
    if objects is None:
        return FirestoreStore(project)
    held: Any = objects  # without the part of the port that is not used
    return FirestoreStore(project, objects=lambda: held)


def mails(count: int, seed: int = 0, size: int = 4_000) -> dict[str, bytes]:
    """Of which half shrinks to nothing, as in a mail."""
    draw = random.Random(seed)
    given = [draw.randbytes(size // 2) + bytes(size - size // 2) for _ in range(count)]
    return {content_id(raw): raw for raw in given}


def held(store: FirestoreStore, raws: dict[str, bytes]) -> bool:
    return {sha256: store.raw(sha256) for sha256 in raws} == raws


@pytest.mark.parametrize(
    ("count", "reads", "writes"),
    [
        pytest.param(1, 0, 1, id="one"),
        pytest.param(100, 0, 1, id="what comes in a day"),
        pytest.param(300, 1, 1, id="many"),
    ],
)
def test_those_of_one_call_are_one_write_and_one_read_each(
    store: FirestoreStore, count: int, reads: int, writes: int
) -> None:
    raws = mails(count)
    with metered() as spent:
        store.put([], raws)
    assert (spent.reads, spent.writes) == (reads, writes)
    for sha256 in list(raws)[::50]:
        with metered() as spent:
            assert store.raw(sha256) == raws[sha256]
        assert (spent.reads, spent.calls) == (1, 1)


def test_documents_keep_within_their_limits(store: FirestoreStore, documents: Documents) -> None:
    small = {content_id(raw): raw for raw in (f"{i}".encode() for i in range(2_500))}
    store.put([], small)
    store.put([], mails(900))
    store.put([], mails(3, 1, size=1_500_000))
    entries = {name: index_entries("raw", fields) for name, fields in documents("raw").items()}
    assert len(entries) <= 3 + 3 + 3
    assert max(entries.values()) <= 1_002
    for raws in (small, mails(900), mails(3, 1, size=1_500_000)):
        assert held(store, dict(list(raws.items())[::90]))


def test_what_compresses_is_small(store: FirestoreStore, documents: Documents) -> None:
    raws = {f"{i:064}": bytes([i]) * 1_000_000 for i in range(5)}
    store.put([], raws)
    (document,) = documents("raw").values()
    assert len(document["data"]) < 10_000
    assert held(store, raws)


def test_the_same_again_is_the_same(store: FirestoreStore, documents: Documents) -> None:
    for raws in (mails(5), mails(300, 1)):
        store.put([], raws)
        before = documents("raw")
        store.put([], raws)
        assert documents("raw") == before


def test_an_archive_that_is_cut_otherwise_is_not_kept_twice(
    store: FirestoreStore, documents: Documents
) -> None:
    """Of a later export, with new ones in between."""
    old = mails(600)
    for first in range(0, 600, 300):
        store.put([], dict(list(old.items())[first : first + 300]))
    kept = sum(len(document["holds"]) for document in documents("raw").values())
    assert kept == 600
    later = list((old | mails(60, 1)).items())
    random.Random(0).shuffle(later)
    for first in range(0, 660, 220):
        store.put([], dict(later[first : first + 220]))
    kept = sum(len(document["holds"]) for document in documents("raw").values())
    assert kept == 660
    assert held(store, dict(later[::20]))


class TestObjects:
    def test_many_are_one_object_with_a_small_document(
        self, beside_objects: FirestoreStore, objects: Objects, documents: Documents
    ) -> None:
        raws = mails(900)
        beside_objects.put([], raws)
        ((name, data),) = objects.all.items()
        (document,) = documents("raw").values()
        assert document["object"] == name
        assert "data" not in document
        assert len(data) < 900 * 2_100
        sample = dict(list(raws.items())[::100])
        assert held(beside_objects, sample)
        assert objects.read_bytes < len(sample) * 2_100

    def test_a_few_are_none(self, beside_objects: FirestoreStore, objects: Objects) -> None:
        given = {"ab": random.Random(0).randbytes(WORTH_AN_OBJECT - 1)}
        beside_objects.put([], given)
        assert objects.all == {}
        beside_objects.put([], {"cd": random.Random(1).randbytes(WORTH_AN_OBJECT)})
        assert list(map(len, objects.all.values())) == [WORTH_AN_OBJECT]

    def test_a_stale_run_leaves_no_more_than_an_object(
        self, beside_objects: FirestoreStore, objects: Objects, documents: Documents
    ) -> None:
        beside_objects.commit("job", "one", None, at("1"))
        raws = mails(300)
        with pytest.raises(Conflict):
            beside_objects.commit("job", "one", None, at("2"), [event()], raws)
        assert len(objects.all) == 1
        assert documents("raw") == {}
        assert beside_objects.raw(next(iter(raws))) is None

    @pytest.mark.parametrize(
        ("failure", "expected"),
        [(BlobsUnavailable("slow"), StoreUnavailable), (BlobsError("full"), StoreError)],
    )
    def test_that_cannot_be_had(
        self,
        beside_objects: FirestoreStore,
        objects: Objects,
        failure: BlobsError,
        expected: type[StoreError],
    ) -> None:
        kept = mails(300)
        beside_objects.put([], kept)
        objects.failure = failure
        with pytest.raises(expected, match=str(failure)) as raised:
            beside_objects.put([event()], mails(300, 1))
        assert type(raised.value) is expected
        assert beside_objects.page(type(event())).records == []
        with pytest.raises(expected):
            beside_objects.raw(next(iter(kept)))
        objects.failure = None
        objects.all.clear()
        assert beside_objects.raw(next(iter(kept))) is None

    def test_a_node_that_does_not_know_of_them(
        self, beside_objects: FirestoreStore, firestore_project: str
    ) -> None:
        kept = mails(300)
        beside_objects.put([], kept)
        alone = opened(firestore_project, None)
        with pytest.raises(StoreError, match="where its objects are"):
            alone.raw(next(iter(kept)))
        alone.close()


def test_a_newer_pack_is_refused(store: FirestoreStore, monkeypatch: pytest.MonkeyPatch) -> None:
    with monkeypatch.context() as newer:
        newer.setattr("shared.store.raws.SHAPE", 2)
        store.put([], {"ab": b"raw"})
    with pytest.raises(NewerData, match="update Yurt"):
        store.raw("ab")
