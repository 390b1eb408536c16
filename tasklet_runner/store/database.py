"""The database of a store's index: opened whole, of this format, or not at all.

Writes do not wait for the disk (`synchronous=NORMAL`: a power cut may take the last transactions, never half of one);
`DiskStore.sync` makes them durable by syncing the write-ahead log. Source: https://www.sqlite.org/wal.html.
"""

import sqlite3
from collections.abc import Callable
from pathlib import Path

from tasklet_runner.wire.errors import StoreError

DATABASE = "index.db"

FORMAT = 2
"""Of the index, the files beside it and their checksums. A store of another format is refused."""

_SCHEMA = f"""
PRAGMA user_version={FORMAT};
CREATE TABLE IF NOT EXISTS objects(
  key TEXT PRIMARY KEY, size INTEGER NOT NULL, digest BLOB NOT NULL, file TEXT, checksums BLOB, data BLOB,
  start INTEGER NOT NULL DEFAULT 0);
CREATE TABLE IF NOT EXISTS commits(
  stage TEXT NOT NULL, number INTEGER NOT NULL, attempt INTEGER NOT NULL, record BLOB NOT NULL,
  PRIMARY KEY(stage, number)) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS records(name TEXT PRIMARY KEY, value BLOB NOT NULL);
CREATE TABLE IF NOT EXISTS counters(name TEXT PRIMARY KEY, value INTEGER NOT NULL);
INSERT OR IGNORE INTO counters VALUES('used', 0), ('term', 0), ('writer', 0);
CREATE TABLE IF NOT EXISTS queues(name TEXT PRIMARY KEY, closed INTEGER NOT NULL);
CREATE TABLE IF NOT EXISTS messages(
  number INTEGER PRIMARY KEY, queue TEXT NOT NULL, id TEXT NOT NULL, body BLOB, attempts INTEGER NOT NULL DEFAULT 0,
  hidden_until REAL NOT NULL DEFAULT 0, visibility REAL NOT NULL DEFAULT 0, UNIQUE(queue, id));
CREATE INDEX IF NOT EXISTS messages_left ON messages(queue, number) WHERE body IS NOT NULL;
CREATE INDEX IF NOT EXISTS objects_by_file ON objects(file) WHERE file IS NOT NULL;
"""

_COUNTERS = "SELECT count(*) FROM counters WHERE name IN ('used', 'term', 'writer') AND typeof(value)='integer'"


def connect(directory: Path) -> sqlite3.Connection:
    """A connection in autocommit mode that writes without waiting for the disk and never checkpoints by itself.

    Nothing stays open when it raises sqlite3.Error.
    """
    return _prepared(directory, lambda connection: None)


def open_database(directory: Path) -> sqlite3.Connection:
    """The same, with its tables. Raises StoreError for an index of another format, or without its counters, which is
    left as it is.
    """

    def prepare(connection: sqlite3.Connection) -> None:
        _require_format(connection, directory)
        connection.executescript(_SCHEMA)
        _require_counters(connection, directory)

    return _prepared(directory, prepare)


def _prepared(directory: Path, prepare: Callable[[sqlite3.Connection], None]) -> sqlite3.Connection:
    connection = sqlite3.connect(directory / DATABASE, isolation_level=None, check_same_thread=False)
    try:
        connection.executescript(
            "PRAGMA journal_mode=WAL; PRAGMA synchronous=NORMAL; PRAGMA wal_autocheckpoint=0; PRAGMA busy_timeout=10000"
        )
        prepare(connection)
    except BaseException:
        connection.close()
        raise
    return connection


def _require_format(connection: sqlite3.Connection, directory: Path) -> None:
    (found,) = connection.execute("PRAGMA user_version").fetchone()
    (tables,) = connection.execute("SELECT count(*) FROM sqlite_schema").fetchone()
    if tables and found != FORMAT:
        raise StoreError(
            f"the store in {directory} is of format {found}, this version reads and writes format {FORMAT}",
            remedy="use the version that wrote it, or delete it and run anew",
        )


def _require_counters(connection: sqlite3.Connection, directory: Path) -> None:
    if connection.execute(_COUNTERS).fetchone() != (3,):
        raise StoreError(
            f"the index of the store in {directory} is damaged: its counters are no numbers",
            remedy="check the disk; run the job anew",
        )
