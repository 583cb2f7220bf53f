"""SQLite with a log that is written ahead: readers and one writer, of many processes, at once."""

import sqlite3
import time

_AGAIN_AFTER = 0.02  # seconds


def write_ahead(connection: sqlite3.Connection, patience: float) -> bool:
    """Asks for such a log; False where the file system cannot have one.

    Of two processes that make one file at the same moment, SQLite refuses one at once, without the
    time-out of its connection. patience: seconds for which this is tried again.
    """
    until = time.monotonic() + patience
    while True:
        try:
            (mode,) = connection.execute("PRAGMA journal_mode = WAL").fetchone()
        except sqlite3.OperationalError as error:
            if not is_locked(error) or time.monotonic() >= until:
                raise
            time.sleep(_AGAIN_AFTER)
        else:
            return bool(mode == "wal")


def is_locked(error: Exception) -> bool:
    """Whether it only says that somebody else is at the file."""
    code = getattr(error, "sqlite_errorcode", 0) & 0xFF
    return code in (sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED)
