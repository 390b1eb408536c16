"""Bodies of requests and answers: received at a pace, and in no more memory than a server has for them."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass

from aiohttp import web

from tasklet_runner.doors.budget import Budget
from tasklet_runner.doors.guests import ADMITTED_BYTES, STRANGER_BYTES, Guest, peer_of
from tasklet_runner.doors.limits import ARRIVAL_SECONDS, DoorLimits
from tasklet_runner.doors.pace import Pace
from tasklet_runner.wire.errors import RefusedError

MEBIBYTE = 1024 * 1024

ARRIVING_BYTES = 64 * MEBIBYTE
LEAVING_BYTES = 64 * MEBIBYTE
"""A member has 256 MiB for its own processes, of which it needs 70 for itself."""

MOST_WAITING = 1024
"""Each keeps what was read of it at once (`guests.STRANGER_BYTES`); usually a head and nothing more."""

STREAM_BYTES = 4 * MEBIBYTE
"""What a body in flat memory takes: a block that is written (or sent), one that is gathered (or read ahead), and what
the connection holds.
"""

_COPIES = 3
"""Of a body that is read whole: as it came, as one piece, and what it means."""

_OVERHEAD_BYTES = 16 * 1024


@dataclass(frozen=True)
class Budgets:
    """For what comes in and what goes out: a reader that is slow keeps no writer waiting."""

    arriving: Budget
    leaving: Budget

    @classmethod
    def usual(cls) -> "Budgets":
        """Those of a process that serves a store."""
        return cls(
            Budget("memory for what is put", ARRIVING_BYTES, MOST_WAITING),
            Budget("memory for what is read", LEAVING_BYTES, MOST_WAITING),
        )


BUDGETS = web.AppKey("BUDGETS", Budgets)
"""Where an application keeps its own; one without has no bounds."""


async def pieces_of(request: web.Request, limits: DoorLimits | None = None) -> AsyncIterator[bytes]:
    """The body as it comes. Raises RefusedError (TooSlow) when its sender is waited for too long: while others wait for
    the memory that it has, that is sooner.
    """
    budgets, pace = request.config_dict.get(BUDGETS), Pace(limits or DoorLimits())
    while True:
        try:
            async with asyncio.timeout(pace.step) as waiting:
                piece = await request.content.readany()
        except TimeoutError:
            if pace.is_over(pace.step, 0, hurried=budgets is not None and budgets.arriving.waiting > 0):
                raise too_slow() from None
            continue
        if not piece:
            return
        pace.is_over(pace.step - _left(waiting), len(piece), hurried=False)
        yield piece


def _left(waiting: asyncio.Timeout) -> float:
    return (waiting.when() or 0.0) - asyncio.get_running_loop().time()


async def small_body(request: web.Request, seconds: float = ARRIVAL_SECONDS) -> bytes:
    """A body of at most the application's `client_max_size`, which has to come soon.

    Raises RefusedError (TooSlow), and web.HTTPRequestEntityTooLarge, at once where its length says so.
    """
    length = request.content_length
    if length is not None and length > request.client_max_size:
        raise web.HTTPRequestEntityTooLarge(request.client_max_size, length)
    try:
        async with asyncio.timeout(seconds):
            return await request.read()
    except TimeoutError:
        raise too_slow() from None


async def whole_body(request: web.Request, most_bytes: int) -> bytes:
    """A body of at most so many bytes. Raises RefusedError (TooLarge, TooSlow), OverloadedError."""
    length = request.content_length
    if length is not None and length > most_bytes:
        raise _too_large(most_bytes)
    body = bytearray()
    async with room_to_take(request, _COPIES * (most_bytes if length is None else length)):
        async for piece in pieces_of(request):
            body += piece
            if len(body) > most_bytes:
                raise _too_large(most_bytes)
        return bytes(body)


@asynccontextmanager
async def room_to_take(request: web.Request, size: int) -> AsyncIterator[None]:
    """Memory for so many bytes of what comes in, as soon as there is any. Raises OverloadedError.

    Nothing more is taken from the connection until then.
    """
    budgets = request.config_dict.get(BUDGETS)
    if budgets is None:
        yield
        return
    wanted = size + _OVERHEAD_BYTES
    # Of a body that is here already nothing more can be held back.
    waits = budgets.arriving.may_wait(wanted) and not request.content.is_eof() and request.transport is not None
    if waits:
        request.protocol.pause_reading()
    try:
        async with budgets.arriving.share(wanted, peer_of(request.transport)):
            _read_at_once(request, ADMITTED_BYTES)
            if waits:
                _go_on(request)
            yield
    finally:
        _read_at_once(request, STRANGER_BYTES)
        if waits:
            _go_on(request)


@asynccontextmanager
async def room_to_give(request: web.Request, size: int) -> AsyncIterator[None]:
    """Memory for an answer of so many bytes, as soon as there is any. Raises OverloadedError."""
    budgets = request.config_dict.get(BUDGETS)
    if budgets is None:
        yield
        return
    wanted = min(size, STREAM_BYTES) + _OVERHEAD_BYTES
    async with budgets.leaving.share(wanted, peer_of(request.transport)):
        yield


def _read_at_once(request: web.Request, most_bytes: int) -> None:
    guest = Guest.behind(request.transport)
    if guest is not None:
        guest.read_at_once(most_bytes)


def _go_on(request: web.Request) -> None:
    if request.transport is not None:
        request.protocol.resume_reading()


def streamed(request: web.Request) -> int:
    """The memory that a body takes which is passed on as it comes."""
    length = request.content_length
    return STREAM_BYTES if length is None else min(length, STREAM_BYTES)


def too_slow() -> RefusedError:
    """The sender was waited for."""
    return RefusedError("TooSlow", "the body did not come in time", remedy="send it whole, without long pauses")


def _too_large(most_bytes: int) -> RefusedError:
    return RefusedError("TooLarge", f"more than {most_bytes:,} bytes in one request", remedy="send several requests")
