"""The index's write-ahead log: made durable when asked, folded into the database now and then.

Source: https://www.sqlite.org/wal.html.
"""

import asyncio
import logging
import os
import sqlite3
from collections.abc import Awaitable, Callable, Sequence
from contextlib import closing

from tasklet_runner.store.database import DATABASE, connect
from tasklet_runner.store.failures import StoreName
from tasklet_runner.store.index import ObjectRow

LOG_BYTES = 16 * 1024 * 1024
"""The write-ahead log is folded into the database each time it has grown by so much."""

Run = Callable[[Callable[[], None]], Awaitable[None]]
"""Runs a blocking function in the store's own thread."""

logger = logging.getLogger(__name__)


class WriteAheadLog:
    """That of one store, while its index is open."""

    def __init__(self, name: StoreName, run: Run) -> None:
        self._name = name
        self._run = run
        self._unfolded = 0
        self._folding: asyncio.Task[None] | None = None
        self._syncing: asyncio.Task[None] | None = None
        self._following: asyncio.Task[None] | None = None

    async def sync(self) -> None:
        """Everything written so far is durable when the call returns. Raises OSError."""
        # Whoever comes while one sync is under way is served by the next, together with all others that come.
        if self._following is None:
            self._following = asyncio.create_task(self._sync_after(self._syncing))
        await asyncio.shield(self._following)

    def wrote(self, rows: Sequence[ObjectRow], commits: int) -> None:
        """A transaction was written: fold the log if it is large by now."""
        # About what a transaction adds to the log: the bytes, a third more for keys and trees, some whole pages.
        self._unfolded += sum(row.size for row in rows if row.data) + 150 * (len(rows) + commits) + 20_000
        if self._unfolded >= LOG_BYTES and (self._folding is None or self._folding.done()):
            self._unfolded = 0
            self._folding = asyncio.create_task(self._fold_once())

    async def settle(self) -> None:
        """Wait for what is under way; whoever asked for it has gone."""
        under_way = [task for task in (self._folding, self._syncing, self._following) if task is not None]
        await asyncio.gather(*under_way, return_exceptions=True)

    async def _sync_after(self, other: "asyncio.Task[None] | None") -> None:
        if other is not None:
            await asyncio.gather(other, return_exceptions=True)
        self._syncing, self._following = self._following, None
        await self._run(self._sync)

    async def _fold_once(self) -> None:
        await self._run(self._fold)

    def _fold(self) -> None:
        directory = self._name.directory
        try:
            with closing(connect(directory)) as connection:
                # The bulk while writers go on, then the short rest with writers waiting, so that the log starts anew.
                connection.execute("PRAGMA wal_checkpoint(PASSIVE)")
                connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
        except sqlite3.Error:
            # Nothing is lost: everything stays in the log, and the next write says what is wrong with the disk.
            logger.warning(
                "action=fold store=%s could not fold the log into the database", self._name.uid, exc_info=True
            )

    def _sync(self) -> None:
        descriptor = os.open(self._name.directory / f"{DATABASE}-wal", os.O_RDONLY | os.O_CLOEXEC)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
