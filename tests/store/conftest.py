"""What several suites of the Firestore adapter take."""

from collections.abc import Callable, Iterator
from typing import Any

import pytest
from google.api_core import exceptions
from google.cloud import firestore

from shared.store.firestore import FirestoreStore
from shared.store.gateway import Gateway

Before = Callable[[int, Callable[[], None]], None]
Lose = Callable[[int], None]
Documents = Callable[[str], dict[str, dict[str, Any]]]


@pytest.fixture
def documents(firestore_project: str) -> Iterator[Documents]:
    """All documents of a collection by id, past the adapter."""
    client = firestore.Client(project=firestore_project)

    def read(collection: str) -> dict[str, dict[str, Any]]:
        found = client.collection(collection).stream()
        return {snapshot.id: snapshot.to_dict() or {} for snapshot in found}

    yield read
    client.close()


@pytest.fixture
def store(firestore_project: str) -> Iterator[FirestoreStore]:
    store = FirestoreStore(firestore_project)
    yield store
    store.close()


@pytest.fixture
def other(firestore_project: str) -> Iterator[FirestoreStore]:
    """Another process."""
    store = FirestoreStore(firestore_project)
    yield store
    store.close()


@pytest.fixture
def before(store: FirestoreStore, monkeypatch: pytest.MonkeyPatch) -> Before:
    """Does something before the nth commit, counted from 0, of `store`'s next call."""

    def prepare(number: int, act: Callable[[], None]) -> None:
        commit, numbers = Gateway.commit, iter(range(1_000))

        def interrupted(gateway: Gateway, *args: Any, **options: Any) -> Any:
            if gateway is store._gateway and next(numbers) == number:
                act()
            return commit(gateway, *args, **options)

        monkeypatch.setattr(Gateway, "commit", interrupted)

    return prepare


@pytest.fixture
def lose(monkeypatch: pytest.MonkeyPatch) -> Lose:
    """Takes the answer away from the nth commit: it took place, and is tried again."""

    def prepare(number: int) -> None:
        commit, numbers = firestore.WriteBatch.commit, iter(range(1_000))

        def answered(batch: firestore.WriteBatch, **options: Any) -> Any:
            writes = list(batch._write_pbs)
            results = commit(batch, **options)
            if next(numbers) == number:
                batch._write_pbs = writes
                raise exceptions.ServiceUnavailable("connection reset")
            return results

        monkeypatch.setattr(firestore.WriteBatch, "commit", answered)

    return prepare


def kill() -> None:
    raise KeyboardInterrupt
