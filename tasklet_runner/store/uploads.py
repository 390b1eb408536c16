"""An object that arrives in pieces: flat memory, one block at a time, nothing visible before the end."""

import hashlib
from collections.abc import Awaitable, Callable
from functools import partial

from tasklet_runner.store.files import BLOCK_BYTES, FileArea, IncomingFile
from tasklet_runner.store.index import ObjectRow
from tasklet_runner.wire.programs import INLINE_OUTPUT_BYTES

Run = Callable[[Callable[[], None]], Awaitable[None]]
"""Runs a blocking function in the store's own thread."""


class Upload:
    """Pieces go in, an ObjectRow comes out. With `keeps` False the bytes are only hashed (the object is there)."""

    def __init__(self, files: FileArea, run: Run, *, keeps: bool) -> None:
        self.size = 0
        self._files = files
        self._run = run
        self.keeps = keeps
        self._digest = hashlib.sha256()
        self._buffer = bytearray()
        self._incoming: IncomingFile | None = None

    async def take(self, piece: bytes) -> None:
        """The next bytes, however many."""
        self.size += len(piece)
        self._buffer += piece
        while len(self._buffer) >= BLOCK_BYTES:
            block = bytes(self._buffer[:BLOCK_BYTES])
            del self._buffer[:BLOCK_BYTES]
            await self._run(partial(self._append, block))

    async def seal(self, key: str) -> ObjectRow:
        """All pieces are in. The row names a complete and durable file, or holds the bytes itself."""
        if self._incoming is None and self.size <= INLINE_OUTPUT_BYTES:
            data = bytes(self._buffer)
            return ObjectRow(key, self.size, hashlib.sha256(data).digest(), data=data)
        await self._run(self._finish)
        digest = self._digest.digest()
        if self._incoming is None:
            return ObjectRow(key, self.size, digest)
        return ObjectRow(key, self.size, digest, self._incoming.token, self._incoming.checksums)

    async def abandon(self) -> None:
        """Leave nothing behind, also after `seal`."""
        await self._run(self._abandon)

    def _append(self, block: bytes) -> None:
        self._digest.update(block)
        if self.keeps:
            if self._incoming is None:
                self._incoming = self._files.create()
            self._incoming.append(block)

    def _abandon(self) -> None:
        # Looked at here, behind whatever was under way in this thread when the upload was broken off.
        if self._incoming is not None:
            self._incoming.abandon()

    def _finish(self) -> None:
        if self._buffer:
            self._append(bytes(self._buffer))
        if self._incoming is not None:
            self._incoming.finish()
