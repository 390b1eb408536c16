"""Batches of a DiskStore over HTTP: received whole or not at all, sent in flat memory. Who may is asked elsewhere.

Everything raises LeaseGridError for the caller to turn into a refusal, until the first byte of an answer has left.
"""

import asyncio
import socket
from collections.abc import AsyncIterator, Mapping
from contextlib import suppress

import msgspec
from aiohttp import web

from tasklet_runner.doors.bodies import pieces_of, room_to_give, room_to_take, streamed, whole_body
from tasklet_runner.store.disk import DiskStore
from tasklet_runner.store.grants import Allowance
from tasklet_runner.store.neighbours import not_here
from tasklet_runner.wire.batches import MAX_BATCH_OBJECTS, BatchReply, BatchRequest, framed_bytes
from tasklet_runner.wire.decoding import UNREADABLE
from tasklet_runner.wire.errors import LeaseGridError, ProtocolError, RefusedError
from tasklet_runner.wire.neighbours import HandedFiles, Places

MAX_REQUEST_BYTES = 16 * 1024 * 1024
"""Of a request that is read whole: keys, messages."""

_NAMED = 5


async def receive_batch(request: web.Request, store: DiskStore, allowance: Allowance) -> web.Response:
    """Put the objects of the request's body. Raises what `DiskStore.receive_batch` does."""
    async with room_to_take(request, streamed(request)):
        objects = await store.receive_batch(pieces_of(request), allowance)
    return web.Response(body=msgspec.json.encode(BatchReply(objects)), content_type="application/json")


async def asked_keys(request: web.Request) -> tuple[str, ...]:
    """Which objects are wanted. Raises ProtocolError; RefusedError (TooLarge)."""
    try:
        keys = msgspec.json.decode(await whole_body(request, MAX_REQUEST_BYTES), type=BatchRequest).keys
    except UNREADABLE as error:
        raise ProtocolError(f"the request cannot be read: {error}", remedy='send {"keys": ["…"]}') from error
    if len(keys) > MAX_BATCH_OBJECTS:
        raise _too_many(f"{len(keys):,} objects")
    return keys


async def send_batch(request: web.Request, store: DiskStore, keys: tuple[str, ...]) -> web.StreamResponse:
    """The objects in the order of the keys. Raises RefusedError (NotFound) that names the first that are not there."""
    known = await store.describe(keys)
    _require_known(keys, known)
    response = web.StreamResponse(headers={"Content-Type": "application/octet-stream"})
    response.content_length = sum(framed_bytes(key, *known[key]) for key in keys)
    async with room_to_give(request, response.content_length):
        windows = store.read_batch(keys)
        # Read before the head leaves: what cannot be read at all is a refusal in words.
        first = await anext(windows, b"")
        await response.prepare(request)
        await _send(request, response, first, windows)
    return response


async def take_files(request: web.Request, store: DiskStore, allowance: Allowance) -> web.Response:
    """Put the files that are named. Raises what `Neighbours.take` does."""
    _require_near(request)
    try:
        handed = msgspec.msgpack.decode(await whole_body(request, MAX_REQUEST_BYTES), type=HandedFiles)
    except UNREADABLE as error:
        raise ProtocolError(f"the request cannot be read: {error}", remedy="put the objects' bytes") from error
    objects = await store.neighbours.take(handed.files, allowance)
    return web.Response(body=msgspec.json.encode(BatchReply(objects)), content_type="application/json")


async def tell_places(request: web.Request, store: DiskStore, keys: tuple[str, ...]) -> web.Response:
    """Where the objects stand. Raises RefusedError (NotFound, NotHere)."""
    _require_near(request)
    _require_known(keys, await store.describe(keys))
    body = msgspec.msgpack.encode(Places(store.neighbours.places(keys)))
    return web.Response(body=body, content_type="application/msgpack")


def _require_near(request: web.Request) -> None:
    connection = request.get_extra_info("socket")
    if connection is None or connection.family != socket.AF_UNIX or request.secure:
        raise not_here("the two are not on one machine")


def _require_known(keys: tuple[str, ...], known: Mapping[str, object]) -> None:
    if missing := [key for key in keys if key not in known]:
        names = ", ".join(map(repr, missing[:_NAMED]))
        raise RefusedError(
            "NotFound",
            f"{len(missing):,} of {len(keys):,} objects are not there: {names}{' …' if missing[_NAMED:] else ''}",
            remedy="list the objects there are",
        )


async def _send(
    request: web.Request, response: web.StreamResponse, window: bytes, windows: AsyncIterator[bytes]
) -> None:
    whole = False
    following: asyncio.Future[bytes] | None = None
    try:
        with suppress(ConnectionError, LeaseGridError):
            while window:
                # Read ahead: the disk and the socket work at once.
                following = asyncio.ensure_future(_next(windows))
                await response.write(window)
                window = await following
            await response.write_eof()
            whole = True
    finally:
        if following is not None and not following.done():
            following.cancel()
            await asyncio.gather(following, return_exceptions=True)
        # The head has promised more bytes: only a cut connection tells the reader that they do not come.
        if not whole and request.transport is not None:
            request.transport.abort()


async def _next(windows: AsyncIterator[bytes]) -> bytes:
    return await anext(windows, b"")


def _too_many(what: str) -> RefusedError:
    return RefusedError("TooLarge", f"{what} in one request", remedy="send several requests")
