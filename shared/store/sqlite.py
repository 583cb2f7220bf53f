"""The store of a home node: one SQLite file in write-ahead mode, safe to open from many processes.

It is the node's `Search`, too: the index of words is written with the records. A fix is a row keyed
by device, time and content, so nothing here is packed into segments.
"""

import contextlib
import os
import sqlite3
import threading
import uuid
import zlib
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass
from datetime import datetime
from itertools import chain, groupby
from operator import itemgetter
from pathlib import Path
from typing import Any, NamedTuple, cast

import msgspec

from shared.meter import spend
from shared.model.packing import content_hash
from shared.model.records import NAMED_KINDS, AnyRecord, Fix, NamedRecord, Status, winner
from shared.model.time import to_micros
from shared.search import fts
from shared.search.protocol import FoundPage
from shared.store import cursors
from shared.store.group_commit import GroupCommit
from shared.store.limits import packed_record, packed_report
from shared.store.protocol import (
    NOTHING,
    WITHIN,
    Added,
    C,
    Conflict,
    D,
    Found,
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
from shared.wal import write_ahead

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
    """
    CREATE TABLE control (
        family TEXT NOT NULL, id TEXT NOT NULL, version TEXT NOT NULL, due INTEGER,
        shape INTEGER NOT NULL, data BLOB NOT NULL, PRIMARY KEY (family, id)
    ) WITHOUT ROWID;
    CREATE INDEX control_by_due ON control (family, due, id) WHERE due IS NOT NULL;
    ALTER TABLE raw ADD COLUMN packed INTEGER NOT NULL DEFAULT 0;
    """
    + fts.MIGRATION,
)
"""Each entry takes a file from `user_version` n to n + 1. Entries are only ever appended."""

_SEARCHED_SINCE = 2
"""The version from which on what is written can be found by its words."""

_REPORTS = (Fix, Status)  # a union made for each record would cost as much as its hash
_ROWS_AT_ONCE = 500
_ROWS_A_STATEMENT = 200  # of four values each; SQLite takes 999 values in its oldest builds
_WORTH_PACKING = 1_000  # bytes
_WORTH_UNPACKING = 0.9  # of its size
_LIKE_BASE64 = 0.7  # of its size: what is random at 6 bits a byte shrinks to 0.76
_SAMPLE = 4_096
_CONTROLS = "SELECT id, version, shape, data FROM control"
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
        self._commit(_change(_put(records, raws)))

    def put_soon(
        self, records: Sequence[AnyRecord], raws: Mapping[str, bytes], settle: Settle
    ) -> None:
        def settle_as_store_error(error: Exception | None) -> None:
            settle(_store_error(error) if error is not None else None)

        try:
            self._commits.submit(_change(_put(records, raws)), WITHIN, settle_as_store_error)
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
        rows = self._rows("SELECT data, packed FROM raw WHERE sha256 = ?", (sha256,))
        return _unpacked_raw(*rows[0]) if rows else None

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
        return Versioned(decoded(type, shape, data, version), version)

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

    # Search

    def find(self, words: str, *, limit: int = 50, cursor: str | None = None) -> FoundPage:
        with _as_store_errors():
            found = fts.find(self._reader(), words, limit=limit, cursor=cursor)
        spend(reads=max(1, len(found.found)), calls=1)
        return found

    # Control documents

    def control(self, type: type[C], family: str, id: str) -> Versioned[C] | None:
        rows = self._rows(f"{_CONTROLS} WHERE family = ? AND id = ?", (family, id))
        return next((Versioned(f.document, f.version) for f in _found(type, rows)), None)

    def commit(
        self,
        family: str,
        id: str,
        over: str | None,
        decide: Callable[[Added], C],
        records: Sequence[AnyRecord] = (),
        raws: Mapping[str, bytes] = NOTHING,
    ) -> Versioned[C]:
        put, version = _put(records, raws), uuid.uuid4().hex

        def work(connection: sqlite3.Connection) -> Versioned[C] | None:
            held = connection.execute(
                "SELECT version FROM control WHERE family = ? AND id = ?", (family, id)
            ).fetchone()
            if (held[0] if held else None) != over:
                return None
            document = decide(put.perform(connection))
            due = to_micros(document.due) if document.due is not None else None
            data = msgspec.json.encode(document)
            connection.execute(
                "INSERT OR REPLACE INTO control VALUES (?, ?, ?, ?, ?, ?)",
                (family, id, version, due, shape_of(type(document)), data),
            )
            return Versioned(document, version)

        change = _Change(alone=work)
        self._commit(change)
        spend(writes=1, calls=1)
        if change.result is None:
            raise Conflict(f"the {family} {id} was changed by somebody else")
        return cast(Versioned[C], change.result)

    def controls(
        self, type: type[C], family: str, *, after: str = "", limit: int = 100
    ) -> list[Found[C]]:
        rows = self._rows(
            f"{_CONTROLS} WHERE family = ? AND id > ? ORDER BY id LIMIT ?", (family, after, limit)
        )
        return list(_found(type, rows))

    def due(
        self, type: type[C], family: str, before: datetime, *, limit: int = 100
    ) -> list[Found[C]]:
        rows = self._rows(
            f"{_CONTROLS} WHERE family = ? AND due < ? ORDER BY due, id LIMIT ?",
            (family, to_micros(before), limit),
        )
        return list(_found(type, rows))

    def seal(self, device: str, before: datetime, cursor: str | None) -> str | None:  # noqa: ARG002
        return None  # rows need no packing

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
        try:
            if not write_ahead(connection, _PATIENCE_OF_A_READ):
                raise StoreError(
                    f"the file system of {self._path} cannot share memory between processes, which "
                    "the database needs; put the data on a local disk: --data"
                )
            connection.execute("PRAGMA synchronous = FULL")
        except BaseException:
            connection.close()
            raise
        with self._opening:
            self._opened.append(connection)
        return connection

    def _rows(self, sql: str, values: Sequence[Any]) -> list[Any]:
        with _as_store_errors():
            rows: list[Any] = self._reader().execute(sql, values).fetchall()
        spend(reads=max(1, len(rows)), calls=1)
        return rows

    def _reader(self) -> sqlite3.Connection:
        """This thread's connection."""
        self._refuse_if_closed()
        connection: sqlite3.Connection | None = getattr(self._local, "connection", None)
        if connection is None:
            connection = self._local.connection = self._connect()
        return connection

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
    """What one caller wants committed. rest: what is not reports; its return value is `result`.

    alone: does everything itself, since what it finds decides whether anything is done.
    """

    fixes: Sequence[_Row] = ()
    statuses: Sequence[_Row] = ()
    rest: Callable[[sqlite3.Connection], object] | None = None
    alone: Callable[[sqlite3.Connection], object] | None = None
    result: object = None


class _Put(NamedTuple):
    fixes: Sequence[_Row]
    statuses: Sequence[_Row]
    named: Sequence[tuple[NamedRecord, bytes]]
    raws: Sequence[tuple[str, bytes, int]]

    def rest(self, connection: sqlite3.Connection) -> Added:
        new, known = Counter[str](), Counter[str]()
        changed: dict[tuple[str, str], tuple[NamedRecord, NamedRecord | None]] = {}
        for record, packed in self.named:
            kind = kind_of(type(record))
            stored = _stored(connection, kind, record)
            (known if stored is not None else new)[kind] += 1
            if stored is None or winner(stored, record) != stored:
                _put_named(connection, kind, record, packed)
                # Of a record that comes twice at once, the index has what was there before both.
                _, before = changed.get((kind, record.id), (None, stored))
                changed[kind, record.id] = record, before
        fts.index(connection, changed.values())
        connection.executemany("INSERT OR IGNORE INTO raw VALUES (?, ?, ?)", self.raws)
        return Added(new, known)

    def perform(self, connection: sqlite3.Connection) -> Added:
        added = self.rest(connection)
        new, known = Counter(added.new), Counter(added.known)
        for table, rows in (("fix", self.fixes), ("status", self.statuses)):
            inserted = _insert_reports(connection, table, rows)
            new[table] += inserted
            known[table] += len(rows) - inserted
        return Added(+new, +known)


def _put(records: Sequence[AnyRecord], raws: Mapping[str, bytes]) -> _Put:
    fixes: list[_Row] = []
    statuses: list[_Row] = []
    named: list[tuple[NamedRecord, bytes]] = []
    sent = 0
    for record in records:
        if isinstance(record, _REPORTS):
            packed = packed_report(record)
            row = (record.device, to_micros(record.time), content_hash(packed), packed)
            (fixes if isinstance(record, Fix) else statuses).append(row)
        else:
            packed = packed_record(record)
            named.append((record, packed))
        sent += len(packed)
    kept = [(sha256, *_packed_raw(raw)) for sha256, raw in raws.items()]
    sent += sum(len(data) for _, data, _ in kept)
    spend(writes=len(records) + len(raws), calls=1, sent=sent)
    return _Put(fixes, statuses, named, kept)


def _change(put: _Put) -> _Change:
    return _Change(put.fixes, put.statuses, put.rest if put.named or put.raws else None)


def _packed_raw(raw: bytes) -> tuple[bytes, int]:
    """Mails and JSON shrink to a third; a picture would only cost time, and is kept as it is."""
    if len(raw) >= _WORTH_PACKING:
        packed = _deflated(raw)
        if len(packed) < len(raw) * _WORTH_UNPACKING:
            return packed, 1
    return raw, 0


def _deflated(raw: bytes) -> bytes:
    """Of what is large, a piece of its middle tells how to do it, or whether."""
    strategy = zlib.Z_DEFAULT_STRATEGY
    if len(raw) > 4 * _SAMPLE:
        middle = len(raw) // 2
        share = len(zlib.compress(raw[middle : middle + _SAMPLE], 1)) / _SAMPLE
        if share > _WORTH_UNPACKING:
            return raw
        if share > _LIKE_BASE64:
            strategy = zlib.Z_RLE  # nothing comes twice in it, and looking would be most of all
    packer = zlib.compressobj(1, strategy=strategy)
    return packer.compress(raw) + packer.flush()


def _unpacked_raw(data: bytes, packed: int) -> bytes:
    return zlib.decompress(data) if packed else bytes(data)


def _perform(connection: sqlite3.Connection, changes: Sequence[_Change]) -> None:
    _insert_reports(connection, "fix", [row for change in changes for row in change.fixes])
    _insert_reports(connection, "status", [row for change in changes for row in change.statuses])
    for change in changes:
        for work in (change.rest, change.alone):
            if work is not None:
                change.result = work(connection)


def _insert_reports(connection: sqlite3.Connection, table: str, rows: Sequence[_Row]) -> int:
    """How many were not there."""
    # In statements of many rows: each statement gives up the interpreter's lock and has to win it
    # back from the threads that answer requests.
    inserted = 0
    for first in range(0, len(rows), _ROWS_A_STATEMENT):
        some = rows[first : first + _ROWS_A_STATEMENT]
        values = ",".join(["(?,?,?,?)"] * len(some))
        inserted += connection.execute(
            f"INSERT OR IGNORE INTO {table} SELECT * FROM (VALUES {values}) AS new WHERE NOT EXISTS"
            " (SELECT 1 FROM erased WHERE device = new.column1 AND time = new.column2)",
            list(chain.from_iterable(some)),
        ).rowcount
    return inserted


def _stored(connection: sqlite3.Connection, kind: str, record: NamedRecord) -> NamedRecord | None:
    row = connection.execute(
        "SELECT shape, data FROM record WHERE kind = ? AND id = ?", (kind, record.id)
    ).fetchone()
    return decoded(type(record), *row) if row is not None else None


def _put_named(
    connection: sqlite3.Connection, kind: str, record: NamedRecord, packed: bytes
) -> None:
    time = to_micros(record.time) if record.time is not None else None
    connection.execute(
        "INSERT OR REPLACE INTO record VALUES (?, ?, ?, ?, ?)",
        (kind, record.id, time, record.SHAPE, packed),
    )


def _found(type: type[C], rows: Sequence[Any]) -> Iterator[Found[C]]:
    for id, version, shape, data in rows:
        yield Found(id, decoded(type, shape, data, version), version)


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
        if version == _SEARCHED_SINCE:
            _index_all(connection)
        connection.execute(f"PRAGMA user_version = {version}")
        connection.execute("COMMIT")


def _index_all(connection: sqlite3.Connection) -> None:
    """Makes what was written before there was an index searchable."""
    rows = connection.execute("SELECT kind, shape, data FROM record")
    while some := rows.fetchmany(_ROWS_AT_ONCE):
        records = [decoded(NAMED_KINDS[kind], shape, data) for kind, shape, data in some]
        fts.index(connection, [(record, None) for record in records])


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
