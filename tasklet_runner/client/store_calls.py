"""Requests of a lease's holder to its store: under a session that is opened again when the member has forgotten it."""

from collections.abc import AsyncIterator, Callable, Iterator, Mapping
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass, field

import aiohttp
from yarl import URL

from tasklet_runner.client.granted import connect
from tasklet_runner.client.keys import unreachable
from tasklet_runner.client.refusals import error_of, reply_of
from tasklet_runner.client.store_sessions import StoreSession
from tasklet_runner.client.transfers import refusal_in
from tasklet_runner.client.transport import base_url
from tasklet_runner.wire.decoding import UNREADABLE
from tasklet_runner.wire.errors import StoreError, UnreachableError
from tasklet_runner.wire.member import ErrorReply
from tasklet_runner.wire.store import SESSION_HEADER


@dataclass(frozen=True)
class Ask:
    """One request. `body` is made anew for each attempt."""

    method: str
    path: str
    headers: Mapping[str, str] = field(default_factory=dict)
    body: Callable[[], bytes | AsyncIterator[bytes]] | None = None
    expect: bool = False


class HolderCalls:
    """The connections of one holder to one store, for one event loop. `session`: what it shows there."""

    def __init__(self, endpoint: str, session: StoreSession) -> None:
        self.session = session
        self._endpoint = endpoint
        self._base = base_url(endpoint, "store")
        self._http: aiohttp.ClientSession | None = None

    async def close(self) -> None:
        """Close the connections; they are opened again when needed."""
        opened, self._http = self._http, None
        if opened is not None:
            await opened.close()

    @asynccontextmanager
    async def answer(self, ask: Ask) -> AsyncIterator[aiohttp.ClientResponse]:
        """A successful answer. Raises what `StoreClient` says of every call."""
        with self._translated(ask):
            token = await self.session.token(self.connected())
            refused = await self._try(ask, token)
            if isinstance(refused, ErrorReply):
                if refused.code != "NoSession":
                    raise error_of(refused)
                # The member has many sessions and forgot the oldest, or this lease's earlier claim had it.
                token = await self.session.token(self.connected(), spent=token)
                refused = await self._try(ask, token)
            if isinstance(refused, ErrorReply):
                raise error_of(refused)
            async with refused as response:
                yield response

    async def _try(self, ask: Ask, token: str) -> aiohttp.ClientResponse | ErrorReply:
        response = await self.connected().request(
            ask.method,
            URL(self._base + ask.path, encoded=True),
            data=ask.body() if ask.body is not None else None,
            headers={**ask.headers, SESSION_HEADER: token},
            expect100=ask.expect,
        )
        if response.status in (200, 206):
            return response
        async with response:
            body = await refusal_in(response)
        if ask.method == "HEAD":
            return _unworded(response.status, ask.path)
        return reply_of(response.status, body)

    def connected(self) -> aiohttp.ClientSession:
        """Connections to the store; opened when there are none."""
        if self._http is None:
            self._http = connect(self._endpoint)
        return self._http

    @contextmanager
    def _translated(self, ask: Ask) -> Iterator[None]:
        try:
            yield
        except (aiohttp.ClientError, TimeoutError, *UNREADABLE) as error:
            silent = UnreachableError(
                f"the store at {self._endpoint} did not answer {ask.method} {ask.path[:200]}:"
                f" {str(error) or type(error).__name__}",
                remedy="it may have ended; read the lease's status",
            )
            raise unreachable(error, self._endpoint, silent) from error


def _unworded(status: int, path: str) -> ErrorReply:
    """The answer to HEAD has no body, so its status must do."""
    words = {401: "NoSession", 404: "NotFound", 409: "NotReady", 410: "LeaseExpired", 507: StoreError.code}
    code = words.get(status, "BadRequest")
    return ErrorReply(code=code, cause=f"HEAD {path[:200]} was refused with status {status}", remedy="try GET")
