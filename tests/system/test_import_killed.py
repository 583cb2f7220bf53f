"""Imports whose process is killed again and again until they are through: nothing is lost, nothing
is there twice, and nothing is left behind.

More histories, for some minutes: KILL_SEEDS=100 pytest tests/system/test_import_killed.py; one that
failed is replayed, as far as killing by the clock can be, by KILL_SEED=17.
"""

import contextlib
import os
import random
import sqlite3
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from datetime import UTC, datetime
from functools import cache
from pathlib import Path
from typing import Any, NamedTuple

import pytest
from msgspec.structs import replace

from infra.emulators import Process
from infra.uploading import Uploader
from shared.model.access import ACCESS, Access
from shared.model.records import NAMED_KINDS, Reject, canonical
from shared.model.time import EPOCH
from shared.node import Node, open_node
from shared.settings import Settings
from shared.store.changing import current
from shared.store.shapes import decoded
from shared.work.jobs import FAMILY, LEASE, Job
from tests.emulators import Server
from tests.eventually import eventually
from tests.large_takeout import write_tgz, write_zip
from tests.system.test_staged import OWNER, let_in

YURT = Path(sys.executable).with_name("yurt")
STRACE = Path("/usr/bin/strace")
LAST = datetime(9999, 1, 1, tzinfo=UTC)
AT_ONCE = LEASE.total_seconds() / 3
"""Seconds: much less than a dead process's lease is good for, and more than a whole import takes."""

SEEDS = int(os.environ.get("KILL_SEEDS", "1"))
ONE = os.environ.get("KILL_SEED")
KILLS = 4
"""Of one import."""

CALLS = {
    "fsync": 136,
    "fdatasync": 14,
    "rename": 34,
    "unlink,rmdir": 100,
    "pwrite64": 112,
    "write": 40,
    "mkdir": 33,
    "flock": 36,
}
"""System calls before one of which a process is killed, and how many of each an import makes.
The death after one is that before the next."""


class Export(NamedTuple):
    """clean: what is there after a run that nobody disturbed."""

    archive: Path
    clean: dict[str, Any]


def seeds() -> list[int]:
    return [int(ONE)] if ONE is not None else list(range(SEEDS))


@pytest.fixture(scope="module")
def export(tmp_path_factory: pytest.TempPathFactory) -> Callable[[int], Export]:
    """The same export, packed as a zip or, for odd seeds, as a tar."""

    @cache
    def packed(which: int) -> Export:
        folder = tmp_path_factory.mktemp("export")
        archive = folder / f"takeout-20260101T000000Z-001.{'tgz' if which else 'zip'}"
        (write_tgz if which else write_zip)(archive)
        done = imported(folder / "data", archive)
        assert done.returncode == 0, done.stderr
        found = kept(folder / "data")
        assert found["new"]["fix"] == len(found["fixes"]) == 40_000
        assert len(found["blobs"]) > 40
        return Export(archive, found)

    return lambda seed: packed(seed % 2)


@pytest.mark.timeout(0)
@pytest.mark.parametrize("seed", seeds())
def test_a_command_that_is_killed_is_run_again(
    seed: int, export: Callable[[int], Export], tmp_path: Path
) -> None:
    chance, data = random.Random(seed), tmp_path / "data"
    archive, clean = export(seed)
    data.mkdir()
    for _ in range(KILLS):
        if not is_settled(data):
            kill_somewhere(chance, tmp_path, ["import", str(archive), "--data", str(data)])
    began = time.monotonic()
    done = imported(data, archive)
    assert done.returncode == 0, done.stderr
    assert time.monotonic() - began < AT_ONCE
    assert kept(data) == clean
    assert_sound(data)


@pytest.mark.timeout(0)
@pytest.mark.parametrize("seed", seeds())
def test_a_node_that_is_killed_goes_on_when_it_is_started(
    seed: int, export: Callable[[int], Export], tmp_path: Path
) -> None:
    chance, data = random.Random(f"node {seed}"), tmp_path / "data"
    archive, clean = export(seed)
    data.mkdir()
    with opened(data) as node:
        let_in(node)
    with served(data, tmp_path) as url, Uploader(url, OWNER) as uploader:
        uploader.send(archive)
    for _ in range(KILLS):
        if not is_settled(data):
            kill_somewhere(chance, tmp_path, ["up", "--port", "0", "--data", str(data)])
    began = time.monotonic()
    with served(data, tmp_path):
        eventually(lambda: is_settled(data))
    assert time.monotonic() - began < AT_ONCE
    assert kept(data) == clean
    assert_sound(data)


def kill_somewhere(chance: random.Random, folder: Path, command: Sequence[str]) -> None:
    """Runs `yurt`, until it is killed: after a while, or before a system call."""
    prefix: list[str] = []
    patience, said = chance.uniform(0.5, 2.2), "by the clock"
    if STRACE.exists() and chance.random() < 0.6:
        calls = chance.choice(sorted(CALLS))
        when = int(CALLS[calls] ** chance.random())
        inject = f"inject={calls}:signal=KILL:when={when}"
        prefix = [str(STRACE), "-f", "--seccomp-bpf", "-o", "/dev/null"]
        prefix += ["-e", f"trace={calls}", "-e", inject]
        patience, said = 3.0, inject
    log = folder / "killed.log"
    process = Process([*prefix, str(YURT), *command], log=log)
    process.start()
    began = time.monotonic()
    while process.status is None and time.monotonic() - began < patience:
        time.sleep(0.01)
    with log.open("a") as told:
        told.write(f"== {said}: {process.status} after {time.monotonic() - began:.2f} s\n")
    process.kill()


def imported(data: Path, *paths: Path, prefix: Sequence[str] = ()) -> Any:
    return subprocess.run(
        [*prefix, str(YURT), "import", *map(str, paths), "--json", "--data", str(data)],
        capture_output=True,
        text=True,
        timeout=100,
        check=False,
    )


@contextlib.contextmanager
def served(data: Path, folder: Path) -> Iterator[str]:
    """The URL of a running node."""
    with Server(
        lambda port: [str(YURT), "up", "--port", str(port), "--data", str(data)],
        log=folder / "node.log",
    ) as running:
        yield running.url
        assert "Traceback" not in running.log.read_text(), running


@contextlib.contextmanager
def opened(data: Path) -> Iterator[Node]:
    with contextlib.closing(open_node(Settings(data=data))) as node:
        yield node


def is_settled(data: Path) -> bool:
    """Whether the import has ended, and what it had in hand is cleared up."""
    found = job(data)
    assert found is None or found.state in ("ready", "running", "done"), found
    return found is not None and found.state == "done" and found.due is None


def job(data: Path) -> Job | None:
    """The import, if one was begun."""
    with opened(data) as node:
        jobs = [found.document for found in node.store.controls(Job, FAMILY)]
    return next((found for found in jobs if found.work == "import"), None)


def kept(data: Path) -> dict[str, Any]:
    """All that an import leaves, but for when it was."""
    with opened(data) as node:
        store = node.store
        devices = sorted(current(store, ACCESS, Access()).devices.keys() - {"phone"})
        fixes = [fix for device in devices for fix in store.track(device, EPOCH, LAST)]
        imported = job(data)
        assert imported is not None
        progress = imported.progress
        return {
            "devices": devices,
            "fixes": [canonical(fix) for fix in fixes],
            "records": [
                _canonical(*row) for row in _rows(data, "SELECT kind, shape, data FROM record")
            ],
            "raws": _rows(data, "SELECT sha256, length(data) FROM raw"),
            "blobs": [(name, node.objects.size(name)) for name in node.objects.names("kept/")],
            "new": progress.new,
            "known": progress.known,
        }


def _rows(data: Path, sql: str) -> list[Any]:
    with contextlib.closing(sqlite3.connect(data / "yurt.db")) as connection:
        return sorted(connection.execute(sql))


def _canonical(kind: str, shape: int, data: bytes) -> bytes:
    record = decoded(NAMED_KINDS[kind], shape, data)
    return canonical(replace(record, time=EPOCH) if isinstance(record, Reject) else record)


def assert_sound(data: Path) -> None:
    """Nothing is left of what was in hand, and nothing is broken."""
    with opened(data) as node:
        left = [name for name in node.objects.names("") if not name.startswith("kept/")]
    assert left == []
    assert list((data / "blobs" / "writing").iterdir()) == []
    doctor = subprocess.run(
        [str(YURT), "doctor", "--data", str(data), "--json"],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert doctor.returncode == 0, doctor.stdout
