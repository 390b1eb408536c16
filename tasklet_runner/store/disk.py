"""A store over a directory: SQLite for the index and for small objects, files for large ones.

Transactions run in the caller's thread: one of a few hundred small objects takes a millisecond and never waits for
the disk, while a worker thread would hand the interpreter lock back and forth once per row. All that does wait for
the disk (files, syncs, folding the log into the database) runs in the store's one worker thread.
"""

import asyncio
from collections.abc import AsyncIterator, Callable, Collection, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from pathlib import Path
from typing import Self, TypeVar

from tasklet_runner.store.arrivals import Arrivals
from tasklet_runner.store.batches import BatchUpload, infos, other_bytes_came, there_with_other_bytes
from tasklet_runner.store.checkpoints import Checkpoints
from tasklet_runner.store.failures import StoreName
from tasklet_runner.store.files import FileArea, sync_directory
from tasklet_runner.store.grants import Allowance
from tasklet_runner.store.index import OWNER, Index, ObjectRow, QuotaReachedError
from tasklet_runner.store.locks import DirectoryLock
from tasklet_runner.store.log import WriteAheadLog
from tasklet_runner.store.neighbours import Neighbours
from tasklet_runner.store.protocol import CommitRecord, NewObject, ObjectInfo
from tasklet_runner.store.queues import Queues
from tasklet_runner.store.quota import Quota, Reservation
from tasklet_runner.store.reading import Reader
from tasklet_runner.store.rows import object_rows
from tasklet_runner.store.terms import take_term, take_writer
from tasklet_runner.store.uploads import Upload
from tasklet_runner.wire.digests import CHECKSUM_BYTES, checksum
from tasklet_runner.wire.errors import ObjectConflictError, RefusedError

DIRECT_BYTES = 256 * 1024
"""A batch up to this size is hashed in the caller's thread; a larger one in the worker thread."""

Value = TypeVar("Value")


def _unannounced() -> str:
    return ""


class DiskStore:
    """Implements `JobStore`; for one event loop. See `open`."""

    def __init__(self, name: StoreName, lock: DirectoryLock, index: Index, files: FileArea) -> None:
        self._name = name
        self._lock = lock
        self._index = index
        self._files = files
        self._worker = ThreadPoolExecutor(max_workers=1, thread_name_prefix="store")
        self._quota = Quota(name, index)
        self._reader = Reader(name, index, files, self._run)
        self._log = WriteAheadLog(name, self._run)
        self._endpoint = ""
        self.queues = Queues(name, index, self._quota)
        self.neighbours = Neighbours(name, index, files, self._quota, self._apply)
        self.checkpoints = Checkpoints(name, self._quota, durable=files.durable)

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
    def open_volume(cls, name: StoreName, *, durable: bool = True) -> Self:
        """Open or make a store that belongs to whichever lease `take` names; raises as `open` does.

        `durable`: what was put survives a power cut from the answer on; a store that dies with its process needs not.
        """
        return cls._open(name, None, durable=durable)

    @classmethod
    def _open(cls, name: StoreName, term: int | None, *, durable: bool = True) -> Self:
        directory = name.directory
        with name.translated(), ExitStack() as undo:
            directory.mkdir(mode=0o700, parents=True, exist_ok=True)
            lock = DirectoryLock(directory)
            undo.callback(lock.release)
            index = Index(directory)
            undo.callback(index.close)
            if term is not None:
                take_term(name, index, term)
            files = FileArea(directory, durable=durable)
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
        """True while it holds no object and no checkpoint, and had no message."""
        with self._name.translated():
            return self._index.empty and self.checkpoints.empty

    def take(self, owner: str, term: int) -> None:
        """Belong to `owner` from now on, at a later term than any before; durable when the call returns. Blocking."""
        with self._name.translated():
            take_term(self._name, self._index, term, owner)

    @property
    def writer_term(self) -> int:
        """The highest term of a job's coordinator that writes here; 0 while none has."""
        return self._index.writer

    def write_from(self, term: int) -> None:
        """Let the coordinator of this term write, and none of a lower one; durable when the call returns. Blocking.

        Raises StoreFencedError when there was a higher one.
        """
        with self._name.translated():
            take_writer(self._name, self._index, term)

    async def write(self, objects: Sequence[NewObject], commits: Sequence[CommitRecord]) -> int:
        """All of it or nothing, in one transaction; see `JobStore.write`."""
        with self._name.translated():
            try:
                return await self._apply(await self._rows(objects), commits)
            except ObjectConflictError:
                # What came in a batch is known by another digest, which is worth comparing only now.
                others = self._not_from_batches(objects)
                if len(others) == len(objects):
                    raise
                return await self._apply(await self._rows(others), commits)

    async def receive(
        self, key: str, pieces: AsyncIterator[bytes], max_bytes: int, digest: Callable[[], str] = _unannounced
    ) -> ObjectInfo:
        """Put one object that arrives in pieces, in flat memory. The same bytes again are no error.

        `digest`, asked when all pieces are in: that of what the writer means to put, in hex; empty: not checked.

        Raises:
            RefusedError: more than `max_bytes` came (TooLarge), or they are not those of `digest` (DigestMismatch).
            ObjectConflictError: the object is there with other bytes.
            StoreError: the disk fails or the quota is reached.
        """
        with self._name.translated(), self._quota.reservation() as reserved:
            known = self._index.stat(key)
            upload = Upload(self._files, self._run, keeps=known is None)
            try:
                row = await self._collect(upload, key, pieces, max_bytes, reserved)
                digests = {row.digest.hex(), upload.checksum.hex()}
                if (announced := digest()) and announced.lower() not in digests:
                    raise other_bytes_came(key, row.digest.hex(), announced)
                if known is None:
                    reserved.release()
                    await self._apply([row], ())
                elif known[1].hex() not in digests:
                    raise there_with_other_bytes(key)
            except BaseException:
                await upload.abandon()
                raise
        return ObjectInfo(key, row.size, row.digest.hex())

    async def receive_batch(self, pieces: AsyncIterator[bytes], allowance: Allowance) -> tuple[ObjectInfo, ...]:
        """Put a framed batch (`wire.batches`) that arrives in pieces, in flat memory: all of its objects or none.

        Raises:
            RefusedError: NotGranted or TooLarge by the allowance, or bytes are not those announced (DigestMismatch).
            ObjectConflictError: an object is there with other bytes.
            ProtocolError: the batch cannot be read, is cut off, or has a key twice.
            StoreError: the disk fails or the quota is reached.
        """
        with self._name.translated(), self._quota.reservation() as reserved:
            arriving = Arrivals(self._index, allowance, reserved)
            upload = BatchUpload(self._files, self._run, arriving.judge)
            try:
                rows = await upload.receive(pieces)
                fresh = arriving.fresh(rows)
                reserved.release()
                await self._apply(fresh, ())
            except BaseException:
                await upload.abandon()
                raise
        return infos(rows)

    async def read(self, key: str, offset: int = 0, length: int = -1) -> bytes:
        """Bytes of an object, each checked against its checksum. Raises KeyError, StoreError."""
        with self._name.translated():
            return await self._reader.read(key, offset, length)

    async def describe(self, keys: Sequence[str]) -> dict[str, tuple[int, bytes]]:
        """Size and digest of those of the objects that are there."""
        with self._name.translated():
            return await self._reader.describe(keys)

    async def read_batch(self, keys: Sequence[str]) -> AsyncIterator[bytes]:
        """The framed batch of these objects, in pieces of about a MiB. Raises KeyError, StoreError."""
        with self._name.translated():
            async for window in self._reader.windows(keys):
                yield window

    async def stat(self, key: str) -> ObjectInfo:
        """What there is under a key. Raises KeyError when there is none."""
        with self._name.translated():
            known = self._index.stat(key)
        if known is None:
            raise KeyError(key)
        return ObjectInfo(key, known[0], known[1].hex())

    async def drop_uncommitted(self) -> None:
        """Delete the objects of attempts that are not visible; see `JobStore.drop_uncommitted`."""
        with self._name.translated():
            await self._remove(self._index.drop_uncommitted())

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

    def delete_checkpoints(self, prefix: str) -> None:
        """Delete the checkpoints of the key `prefix` and of all below `<prefix>/`; all there are when it is empty."""
        self.checkpoints.delete_below(prefix)

    async def sync(self) -> None:
        """Everything written so far is durable when the call returns."""
        with self._name.translated():
            await self._log.sync()

    @property
    def room(self) -> int:
        """Bytes that may still be put, those of puts under way deducted."""
        return self._quota.room

    def require_room(self, byte_count: int) -> None:
        """Raise StoreError when so many more bytes do not fit: said before they are sent."""
        self._quota.require(byte_count)

    def page(self, prefix: str, after: str, limit: int) -> list[ObjectInfo]:
        """At most `limit` objects whose keys begin with `prefix` and come after `after`, in key order."""
        with self._name.translated():
            return [ObjectInfo(key, size, sum_.hex()) for key, size, sum_ in self._index.page(prefix, after, limit)]

    def bytes_beside(self, key: str, prefix: str) -> int:
        """Bytes of all objects below `<prefix>/` but this one: what of a grant for the prefix is used up."""
        with self._name.translated():
            return self._index.bytes_below(prefix, key)

    async def used_bytes(self) -> int:
        """Bytes of all objects: what counts against the quota."""
        return self._index.used

    async def close(self) -> None:
        """Make everything durable and let the next one in. A second call does nothing."""
        with self._name.translated(), ExitStack() as last:
            # Whatever of it fails, the next one may come in.
            last.callback(self._lock.release)
            last.callback(self._index.close)
            last.callback(self._worker.shutdown)
            await self._log.settle()
            await asyncio.to_thread(self._worker.shutdown)
            await asyncio.to_thread(self.checkpoints.close)

    async def _rows(self, objects: Sequence[NewObject]) -> list[ObjectRow]:
        if sum(len(item.data) for item in objects) <= DIRECT_BYTES:
            return object_rows(objects, self._files)
        return await self._run(lambda: object_rows(objects, self._files))

    def _not_from_batches(self, objects: Sequence[NewObject]) -> list[NewObject]:
        known = self._index.stat_many([item.key for item in objects])
        return [
            item
            for item in objects
            if len(digest := known.get(item.key, (0, b""))[1]) != CHECKSUM_BYTES or checksum(item.data) != digest
        ]

    async def _run(self, work: Callable[[], Value]) -> Value:
        return await asyncio.get_running_loop().run_in_executor(self._worker, work)

    async def _apply(self, rows: Sequence[ObjectRow], commits: Sequence[CommitRecord] = ()) -> int:
        try:
            applied = self._index.apply(rows, commits, self.room)
        except BaseException as error:
            await self._remove({row.file for row in rows if row.file is not None})
            if isinstance(error, QuotaReachedError):
                raise self._name.quota_reached(self._quota.taken, error.wanted) from None
            raise
        await self._remove(applied.unused_files)
        self._log.wrote(rows, len(commits))
        return applied.new_commits

    async def _remove(self, files: Collection[str]) -> None:
        if files:
            await self._run(lambda: self._files.remove(files))

    async def _collect(
        self, upload: Upload, key: str, pieces: AsyncIterator[bytes], max_bytes: int, reserved: Reservation
    ) -> ObjectRow:
        async for piece in pieces:
            if upload.size + len(piece) > max_bytes:
                raise RefusedError(
                    "TooLarge", f"object {key!r} has more than the granted {max_bytes:,} bytes", remedy="maxOutput"
                )
            if upload.keeps:
                reserved.extend(len(piece))
            await upload.take(piece)
        return await upload.seal(key)
