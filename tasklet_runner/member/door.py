"""The member's HTTP door; see `tasklet_runner.wire.member` for the requests and replies."""

from collections.abc import Awaitable, Callable

from aiohttp import web

from tasklet_runner.member.calls import CallAnswer, Calls, refusal
from tasklet_runner.member.connection import HolderConnection
from tasklet_runner.member.core import MemberCore
from tasklet_runner.member.metrics import exposition
from tasklet_runner.wire.signed import MAX_STATEMENT_BYTES
from tasklet_runner.wire.work import MAX_MESSAGE_BYTES

HEARTBEAT_SECONDS = 8.0

_Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


def make_app(core: MemberCore, calls: Calls) -> web.Application:
    """The application: it holds nothing but the core."""
    app = web.Application(client_max_size=2 * MAX_STATEMENT_BYTES, middlewares=[_errors])
    door = _Door(core, calls)
    app.add_routes(
        [
            web.get("/v1/state", door.state),
            web.post("/v1/{verb:bind|confirm|renew|retire}", door.call),
            web.post("/v1/release", door.release),
            web.get("/v1/work", door.work),
            web.get("/metrics", door.metrics),
            web.get("/healthz", door.health),
        ]
    )
    return app


class _Door:
    def __init__(self, core: MemberCore, calls: Calls) -> None:
        self._core = core
        self._calls = calls

    async def state(self, _: web.Request) -> web.Response:
        return _json(self._calls.state())

    async def call(self, request: web.Request) -> web.Response:
        return _json(self._calls.at_once(request.match_info["verb"], await request.read()))

    async def release(self, request: web.Request) -> web.Response:
        return _json(await self._calls.release(await request.read()))

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


def _json(answer: CallAnswer) -> web.Response:
    return web.Response(body=answer.body, status=answer.status, content_type="application/json")


@web.middleware
async def _errors(request: web.Request, handler: _Handler) -> web.StreamResponse:
    try:
        return await handler(request)
    except web.HTTPException as error:
        body = refusal("BadRequest", f"{request.method} {request.path}: {error.reason}")
        return _json(CallAnswer(error.status, body))
