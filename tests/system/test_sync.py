"""An acknowledgement follows a sync, also of what a process left that was killed in mid-commit."""

import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
STRACE = Path("/usr/bin/strace")
PUT = """
import sys
from datetime import UTC, datetime
from pathlib import Path
from shared.model.records import Fix
from shared.store.sqlite import SqliteStore

time = datetime(2026, 11, 1, 12, int(sys.argv[2]), tzinfo=UTC)
store = SqliteStore(Path(sys.argv[1]))
store.put([Fix(source="plain", source_version=1, device="d1", time=time, lat=1.0, lon=2.0)])
print("ACKNOWLEDGED", flush=True)
"""


def put(database: Path, minute: int, *prefix: str) -> "subprocess.CompletedProcess[str]":
    return subprocess.run(
        [*prefix, sys.executable, "-c", PUT, str(database), str(minute)],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
        cwd=ROOT,
    )


@pytest.mark.parametrize("sync", [1, 2, 3, 4])
def test_what_was_left_unsynced_is_synced_before_it_is_acknowledged(
    tmp_path: Path, sync: int
) -> None:
    if not STRACE.exists():
        pytest.skip("strace is missing; get it with: make system-deps")
    database = tmp_path / "yurt.db"
    assert "ACKNOWLEDGED" in put(database, 0).stdout
    kill = f"inject=fdatasync:signal=KILL:when={sync}"
    killed = put(database, 1, str(STRACE), "-f", "-o", "/dev/null", "-e", kill)
    trace = tmp_path / "trace"
    traced = "trace=fsync,fdatasync,write"
    again = put(database, 1, str(STRACE), "-f", "-y", "-o", str(trace), "-e", traced)
    assert "ACKNOWLEDGED" in again.stdout
    if "ACKNOWLEDGED" in killed.stdout:
        return  # it was through before its n-th sync
    before, _, _ = trace.read_text().partition("ACKNOWLEDGED")
    assert "yurt.db-wal>) = 0" in before
