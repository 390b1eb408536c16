"""The broker as an aiohttp application: limits, then credentials, then the operation; errors at one edge."""

import asyncio
import logging
import secrets
from collections.abc import Awaitable, Callable
from dataclasses import dataclass

import msgspec
from aiohttp import web

from leasegrid.api.openapi import openapi_json
from leasegrid_operator.broker.credentials import Credentials, Knock, Visitor
from leasegrid_operator.broker.desk import Desk
from leasegrid_operator.broker.gate import Gate
from leasegrid_operator.broker.lanes import Lane, Purses
from leasegrid_operator.broker.limits import Limits
from leasegrid_operator.broker.operations import Call, Operations
from leasegrid_operator.broker.refusals import Answer, answer_for, answer_for_http, broken
from leasegrid_operator.broker.requests import check_names
from leasegrid_operator.broker.verdicts import Verdicts
from tasklet_runner.wire.broker import (
    CAPABILITY_HEADER,
    NONCE_HEADER,
    ROUTES,
    Accepted,
    Door,
    NonceReply,
    Route,
)
from tasklet_runner.wire.errors import LeaseGridError, NotLeaderError, ProtocolError

_log = logging.getLogger(__name__)
_encode = msgspec.json.encode

_Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


@dataclass(frozen=True)
class Lanes:
    """The rooms, and the purses of identities and of peers."""

    claims: Lane
    upkeep: Lane
    watches: Lane
    others: Lane
    callers: Purses
    addresses: Purses

    @classmethod
    def of(cls, limits: Limits) -> "Lanes":
        """Empty ones."""
        return cls(
            Lane("claims", limits.claims),
            Lane("changes of leases", limits.upkeep),
            Lane("watches", limits.watches),
            Lane("open requests", limits.others),
            Purses(limits.caller, limits.callers),
            Purses(limits.address, limits.callers),
        )

    def of_route(self, route: Route) -> Lane:
        """The room of a route."""
        if route.door is Door.OPEN:
            return self.others
        return {"acquire": self.claims, "watch": self.watches}.get(route.name, self.upkeep)


def make_broker(
    desk: Desk, gate: Gate, limits: Limits, answered: Callable[[str], None] = lambda code: None
) -> web.Application:
    """The application. Serve it with `BrokerServer`, which bounds what no application sees: heads and connections.

    `answered` is told the code of every answer: `OK`, or that of a refusal.
    """
    broker = _Broker(desk, gate, limits, answered)
    app = web.Application(client_max_size=limits.body_bytes, middlewares=[broker.edge])
    app.add_routes([web.route(route.method, route.path, broker.handler_of(route)) for route in ROUTES])
    return app


class _Broker:
    def __init__(self, desk: Desk, gate: Gate, limits: Limits, answered: Callable[[str], None]) -> None:
        self._desk = desk
        self._told = answered
        self._limits = limits
        self._lanes = Lanes.of(limits)
        self._credentials = Credentials(desk, Verdicts(gate, limits), limits)
        self._operations = Operations(desk)
        self._openapi = openapi_json()

    @web.middleware
    async def edge(self, request: web.Request, handler: _Handler) -> web.StreamResponse:
        """Around everything: errors become answers, and answers have a time limit."""
        response = await self._answered(request, handler)
        if CAPABILITY_HEADER in request.headers:
            response.headers[NONCE_HEADER] = self._credentials.nonces.issue(_now())
        await self._send(request, response)
        return response

    def handler_of(self, route: Route) -> _Handler:
        """What answers a route."""
        own: dict[str, _Handler] = {"challenge": self._challenge, "openapi": self._describe, "health": self._health}
        if route.name in own:
            return own[route.name]
        lane, operation = self._lanes.of_route(route), self._operations.by_name[route.name]

        async def handle(request: web.Request) -> web.StreamResponse:
            if route.leader and not self._desk.is_leader:
                raise NotLeaderError(self._desk.leader_address)
            knock = await self._knock(request, route)
            visitor = await self._admit(request, knock)
            with lane.enter(visitor.caller, knock.namespace):
                reply = await operation(Call(knock, visitor, request.query))
            return Answer(200, _encode(reply), {}).response()

        return handle

    async def _knock(self, request: web.Request, route: Route) -> Knock:
        """The whole request, its body included. Raises ProtocolError, OverloadedError."""
        self._charge_address(request)
        namespace, uid = request.match_info.get("namespace", ""), request.match_info.get("uid", "")
        check_names(namespace, uid)
        try:
            async with asyncio.timeout(self._limits.arrival_seconds):
                body = await request.read() if request.can_read_body else b""
        except TimeoutError as error:
            raise ProtocolError("the body did not come in time", remedy="send it whole") from error
        return Knock(route, request.method, request.raw_path, body, namespace, uid, request.headers)

    async def _admit(self, request: web.Request, knock: Knock) -> Visitor:
        if knock.route.door is Door.OPEN:
            return Visitor(request.remote or "")
        visitor = await self._credentials.admit(knock)
        self._lanes.callers.charge(visitor.caller, _now())
        return visitor

    def _charge_address(self, request: web.Request) -> None:
        self._lanes.addresses.charge(request.remote or "", _now())

    async def _challenge(self, request: web.Request) -> web.StreamResponse:
        self._charge_address(request)
        nonce = self._credentials.nonces.issue(_now())
        return _json(NonceReply(nonce=nonce, expires_in=self._limits.nonce_seconds))

    async def _describe(self, request: web.Request) -> web.StreamResponse:
        self._charge_address(request)
        return Answer(200, self._openapi, {}).response()

    async def _health(self, _: web.Request) -> web.StreamResponse:
        return _json(Accepted())

    async def _answered(self, request: web.Request, handler: _Handler) -> web.StreamResponse:
        try:
            response = await handler(request)
        except LeaseGridError as error:
            return self._refused(answer_for(error))
        except web.HTTPException as error:
            return self._refused(answer_for_http(error, request.method, request.path, self._limits.body_bytes))
        except Exception:  # noqa: BLE001 - the edge of the process: a fault of one request is told and ends with it
            number = secrets.token_hex(4)
            _log.exception("a request failed", extra={"action": "broker-request", "request": number})
            return self._refused(broken(number))
        self._told("OK")
        return response

    def _refused(self, answer: Answer) -> web.Response:
        self._told(answer.code)
        return answer.response()

    async def _send(self, request: web.Request, response: web.StreamResponse) -> None:
        """Send the answer here, where it has a time limit: a slow reader must not hold it for ever."""
        try:
            async with asyncio.timeout(self._limits.departure_seconds):
                await response.prepare(request)
                await response.write_eof()
        except TimeoutError:
            if request.transport is not None:
                request.transport.abort()


def _json(reply: msgspec.Struct) -> web.Response:
    return Answer(200, _encode(reply), {}).response()


def _now() -> float:
    return asyncio.get_running_loop().time()
