"""Checkpoints of a store over HTTP, the same at every door; see `wire.checkpoints`. Who may is asked elsewhere.

Everything raises LeaseGridError for the caller to turn into a refusal, until the first byte of an answer has left.
"""

from collections.abc import Awaitable, Callable, Coroutine, Iterator
from contextlib import suppress
from dataclasses import dataclass
from http import HTTPStatus
from typing import Any

import msgspec
from aiohttp import web

from tasklet_runner.doors.bodies import pieces_of, room_to_give, room_to_take, streamed
from tasklet_runner.durable.slots import Draft
from tasklet_runner.store.checkpoints import Arriving, Checkpoints
from tasklet_runner.wire.checkpoints import (
    CHECKPOINTS_PATH,
    DELTAS,
    EPOCH,
    EPOCH_HEADER,
    GENERATION_HEADER,
    CheckpointInfo,
    checkpoint_key,
)
from tasklet_runner.wire.errors import LeaseGridError, ProtocolError, RefusedError
from tasklet_runner.wire.statements import CheckpointGrant
from tasklet_runner.wire.store import DIGEST_HEADER

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]

_MOST = 2**62


@dataclass(frozen=True)
class Writer:
    """Who asks: at which epoch, and how many bytes a payload may have. `fences`: its reading fences lower epochs."""

    epoch: int
    max_bytes: int
    fences: bool


def writer_by_grant(grant: CheckpointGrant, key: str) -> Writer:
    """What a grant allows, which `check_grant` let pass. Raises RefusedError (NotGranted) for another key."""
    if grant.key != key:
        raise RefusedError(
            "NotGranted", f"the grant is for checkpoint {grant.key!r}, not {key!r}", remedy="use it as it was given"
        )
    return Writer(grant.epoch, grant.max_bytes, fences=True)


def writer_by_session(request: web.Request, max_bytes: int) -> Writer:
    """The holder itself, at the epoch that it says it has. Raises ProtocolError."""
    return Writer(_number(request.headers.get(EPOCH_HEADER, "0"), EPOCH_HEADER), max_bytes, fences=False)


class CheckpointDoor:
    """The handlers. `who`: asks a request for its writer, for the key; `run`: how a request's work is run."""

    def __init__(
        self,
        checkpoints: Callable[[], Checkpoints],
        who: Callable[[web.Request, str], Writer],
        run: Callable[[Coroutine[Any, Any, web.StreamResponse]], Awaitable[web.StreamResponse]],
    ) -> None:
        self._checkpoints = checkpoints
        self._who = who
        self._run = run

    def routes(self, worded: Callable[[Handler], Handler]) -> tuple[web.RouteDef, ...]:
        """All of them. `worded`: what turns errors into refusals."""
        key = CHECKPOINTS_PATH + "{key:.+}"
        return (
            web.get(key, worded(self._get), allow_head=False),
            web.put(key, worded(self._put)),
            web.post(f"{key}/{DELTAS}", worded(self._put)),
            web.post(f"{key}/{EPOCH}", worded(self._raise_epoch)),
            web.delete(key, worded(self._delete)),
        )

    async def _get(self, request: web.Request) -> web.StreamResponse:
        key, writer = self._asked(request)
        return await self._run(_send(request, self._checkpoints(), key, writer.epoch if writer.fences else None))

    async def _put(self, request: web.Request) -> web.StreamResponse:
        key, writer = self._asked(request)
        arriving = _arriving(request, writer)
        return await self._run(_receive(request, self._checkpoints(), key, arriving))

    async def _raise_epoch(self, request: web.Request) -> web.StreamResponse:
        key, writer = self._asked(request)
        if writer.fences:
            raise RefusedError("NotGranted", "a grant has its epoch", remedy="get the checkpoint: that fences others")
        return await self._run(_raise_epoch(self._checkpoints(), key))

    async def _delete(self, request: web.Request) -> web.StreamResponse:
        key, writer = self._asked(request)
        return await self._run(_delete(self._checkpoints(), key, writer.epoch))

    def _asked(self, request: web.Request) -> tuple[str, Writer]:
        # The undecoded path: a framework's decoding would fold dot segments and slashes of a key.
        key = checkpoint_key(request.raw_path.partition("?")[0])
        return key, self._who(request, key)


def _arriving(request: web.Request, writer: Writer) -> Arriving:
    length = request.content_length
    digest = request.headers.get(DIGEST_HEADER, "").lower()
    if length is None or len(digest) != 32 or any(letter not in "0123456789abcdef" for letter in digest):
        raise ProtocolError(
            "a checkpoint without length or checksum", remedy=f"send Content-Length and {DIGEST_HEADER}"
        )
    delta = request.method == "POST"
    size = _number(request.query.get("size", ""), "size") if delta else length
    if max(size, length) > writer.max_bytes:
        raise RefusedError(
            "TooLarge", f"a checkpoint of {size:,} bytes, {writer.max_bytes:,} are granted", remedy="maxOutput"
        )
    generation = _number(request.query.get("generation", ""), "generation")
    base = _number(request.query.get("base", ""), "base") if delta else None
    return Arriving(Draft(generation, writer.epoch, size), length, digest, base)


async def _receive(request: web.Request, checkpoints: Checkpoints, key: str, arriving: Arriving) -> web.StreamResponse:
    async with room_to_take(request, streamed(request)):
        return _json(await checkpoints.put(key, arriving, pieces_of(request)))


async def _raise_epoch(checkpoints: Checkpoints, key: str) -> web.StreamResponse:
    return _json(CheckpointInfo(0, await checkpoints.raise_epoch(key)))


async def _delete(checkpoints: Checkpoints, key: str, epoch: int) -> web.StreamResponse:
    await checkpoints.delete(key, epoch)
    return web.Response(status=HTTPStatus.OK)


async def _send(request: web.Request, checkpoints: Checkpoints, key: str, epoch: int | None) -> web.StreamResponse:
    with await checkpoints.open(key, epoch) as reading:
        response = web.StreamResponse(
            headers={
                GENERATION_HEADER: str(reading.generation),
                EPOCH_HEADER: str(reading.epoch),
                "Content-Type": "application/octet-stream",
            }
        )
        response.content_length = reading.size
        pieces = reading.pieces()
        # Read before the head leaves: what cannot be read at all is a refusal in words.
        async with room_to_give(request, reading.size):
            first = await checkpoints.next_piece(pieces)
            await response.prepare(request)
            await _send_pieces(request, response, (checkpoints, pieces), first)
        return response


async def _send_pieces(
    request: web.Request, response: web.StreamResponse, rest: tuple[Checkpoints, Iterator[bytes]], piece: bytes
) -> None:
    checkpoints, pieces = rest
    whole = False
    try:
        with suppress(ConnectionError, LeaseGridError):
            while piece:
                await response.write(piece)
                piece = await checkpoints.next_piece(pieces)
            await response.write_eof()
            whole = True
    finally:
        # The head has promised more bytes: only a cut connection tells the reader that they do not come.
        if not whole and request.transport is not None:
            request.transport.abort()


def _json(info: CheckpointInfo) -> web.Response:
    return web.Response(body=msgspec.json.encode(info), content_type="application/json")


def _number(text: str, name: str) -> int:
    if not (text.isascii() and text.isdigit() and len(text) < 20) or int(text) > _MOST:
        raise ProtocolError(f"{name}={text[:20]!r} is no number", remedy="give 0 or more")
    return int(text)
