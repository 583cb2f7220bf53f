"""What is particular to the SQLite adapter: the file, other processes, the disk."""

import os
import signal
import sqlite3
import subprocess
import sys
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

import pytest

from shared.store import sqlite
from shared.store.protocol import NewerData, StoreError, StoreUnavailable
from shared.store.sqlite import MIGRATIONS, SqliteStore
from tests.store.samples import (
    NOON,
    SECOND,
    WRITING,
    Note,
    event,
    every_call,
    fix,
    outcomes,
    status,
)

ROOT = Path(__file__).parents[2]


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "data" / "yurt.db"


@pytest.fixture
def store(path: Path) -> Iterator[SqliteStore]:
    store = SqliteStore(path)
    yield store
    store.close()


def test_the_file_is_the_owners_alone(store: SqliteStore, path: Path) -> None:
    store.put([fix()])
    assert path.stat().st_mode & 0o777 == 0o600
    assert path.parent.stat().st_mode & 0o777 == 0o700


class TestMigrations:
    def test_each_step_takes_an_older_file_further(
        self, path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        SqliteStore(path).close()
        added = (*MIGRATIONS, "CREATE TABLE one (a); CREATE TABLE two (b)", "DROP TABLE two")
        monkeypatch.setattr(sqlite, "MIGRATIONS", added)
        store = SqliteStore(path)
        store.put([fix()])
        store.close()
        connection = sqlite3.connect(path)
        tables = {name for (name,) in connection.execute("SELECT name FROM sqlite_master")}
        assert connection.execute("PRAGMA user_version").fetchone() == (len(added),)
        connection.close()
        assert "one" in tables
        assert "two" not in tables

    def test_a_step_that_fails_leaves_the_file_as_it_was(
        self, path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        SqliteStore(path).close()
        with monkeypatch.context() as broken:
            broken.setattr(sqlite, "MIGRATIONS", (*MIGRATIONS, "CREATE TABLE one (a); NONSENSE"))
            with pytest.raises(StoreError):
                SqliteStore(path)
        store = SqliteStore(path)
        store.put([fix()])
        store.close()

    def test_a_newer_file_is_refused_and_left_alone(self, path: Path) -> None:
        SqliteStore(path).close()
        connection = sqlite3.connect(path)
        connection.execute(f"PRAGMA user_version = {len(MIGRATIONS) + 1}")
        connection.close()
        before = path.read_bytes()
        with pytest.raises(NewerData, match=r"update Yurt or choose other data"):
            SqliteStore(path)
        assert path.read_bytes() == before

    def test_something_else_is_not_taken_for_a_database(self, path: Path) -> None:
        path.parent.mkdir()
        path.write_bytes(b"my diary\n" * 1_000)
        with pytest.raises(StoreError, match="yurt doctor"):
            SqliteStore(path)
        assert path.read_bytes() == b"my diary\n" * 1_000


def test_a_lock_held_elsewhere_is_waited_for_and_then_told(
    store: SqliteStore, path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sqlite, "WITHIN", 1.0)
    store.put([fix()])
    other = sqlite3.connect(path, isolation_level=None)
    other.execute("BEGIN IMMEDIATE")
    calls = every_call(store)
    assert outcomes(calls, within=3) == {
        name: StoreUnavailable if name in WRITING else None for name in calls
    }
    other.execute("ROLLBACK")
    other.close()
    for name in WRITING:
        calls[name]()


def test_what_was_erased_is_gone(store: SqliteStore, path: Path) -> None:
    store.put([fix(), fix(lat=1.0), status(), fix(device="other")])
    store.erase("phone", [NOON])
    store.put([fix(), status()])
    connection = sqlite3.connect(path)
    assert connection.execute("SELECT device FROM fix").fetchall() == [("other",)]
    assert connection.execute("SELECT device FROM status").fetchall() == []
    connection.close()


# Puts fixes until it cannot any more, and says which are kept.
_WRITER = """
import resource, sys
from datetime import timedelta
from pathlib import Path
from shared.store.protocol import StoreUnavailable
from shared.store.sqlite import SqliteStore
from tests.store.samples import NOON, SECOND, fix

path, device, count, limit = Path(sys.argv[1]), sys.argv[2], int(sys.argv[3]), int(sys.argv[4])
store = SqliteStore(path)
if limit:
    resource.setrlimit(resource.RLIMIT_FSIZE, (limit, resource.RLIM_INFINITY))
try:
    for i in range(count):
        store.put([fix(NOON + i * SECOND, device=device, extra={"x": "x" * 500})])
        print(i, flush=True)
except StoreUnavailable as error:
    print("full", flush=True)
    resource.setrlimit(resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
    store.put([fix(NOON + i * SECOND, device=device, extra={"x": "x" * 500})])
    print(i, flush=True)
store.close()
"""


def writer(path: Path, device: str, count: int, limit: int = 0) -> subprocess.Popen[str]:
    """A process that puts `count` fixes, into files of at most `limit` bytes where given."""
    return subprocess.Popen(
        [sys.executable, "-c", _WRITER, str(path), device, str(count), str(limit)],
        stdout=subprocess.PIPE,
        cwd=ROOT,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        text=True,
    )


def kept(store: SqliteStore, device: str) -> list[int]:
    found = store.track(device, NOON, NOON + timedelta(days=9))
    return [(one.time - NOON) // SECOND for one in found]


def test_two_processes_write_at_once(path: Path, store: SqliteStore) -> None:
    with writer(path, "one", 60) as one, writer(path, "two", 60) as two:
        for i in range(60):
            store.put([fix(NOON + i * SECOND, device="here"), event(f"{i}")])
        assert (one.wait(), two.wait()) == (0, 0)
    for device in ("one", "two", "here"):
        assert kept(store, device) == list(range(60))


def test_killed_in_mid_write_it_keeps_what_it_acknowledged(path: Path) -> None:
    with writer(path, "phone", 1_000_000) as process:
        assert process.stdout is not None
        acknowledged = [int(process.stdout.readline()) for _ in range(100)]
        process.send_signal(signal.SIGKILL)
        acknowledged += map(int, process.stdout.read().split())
    store = SqliteStore(path)
    found = kept(store, "phone")
    assert found[: len(acknowledged)] == acknowledged
    # The one that it was writing may be there, too.
    assert len(found) <= len(acknowledged) + 1
    store.put([fix()])
    store.close()


def test_a_full_disk_loses_nothing_that_was_acknowledged(path: Path) -> None:
    with writer(path, "phone", 100_000, limit=600_000) as process:
        said = process.communicate()[0].split()
        assert process.returncode == 0
    assert "full" in said
    acknowledged = [int(line) for line in said if line != "full"]
    store = SqliteStore(path)
    assert kept(store, "phone") == acknowledged
    store.close()


def test_a_home_node_does_not_load_the_clouds_library() -> None:
    code = "import sys, shared.store.sqlite; sys.exit('grpc' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], cwd=ROOT, check=False).returncode == 0


def test_the_stamp_tells_of_writes_in_another_process(store: SqliteStore, path: Path) -> None:
    other = SqliteStore(path)
    before = store.stamp()
    other.put([fix()])
    assert store.stamp() == before
    version = other.write("note", Note("one"), over=None)
    between = store.stamp()
    assert between != before
    store.write("note", Note("two"), over=version)
    assert other.stamp() not in (before, between)
    other.close()
