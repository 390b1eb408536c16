"""A named cache of results that outlives jobs: bounded in bytes, the least recently used go first.

Two jobs of one machine may use the same cache at once: SQLite's write-ahead log with a busy timeout arbitrates. A
value whose checksum differs counts as absent: a cache may forget, but never lies.
"""

import asyncio
import hashlib
import sqlite3
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Self, TypeVar

from tasklet_runner.plan.types import CacheSettings
from tasklet_runner.store.transactions import transaction, write_ahead
from tasklet_runner.wire.errors import StoreError

DATABASE = "cache.db"

_BUSY_SECONDS = 30.0
_EVICTED_AT_ONCE = 500
_TOUCHED_AT_ONCE = 1000
_SCHEMA = """
PRAGMA synchronous=NORMAL;
CREATE TABLE IF NOT EXISTS entries(
  key TEXT PRIMARY KEY, size INTEGER NOT NULL, used REAL NOT NULL, checksum BLOB NOT NULL, value BLOB NOT NULL);
CREATE INDEX IF NOT EXISTS entries_by_use ON entries(used, size);
CREATE TABLE IF NOT EXISTS counters(name TEXT PRIMARY KEY, value INTEGER NOT NULL);
INSERT OR IGNORE INTO counters VALUES('bytes', 0);
CREATE TRIGGER IF NOT EXISTS entry_added AFTER INSERT ON entries
  BEGIN UPDATE counters SET value=value+NEW.size WHERE name='bytes'; END;
CREATE TRIGGER IF NOT EXISTS entry_removed AFTER DELETE ON entries
  BEGIN UPDATE counters SET value=value-OLD.size WHERE name='bytes'; END;
"""

Value = TypeVar("Value")


class ResultCache:
    """See `open`. Every call raises StoreError when the disk fails.

    Reads never wait for a writer and run in the caller's thread; writes, which may wait for another job's, run in the
    cache's one worker thread.
    """

    def __init__(self, directory: Path, settings: CacheSettings, clock: Callable[[], float]) -> None:
        self._directory = directory
        self._settings = settings
        self._clock = clock
        self._worker = ThreadPoolExecutor(max_workers=1, thread_name_prefix="cache")
        self._reader = _connect(directory)
        self._connection = _connect(directory)
        self._touched: dict[str, float] = {}
        self._closed = False

    @classmethod
    async def open(cls, directory: Path, settings: CacheSettings, *, clock: Callable[[], float] = time.time) -> Self:
        """Open or make the cache in a directory of its own. `clock` gives UNIX seconds: entries outlive processes.

        `settings.size` bounds the bytes of all values; a value that was not used for `settings.retain_seconds` goes.
        """
        with _translated(directory):
            directory.mkdir(mode=0o700, parents=True, exist_ok=True)
            cache = cls(directory, settings, clock)
        await cache._run(cache._prepare)
        return cache

    async def get_many(self, keys: Sequence[str]) -> dict[str, bytes]:
        """The values that are there; each counts as used now."""
        with _translated(self._directory):
            found = {key: value for key in keys if (value := self._get(key)) is not None}
        self._touched |= dict.fromkeys(found, self._clock())
        if len(self._touched) >= _TOUCHED_AT_ONCE:
            await self.put_many({})
        return found

    async def put_many(self, values: Mapping[str, bytes]) -> None:
        """Keep values, replacing older ones; what is larger than the whole cache is not kept."""
        touched, self._touched = self._touched, {}
        await self._run(lambda: self._put_many(values, touched))

    async def used_bytes(self) -> int:
        """Bytes of all values."""
        return await self._run(self._used)

    async def close(self) -> None:
        """Let go; what was put is durable. A second call does nothing."""
        if self._closed:
            return
        self._closed = True
        await self.put_many({})
        with _translated(self._directory):
            await self._run(self._connection.close)
            self._reader.close()
            self._worker.shutdown()

    async def _run(self, work: Callable[[], Value]) -> Value:
        with _translated(self._directory):
            return await asyncio.get_running_loop().run_in_executor(self._worker, work)

    def _prepare(self) -> None:
        write_ahead(self._connection)
        self._connection.executescript(_SCHEMA)
        with transaction(self._connection):
            self._evict()

    def _get(self, key: str) -> bytes | None:
        row = self._reader.execute("SELECT checksum, value FROM entries WHERE key=?", (key,)).fetchone()
        return row[1] if row is not None and _checksum(key, row[1]) == row[0] else None

    def _put_many(self, values: Mapping[str, bytes], touched: Mapping[str, float]) -> None:
        now = self._clock()
        rows = [
            (key, len(value), now, _checksum(key, value), value)
            for key, value in values.items()
            if len(value) <= self._settings.size
        ]
        with transaction(self._connection):
            self._connection.executemany(
                "UPDATE entries SET used=? WHERE key=?", [(used, key) for key, used in touched.items()]
            )
            # Deleted and inserted anew, not replaced: only then the triggers count the bytes.
            self._connection.executemany("DELETE FROM entries WHERE key=?", [row[:1] for row in rows])
            self._connection.executemany("INSERT INTO entries VALUES(?, ?, ?, ?, ?)", rows)
            self._evict()

    def _evict(self) -> None:
        self._connection.execute("DELETE FROM entries WHERE used < ?", (self._clock() - self._settings.retain_seconds,))
        while (excess := self._used() - self._settings.size) > 0:
            oldest = self._connection.execute(
                "SELECT key, size FROM entries ORDER BY used, key LIMIT ?", (_EVICTED_AT_ONCE,)
            )
            for key, size in oldest.fetchall():
                self._connection.execute("DELETE FROM entries WHERE key=?", (key,))
                excess -= size
                if excess <= 0:
                    break

    def _used(self) -> int:
        return int(self._connection.execute("SELECT value FROM counters WHERE name='bytes'").fetchone()[0])


def _connect(directory: Path) -> sqlite3.Connection:
    return sqlite3.connect(directory / DATABASE, isolation_level=None, check_same_thread=False, timeout=_BUSY_SECONDS)


def _checksum(key: str, value: bytes) -> bytes:
    return hashlib.sha256(key.encode() + b"\0" + value).digest()


@contextmanager
def _translated(directory: Path) -> Iterator[None]:
    try:
        yield
    except (OSError, sqlite3.Error) as error:
        raise StoreError(
            f"the cache in {directory} fails: {error}",
            remedy=f"free space there, or delete {directory}: only time is lost",
        ) from error
