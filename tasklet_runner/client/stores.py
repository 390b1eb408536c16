"""Everything that a lease's holder does with its store; what others do there under a grant is in `granted`."""

import os
from collections.abc import AsyncIterator, Sequence
from pathlib import Path
from types import TracebackType
from typing import Self

import msgspec
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from yarl import URL

from tasklet_runner.client.batches import BatchBody, BatchSink, Source, other_bytes, request_of
from tasklet_runner.client.granted import StoreConnections
from tasklet_runner.client.queues import StoreQueue
from tasklet_runner.client.store_calls import Ask, HolderCalls
from tasklet_runner.client.store_sessions import StoreSession
from tasklet_runner.client.transfers import PutBody, save
from tasklet_runner.client.transport import base_url
from tasklet_runner.wire.batches import BatchReply
from tasklet_runner.wire.digests import digest_like
from tasklet_runner.wire.errors import StoreError, UnreachableError
from tasklet_runner.wire.queues import CommitPage, CommitRecord
from tasklet_runner.wire.store import (
    BATCH_GET_PATH,
    BATCH_PATH,
    COMMITS_PATH,
    DIGEST_HEADER,
    LISTING_PATH,
    MAX_PAGE_OBJECTS,
    ObjectInfo,
    ObjectPage,
    object_path,
)

__all__ = ["StoreClient", "StoreConnections"]


class StoreClient:
    """The objects of one leased Memory or Block member; an async context manager, for one event loop. `calls`: its
    connections, for what else the holder may do there.

    Sessions are opened when needed and opened again when the member has forgotten them. Every call raises:
        RefusedError: the member said no, and why: LeaseExpired, Fenced, Unauthenticated, BadSignature, NotReady …
        StoreError: its disk fails or it is full (how full, and what to do).
        UnreachableError: no answer, an answer that was cut off, or another member at that address.
    """

    def __init__(self, endpoint: str, capability: str, holder_key: Ed25519PrivateKey) -> None:
        self._endpoint = endpoint
        self.calls = HolderCalls(endpoint, StoreSession(base_url(endpoint, "store"), capability, holder_key))

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.close()

    def show(self, capability: str) -> None:
        """Use a renewed capability for sessions that are opened from now on."""
        self.calls.session.capability = capability

    async def put(self, key: str, source: bytes | Path) -> ObjectInfo:
        """Put bytes, or a file's in flat memory; the same again is no error.

        Raises besides: RefusedError (Conflict: other bytes are there), InputError (the file cannot be read).
        """
        body = PutBody(source)
        ask = Ask("PUT", object_path(key), body.headers, body, expect=body.large)
        try:
            async with self.calls.answer(ask) as response:
                return msgspec.json.decode(await response.read(), type=ObjectInfo)
        except UnreachableError as error:
            raise body.failure or error from error

    async def get(self, key: str, offset: int = 0, length: int = -1) -> bytes:
        """The object's bytes, or `length` of them (-1: all) from `offset`; fewer where it ends.

        Raises besides: RefusedError (NotFound; RangeNotSatisfiable: it ends before `offset`).
        """
        if length == 0:
            return b""
        async with self.calls.answer(Ask("GET", object_path(key), _range(offset, length))) as response:
            data = await response.read()
        digest = response.headers[DIGEST_HEADER]
        if response.status == 200 and digest_like(digest, data).hex() != digest:
            raise self._other_bytes(key)
        return data

    async def get_file(self, key: str, path: Path) -> ObjectInfo:
        """Write the object to a file, in flat memory; the file appears whole or not at all.

        Raises besides: RefusedError (NotFound), InputError (the file cannot be written).
        """
        part = path.with_name(f".{path.name}.part")
        try:
            async with self.calls.answer(Ask("GET", object_path(key))) as response:
                size, digest = await save(response, part)
            if digest != response.headers[DIGEST_HEADER]:
                raise self._other_bytes(key)
            os.replace(part, path)
        finally:
            part.unlink(missing_ok=True)
        return ObjectInfo(key, size, digest)

    async def head(self, key: str) -> ObjectInfo:
        """What there is under a key. Raises besides: RefusedError (NotFound)."""
        async with self.calls.answer(Ask("HEAD", object_path(key))) as response:
            return ObjectInfo(key, int(response.headers["Content-Length"]), response.headers[DIGEST_HEADER])

    async def put_batch(self, objects: Sequence[tuple[str, Source]]) -> tuple[ObjectInfo, ...]:
        """Put objects, given as key and bytes or file, in flat memory: all of them or none. The same again is no error.

        Raises besides: RefusedError (Conflict: other bytes are there), InputError (a file cannot be read),
        ProtocolError (a key twice, or none that can be one).
        """
        body = BatchBody(objects)
        ask = Ask("POST", BATCH_PATH, {"Content-Length": str(body.size)}, body.pieces)
        try:
            async with self.calls.answer(ask) as response:
                return msgspec.json.decode(await response.read(), type=BatchReply).objects
        except UnreachableError as error:
            raise body.failure or error from error

    async def get_batch(self, keys: Sequence[str]) -> list[bytes]:
        """The bytes of these objects, in the order of the keys, at most MAX_BATCH_OBJECTS of them.

        Raises besides: RefusedError (NotFound, which names the first that are not there).
        """
        sink = BatchSink(self._endpoint, keys)
        found: list[bytes] = []
        pieces: list[bytes] = []
        async with self.calls.answer(Ask("POST", BATCH_GET_PATH, body=lambda: request_of(keys))) as response:
            async for data in response.content.iter_any():
                for part in sink.feed(data):
                    if isinstance(part, ObjectInfo):
                        found.append(b"".join(pieces))
                        pieces.clear()
                    else:
                        pieces.append(bytes(part))
        sink.finish()
        return found

    async def commits(self, stage: str) -> AsyncIterator[CommitRecord]:
        """Every commit record of a stage that came with an acknowledgement, in the order of their indexes."""
        first = 0
        while first >= 0:
            path = str(URL(COMMITS_PATH).with_query({"stage": stage, "first": str(first)}))
            async with self.calls.answer(Ask("GET", path)) as response:
                page = msgspec.json.decode(await response.read(), type=CommitPage)
            for record in page.commits:
                yield record
            first = page.next_first

    def queue(self, name: str) -> StoreQueue:
        """A queue of the store; it exists from its first message on."""
        return StoreQueue(self.calls, name)

    async def list_objects(self, prefix: str = "", page_objects: int = MAX_PAGE_OBJECTS) -> AsyncIterator[ObjectInfo]:
        """Every object whose key begins with `prefix`, in the order of UTF-8 bytes, asked for page by page."""
        after = ""
        while True:
            query = {"prefix": prefix, "after": after, "limit": str(page_objects)}
            async with self.calls.answer(Ask("GET", str(URL(LISTING_PATH).with_query(query)))) as response:
                page = msgspec.json.decode(await response.read(), type=ObjectPage)
            for info in page.objects:
                yield info
            if not (after := page.next_after):
                return

    async def close(self) -> None:
        """Close the connections; the client may be used again."""
        await self.calls.close()

    def _other_bytes(self, key: str) -> StoreError:
        return other_bytes(self._endpoint, key)


def _range(offset: int, length: int) -> dict[str, str]:
    if offset == 0 and length < 0:
        return {}
    return {"Range": f"bytes={offset}-" + ("" if length < 0 else str(offset + length - 1))}
