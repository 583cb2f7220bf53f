"""The store of a home node: one SQLite file in write-ahead mode, safe to open from many processes.

A fix is a row keyed by device, time and content, so nothing here is packed into segments.
"""

import contextlib
import os
import sqlite3
import threading
import uuid
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass
from datetime import datetime
from itertools import groupby
from operator import itemgetter
from pathlib import Path
from typing import Any

import msgspec

from shared.model import packing
from shared.model.records import AnyRecord, Fix, NamedRecord, Status, winner
from shared.model.time import to_micros
from shared.store import cursors
from shared.store.group_commit import GroupCommit
from shared.store.limits import packed_record, packed_report
from shared.store.meter import spend
from shared.store.protocol import (
    NOTHING,
    WITHIN,
    Conflict,
    D,
    Latest,
    NewerData,
    R,
    RecordPage,
    Settle,
    StoreError,
    StoreUnavailable,
    Versioned,
)
from shared.store.reports import fix_of, status_of
from shared.store.shapes import decoded, kind_of, shape_of
from shared.store.stamp import Stamp

_Row = tuple[str, int, bytes, bytes]

MIGRATIONS = (
    """
    CREATE TABLE fix (
        device TEXT NOT NULL, time INTEGER NOT NULL, hash BLOB NOT NULL, data BLOB NOT NULL,
        PRIMARY KEY (device, time, hash)
    ) WITHOUT ROWID;
    CREATE TABLE status (
        device TEXT NOT NULL, time INTEGER NOT NULL, hash BLOB NOT NULL, data BLOB NOT NULL,
        PRIMARY KEY (device, time, hash)
    ) WITHOUT ROWID;
    CREATE TABLE erased (
        device TEXT NOT NULL, time INTEGER NOT NULL, PRIMARY KEY (device, time)
    ) WITHOUT ROWID;
    CREATE TABLE record (
        kind TEXT NOT NULL, id TEXT NOT NULL, time INTEGER, shape INTEGER NOT NULL,
        data BLOB NOT NULL, PRIMARY KEY (kind, id)
    ) WITHOUT ROWID;
    CREATE INDEX record_by_time ON record (kind, time, id);
    CREATE TABLE raw (sha256 TEXT PRIMARY KEY, data BLOB NOT NULL) WITHOUT ROWID;
    CREATE TABLE document (
        name TEXT PRIMARY KEY, version TEXT NOT NULL, shape INTEGER NOT NULL, data BLOB NOT NULL
    ) WITHOUT ROWID;
    CREATE TABLE counter (name TEXT PRIMARY KEY, value INTEGER NOT NULL) WITHOUT ROWID;
    """,
)
"""Each entry takes a file from `user_version` n to n + 1. Entries are only ever appended."""

_ROWS_AT_ONCE = 500
_ROWS_A_STATEMENT = 200  # of four values each; SQLite takes 999 values in its oldest builds
_PATIENCE_OF_A_READ = WITHIN - 0.5  # seconds


def problem_of(path: Path) -> StoreError | None:
    """What is wrong with the file, read beside a running node and without changing it.

    A file that is not Yurt's, or not yet, is wrong: opening would make it one.
    """
    try:
        with closing(sqlite3.connect(f"{path.resolve().as_uri()}?mode=ro", uri=True)) as connection:
            (shape,) = connection.execute("PRAGMA user_version").fetchone()
            if shape > len(MIGRATIONS):
                return NewerData(f"a newer version of Yurt wrote it (shape {shape}); update Yurt")
            tables = connection.execute("SELECT name FROM sqlite_master").fetchall()
            if not shape or ("document",) not in tables:
                return StoreError("it is empty or no database of Yurt")
            (verdict,) = connection.execute("PRAGMA quick_check(1)").fetchone()
    except sqlite3.Error as error:
        return StoreError(str(error))
    return None if verdict == "ok" else StoreError(str(verdict))


class SqliteStore:
    """`Store` on one SQLite file; made on first use, migrated forward when older than the code."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._local = threading.local()
        self._opened: list[sqlite3.Connection] = []
        self._opening = threading.Lock()
        self._closed = False
        with _as_store_errors():
            path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            path.touch(mode=0o600)
            writer = self._connect()
            try:
                _migrate(writer, path)
            except BaseException:
                writer.close()  # with what it may have begun
                raise
            _sync_log(path)
            self._stamp = Stamp(path.with_name(f"{path.name}-stamp"))
        self._commits = GroupCommit(writer, _perform)

    # Records

    def put(self, records: Sequence[AnyRecord], raws: Mapping[str, bytes] = NOTHING) -> None:
        self._commit(_put(records, raws))

    def put_soon(
        self, records: Sequence[AnyRecord], raws: Mapping[str, bytes], settle: Settle
    ) -> None:
        def settle_as_store_error(error: Exception | None) -> None:
            settle(_store_error(error) if error is not None else None)

        try:
            self._commits.submit(_put(records, raws), WITHIN, settle_as_store_error)
        except sqlite3.OperationalError as error:
            raise _store_error(error) from error

    def get(self, kind: type[R], id: str) -> R | None:
        rows = self._rows(
            "SELECT shape, data FROM record WHERE kind = ? AND id = ?", (kind_of(kind), id)
        )
        return decoded(kind, *rows[0]) if rows else None

    def page(
        self,
        kind: type[R],
        *,
        start: datetime | None = None,
        end: datetime | None = None,
        newest_first: bool = False,
        limit: int = 100,
        cursor: str | None = None,
    ) -> RecordPage[R]:
        direction, beyond = ("DESC", "<") if newest_first else ("ASC", ">")
        where, values = (
            "kind = ? AND time >= ? AND time < ?",
            [
                kind_of(kind),
                to_micros(start) if start else -(2**63),
                to_micros(end) if end else 2**63 - 1,
            ],
        )
        if cursor is not None:
            where += f" AND (time, id) {beyond} (?, ?)"
            values += cursors.decode(cursor)
        rows = self._rows(
            f"SELECT shape, data, time, id FROM record WHERE {where} "
            f"ORDER BY time {direction}, id {direction} LIMIT ?",
            (*values, limit),
        )
        last = rows[-1] if rows and len(rows) == limit else None
        return RecordPage(
            [decoded(kind, shape, data) for shape, data, _, _ in rows],
            cursors.encode(last[2], last[3]) if last else None,
        )

    def raw(self, sha256: str) -> bytes | None:
        rows = self._rows("SELECT data FROM raw WHERE sha256 = ?", (sha256,))
        return bytes(rows[0][0]) if rows else None

    # Tracks

    def track(self, device: str, start: datetime, end: datetime) -> Iterator[Fix]:
        rows = self._reports(device, to_micros(start), to_micros(end))
        for time, variants in groupby(rows, key=itemgetter(0)):
            yield fix_of(device, time, [row[2] for row in variants])

    def latest(self, device: str, before: datetime | None = None) -> Latest:
        fix = self._newest(device, "fix", before)
        status = self._newest(device, "status", before)
        return Latest(
            fix_of(device, *fix) if fix else None,
            status_of(device, *status) if status else None,
        )

    def erase(self, device: str, times: Sequence[datetime]) -> None:
        keys = [(device, to_micros(time)) for time in times]

        def work(connection: sqlite3.Connection) -> None:
            connection.executemany("INSERT OR IGNORE INTO erased VALUES (?, ?)", keys)
            for table in ("fix", "status"):
                connection.executemany(
                    f"DELETE FROM {table} WHERE device = ? AND time = ?",
                    keys,
                )

        self._commit(_Change(rest=work))
        spend(writes=len(keys), calls=1)

    # Documents and counters

    def read(self, type: type[D], name: str) -> Versioned[D] | None:
        rows = self._rows("SELECT version, shape, data FROM document WHERE name = ?", (name,))
        if not rows:
            return None
        version, shape, data = rows[0]
        return Versioned(decoded(type, shape, data), version)

    def stamp(self) -> bytes:
        return self._stamp.read()

    def write(self, name: str, document: msgspec.Struct, *, over: str | None) -> str:
        version, data = uuid.uuid4().hex, msgspec.json.encode(document)
        shape = shape_of(type(document))

        def work(connection: sqlite3.Connection) -> int:
            if over is None:
                sql = "INSERT OR IGNORE INTO document (version, shape, data, name) VALUES (?,?,?,?)"
                return connection.execute(sql, (version, shape, data, name)).rowcount
            sql = "UPDATE document SET version=?, shape=?, data=? WHERE name=? AND version=?"
            return connection.execute(sql, (version, shape, data, name, over)).rowcount

        change = _Change(rest=work)
        self._commit(change)
        if not change.result:
            raise Conflict(f"the document {name!r} was changed by somebody else")
        self._stamp.renew()
        spend(writes=1, calls=1, sent=len(data))
        return version

    def count(self, counts: Mapping[str, int]) -> None:
        def work(connection: sqlite3.Connection) -> None:
            connection.executemany(
                "INSERT INTO counter VALUES (?, ?) "
                "ON CONFLICT (name) DO UPDATE SET value = value + excluded.value",
                list(counts.items()),
            )

        self._commit(_Change(rest=work))
        spend(writes=len(counts), calls=1)

    def counters(self) -> dict[str, int]:
        return dict(self._rows("SELECT name, value FROM counter ORDER BY name", ()))

    def close(self) -> None:
        self._commits.close()
        with self._opening:
            self._closed = True
            for connection in self._opened:
                connection.close()
            self._opened.clear()

    # How it is done

    def _connect(self) -> sqlite3.Connection:
        # Each connection is used by one thread at a time; closing happens from another.
        connection = sqlite3.connect(
            self._path,
            timeout=_PATIENCE_OF_A_READ,
            isolation_level=None,
            check_same_thread=False,
            cached_statements=4 * _ROWS_A_STATEMENT,  # one for each size of a group, and the rest
        )
        (mode,) = connection.execute("PRAGMA journal_mode = WAL").fetchone()
        if mode != "wal":
            connection.close()
            raise StoreError(
                f"the file system of {self._path} cannot share memory between processes, which "
                "the database needs; put the data on a local disk: --data"
            )
        connection.execute("PRAGMA synchronous = FULL")
        with self._opening:
            self._opened.append(connection)
        return connection

    def _rows(self, sql: str, values: Sequence[Any]) -> list[Any]:
        with _as_store_errors():
            self._refuse_if_closed()
            connection = getattr(self._local, "connection", None)
            if connection is None:
                connection = self._local.connection = self._connect()
            rows: list[Any] = connection.execute(sql, values).fetchall()
        spend(reads=max(1, len(rows)), calls=1)
        return rows

    def _refuse_if_closed(self) -> None:
        if self._closed:
            raise sqlite3.OperationalError("the store is closed")

    def _commit(self, change: "_Change") -> None:
        with _as_store_errors():
            self._commits.run(change, within=WITHIN)

    def _newest(
        self, device: str, table: str, before: datetime | None
    ) -> tuple[int, list[bytes]] | None:
        limit = to_micros(before) if before else 2**63 - 1
        rows = self._rows(
            f"SELECT time, data FROM {table} WHERE device = ? AND time = "
            f"(SELECT max(time) FROM {table} WHERE device = ? AND time < ?)",
            (device, device, limit),
        )
        if not rows:
            return None
        return rows[0][0], [data for _, data in rows]

    def _reports(self, device: str, start: int, end: int) -> Iterator[tuple[int, bytes, bytes]]:
        # Pages by key, so that no read transaction stays open and keeps the log from shrinking.
        after: tuple[int, bytes] = (start, b"")
        while True:
            rows = self._rows(
                "SELECT time, hash, data FROM fix WHERE device = ? AND (time, hash) > (?, ?) "
                "AND time < ? ORDER BY time, hash LIMIT ?",
                (device, *after, end, _ROWS_AT_ONCE),
            )
            yield from rows
            if len(rows) < _ROWS_AT_ONCE:
                return
            after = rows[-1][:2]


@dataclass(slots=True)
class _Change:
    """What one caller wants committed. rest: what is not reports; its return value is `result`."""

    fixes: Sequence[_Row] = ()
    statuses: Sequence[_Row] = ()
    rest: Callable[[sqlite3.Connection], object] | None = None
    result: object = None


def _put(records: Sequence[AnyRecord], raws: Mapping[str, bytes]) -> _Change:
    fixes: list[_Row] = []
    statuses: list[_Row] = []
    named: list[tuple[NamedRecord, bytes]] = []
    sent = sum(map(len, raws.values()))
    for record in records:
        if isinstance(record, Fix | Status):
            packed = packed_report(record)
            row = (
                record.device,
                to_micros(record.time),
                packing.content_hash(packed),
                packed,
            )
            (fixes if isinstance(record, Fix) else statuses).append(row)
            sent += len(packed)
        else:
            packed = packed_record(record)
            named.append((record, packed))
            sent += len(packed)

    def rest(connection: sqlite3.Connection) -> None:
        for record, packed in named:
            _put_named(connection, record, packed)
        connection.executemany("INSERT OR IGNORE INTO raw VALUES (?, ?)", raws.items())

    spend(writes=len(records) + len(raws), calls=1, sent=sent)
    return _Change(fixes, statuses, rest if named or raws else None)


def _perform(connection: sqlite3.Connection, changes: Sequence[_Change]) -> None:
    _insert_reports(connection, "fix", [row for change in changes for row in change.fixes])
    _insert_reports(connection, "status", [row for change in changes for row in change.statuses])
    for change in changes:
        if change.rest is not None:
            change.result = change.rest(connection)


def _insert_reports(connection: sqlite3.Connection, table: str, rows: Sequence[_Row]) -> None:
    # In statements of many rows: each statement gives up the interpreter's lock and has to win it
    # back from the threads that answer requests.
    for first in range(0, len(rows), _ROWS_A_STATEMENT):
        some = rows[first : first + _ROWS_A_STATEMENT]
        values = ",".join(["(?,?,?,?)"] * len(some))
        connection.execute(
            f"INSERT OR IGNORE INTO {table} SELECT * FROM (VALUES {values}) AS new WHERE NOT EXISTS"
            " (SELECT 1 FROM erased WHERE device = new.column1 AND time = new.column2)",
            [value for row in some for value in row],
        )


def _put_named(connection: sqlite3.Connection, record: NamedRecord, packed: bytes) -> None:
    kind = kind_of(type(record))
    row = connection.execute(
        "SELECT shape, data FROM record WHERE kind = ? AND id = ?", (kind, record.id)
    ).fetchone()
    if row is not None:
        stored = decoded(type(record), *row)
        if winner(stored, record) == stored:
            return
    time = to_micros(record.time) if record.time is not None else None
    connection.execute(
        "INSERT OR REPLACE INTO record VALUES (?, ?, ?, ?, ?)",
        (kind, record.id, time, record.SHAPE, packed),
    )


def _migrate(connection: sqlite3.Connection, path: Path) -> None:
    (found,) = connection.execute("PRAGMA user_version").fetchone()
    if found > len(MIGRATIONS):
        raise NewerData(
            f"{path} was written by a newer version of Yurt (shape {found}, this one knows "
            f"{len(MIGRATIONS)}); update Yurt or choose other data with --data"
        )
    for version, script in enumerate(MIGRATIONS[found:], start=found + 1):
        # executescript would commit first: the step and its number belong together.
        connection.execute("BEGIN IMMEDIATE")
        (now,) = connection.execute("PRAGMA user_version").fetchone()
        if now >= version:  # another process was faster
            connection.execute("ROLLBACK")
            continue
        for statement in script.split(";"):
            connection.execute(statement)
        connection.execute(f"PRAGMA user_version = {version}")
        connection.execute("COMMIT")


def _sync_log(path: Path) -> None:
    """Syncs what a process that was killed in the middle of a commit may have left unsynced.

    To SQLite it is committed, so the same report coming again changes nothing and syncs nothing;
    but its first coming was never acknowledged, and only memory may hold it.
    """
    log = path.with_name(f"{path.name}-wal")
    for place in (log, path.parent):
        with contextlib.suppress(FileNotFoundError):
            handle = os.open(place, os.O_RDONLY)
            try:
                os.fsync(handle)
            finally:
                os.close(handle)


@contextlib.contextmanager
def _as_store_errors() -> Iterator[None]:
    try:
        yield
    except (sqlite3.DatabaseError, OSError) as error:
        raise _store_error(error) from error


def _store_error(error: Exception) -> StoreError:
    if isinstance(error, StoreError):
        return error
    if isinstance(error, sqlite3.OperationalError):
        return StoreUnavailable(f"the database cannot be used just now: {error}")
    return StoreError(f"the database cannot be used: {error}; run `yurt doctor`")
