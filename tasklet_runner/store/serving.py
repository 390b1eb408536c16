"""Objects of a DiskStore over HTTP: received, sent whole or by range, described, listed. Who may is asked elsewhere.

Everything raises LeaseGridError for the caller to turn into a refusal, until the first byte of an answer has left.
"""

import asyncio
from collections.abc import AsyncIterator
from contextlib import suppress
from http import HTTPStatus

import msgspec
from aiohttp import web

from tasklet_runner.doors.bodies import pieces_of, room_to_give, room_to_take, streamed
from tasklet_runner.store.disk import DiskStore
from tasklet_runner.store.grants import check_grant, require_below
from tasklet_runner.store.ranges import byte_range
from tasklet_runner.wire.digests import BLOCK_BYTES
from tasklet_runner.wire.errors import LeaseGridError, ProtocolError, RefusedError
from tasklet_runner.wire.queues import CommitPage
from tasklet_runner.wire.statements import PutGrant
from tasklet_runner.wire.store import (
    CHECKSUM_DIGITS,
    DIGEST_AFTER,
    DIGEST_HEADER,
    MAX_PAGE_OBJECTS,
    ObjectInfo,
    ObjectPage,
    object_key,
)


class ArrivingBody:
    """A put's bytes as they come. `size`: what was announced; `digest()`: that too, known when all bytes are in.

    Raises ProtocolError for a digest behind the bytes of a body without a length.
    """

    def __init__(self, request: web.Request) -> None:
        self._request = request
        self._announced = request.headers.get(DIGEST_HEADER, "")
        self._follows = self._announced == DIGEST_AFTER
        self._tail = b""
        length = request.content_length
        if self._follows and (length is None or length < CHECKSUM_DIGITS):
            raise ProtocolError("no digest behind the bytes", remedy="let Content-Length count its 32 digits")
        self.size = (length or 0) - (CHECKSUM_DIGITS if self._follows else 0)

    def digest(self) -> str:
        """The digest in hex; empty when none was announced."""
        return self._tail.decode("latin-1") if self._follows else self._announced

    async def pieces(self) -> AsyncIterator[bytes]:
        """The object's bytes."""
        left = self.size
        async for piece in pieces_of(self._request):
            if self._follows and len(piece) > left:
                piece, self._tail = piece[:left], self._tail + piece[left:]
            left -= len(piece)
            if piece:
                yield piece


def key_of(request: web.Request) -> str:
    """The key that a request names. Raises ProtocolError."""
    # The undecoded path: a framework's decoding would fold dot segments and slashes of a key.
    return object_key(request.raw_path.partition("?")[0])


def granted_bytes(store: DiskStore, key: str, grant: PutGrant, *, store_uid: str, now: float) -> int:
    """How many bytes the grant still allows under this key; `now` in UNIX seconds. Raises what `check_grant` and
    `require_below` do.
    """
    check_grant(grant, store_uid=store_uid, term=store.term, now=now)
    require_below(grant.key_prefix, key)
    return grant.max_bytes - store.bytes_beside(key, grant.key_prefix)


async def receive_object(request: web.Request, store: DiskStore, max_bytes: int) -> ObjectInfo:
    """Put the request's body, of at most `max_bytes`. Raises what `DiskStore.receive` does."""
    key, body = key_of(request), ArrivingBody(request)
    if body.size > max_bytes:
        raise RefusedError("TooLarge", f"object {key!r} has {body.size:,} bytes, {max(max_bytes, 0):,} are granted")
    async with room_to_take(request, streamed(request)):
        return await store.receive(key, body.pieces(), max_bytes, body.digest)


def stored(info: ObjectInfo) -> web.Response:
    """The answer to a put."""
    return web.Response(body=msgspec.json.encode(info), content_type="application/json")


async def send_object(request: web.Request, store: DiskStore) -> web.StreamResponse:
    """The object's bytes, or the range of them that is asked for, block by block; for HEAD only what it is."""
    key = key_of(request)
    info = await _described(store, key)
    span = None if request.method == "HEAD" else byte_range(request.headers.get("Range", ""), info.size)
    start, end = span or (0, info.size)
    headers = {DIGEST_HEADER: info.digest, "Accept-Ranges": "bytes", "Content-Type": "application/octet-stream"}
    if span is not None:
        headers["Content-Range"] = f"bytes {start}-{end - 1}/{info.size}"
    response = web.StreamResponse(status=HTTPStatus.OK if span is None else HTTPStatus.PARTIAL_CONTENT, headers=headers)
    response.content_length = end - start
    if request.method == "HEAD":
        await response.prepare(request)
        return response
    async with room_to_give(request, end - start):
        # Read before the head leaves: what cannot be read at all is a refusal in words.
        first = await store.read(key, start, _step(start, end))
        await response.prepare(request)
        await _send_blocks(request, response, store, (key, start, end), first)
    return response


async def _send_blocks(
    request: web.Request, response: web.StreamResponse, store: DiskStore, span: tuple[str, int, int], block: bytes
) -> None:
    key, at, end = span
    whole = False
    following: asyncio.Task[bytes] | None = None
    try:
        with suppress(ConnectionError, LeaseGridError):
            while (at := at + len(block)) < end:
                # Read ahead: the disk and the socket work at once.
                following = asyncio.create_task(store.read(key, at, _step(at, end)))
                await response.write(block)
                block = await following
            await response.write(block)
            await response.write_eof()
            whole = True
    finally:
        if following is not None and not following.done():
            following.cancel()
            await asyncio.gather(following, return_exceptions=True)
        # The head has promised more bytes: only a cut connection tells the reader that they do not come.
        if not whole and request.transport is not None:
            request.transport.abort()


def list_objects(request: web.Request, store: DiskStore) -> web.Response:
    """One page of the listing."""
    prefix, after = request.query.get("prefix", ""), request.query.get("after", "")
    limit = _limit(request.query.get("limit", str(MAX_PAGE_OBJECTS)))
    found = store.page(prefix, after, limit)
    page = ObjectPage(tuple(found), found[-1].key if len(found) == limit else "")
    return web.Response(body=msgspec.json.encode(page), content_type="application/json")


async def list_commits(request: web.Request, store: DiskStore) -> web.Response:
    """One page of a stage's commit records."""
    limit = _limit(request.query.get("limit", str(MAX_PAGE_OBJECTS)))
    first = request.query.get("first", "0")
    if not (first.isascii() and first.isdigit() and len(first) < 19):
        raise ProtocolError(f"first={first[:20]!r} is no index", remedy="give 0 or more")
    found = await store.commits(request.query.get("stage", ""), int(first), limit)
    page = CommitPage(tuple(found), found[-1].index + 1 if len(found) == limit else -1)
    return web.Response(body=msgspec.json.encode(page), content_type="application/json")


async def _described(store: DiskStore, key: str) -> ObjectInfo:
    try:
        return await store.stat(key)
    except KeyError:
        raise RefusedError("NotFound", f"there is no object {key!r}", remedy="list the objects there are") from None


def _step(at: int, end: int) -> int:
    """Up to the next block's boundary: blocks are checked whole, so none is read twice."""
    return min(BLOCK_BYTES - at % BLOCK_BYTES, end - at)


def _limit(text: str) -> int:
    if not (text.isascii() and text.isdigit() and len(text) < 19) or not 1 <= int(text) <= MAX_PAGE_OBJECTS:
        raise ProtocolError(f"limit={text[:20]!r} is no number of objects", remedy=f"give 1 to {MAX_PAGE_OBJECTS}")
    return int(text)
