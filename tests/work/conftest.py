"""The bench, on the store of a home node."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from shared.store.sqlite import SqliteStore
from tests.work.bench import Bench, Wrapped


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Wrapped]:
    store = SqliteStore(tmp_path / "yurt.db")
    yield Wrapped(store)
    store.close()


@pytest.fixture
def bench(store: Wrapped) -> Bench:
    return Bench(store)
