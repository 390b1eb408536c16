"""SQLite as several processes use it: a log ahead of the database, and transactions that are whole or not at all."""

import sqlite3
import time
from collections.abc import Iterator
from contextlib import contextmanager

_TURN_SECONDS = 10.0
_PAUSE_SECONDS = 0.01


def write_ahead(connection: sqlite3.Connection) -> None:
    """Give the database its write-ahead log, if it has none yet. Blocking; raises sqlite3.OperationalError.

    Of two processes that do so at once SQLite refuses one without waiting, whatever its busy timeout says: waiting
    for an exclusive lock beside another that also waits for one would never end.
    """
    give_up_at = time.monotonic() + _TURN_SECONDS
    while True:
        try:
            connection.execute("PRAGMA journal_mode=WAL")
            return
        except sqlite3.OperationalError as error:
            if error.sqlite_errorcode != sqlite3.SQLITE_BUSY or time.monotonic() > give_up_at:
                raise
        time.sleep(_PAUSE_SECONDS)


@contextmanager
def transaction(connection: sqlite3.Connection) -> Iterator[None]:
    """Commit at the end of the block, roll back when it raises. The connection must be in autocommit mode."""
    connection.execute("BEGIN IMMEDIATE")
    try:
        yield
        connection.execute("COMMIT")
    finally:
        # SQLite has rolled back by itself after some failures, a full disk among them.
        if connection.in_transaction:
            connection.execute("ROLLBACK")
