"""Opening a database while another process makes it."""

import sqlite3
from collections.abc import Iterator
from pathlib import Path

import pytest

from shared import wal


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "x.db"


@pytest.fixture
def maker(path: Path) -> Iterator[sqlite3.Connection]:
    """Has the file to itself, as whoever makes it does for a moment."""
    connection = sqlite3.connect(path, isolation_level=None)
    connection.execute("BEGIN EXCLUSIVE")
    yield connection
    connection.close()


@pytest.fixture
def opener(path: Path) -> Iterator[sqlite3.Connection]:
    connection = sqlite3.connect(path, timeout=0, isolation_level=None)
    yield connection
    connection.close()


def test_it_waits_until_the_other_is_done(
    maker: sqlite3.Connection, opener: sqlite3.Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("time.sleep", lambda _: maker.execute("COMMIT"))
    assert wal.write_ahead(opener, patience=3)


def test_it_does_not_wait_for_ever(maker: sqlite3.Connection, opener: sqlite3.Connection) -> None:
    with pytest.raises(sqlite3.OperationalError, match="locked"):
        wal.write_ahead(opener, patience=0)


def test_what_is_no_database_is_told_at_once(
    path: Path, opener: sqlite3.Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("time.sleep", lambda _: pytest.fail("there is nothing to wait for"))
    path.write_bytes(b"something else" * 1_000)
    with pytest.raises(sqlite3.DatabaseError):
        wal.write_ahead(opener, patience=3)


def test_where_there_can_be_none_it_says_so() -> None:
    connection = sqlite3.connect(":memory:")
    assert not wal.write_ahead(connection, patience=3)
    connection.close()
