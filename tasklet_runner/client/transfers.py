"""Objects between a holder's memory or files and HTTP bodies, in flat memory."""

import asyncio
import io
from collections.abc import AsyncIterator, Callable
from io import FileIO
from pathlib import Path
from typing import BinaryIO

import aiohttp

from tasklet_runner.wire.digests import Checksum, checksum, hasher_like
from tasklet_runner.wire.errors import InputError
from tasklet_runner.wire.store import CHECKSUM_DIGITS, DIGEST_AFTER, DIGEST_HEADER

PIECE_BYTES = 1024 * 1024


class PutBody:
    """The body of one put, and the headers that go with it: the checksum of a large one is reckoned while it is sent.

    `large`: ask whether it may come before it is sent. `failure`: why the source could not be read to its end. Raises
    InputError for a file that is not there.
    """

    def __init__(self, source: bytes | Path) -> None:
        size = _size_of(source)
        self._source = source
        self.large = size > PIECE_BYTES
        self.failure: InputError | None = None
        digest = checksum(source).hex() if isinstance(source, bytes) and not self.large else DIGEST_AFTER
        self._follows = digest == DIGEST_AFTER
        length = size + (CHECKSUM_DIGITS if self._follows else 0)
        self.headers = {DIGEST_HEADER: digest, "Content-Length": str(length)}

    def __call__(self) -> bytes | AsyncIterator[bytes]:
        """The body, made anew for each attempt."""
        return self._pieces() if self._follows or not isinstance(self._source, bytes) else self._source

    async def _pieces(self) -> AsyncIterator[bytes]:
        hasher = Checksum()
        try:
            with io.BytesIO(self._source) if isinstance(self._source, bytes) else self._source.open("rb") as file:
                following = asyncio.ensure_future(asyncio.to_thread(_read, file, hasher.update))
                try:
                    while piece := await following:
                        # The next one is read while this one is sent.
                        following = asyncio.ensure_future(asyncio.to_thread(_read, file, hasher.update))
                        yield piece
                finally:
                    await asyncio.gather(following, return_exceptions=True)
        except OSError as error:
            self.failure = _unreadable(self._source, error)
            raise self.failure from error
        yield hasher.digest().hex().encode()


def _size_of(source: bytes | Path) -> int:
    try:
        return len(source) if isinstance(source, bytes) else source.stat().st_size
    except OSError as error:
        raise _unreadable(source, error) from error


def _unreadable(source: bytes | Path, error: OSError) -> InputError:
    what = "bytes" if isinstance(source, bytes) else source
    return InputError(f"cannot read {what} to put it into the store: {error}")


def _read(file: BinaryIO, update: Callable[[bytes], None]) -> bytes:
    piece = file.read(PIECE_BYTES)
    update(piece)
    return piece


async def pieces_of_file(file: FileIO) -> AsyncIterator[bytes]:
    """An open file in pieces. Read in the loop, not in a thread: a member's process forks its slots, and what it puts
    lies on its own tmpfs.
    """
    while piece := file.read(PIECE_BYTES):
        yield piece


def write_all(file: FileIO, data: memoryview) -> None:
    """All of the bytes, where the file stands. Raises InputError."""
    try:
        while data:
            data = data[file.write(data) :]
    except OSError as error:
        raise InputError(f"cannot write {file.name}: {error}", remedy="is there space?") from error


async def save(response: aiohttp.ClientResponse, path: Path) -> tuple[int, str]:
    """Write an answer's body to a file; its size, and its digest (hex) of the kind that the answer names.

    Raises InputError, and aiohttp's own errors.
    """
    size, hasher = 0, hasher_like(response.headers[DIGEST_HEADER])
    try:
        with path.open("wb") as file:
            adding: asyncio.Future[None] = asyncio.ensure_future(asyncio.sleep(0))
            try:
                async for pieces in _gathered(response):
                    size += sum(map(len, pieces))
                    await adding
                    # The next ones are received while these are hashed and written.
                    adding = asyncio.ensure_future(asyncio.to_thread(_add, file, hasher.update, pieces))
                await adding
            finally:
                await asyncio.gather(adding, return_exceptions=True)
    except aiohttp.ClientError:
        raise  # some of them are OSErrors too, and not of the file
    except OSError as error:
        raise InputError(f"cannot write {path}: {error}", remedy="is there space and the right to write?") from error
    return size, hasher.digest().hex()


async def _gathered(response: aiohttp.ClientResponse) -> AsyncIterator[list[bytes]]:
    """About PIECE_BYTES of the body at a time."""
    waiting: list[bytes] = []
    gathered = 0
    async for piece in response.content.iter_any():
        waiting.append(piece)
        gathered += len(piece)
        if gathered >= PIECE_BYTES:
            yield waiting
            waiting, gathered = [], 0
    if waiting:
        yield waiting


async def refusal_in(response: aiohttp.ClientResponse) -> bytes:
    """The body of an answer that says no. To be called as soon as the answer is there."""
    # Looked at now: when the answer has been read, the connection is no longer the response's to tell.
    transport = response.connection.transport if response.connection is not None else None
    body = await response.read()
    if transport is not None and transport.get_write_buffer_size():
        # The answer came before the request's body was sent. Nobody wants the rest, so nothing waits until it is sent.
        transport.abort()
    return body


def _add(file: BinaryIO, update: Callable[[bytes], None], pieces: list[bytes]) -> None:
    for piece in pieces:
        file.write(piece)
        update(piece)
