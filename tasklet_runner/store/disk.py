"""A store over a directory: SQLite for the index and for small objects, files for large ones.

Transactions run in the caller's thread: one of a few hundred small objects takes a millisecond and never waits for
the disk, while a worker thread would hand the interpreter lock back and forth once per row. All that does wait for
the disk (files, syncs, folding the log into the database) runs in the store's one worker thread.
"""

import asyncio
import logging
import os
import sqlite3
from collections.abc import AsyncIterator, Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, closing
from pathlib import Path
from typing import Self, TypeVar

from tasklet_runner.store.failures import StoreName
from tasklet_runner.store.files import FileArea, digest_of, sync_directory
from tasklet_runner.store.index import DATABASE, OWNER, Index, ObjectRow, QuotaReachedError, connect
from tasklet_runner.store.locks import DirectoryLock
from tasklet_runner.store.protocol import CommitRecord, NewObject, ObjectInfo
from tasklet_runner.store.rows import object_rows
from tasklet_runner.store.uploads import Upload
from tasklet_runner.wire.errors import ObjectConflictError, RefusedError, StoreFencedError

DIRECT_BYTES = 256 * 1024
"""A batch up to this size is hashed in the caller's thread; a larger one in the worker thread."""

LOG_BYTES = 16 * 1024 * 1024
"""The write-ahead log is folded into the database each time it has grown by so much."""

Value = TypeVar("Value")

logger = logging.getLogger(__name__)


class DiskStore:
    """Implements `JobStore`; for one event loop. See `open`."""

    def __init__(self, name: StoreName, lock: DirectoryLock, index: Index, files: FileArea) -> None:
        self._name = name
        self._lock = lock
        self._index = index
        self._files = files
        self._worker = ThreadPoolExecutor(max_workers=1, thread_name_prefix="store")
        self._reserved = 0
        self._unfolded = 0
        self._folding: asyncio.Task[None] | None = None
        self._endpoint = ""

    @classmethod
    def open(cls, directory: Path, *, uid: str, quota_bytes: int, term: int) -> Self:
        """Open or make the store; the term is durable when the call returns. Blocking, some milliseconds.

        Raises:
            StateDirectoryError: another process has it open; the message names it.
            StoreFencedError: the store has seen a higher term.
            StoreError: the directory cannot be used.
        """
        return cls._open(StoreName(uid, directory, quota_bytes), term)

    @classmethod
    def open_volume(cls, name: StoreName) -> Self:
        """Open or make a store that belongs to whichever lease `take` names; raises as `open` does."""
        return cls._open(name, None)

    @classmethod
    def _open(cls, name: StoreName, term: int | None) -> Self:
        directory = name.directory
        with name.translated(), ExitStack() as undo:
            directory.mkdir(mode=0o700, parents=True, exist_ok=True)
            lock = DirectoryLock(directory)
            undo.callback(lock.release)
            index = Index(directory)
            undo.callback(index.close)
            if term is not None:
                _take_term(name, index, term)
            files = FileArea(directory)
            files.keep_only(index.files())
            sync_directory(directory)
            undo.pop_all()
            return cls(name, lock, index, files)

    @property
    def endpoint(self) -> str:
        """Where members put large outputs; empty until a server was started for this store."""
        return self._endpoint

    @endpoint.setter
    def endpoint(self, endpoint: str) -> None:
        self._endpoint = endpoint

    @property
    def uid(self) -> str:
        """The name under which put grants address this store."""
        return self._name.uid

    @property
    def term(self) -> int:
        """The highest term that the store has seen: that of the coordinator which opened it."""
        return self._index.term

    @property
    def quota_bytes(self) -> int:
        """How many bytes of objects it takes. Commit records and values do not count: a full store can say so."""
        return self._name.quota_bytes

    @property
    def owner(self) -> str:
        """Whom `take` named last; empty before the first."""
        with self._name.translated():
            return (self._index.get_value(OWNER) or b"").decode()

    @property
    def empty(self) -> bool:
        """True while it holds no object."""
        with self._name.translated():
            return self._index.empty

    def take(self, owner: str, term: int) -> None:
        """Belong to `owner` from now on, at a later term than any before; durable when the call returns. Blocking."""
        with self._name.translated():
            _take_term(self._name, self._index, term, owner)

    async def write(self, objects: Sequence[NewObject], commits: Sequence[CommitRecord]) -> int:
        """All of it or nothing, in one transaction; see `JobStore.write`."""
        with self._name.translated():
            if sum(len(item.data) for item in objects) <= DIRECT_BYTES:
                rows = object_rows(objects, self._files)
            else:
                rows = await self._run(lambda: object_rows(objects, self._files))
            return await self._apply(rows, commits)

    async def receive(self, key: str, pieces: AsyncIterator[bytes], max_bytes: int, digest: str = "") -> ObjectInfo:
        """Put one object that arrives in pieces, in flat memory. The same bytes again are no error.

        `digest`: SHA-256 in hex of what the writer means to put; empty: not checked.

        Raises:
            RefusedError: more than `max_bytes` came (TooLarge), or they are not those of `digest` (DigestMismatch).
            ObjectConflictError: the object is there with other bytes.
            StoreError: the disk fails or the quota is reached.
        """
        with self._name.translated():
            known = self._index.stat(key)
            upload = Upload(self._files, self._run, keeps=known is None)
            try:
                row = await self._collect(upload, key, pieces, max_bytes)
                if digest and row.digest.hex() != digest.lower():
                    raise _other_bytes_came(key, row, digest)
                if known is None:
                    await self._apply([row], ())
                elif known[1] != row.digest:
                    raise ObjectConflictError(f"object {key!r} is there with other bytes", remedy="put it elsewhere")
            except BaseException:
                await upload.abandon()
                raise
        return ObjectInfo(key, row.size, row.digest.hex())

    async def read(self, key: str, offset: int = 0, length: int = -1) -> bytes:
        """Bytes of an object, each checked against its checksum. Raises KeyError, StoreError."""
        with self._name.translated():
            row = self._index.find(key)
            if row is None:
                raise KeyError(key)
            start = min(offset, row.size)
            end = row.size if length < 0 else min(start + length, row.size)
            data = (
                self._inline(row, start, end)
                if row.file is None
                else await self._run(lambda: self._from_file(row, start, end))
            )
        if data is None:
            raise self._name.corrupt(key)
        return data

    async def stat(self, key: str) -> ObjectInfo:
        """What there is under a key. Raises KeyError when there is none."""
        with self._name.translated():
            known = self._index.stat(key)
        if known is None:
            raise KeyError(key)
        return ObjectInfo(key, known[0], known[1].hex())

    async def commits(self, stage: str, first: int = 0, limit: int = 1000) -> list[CommitRecord]:
        """Commit records of a stage with index >= first, in index order, at most `limit`."""
        with self._name.translated():
            return self._index.commits(stage, first, limit)

    async def put_value(self, name: str, value: bytes) -> None:
        """Replace a small record whole; durable when the call returns."""
        with self._name.translated():
            self._index.put_value(name, value)
        await self.sync()

    async def get_value(self, name: str) -> bytes | None:
        """The record, or None."""
        with self._name.translated():
            return self._index.get_value(name)

    async def sync(self) -> None:
        """Everything written so far is durable when the call returns."""
        with self._name.translated():
            await self._run(self._sync_log)

    @property
    def room(self) -> int:
        """Bytes that may still be put, those of puts under way deducted."""
        return self.quota_bytes - self._index.used - self._reserved

    def require_room(self, byte_count: int) -> None:
        """Raise StoreError when so many more bytes do not fit: said before they are sent."""
        if byte_count > self.room:
            raise self._name.quota_reached(self._index.used + self._reserved, byte_count)

    def page(self, prefix: str, after: str, limit: int) -> list[ObjectInfo]:
        """At most `limit` objects whose keys begin with `prefix` and come after `after`, in key order."""
        with self._name.translated():
            return [ObjectInfo(key, size, sum_.hex()) for key, size, sum_ in self._index.page(prefix, after, limit)]

    def bytes_beside(self, key: str, prefix: str) -> int:
        """Bytes of all objects below `<prefix>/` but this one: what of a grant for the prefix is used up."""
        with self._name.translated():
            return self._index.bytes_beside(key, prefix)

    async def used_bytes(self) -> int:
        """Bytes of all objects: what counts against the quota."""
        return self._index.used

    async def close(self) -> None:
        """Make everything durable and let the next one in. A second call does nothing."""
        if self._folding is not None:
            await self._folding
        with self._name.translated():
            await asyncio.to_thread(self._worker.shutdown)
            self._index.close()
            self._lock.release()

    async def _run(self, work: Callable[[], Value]) -> Value:
        return await asyncio.get_running_loop().run_in_executor(self._worker, work)

    async def _apply(self, rows: Sequence[ObjectRow], commits: Sequence[CommitRecord]) -> int:
        try:
            applied = self._index.apply(rows, commits, self.room)
        except BaseException as error:
            await self._remove([row.file for row in rows if row.file is not None])
            if isinstance(error, QuotaReachedError):
                raise self._name.quota_reached(self._index.used + self._reserved, error.wanted) from None
            raise
        await self._remove(applied.unused_files)
        self._fold_when_due(rows, commits)
        return applied.new_commits

    async def _remove(self, files: list[str]) -> None:
        if files:
            await self._run(lambda: self._files.remove(files))

    def _fold_when_due(self, rows: Sequence[ObjectRow], commits: Sequence[CommitRecord]) -> None:
        # About what a transaction adds to the log: the bytes, a third more for keys and trees, some whole pages.
        self._unfolded += sum(row.size for row in rows if row.data) + 150 * (len(rows) + len(commits)) + 20_000
        if self._unfolded >= LOG_BYTES and (self._folding is None or self._folding.done()):
            self._unfolded = 0
            self._folding = asyncio.create_task(self._run_fold())

    async def _run_fold(self) -> None:
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
            logger.warning("action=fold store=%s could not fold the log into the database", self.uid, exc_info=True)

    def _sync_log(self) -> None:
        descriptor = os.open(self._name.directory / f"{DATABASE}-wal", os.O_RDONLY | os.O_CLOEXEC)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)

    def _inline(self, row: ObjectRow, start: int, end: int) -> bytes | None:
        data = row.data or b""
        return data[start:end] if digest_of(data) == row.digest else None

    def _from_file(self, row: ObjectRow, start: int, end: int) -> bytes | None:
        if start >= end:
            return b""
        data = self._files.read(str(row.file), row.checksums or b"", start, end)
        if data is not None and len(data) == row.size and digest_of(data) != row.digest:
            return None
        return data

    async def _collect(self, upload: Upload, key: str, pieces: AsyncIterator[bytes], max_bytes: int) -> ObjectRow:
        reserved = 0
        try:
            async for piece in pieces:
                if upload.size + len(piece) > max_bytes:
                    raise RefusedError(
                        "TooLarge", f"object {key!r} has more than the granted {max_bytes:,} bytes", remedy="maxOutput"
                    )
                if upload.keeps:
                    self.require_room(len(piece))
                    self._reserved += len(piece)
                    reserved += len(piece)
                await upload.take(piece)
            return await upload.seal(key)
        finally:
            self._reserved -= reserved


def _other_bytes_came(key: str, row: ObjectRow, digest: str) -> RefusedError:
    return RefusedError(
        "DigestMismatch",
        f"object {key!r} arrived with SHA-256 {row.digest.hex()}, announced was {digest}",
        remedy="nothing was kept; put it again",
    )


def _take_term(name: StoreName, index: Index, term: int, owner: str | None = None) -> None:
    if term < index.term:
        raise StoreFencedError(
            f"{name} has been opened under term {index.term}, which is later than {term}",
            remedy="a newer coordinator runs this job; end this one",
        )
    if owner is not None:
        index.take(owner, term)
    elif term > index.term:
        index.raise_term(term)
