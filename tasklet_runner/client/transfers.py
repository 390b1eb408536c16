"""Objects between a holder's memory or files and HTTP bodies, in flat memory."""

import asyncio
import hashlib
from collections.abc import AsyncIterator, Callable
from io import FileIO
from pathlib import Path
from typing import BinaryIO

import aiohttp

from tasklet_runner.wire.digests import hasher_like
from tasklet_runner.wire.errors import InputError
from tasklet_runner.wire.store import DIGEST_HEADER

PIECE_BYTES = 1024 * 1024


def measured(source: bytes | Path) -> tuple[int, str]:
    """Size and SHA-256 (hex) of bytes or a file. Blocking; raises InputError."""
    if isinstance(source, bytes):
        return len(source), hashlib.sha256(source).hexdigest()
    try:
        with source.open("rb") as file:
            digest = hashlib.file_digest(file, "sha256").hexdigest()
            return file.tell(), digest
    except OSError as error:
        raise InputError(f"cannot read {source} to put it into the store: {error}") from error


def body_of(source: bytes | Path) -> bytes | AsyncIterator[bytes]:
    """A request's body: small ones as they are, others in pieces, so that neither loop nor memory is filled."""
    return source if isinstance(source, bytes) and len(source) <= PIECE_BYTES else _pieces_of(source)


async def pieces_of_file(file: FileIO) -> AsyncIterator[bytes]:
    """An open file in pieces. Read in the loop, not in a thread: a member's process forks its slots, and what it puts
    lies on its own tmpfs.
    """
    while piece := file.read(PIECE_BYTES):
        yield piece


async def _pieces_of(source: bytes | Path) -> AsyncIterator[bytes]:
    if isinstance(source, bytes):
        for start in range(0, len(source), PIECE_BYTES):
            yield source[start : start + PIECE_BYTES]
        return
    with source.open("rb") as file:
        while piece := await asyncio.to_thread(file.read, PIECE_BYTES):
            yield piece


async def save(response: aiohttp.ClientResponse, path: Path) -> tuple[int, str]:
    """Write an answer's body to a file; its size, and its digest (hex) of the kind that the answer names.

    Raises InputError, and aiohttp's own errors.
    """
    size, hasher = 0, hasher_like(response.headers[DIGEST_HEADER])
    try:
        with path.open("wb") as file:
            waiting: list[bytes] = []
            gathered = 0
            async for piece in response.content.iter_any():
                waiting.append(piece)
                gathered += len(piece)
                if gathered >= PIECE_BYTES:
                    await asyncio.to_thread(_add, file, hasher.update, waiting)
                    size, gathered, waiting = size + gathered, 0, []
            await asyncio.to_thread(_add, file, hasher.update, waiting)
    except aiohttp.ClientError:
        raise  # some of them are OSErrors too, and not of the file
    except OSError as error:
        raise InputError(f"cannot write {path}: {error}", remedy="is there space and the right to write?") from error
    return size + gathered, hasher.digest().hex()


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
