"""Objects read back, each byte checked against its checksum: whole, by range, or many one after the other."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Sequence
from typing import TypeVar

from tasklet_runner.store.failures import StoreName
from tasklet_runner.store.files import Extent, FileArea
from tasklet_runner.store.index import Index, ObjectRow
from tasklet_runner.wire.batches import ObjectHead, framed
from tasklet_runner.wire.digests import BLOCK_BYTES, CHECKSUM_BYTES, digest_like

WINDOW_BYTES = BLOCK_BYTES
"""About so much of a batch is read at once, while the window before it is sent."""

_KEYS_AT_ONCE = 100

Value = TypeVar("Value")
Run = Callable[[Callable[[], bytes]], Awaitable[bytes]]
"""Runs a blocking function in the store's own thread."""

_Part = bytes | tuple[ObjectRow, int, int]
"""Bytes as they are, or those [start, end) of an object."""


class Reader:
    """Reads for one store."""

    def __init__(self, name: StoreName, index: Index, files: FileArea, run: Run) -> None:
        self._name = name
        self._index = index
        self._files = files
        self._run = run

    async def read(self, key: str, offset: int, length: int) -> bytes:
        """See `DiskStore.read`."""
        row = self._index.find(key)
        if row is None:
            raise KeyError(key)
        self._require_size(row)
        start = min(offset, row.size)
        end = row.size if length < 0 else min(start + length, row.size)
        if row.file is None:
            return self._bytes_of(row, start, end)
        return await self._run(lambda: self._bytes_of(row, start, end))

    async def describe(self, keys: Sequence[str]) -> dict[str, tuple[int, bytes]]:
        """Size and digest of those of the objects that are there; others run in between."""
        found: dict[str, tuple[int, bytes]] = {}
        for at in range(0, len(keys), _KEYS_AT_ONCE * 10):
            found |= self._index.stat_many(keys[at : at + _KEYS_AT_ONCE * 10])
            await asyncio.sleep(0)
        return found

    async def windows(self, keys: Sequence[str]) -> AsyncIterator[bytes]:
        """The framed batch of these objects, in pieces of about WINDOW_BYTES. Raises KeyError, StoreError."""
        window: list[_Part] = []
        gathered = 0
        for part, size in self._parts(keys):
            window.append(part)
            gathered += size
            if gathered >= WINDOW_BYTES:
                yield await self._filled(window)
                window, gathered = [], 0
        if window:
            yield await self._filled(window)

    async def _filled(self, window: list[_Part]) -> bytes:
        return await self._run(lambda: self._joined(window))

    def _joined(self, window: list[_Part]) -> bytes:
        return b"".join(part if isinstance(part, bytes) else self._bytes_of(*part) for part in window)

    def _parts(self, keys: Sequence[str]) -> Iterator[tuple[_Part, int]]:
        for at in range(0, len(keys), _KEYS_AT_ONCE):
            some = keys[at : at + _KEYS_AT_ONCE]
            rows = self._index.find_many(some)
            for key in some:
                row = rows[key]
                self._require_size(row)
                yield framed(ObjectHead(key, row.size, row.digest.hex())), 0
                for start in range(0, row.size, BLOCK_BYTES):
                    end = min(start + BLOCK_BYTES, row.size)
                    yield (row, start, end), end - start

    def _require_size(self, row: ObjectRow) -> None:
        """No checksum covers the size in a row, and the first blocks of an object are as sound as all of them."""
        blocks = max(1, -(-row.size // BLOCK_BYTES))
        if row.file is None:
            sound = len(row.data or b"") == row.size
        elif row.checksums is None:
            sound = row.size > 0 and blocks == 1
        else:
            sound = row.size > 0 and len(row.checksums) == blocks * CHECKSUM_BYTES
        if not sound:
            raise self._name.corrupt(row.key)

    def _bytes_of(self, row: ObjectRow, start: int, end: int) -> bytes:
        data = self._inline(row, start, end) if row.file is None else self._from_file(row, start, end)
        if data is None:
            raise self._name.corrupt(row.key)
        return data

    def _inline(self, row: ObjectRow, start: int, end: int) -> bytes | None:
        data = row.data or b""
        return data[start:end] if digest_like(row.digest, data) == row.digest else None

    def _from_file(self, row: ObjectRow, start: int, end: int) -> bytes | None:
        if start >= end:
            return b""
        # By the checksums of its blocks alone, which for an object of one block may be its digest: whoever gets the
        # object whole compares its digest once more.
        sums = row.digest if row.checksums is None else row.checksums
        return self._files.read(Extent(str(row.file), row.start, row.size, sums), start, end)
