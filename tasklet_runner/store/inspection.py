"""What a store or a cache holds, read beside the process that serves it: no lock is taken and nothing is changed."""

import sqlite3
from contextlib import closing
from pathlib import Path
from urllib.parse import quote

from tasklet_runner.store.cache import DATABASE as CACHE_DATABASE
from tasklet_runner.store.database import DATABASE as STORE_DATABASE

_BUSY_SECONDS = 5.0


def committed_chunks(directory: Path) -> int:
    """Chunks of a job's store that have an outcome; 0 where there is no store yet."""
    return _rows(directory / STORE_DATABASE, "SELECT count(*) FROM commits")


def cached_results(directory: Path) -> int:
    """Results in a cache; 0 where there is no cache yet."""
    return _rows(directory / CACHE_DATABASE, "SELECT count(*) FROM entries")


def stored_value(directory: Path, name: str) -> bytes | None:
    """A record of a job's store; None where there is none, or no store yet."""
    return _first(directory / STORE_DATABASE, "SELECT value FROM records WHERE name = ?", name)


def _first(database: Path, query: str, *values: str) -> bytes | None:
    try:
        with closing(
            sqlite3.connect(f"file:{quote(str(database))}?mode=ro", uri=True, timeout=_BUSY_SECONDS)
        ) as opened:
            found = opened.execute(query, values).fetchone()
    except sqlite3.OperationalError:
        return None
    return bytes(found[0]) if found else None


def _rows(database: Path, query: str) -> int:
    try:
        # A reader of a write-ahead log needs its shared-memory file, which a read-only connection can use but not make.
        with closing(
            sqlite3.connect(f"file:{quote(str(database))}?mode=ro", uri=True, timeout=_BUSY_SECONDS)
        ) as opened:
            return int(opened.execute(query).fetchone()[0])
    except sqlite3.OperationalError:
        return 0
