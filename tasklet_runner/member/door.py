"""The member's HTTP door; see `tasklet_runner.wire.member` for the requests and replies."""

from collections.abc import Awaitable, Callable
from typing import Any

import msgspec
from aiohttp import web

from tasklet_runner.member.connection import HolderConnection
from tasklet_runner.member.core import MemberCore
from tasklet_runner.member.metrics import exposition
from tasklet_runner.wire.errors import LeaseGridError, ProtocolError, RefusedError, SignatureError
from tasklet_runner.wire.member import ErrorReply, RenewReply, SignedRequest
from tasklet_runner.wire.signed import MAX_STATEMENT_BYTES
from tasklet_runner.wire.work import MAX_MESSAGE_BYTES

HEARTBEAT_SECONDS = 8.0

_STATUS = {
    "BadRequest": 400,
    "BadSignature": 401,
    "Unauthenticated": 401,
    "Conflict": 409,
    "NotReady": 409,
    "Fenced": 409,
    "LeaseExpired": 410,
}

_Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]
_Act = Callable[[str], Any]


def make_app(core: MemberCore) -> web.Application:
    """The application: it holds nothing but the core."""
    app = web.Application(client_max_size=2 * MAX_STATEMENT_BYTES, middlewares=[_errors])
    door = _Door(core)
    app.add_routes(
        [
            web.get("/v1/state", door.state),
            web.post("/v1/bind", door.bind),
            web.post("/v1/confirm", door.confirm),
            web.post("/v1/renew", door.renew),
            web.post("/v1/release", door.release),
            web.post("/v1/retire", door.retire),
            web.get("/v1/work", door.work),
            web.get("/metrics", door.metrics),
            web.get("/healthz", door.health),
        ]
    )
    return app


class _Door:
    def __init__(self, core: MemberCore) -> None:
        self._core = core

    async def state(self, _: web.Request) -> web.Response:
        return _json(self._core.report())

    async def bind(self, request: web.Request) -> web.Response:
        return _json(self._core.bind(await _statement(request)))

    async def confirm(self, request: web.Request) -> web.Response:
        self._core.confirm(await _statement(request))
        return _json({})

    async def renew(self, request: web.Request) -> web.Response:
        return _json(RenewReply(seconds_left=self._core.renew(await _statement(request))))

    async def release(self, request: web.Request) -> web.Response:
        return _json(await self._core.release(await _statement(request)))

    async def retire(self, request: web.Request) -> web.Response:
        self._core.retire(await _statement(request))
        return _json({})

    async def work(self, request: web.Request) -> web.StreamResponse:
        socket = web.WebSocketResponse(
            max_msg_size=MAX_MESSAGE_BYTES, compress=False, heartbeat=HEARTBEAT_SECONDS, timeout=1.0
        )
        await socket.prepare(request)
        await HolderConnection(self._core, socket).serve()
        return socket

    async def metrics(self, _: web.Request) -> web.Response:
        body, content_type = exposition(self._core)
        return web.Response(body=body, headers={"Content-Type": content_type})

    async def health(self, _: web.Request) -> web.Response:
        return web.Response(text="ok\n")


async def _statement(request: web.Request) -> str:
    try:
        return msgspec.json.decode(await request.read(), type=SignedRequest).statement
    except msgspec.MsgspecError as error:
        raise ProtocolError(f"the request cannot be read: {error}", remedy='send {"statement": "…"}') from error


def _json(reply: object, status: int = 200) -> web.Response:
    return web.Response(body=msgspec.json.encode(reply), status=status, content_type="application/json")


@web.middleware
async def _errors(request: web.Request, handler: _Handler) -> web.StreamResponse:
    try:
        return await handler(request)
    except RefusedError as error:
        return _json(ErrorReply(code=error.reason, cause=error.cause, remedy=error.remedy), _STATUS[error.reason])
    except (SignatureError, ProtocolError) as error:
        return _json(_error_reply(error), _STATUS.get(error.code, 400))
    except web.HTTPException as error:
        reply = ErrorReply(code="BadRequest", cause=f"{request.method} {request.path}: {error.reason}")
        return _json(reply, error.status)


def _error_reply(error: LeaseGridError) -> ErrorReply:
    return ErrorReply(code=error.code, cause=error.cause, remedy=error.remedy)
