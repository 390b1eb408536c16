"""Calls to one member's HTTP door: statements out, typed replies back."""

from types import TracebackType
from typing import Self, TypeVar

import aiohttp
import msgspec

from tasklet_runner.client.transport import base_url, open_session
from tasklet_runner.wire.errors import ProtocolError, RefusedError, UnreachableError
from tasklet_runner.wire.member import BindReply, ErrorReply, ReleaseReply, RenewReply, SignedRequest, StateReport

Reply = TypeVar("Reply", bound=msgspec.Struct)


class Accepted(msgspec.Struct, frozen=True):
    """A yes without content."""


class MemberClient:
    """One member, reached at `unix:///path` or `http://host:port`; keeps its connection open between calls.

    Every call raises UnreachableError when the member did not answer, RefusedError when it said no, and ProtocolError
    when its answer cannot be read.
    """

    def __init__(self, endpoint: str, *, timeout_seconds: float = 10.0) -> None:
        self._endpoint = endpoint
        self._base = base_url(endpoint)
        self._timeout_seconds = timeout_seconds
        self._session: aiohttp.ClientSession | None = None

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.close()

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

    async def close(self) -> None:
        """Close the connection; the client may be used again."""
        session, self._session = self._session, None
        if session is not None:
            await session.close()

    async def _post(self, verb: str, statement: str, kind: type[Reply]) -> Reply:
        return await self._call("POST", f"/v1/{verb}", msgspec.json.encode(SignedRequest(statement)), kind)

    async def _call(self, method: str, path: str, body: bytes, kind: type[Reply]) -> Reply:
        if self._session is None:
            self._session = open_session(self._endpoint, timeout_seconds=self._timeout_seconds)
        try:
            async with self._session.request(method, self._base + path, data=body or None) as response:
                return _read(await response.read(), response.status, kind, self._endpoint)
        except (aiohttp.ClientError, OSError, TimeoutError) as error:
            raise UnreachableError(
                f"the member at {self._endpoint} did not answer {path}: {str(error) or type(error).__name__}",
                remedy="it may have ended; ask the fabric for another",
            ) from error


def _read(body: bytes, status: int, kind: type[Reply], endpoint: str) -> Reply:
    try:
        if status == 200:
            return msgspec.json.decode(body, type=kind)
        refusal = msgspec.json.decode(body, type=ErrorReply)
    except msgspec.MsgspecError as error:
        raise ProtocolError(f"the answer of {endpoint} (status {status}) cannot be read: {error}") from error
    raise RefusedError(refusal.code, refusal.cause, remedy=refusal.remedy)
