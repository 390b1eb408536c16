"""Calls to one member's HTTP door: statements out, typed replies back."""

import asyncio
from dataclasses import replace
from types import TracebackType
from typing import Self, TypeVar

import msgspec

from tasklet_runner.client.exchange import Address, Answer, ClosedUnansweredError, Connection
from tasklet_runner.wire.decoding import UNREADABLE
from tasklet_runner.wire.errors import OverloadedError, ProtocolError, RefusedError, UnreachableError, WrongKeyError
from tasklet_runner.wire.jobs import COORDINATOR_PATH, CoordinateRequest, CoordinatorReport
from tasklet_runner.wire.member import BindReply, ErrorReply, ReleaseReply, RenewReply, SignedRequest, StateReport
from tasklet_runner.wire.pins import UNPROVEN, pinned

Reply = TypeVar("Reply", bound=msgspec.Struct)


class Accepted(msgspec.Struct, frozen=True):
    """A yes without content."""


class MemberClient:
    """One member, reached at `unix:///path` or `http://host:port`; keeps its connections open between calls.

    With `https://host:port#incarnation` it speaks to the owner of that key alone, and with `#unproven` in its place to
    the owner of the key by which the first member there proved its incarnation. Every call raises UnreachableError
    when the member did not answer (WrongKeyError: another did), RefusedError when it said no, and ProtocolError when
    its answer cannot be read.
    """

    def __init__(self, endpoint: str, *, timeout_seconds: float = 10.0) -> None:
        self._endpoint = endpoint
        self._address = Address.of(endpoint)
        self._timeout_seconds = timeout_seconds
        self._idle: list[Connection] = []

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.close()

    @property
    def endpoint(self) -> str:
        """Where it is, with the name of its key as soon as that is known."""
        return pinned(self._endpoint, self._address.pin)

    async def state(self) -> StateReport:
        """What the member says of itself."""
        return await self._call("GET", "/v1/state", b"", StateReport)

    async def bind(self, statement: str) -> BindReply:
        """Bind it, provisionally; `statement` is a signed `Bind`. The same bind again gets the same reply."""
        return await self._post("bind", statement, BindReply)

    async def confirm(self, statement: str) -> None:
        """Make a bind stand; `statement` is a signed `Confirm`."""
        await self._post("confirm", statement, Accepted)

    async def renew(self, statement: str) -> RenewReply:
        """Deliver a capability with a later deadline; `statement` is a signed `Capability`."""
        return await self._post("renew", statement, RenewReply)

    async def release(self, statement: str) -> ReleaseReply:
        """End the lease's part. `statement` is a signed `Capability` (expired will do) or `Release`.

        Returns when the scratch is wiped.
        """
        return await self._post("release", statement, ReleaseReply)

    async def retire(self, statement: str) -> None:
        """End an idle member; `statement` is a signed `Retire`. RefusedError: it is not idle, leave it alone."""
        await self._post("retire", statement, Accepted)

    async def coordinator(self) -> CoordinatorReport:
        """What it says of the coordinator's process on it, and the key to which an order is sealed."""
        return await self._call("GET", COORDINATOR_PATH, b"", CoordinatorReport)

    async def coordinate(self, request: CoordinateRequest) -> None:
        """Have it run the coordinator of a job; the same order again changes nothing."""
        await self._call("POST", COORDINATOR_PATH, msgspec.json.encode(request), Accepted)

    async def close(self) -> None:
        """Close the connections; the client may be used again."""
        idle, self._idle = self._idle, []
        await asyncio.gather(*(connection.close() for connection in idle))

    async def _post(self, verb: str, statement: str, kind: type[Reply]) -> Reply:
        return await self._call("POST", f"/v1/{verb}", msgspec.json.encode(SignedRequest(statement)), kind)

    async def _call(self, method: str, path: str, body: bytes, kind: type[Reply]) -> Reply:
        request = self._address.request(method, path, body)
        try:
            async with asyncio.timeout(self._timeout_seconds):
                answer, key = await self._exchange(request)
        except (OSError, TimeoutError) as error:
            raise UnreachableError(
                f"the member at {self._endpoint} did not answer {path}: {str(error) or type(error).__name__}",
                remedy="it may have ended; ask the fabric for another",
            ) from error
        reply = _read(answer, kind, self._endpoint)
        if self._address.pin and isinstance(reply, StateReport | BindReply):
            self._learn(key, reply.incarnation)
        return reply

    def _learn(self, key: str, incarnation: str) -> None:
        """The member's word about itself is its own if its incarnation is the name of its key; from now on, only it."""
        if key != incarnation or self._address.pin not in (UNPROVEN, key):
            raise WrongKeyError(self.endpoint, key)
        self._address = replace(self._address, pin=key)

    async def _exchange(self, request: bytes) -> tuple[Answer, str]:
        """The answer, and the key of whoever gave it."""
        while self._idle:
            try:
                return await self._exchange_over(self._idle.pop(), request)
            except ClosedUnansweredError:
                # It was closed while it was idle. All calls are idempotent, so even one that was heard may be repeated.
                continue
        return await self._exchange_over(await Connection.open(self._address), request)

    async def _exchange_over(self, connection: Connection, request: bytes) -> tuple[Answer, str]:
        if self._address.pin not in (UNPROVEN, connection.key):
            # It was opened before the member had proven its key, and leads to somebody else.
            await connection.close()
            raise WrongKeyError(self.endpoint, connection.key, self._address.pin)
        answer = await connection.exchange(request)
        if connection.usable:
            self._idle.append(connection)
        return answer, connection.key


def _read(answer: Answer, kind: type[Reply], endpoint: str) -> Reply:
    try:
        if answer.status == 200:
            return msgspec.json.decode(answer.body, type=kind)
        refusal = msgspec.json.decode(answer.body, type=ErrorReply)
    except UNREADABLE as error:
        raise ProtocolError(f"the answer of {endpoint} (status {answer.status}) cannot be read: {error}") from error
    if refusal.code == OverloadedError.code:
        raise UnreachableError(f"{endpoint}: {refusal.cause}", remedy=refusal.remedy)
    raise RefusedError(refusal.code, refusal.cause, remedy=refusal.remedy)
