"""Imports on ports that fail, before or after they did what they were asked for; whose process dies
there, or is overtaken by another: at the end there is what one clean run leaves.

More histories: FAULT_SEEDS=300 pytest tests/imports/test_faults.py; FAULT_SEED=17 replays one.
"""

import os
import random
from collections import Counter
from collections.abc import Callable
from contextlib import closing
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, NamedTuple, cast

import pytest

from shared.blobs.files import FileObjects
from shared.blobs.gcs import GcsObjects
from shared.blobs.kept import Kept
from shared.blobs.protocol import BlobsUnavailable, Objects
from shared.imports.beginning import begin_path
from shared.imports.importing import ImportWork
from shared.model.access import ACCESS, Access
from shared.model.profile import Profile
from shared.model.records import NAMED_KINDS, canonical
from shared.model.time import EPOCH
from shared.queue.protocol import Queue, QueueUnavailable
from shared.store.changing import current
from shared.store.firestore import FirestoreStore
from shared.store.protocol import Store, StoreUnavailable
from shared.store.sqlite import SqliteStore
from shared.work.engine import Engine
from shared.work.jobs import LEASE, Job
from shared.work.runs import Budget
from tests.inline_queue import InlineQueue
from tests.large_takeout import SMALL, TINY, write_tgz, write_zip

NOW = datetime(2026, 11, 22, 12, tzinfo=UTC)
LAST = datetime(9999, 1, 1, tzinfo=UTC)
PART = 64 * 1024
"""Bytes that are unpacked at a time here, so that small files come in many parts."""

SEEDS = int(os.environ.get("FAULT_SEEDS", "8"))
ONE = os.environ.get("FAULT_SEED")
MOST_FAULTS = 25

_STORE = {"put", "get", "page", "raw", "read", "write", "control", "commit", "due", "stamp"}
_OBJECTS = {"put", "join", "size", "read", "delete", "names"}
_QUEUE = {"add", "waiting"}


class Killed(BaseException):
    """The process dies here."""


@dataclass
class Faults:
    """What happens at calls of ports. overtake: lets another process have its way."""

    chance: random.Random
    rate: float
    overtake: Callable[[], None] = lambda: None
    left: int = MOST_FAULTS
    seen: Counter[str] = field(default_factory=Counter)

    def call(
        self, error: type[Exception], real: Callable[..., Any], *args: Any, **named: Any
    ) -> Any:
        if self.left <= 0 or self.chance.random() >= self.rate:
            return real(*args, **named)
        self.left -= 1
        kind, when = self.chance.choice(["error", "death", "overtaken"]), self.chance.random() < 0.5
        self.seen[f"{kind} {'before' if when else 'after'} {real.__name__}"] += 1
        if not when:
            real(*args, **named)
        if kind == "overtaken":
            self.overtake()
            return real(*args, **named)
        raise error("a fault") if kind == "error" else Killed


class Faulty:
    """A port, some of whose calls may fail."""

    def __init__(
        self, port: object, calls: set[str], error: type[Exception], faults: Faults
    ) -> None:
        self._port, self._calls, self._error, self._faults = port, calls, error, faults

    def __getattr__(self, name: str) -> Any:
        real = getattr(self._port, name)
        if name not in self._calls:
            return real
        return lambda *args, **named: self._faults.call(self._error, real, *args, **named)


class Ports(NamedTuple):
    store: Store
    objects: Objects


@dataclass
class World:
    """An import, the processes that run it one after another, and the time."""

    ports: Ports
    path: Path
    faults: Faults
    now: datetime = NOW
    overtaking: bool = False

    def __post_init__(self) -> None:
        self.queue = InlineQueue()
        self.engine = self.process(self.faults)
        self.faults.overtake = self.overtaken

    def process(self, faults: Faults) -> Engine:
        store = cast(Store, Faulty(self.ports.store, _STORE, StoreUnavailable, faults))
        objects = cast(Objects, Faulty(self.ports.objects, _OBJECTS, BlobsUnavailable, faults))
        queue = cast(Queue, Faulty(self.queue, _QUEUE, QueueUnavailable, faults))
        return Engine(
            store=store,
            queue=queue,
            keeps=Kept(objects),
            works={"import": ImportWork(store, objects, local=True)},
            budget=Budget(seconds=faults.chance.choice([0, 0, 0.05, 60])),
            clock=lambda: self.now,
        )

    def overtaken(self) -> None:
        """The process sleeps until its lease is over, and another goes on."""
        if self.overtaking:
            return
        self.overtaking = True
        self.now += 2 * LEASE
        other = self.process(Faults(self.faults.chance, 0))
        other.sweep()
        for _ in range(self.faults.chance.choice([1, 3, 200])):
            if (task := self.queue.take()) is None:
                break
            other.run(str(task.body["job"]), int(task.body["token"]))
        self.overtaking = False

    def run(self) -> Job:
        """The job at its end, however many processes it took."""
        id = ""
        for _ in range(1_000):
            try:
                if not id:
                    id = begin_path(self.engine, self.path, NOW, Profile()).id
                job = self.engine.job(id)
                if job.state == "failed":
                    self.engine.resume(id)
                if job.state == "done" and job.due is None:
                    return job
                task = self.queue.take()
                if task is not None:
                    self.engine.run(id, int(task.body["token"]))
                else:
                    self.now += 2 * LEASE
                    self.engine.sweep()
            except Killed:
                self.engine = self.process(self.faults)
            except (StoreUnavailable, BlobsUnavailable, QueueUnavailable):
                pass
            self.now += timedelta(seconds=1)
        raise AssertionError("it does not end")


def kept(ports: Ports) -> dict[str, Any]:
    store, objects = ports
    devices = sorted(current(store, ACCESS, Access()).devices)
    records = {kind: _all(store, kind) for kind in NAMED_KINDS}
    raws = {record.raw for found in records.values() for record in found if record.raw is not None}
    return {
        "fixes": [canonical(fix) for d in devices for fix in store.track(d, EPOCH, LAST)],
        "raws": {sha256: store.raw(sha256) for sha256 in raws},
        "objects": {name: objects.read(name, 0, 1 << 24) for name in objects.names("kept/")},
        **{kind: sorted(map(canonical, found)) for kind, found in records.items()},
    }


def left_over(ports: Ports, faults: Faults) -> list[str]:
    """What nobody will clear up.

    Who was overtaken removes what it brought when all was over, unless it dies before it knows: so
    not everything can be said of those histories. On one machine nobody is overtaken.
    """
    overtaken = any(fault.startswith("overtaken") for fault in faults.seen)
    known = ("kept/", "keeping/", "spool/") if overtaken else ("kept/",)
    return [name for name in ports.objects.names("") if not name.startswith(known)]


def _all(store: Store, kind: str) -> list[Any]:
    found, cursor = [], None
    while True:
        page = store.page(NAMED_KINDS[kind], limit=500, cursor=cursor)
        found += page.records
        cursor = page.cursor
        if cursor is None:
            return found


@pytest.fixture(scope="module", params=["zip", "tgz"])
def archive(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    path: Path = tmp_path_factory.mktemp("export") / f"takeout-1-001.{request.param}"
    (write_zip if request.param == "zip" else write_tgz)(path, SMALL)
    return path


@pytest.fixture(autouse=True)
def _in_many_parts(monkeypatch: pytest.MonkeyPatch) -> None:
    for module in ("blobs.kept", "blobs.spool", "imports.unpacking"):
        monkeypatch.setattr(f"shared.{module}.PART", PART)
    monkeypatch.setattr("shared.imports.importing._AT_LEAST_EACH", 2 * PART)
    monkeypatch.setattr("shared.imports.manifest.PAGE", 4)
    monkeypatch.setattr("shared.work.runs.FLUSH_BYTES", 100_000)
    monkeypatch.setattr("shared.work.engine._log.disabled", True)


def at_home(folder: Path) -> Ports:
    return Ports(SqliteStore(folder / "yurt.db"), FileObjects(folder / "blobs"))


def test_every_history_leaves_what_a_clean_run_does(archive: Path, tmp_path: Path) -> None:
    ports = at_home(tmp_path / "clean")
    clean_job = World(ports, archive, Faults(random.Random(0), 0)).run()
    clean = kept(ports)
    assert (len(clean["fixes"]), clean_job.progress.new["message"]) == (SMALL.points, 32)
    for seed in range(SEEDS) if ONE is None else [int(ONE)]:
        chance = random.Random(seed)
        ports = at_home(tmp_path / str(seed))
        faults = Faults(chance, chance.choice([0.002, 0.01, 0.05]))
        job = World(ports, archive, faults).run()
        again = f"FAULT_SEED={seed} replays it"
        assert kept(ports) == clean, again
        assert left_over(ports, faults) == [], again
        assert (job.progress.new, job.progress.known) == (
            clean_job.progress.new,
            clean_job.progress.known,
        ), again
        ports.store.close()


@pytest.mark.parametrize("seed", range(max(1, SEEDS // 8)) if ONE is None else [int(ONE)])
def test_in_the_cloud_too(
    seed: int, tmp_path: Path, firestore_project: str, storage_bucket: str
) -> None:
    archive, clean = tmp_path / "takeout-1-001.zip", at_home(tmp_path / "clean")
    write_zip(archive, TINY)
    World(clean, archive, Faults(random.Random(0), 0)).run()
    faults = Faults(random.Random(seed), 0.1)
    with (
        closing(FirestoreStore(firestore_project)) as store,
        closing(GcsObjects(storage_bucket)) as objects,
    ):
        ports = Ports(store, objects)
        World(ports, archive, faults).run()
        assert faults.seen
        assert kept(ports) == kept(clean)
        assert left_over(ports, faults) == []
    clean.store.close()
