"""The adapters of the store that each suite here runs on."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from shared.store.protocol import Store


@dataclass
class Opener:
    """Opens stores on one database, as many processes would."""

    make: Callable[[], Store]
    opened: list[Store] = field(default_factory=list)

    def __call__(self) -> Store:
        self.opened.append(self.make())
        return self.opened[-1]


@pytest.fixture(params=["sqlite", "firestore"])
def opener(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Opener]:
    def make() -> Store:
        if request.param == "sqlite":
            from shared.store.sqlite import SqliteStore

            return SqliteStore(tmp_path / "yurt.db")
        from shared.store.firestore import FirestoreStore

        return FirestoreStore(project)

    project = request.getfixturevalue("firestore_project") if request.param != "sqlite" else ""
    opener = Opener(make)
    yield opener
    for store in opener.opened:
        store.close()


@pytest.fixture
def store(opener: Opener) -> Store:
    return opener()
