"""The member's HTTP door; see `tasklet_runner.wire.member` for the requests and replies."""

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from http import HTTPStatus

from aiohttp import web

from tasklet_runner.doors.bodies import BUDGETS, Budgets, small_body
from tasklet_runner.doors.crowd import Crowd
from tasklet_runner.member.calls import CallAnswer, Calls, refusal
from tasklet_runner.member.core import MemberCore
from tasklet_runner.member.metrics import Figures, exposition
from tasklet_runner.wire.errors import RefusedError
from tasklet_runner.wire.signed import MAX_STATEMENT_BYTES

MAX_BODY_BYTES = 2 * MAX_STATEMENT_BYTES

_Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


@dataclass(frozen=True)
class Assembly:
    """A member put together: its core, what its facility adds to the door, and what it shows at `/metrics`."""

    core: MemberCore
    routes: Sequence[web.RouteDef]
    figures: Figures


def make_app(assembly: Assembly, calls: Calls, crowd: Crowd) -> web.Application:
    """The application: it holds nothing but what it is given. `crowd`: who stands at its door."""
    app = web.Application(client_max_size=MAX_BODY_BYTES, middlewares=[_errors])
    app[BUDGETS] = Budgets.usual()
    door = _Door(assembly, calls, crowd)
    app.add_routes(
        [
            web.get("/v1/state", door.state),
            web.post("/v1/{verb:bind|confirm|renew|retire}", door.call),
            web.post("/v1/release", door.release),
            web.get("/metrics", door.metrics),
            web.get("/healthz", door.health),
            *assembly.routes,
        ]
    )
    return app


class _Door:
    def __init__(self, assembly: Assembly, calls: Calls, crowd: Crowd) -> None:
        self._assembly = assembly
        self._calls = calls
        self._crowd = crowd

    async def state(self, _: web.Request) -> web.Response:
        return _json(self._calls.state())

    async def call(self, request: web.Request) -> web.Response:
        return _json(self._calls.at_once(request.match_info["verb"], await small_body(request)))

    async def release(self, request: web.Request) -> web.Response:
        return _json(await self._calls.release(await small_body(request)))

    async def metrics(self, _: web.Request) -> web.Response:
        body, content_type = exposition(self._assembly.core, self._assembly.figures, self._crowd)
        return web.Response(body=body, headers={"Content-Type": content_type})

    async def health(self, _: web.Request) -> web.Response:
        return web.Response(text="ok\n")


def _json(answer: CallAnswer) -> web.Response:
    return web.Response(body=answer.body, status=answer.status, content_type="application/json")


@web.middleware
async def _errors(request: web.Request, handler: _Handler) -> web.StreamResponse:
    try:
        return await handler(request)
    except web.HTTPRequestEntityTooLarge as error:
        return _json(
            CallAnswer(error.status, refusal("TooLarge", "the body is too large", f"send {MAX_BODY_BYTES:,} bytes"))
        )
    except web.HTTPException as error:
        body = refusal("BadRequest", f"{request.method} {request.path[:200]}: {error.reason}")
        return _json(CallAnswer(error.status, body))
    except RefusedError as error:
        return _json(CallAnswer(HTTPStatus.REQUEST_TIMEOUT, refusal(error.reason, error.cause, error.remedy)))
