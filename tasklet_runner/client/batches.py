"""Batches between a caller's memory or files and HTTP bodies, in flat memory and without threads.

A member's process forks its slots, so nothing here runs in a thread: what is hashed or written at once is bounded.
"""

import asyncio
import os
from collections.abc import AsyncIterator, Callable, Iterable, Sequence
from pathlib import Path

import msgspec

from tasklet_runner.client.transfers import PIECE_BYTES
from tasklet_runner.wire.batches import BatchDecoder, ObjectHead, framed, framed_bytes
from tasklet_runner.wire.digests import Checksum, Hasher, checksum, hasher_like
from tasklet_runner.wire.errors import InputError, LeaseGridError, StoreError
from tasklet_runner.wire.store import ObjectInfo

Source = bytes | Path
"""An object's bytes, or the file that has them."""

Admit = Callable[[int], None]
"""Told how many bytes an answer has, its heads included, before they are read; raises when they may not come."""

OBJECTS_AT_ONCE = 64
"""After so many, others run: ten thousand small files are a second's work, and no deadline may wait for that."""


class BatchBody:
    """The body of one batch. `size`: of the whole body in bytes. `failure`: why it could not be read to its end.

    Raises InputError for a file that is not there, ProtocolError for a key that is not UTF-8.
    """

    def __init__(self, objects: Sequence[tuple[str, Source]]) -> None:
        self._objects = [(key, source, _size_of(source)) for key, source in objects]
        self.size = sum(framed_bytes(key, size) for key, _, size in self._objects)
        self.failure: LeaseGridError | None = None

    async def pieces(self) -> AsyncIterator[bytes]:
        """The bytes. An HTTP library tells of a body that fails as of a broken connection: see `failure`."""
        waiting: list[bytes] = []
        gathered = 0
        try:
            for number, (key, source, size) in enumerate(self._objects, start=1):
                if number % OBJECTS_AT_ONCE == 0:
                    await asyncio.sleep(0)
                if size <= PIECE_BYTES:
                    source = _whole(source)
                waiting.append(framed(ObjectHead(key, size, await _digest_of(source))))
                async for piece in _pieces(source):
                    waiting.append(piece)
                    gathered += len(piece)
                    if gathered >= PIECE_BYTES:
                        yield b"".join(waiting)
                        waiting, gathered = [], 0
        except OSError as error:
            self.failure = InputError(f"cannot read {error.filename} to put it into the store: {error}")
            raise self.failure from error
        if waiting:
            yield b"".join(waiting)


class BatchSink:
    """Takes the objects of an answer that were asked for, in their order, and checks each one's digest."""

    def __init__(self, endpoint: str, keys: Iterable[str]) -> None:
        self._endpoint = endpoint
        self._expected = iter(keys)
        self._decoder = BatchDecoder()
        self._head: ObjectHead | None = None
        self._left = 0
        self._hasher: Hasher = Checksum()

    def feed(self, data: bytes) -> Iterable[ObjectInfo | memoryview]:
        """The objects' bytes in pieces, and after the last piece of each what it is.

        Raises StoreError for other objects or bytes than were asked for, ProtocolError for what is no batch.
        """
        for part in self._decoder.feed(data):
            if isinstance(part, ObjectHead):
                self._begin(part)
            else:
                self._hasher.update(part)
                self._left -= len(part)
                yield part
            if self._head is not None and not self._left:
                yield self._end(self._head)

    def finish(self) -> None:
        """The answer has ended. Raises StoreError when objects are missing."""
        if not self._decoder.between or self._head is not None or next(self._expected, None) is not None:
            raise StoreError(f"{self._endpoint} sent fewer objects than it announced", remedy="get them again")

    def _begin(self, head: ObjectHead) -> None:
        if head.key != next(self._expected, None):
            raise StoreError(f"{self._endpoint} sent {head.key!r}, which was not asked for", remedy="get them again")
        self._head, self._left, self._hasher = head, head.size, hasher_like(head.digest)

    def _end(self, head: ObjectHead) -> ObjectInfo:
        self._head = None
        if self._hasher.digest().hex() != head.digest:
            raise other_bytes(self._endpoint, head.key)
        return ObjectInfo(head.key, head.size, head.digest)


def other_bytes(endpoint: str, key: str) -> StoreError:
    """An object's bytes are not those that were put."""
    return StoreError(f"object {key!r} of {endpoint} arrived with other bytes", remedy="get it again")


def request_of(keys: Sequence[str]) -> bytes:
    """The body that asks for these objects."""
    return msgspec.json.encode({"keys": keys})


def _size_of(source: Source) -> int:
    if isinstance(source, bytes):
        return len(source)
    try:
        return os.stat(source).st_size
    except OSError as error:
        raise InputError(f"cannot read {source} to put it into the store: {error}") from error


def _whole(source: Source) -> bytes:
    return source if isinstance(source, bytes) else source.read_bytes()


async def _digest_of(source: Source) -> str:
    if isinstance(source, bytes) and len(source) <= PIECE_BYTES:
        return checksum(source).hex()
    hasher = Checksum()
    async for piece in _pieces(source):
        if len(piece) == PIECE_BYTES:
            # Let others run: a connection's heartbeat does not wait for a gigabyte.
            await asyncio.sleep(0)
        hasher.update(piece)
    return hasher.digest().hex()


async def _pieces(source: Source) -> AsyncIterator[bytes]:
    if isinstance(source, bytes):
        for start in range(0, len(source), PIECE_BYTES):
            yield source[start : start + PIECE_BYTES]
        return
    with source.open("rb", buffering=0) as file:
        while piece := file.read(PIECE_BYTES):
            yield piece
