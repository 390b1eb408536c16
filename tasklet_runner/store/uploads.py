"""An object that arrives in pieces: flat memory, one block at a time, nothing visible before the end."""

import asyncio
import hashlib
from collections.abc import Awaitable, Callable
from functools import partial

from tasklet_runner.store.files import FileArea, IncomingFile
from tasklet_runner.store.index import ObjectRow
from tasklet_runner.wire.digests import BLOCK_BYTES, BlockSums, Checksum, checksum
from tasklet_runner.wire.programs import INLINE_OUTPUT_BYTES

Run = Callable[[Callable[[], None]], Awaitable[None]]
"""Runs a blocking function in the store's own thread."""


class Upload:
    """Pieces go in, an ObjectRow comes out. With `keeps` False the bytes are only hashed (the object is there)."""

    def __init__(self, files: FileArea, run: Run, *, keeps: bool) -> None:
        self.size = 0
        self.checksum = b""
        self._files = files
        self._run = run
        self.keeps = keeps
        self._sha256, self._checksum = hashlib.sha256(), Checksum()
        self._sums = BlockSums()
        self._pieces: list[bytes] = []
        self._gathered = 0
        self._writing: asyncio.Future[None] | None = None
        self._incoming: IncomingFile | None = None

    async def take(self, piece: bytes) -> None:
        """The next bytes, however many."""
        self.size += len(piece)
        self._pieces.append(piece)
        self._gathered += len(piece)
        if self._gathered >= BLOCK_BYTES:
            await self._hand_over()

    async def seal(self, key: str) -> ObjectRow:
        """All pieces are in, `checksum` is theirs. The row names a complete, durable file or holds the bytes itself."""
        if self._incoming is None and self.size <= INLINE_OUTPUT_BYTES:
            data = b"".join(self._pieces)
            self.checksum = checksum(data)
            return ObjectRow(key, self.size, hashlib.sha256(data).digest(), data=data)
        await self._hand_over()
        await self._written()
        await self._run(self._finish)
        digest, self.checksum = self._sha256.digest(), self._checksum.digest()
        if self._incoming is None:
            return ObjectRow(key, self.size, digest)
        return ObjectRow(key, self.size, digest, self._incoming.token, self._sums.finish())

    async def abandon(self) -> None:
        """Leave nothing behind, also after `seal`."""
        if self._writing is not None:
            await asyncio.gather(self._writing, return_exceptions=True)
        await self._run(self._abandon)

    async def _hand_over(self) -> None:
        await self._written()
        pieces, self._pieces, self._gathered = self._pieces, [], 0
        # The next pieces are received meanwhile.
        self._writing = asyncio.ensure_future(self._run(partial(self._append, pieces)))

    async def _written(self) -> None:
        writing, self._writing = self._writing, None
        if writing is not None:
            await writing

    def _append(self, pieces: list[bytes]) -> None:
        if self.keeps and self._incoming is None:
            self._incoming = self._files.create()
        for piece in pieces:
            self._sha256.update(piece)
            self._checksum.update(piece)
            if self._incoming is not None:
                self._sums.add(piece)
                self._incoming.write(piece)

    def _abandon(self) -> None:
        if self._incoming is not None:
            self._incoming.abandon()

    def _finish(self) -> None:
        if self._incoming is not None:
            self._incoming.finish()
