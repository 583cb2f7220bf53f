from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

import pytest

from shared.blobs.files import FileObjects
from shared.blobs.kept import Kept
from shared.imports.beginning import Begun, begin_path
from shared.imports.importing import ImportWork
from shared.model.profile import Profile
from shared.model.records import Fix, NamedRecord
from shared.model.time import EPOCH
from shared.store.protocol import Store
from shared.store.sqlite import SqliteStore
from shared.work.engine import Engine
from shared.work.jobs import Job
from shared.work.runs import Budget
from shared.workshop import HOME
from tests.inline_queue import InlineQueue

NOW = datetime(2026, 11, 22, 12, tzinfo=UTC)
LAST = datetime(9999, 1, 1, tzinfo=UTC)


@dataclass
class Home:
    """A home node's ports, and an engine that is driven by hand."""

    store: Store
    objects: FileObjects
    queue: InlineQueue
    engine: Engine

    def imported(self, path: Path, *, again: bool = False) -> Job:
        return self.driven(self.begun(path, again=again))

    def begun(self, path: Path, *, again: bool = False) -> Begun:
        return begin_path(self.engine, path, NOW, Profile(zone="Europe/London"), again=again)

    def driven(self, begun: Begun) -> Job:
        while (task := self.queue.take()) is not None:
            self.engine.run(str(task.body["job"]), int(task.body["token"]))
        return self.engine.job(begun.id)

    def records(self, kind: type[NamedRecord]) -> Sequence[NamedRecord]:
        return self.store.page(kind, limit=10_000).records

    def track(self, device: str) -> list[Fix]:
        return list(self.store.track(device, EPOCH, LAST))


def home_in(folder: Path, budget: Budget = HOME) -> Home:
    store, objects = SqliteStore(folder / "yurt.db"), FileObjects(folder / "blobs")
    queue = InlineQueue()
    work = ImportWork(store, objects, local=True, threads=2)
    engine = Engine(
        store=store,
        queue=queue,
        keeps=Kept(objects),
        works={"import": work},
        budget=budget,
        clock=lambda: NOW,
    )
    return Home(store, objects, queue, engine)


@pytest.fixture
def home(tmp_path: Path) -> Iterator[Home]:
    home = home_in(tmp_path / "data")
    yield home
    home.store.close()
