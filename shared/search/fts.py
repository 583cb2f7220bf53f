"""The index of a home node: FTS5 in the database of its store.

Whoever writes a record calls `index` in the same transaction. The index keeps no text (the record
has it), so what it had of an earlier version is taken out by giving it the same words again: it
keeps a digest to know that they are. A row's number is made of the record's time, so that "newest
first" is the order in which the index is read.
"""

import hashlib
import sqlite3
from collections.abc import Iterable

from shared.model.records import NamedRecord
from shared.model.time import to_micros
from shared.search.protocol import Found, FoundPage
from shared.search.query import Query, Term, parse
from shared.search.words import Words, words_of

MIGRATION = """
    CREATE TABLE found_by (
        row INTEGER PRIMARY KEY, kind TEXT NOT NULL, id TEXT NOT NULL, digest BLOB NOT NULL,
        UNIQUE (kind, id)
    );
    CREATE VIRTUAL TABLE words USING fts5 (
        title, text, sender, others,
        content = '', columnsize = 0, tokenize = 'unicode61 remove_diacritics 2'
    )
"""

_ROWS_A_MILLISECOND = 2**17
_MILLISECONDS = 2**45  # a thousand years to either side of 1970
_EARLIEST_ROW = -_MILLISECONDS * _ROWS_A_MILLISECOND
_WITHOUT_TIME = -_MILLISECONDS - 1


def index(
    connection: sqlite3.Connection, changes: Iterable[tuple[NamedRecord, NamedRecord | None]]
) -> None:
    """Makes records found by what they say now, each given with the version that it replaces.

    In the transaction that writes them. The same again changes nothing.
    """
    # In the order of rows, since the index is written out each time a row comes before the last.
    for record, before in sorted(changes, key=lambda change: _slot(change[0])):
        _index(connection, record, before)


def _index(connection: sqlite3.Connection, record: NamedRecord, before: NamedRecord | None) -> None:
    kind, words, slot = _kind(record), words_of(record), _slot(record)
    digest = _digest(words)
    known = connection.execute(
        "SELECT row, digest FROM found_by WHERE kind = ? AND id = ?", (kind, record.id)
    ).fetchone()
    if known is not None:
        row, indexed = known
        if indexed == digest and _slot_of(row) == slot:
            return
        _remove(connection, row, indexed, before)
    if words is None:
        return
    row = _free_row(connection, slot)
    connection.execute("INSERT INTO found_by VALUES (?, ?, ?, ?)", (row, kind, record.id, digest))
    connection.execute(
        "INSERT INTO words (rowid, title, text, sender, others) VALUES (?, ?, ?, ?, ?)",
        (row, *words),
    )


def _remove(
    connection: sqlite3.Connection, row: int, digest: bytes, before: NamedRecord | None
) -> None:
    words = words_of(before) if before is not None else None
    if words is not None and _digest(words) == digest:
        connection.execute("DELETE FROM found_by WHERE row = ?", (row,))
        connection.execute(
            "INSERT INTO words (words, rowid, title, text, sender, others) "
            "VALUES ('delete', ?, ?, ?, ?, ?)",
            (row, *words),
        )
    else:
        # Other words than those it was given would damage the index. So they stay, and with them
        # the row, as that of no record.
        connection.execute("UPDATE found_by SET kind = '', id = row WHERE row = ?", (row,))


def find(
    connection: sqlite3.Connection, words: str, *, limit: int = 50, cursor: str | None = None
) -> FoundPage:
    """`Search.find` on a connection."""
    match = expression(parse(words))
    before = _row_of(cursor) if cursor is not None else 2**63 - 1
    if match is None:
        return FoundPage([], None)
    rows = connection.execute(
        "SELECT kind, id, row FROM words CROSS JOIN found_by ON row = words.rowid "
        "WHERE words MATCH ? AND words.rowid < ? AND kind <> '' "
        "ORDER BY words.rowid DESC LIMIT ?",
        (match, before, limit),
    ).fetchall()
    found = [Found(kind, id) for kind, id, _ in rows]
    return FoundPage(found, str(rows[-1][2]) if rows and len(rows) == limit else None)


def expression(query: Query) -> str | None:
    """The query as FTS5 writes it; None if it asks for nothing."""
    if not query.all:
        return None
    wanted = " AND ".join(f"({_either(terms)})" for terms in query.all)
    return f"({wanted}) NOT ({_either(query.none)})" if query.none else wanted


def _either(terms: list[Term]) -> str:
    return " OR ".join(map(_match, terms))


def _match(term: Term) -> str:
    # A string in quotes is never syntax, whatever is in it.
    quoted = '"' + term.words.replace('"', '""') + '"'
    return f"{term.column + ' : ' if term.column else ''}{quoted}{' *' if term.prefix else ''}"


def _row_of(cursor: str) -> int:
    try:
        row = int(cursor)
    except ValueError as error:
        raise ValueError(f"{cursor!r} is not a cursor that this node gave") from error
    if not -(2**63) <= row < 2**63:
        raise ValueError(f"{cursor!r} is not a cursor that this node gave")
    return row


def _slot(record: NamedRecord) -> int:
    """The millisecond of the record, one before all others where it has no time."""
    if record.time is None:
        return _WITHOUT_TIME
    return min(max(to_micros(record.time) // 1_000, -_MILLISECONDS), _MILLISECONDS)


def _slot_of(row: int) -> int:
    return row // _ROWS_A_MILLISECOND if row >= _EARLIEST_ROW else _WITHOUT_TIME


def _free_row(connection: sqlite3.Connection, slot: int) -> int:
    first = slot * _ROWS_A_MILLISECOND
    last = first + _ROWS_A_MILLISECOND - 1
    if slot != _WITHOUT_TIME:
        (taken,) = connection.execute(
            "SELECT max(row) FROM found_by WHERE row BETWEEN ? AND ?", (first, last)
        ).fetchone()
        if taken != last:
            return first if taken is None else taken + 1
    # Downwards from the earliest time, where there is room for all. Also for what has the same
    # time as a hundred thousand others: it cannot be told from them by it.
    (taken,) = connection.execute(
        "SELECT min(row) FROM found_by WHERE row < ?", (_EARLIEST_ROW,)
    ).fetchone()
    return (_EARLIEST_ROW if taken is None else taken) - 1


def _digest(words: Words | None) -> bytes:
    text = "\0".join(words) if words else ""
    return hashlib.blake2b(text.encode("utf-8", "surrogatepass"), digest_size=16).digest()


def _kind(record: NamedRecord) -> str:
    return str(type(record).__struct_config__.tag)
