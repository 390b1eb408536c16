"""Objects that arrive together: in flat memory, into one file, visible all at once or never.

A batch is as few files as possible: very small objects stand in the index, the others one after the other in one
segment. Bytes are hashed and written in the store's own thread, while the next ones are received.
"""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable

from tasklet_runner.store.files import FileArea, IncomingFile
from tasklet_runner.store.index import ObjectRow
from tasklet_runner.wire.batches import MAX_BATCH_OBJECTS, BatchDecoder, ObjectHead
from tasklet_runner.wire.digests import BLOCK_BYTES, CHECKSUM_BYTES, BlockSums, Hasher, hasher_like
from tasklet_runner.wire.errors import ObjectConflictError, ProtocolError, RefusedError
from tasklet_runner.wire.store import ObjectInfo

INLINE_BYTES = 4096
"""An object of a batch up to this size stands in the index: a row of it costs less than a place in a file."""

INLINE_TOTAL_BYTES = 4 * 1024 * 1024
"""So many bytes of one batch at most: they are in memory until it is whole."""

Run = Callable[[Callable[[], None]], Awaitable[None]]
"""Runs a blocking function in the store's own thread."""

Judge = Callable[[ObjectHead], bytes | None]
"""The digest of the object that is there already, whose bytes are only hashed; None for one whose bytes are to be
kept. Raises LeaseGridError to refuse."""

_CHECKSUM = bytes(CHECKSUM_BYTES)


class Arriving:
    """One object of a batch. Blocking, but for the making of it."""

    def __init__(self, head: ObjectHead, known: bytes | None, *, inline: bool) -> None:
        self.head = head
        self._keeps = known is None
        # An object that is there is compared with what is known of it, a new one with what was announced.
        self._hasher = hasher_like(known or head.digest or _CHECKSUM)
        self._announced: Hasher | None = None
        if known and head.digest and len(head.digest) != 2 * len(known):
            self._announced = hasher_like(head.digest)
        self._sums = BlockSums() if head.size > BLOCK_BYTES or len(head.digest) > 2 * CHECKSUM_BYTES else None
        self._data: list[bytes] | None = [] if inline and known is None else None
        self._file: IncomingFile | None = None
        self._start = 0

    def add(self, piece: memoryview, segment: Callable[[], IncomingFile]) -> None:
        """The next bytes; they stand one after the other in the segment, as no other object comes in between."""
        self._hasher.update(piece)
        if self._announced is not None:
            self._announced.update(piece)
        if self._data is not None:
            self._data.append(bytes(piece))
        elif self._keeps:
            if self._file is None:
                self._file = segment()
                self._start = self._file.size
            if self._sums is not None:
                self._sums.add(piece)
            self._file.write(piece)

    def row(self) -> ObjectRow:
        """All bytes are in. Raises RefusedError (DigestMismatch) when they are not those that were announced."""
        digest, head = self._hasher.digest(), self.head
        came = digest if self._announced is None else self._announced.digest()
        if head.digest and came.hex() != head.digest.lower():
            raise other_bytes_came(head.key, came.hex(), head.digest)
        if self._file is not None:
            # The digest of an object of one block is the block's checksum too.
            sums = None if self._sums is None else self._sums.finish()
            return ObjectRow(head.key, head.size, digest, self._file.token, sums, None, self._start)
        return ObjectRow(head.key, head.size, digest, data=b"".join(self._data or ()))


class BatchUpload:
    """The body of a batch goes in, rows come out. `judge` is asked once for each object, when its head comes."""

    def __init__(self, files: FileArea, run: Run, judge: Judge) -> None:
        self._files = files
        self._run = run
        self._judge = judge
        self._decoder = BatchDecoder()
        self._objects: dict[str, Arriving] = {}
        self._current: Arriving | None = None
        self._inline = 0
        self._pending: list[tuple[Arriving, memoryview]] = []
        self._gathered = 0
        self._writing: asyncio.Future[None] | None = None
        self._segment: IncomingFile | None = None

    async def receive(self, pieces: AsyncIterator[bytes]) -> list[ObjectRow]:
        """All of it; segment and rows are complete, the segment durable. Raises ProtocolError and RefusedError."""
        async for piece in pieces:
            self._take(piece)
            if self._gathered >= BLOCK_BYTES:
                await self._hand_over()
        if not self._decoder.between:
            raise ProtocolError("the batch ends in the middle of an object", remedy="nothing was kept; put it again")
        await self._hand_over()
        await self._written()
        await self._run(self._finish)
        return [item.row() for item in self._objects.values()]

    async def abandon(self) -> None:
        """Leave nothing behind, also after `receive`."""
        if self._writing is not None:
            await asyncio.gather(self._writing, return_exceptions=True)
        await self._run(self._abandon)

    def _take(self, data: bytes) -> None:
        for part in self._decoder.feed(data):
            if isinstance(part, ObjectHead):
                self._begin(part)
            elif self._current is not None:
                self._pending.append((self._current, part))
                self._gathered += len(part)

    def _begin(self, head: ObjectHead) -> None:
        if head.key in self._objects:
            raise ProtocolError(f"object {head.key!r} stands twice in the batch", remedy="each key once")
        if len(self._objects) == MAX_BATCH_OBJECTS:
            raise RefusedError("TooLarge", f"more than {MAX_BATCH_OBJECTS:,} objects in a batch", remedy="divide it")
        known = self._judge(head)
        inline = head.size <= INLINE_BYTES and self._inline + head.size <= INLINE_TOTAL_BYTES
        if inline:
            self._inline += head.size
        self._current = Arriving(head, known, inline=inline)
        self._objects[head.key] = self._current

    async def _hand_over(self) -> None:
        await self._written()
        pending, self._pending, self._gathered = self._pending, [], 0
        self._writing = asyncio.ensure_future(self._run(lambda: self._write(pending)))

    async def _written(self) -> None:
        writing, self._writing = self._writing, None
        if writing is not None:
            await writing

    def _write(self, pending: list[tuple[Arriving, memoryview]]) -> None:
        for item, piece in pending:
            item.add(piece, self._opened)

    def _opened(self) -> IncomingFile:
        if self._segment is None:
            self._segment = self._files.create()
        return self._segment

    def _finish(self) -> None:
        if self._segment is not None:
            self._segment.finish()

    def _abandon(self) -> None:
        if self._segment is not None:
            self._segment.abandon()


def require_same(key: str, known: bytes, digest: str) -> None:
    """Raise ObjectConflictError when an object is there with other bytes than of this digest (hex) of the same kind."""
    if known.hex() != digest.lower():
        raise there_with_other_bytes(key)


def there_with_other_bytes(key: str) -> ObjectConflictError:
    """Objects are write-once."""
    return ObjectConflictError(f"object {key!r} is there with other bytes", remedy="put it elsewhere")


def other_bytes_came(key: str, digest: str, announced: str) -> RefusedError:
    """What arrived is not what was announced; both digests in hex."""
    return RefusedError(
        "DigestMismatch",
        f"object {key!r} arrived with the digest {digest}, announced was {announced}",
        remedy="nothing was kept; put it again",
    )


def infos(rows: list[ObjectRow]) -> tuple[ObjectInfo, ...]:
    """The rows as they are told."""
    return tuple(ObjectInfo(row.key, row.size, row.digest.hex()) for row in rows)
