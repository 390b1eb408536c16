"""Everything that a lease's holder does with its store; what others do there under a grant is in `granted`."""

import asyncio
import hashlib
import os
from collections.abc import AsyncIterator, Callable, Iterator, Mapping
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType
from typing import Self

import aiohttp
import msgspec
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from yarl import URL

from tasklet_runner.client.batches import other_bytes
from tasklet_runner.client.granted import StoreConnections, connect, get_batch_to_file, put_batch, put_object
from tasklet_runner.client.keys import unreachable
from tasklet_runner.client.refusals import error_of, reply_of
from tasklet_runner.client.store_sessions import StoreSession
from tasklet_runner.client.transfers import PIECE_BYTES, body_of, measured, save
from tasklet_runner.client.transport import base_url
from tasklet_runner.wire.errors import StoreError, UnreachableError
from tasklet_runner.wire.member import ErrorReply
from tasklet_runner.wire.store import (
    DIGEST_HEADER,
    LISTING_PATH,
    MAX_PAGE_OBJECTS,
    SESSION_HEADER,
    ObjectInfo,
    ObjectPage,
    object_path,
)

__all__ = ["StoreClient", "StoreConnections", "get_batch_to_file", "put_batch", "put_object"]


@dataclass(frozen=True)
class _Ask:
    """One request. `body` is made anew for each attempt."""

    method: str
    path: str
    headers: Mapping[str, str] = field(default_factory=dict)
    body: Callable[[], bytes | AsyncIterator[bytes]] | None = None
    expect: bool = False


class StoreClient:
    """The objects of one leased Memory or Block member; an async context manager, for one event loop.

    Sessions are opened when needed and opened again when the member has forgotten them. Every call raises:
        RefusedError: the member said no, and why: LeaseExpired, Fenced, Unauthenticated, BadSignature, NotReady …
        StoreError: its disk fails or it is full (how full, and what to do).
        UnreachableError: no answer, an answer that was cut off, or another member at that address.
    """

    def __init__(self, endpoint: str, capability: str, holder_key: Ed25519PrivateKey) -> None:
        self._endpoint = endpoint
        self._base = base_url(endpoint, "store")
        self._session = StoreSession(self._base, capability, holder_key)
        self._http: aiohttp.ClientSession | None = None

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.close()

    def show(self, capability: str) -> None:
        """Use a renewed capability for sessions that are opened from now on."""
        self._session.capability = capability

    async def put(self, key: str, source: bytes | Path) -> ObjectInfo:
        """Put bytes, or a file's in flat memory; the same again is no error.

        Raises besides: RefusedError (Conflict: other bytes are there), InputError (the file cannot be read).
        """
        size, digest = await asyncio.to_thread(measured, source)
        headers = {DIGEST_HEADER: digest, "Content-Length": str(size)}
        ask = _Ask("PUT", object_path(key), headers, lambda: body_of(source), expect=size > PIECE_BYTES)
        async with self._answer(ask) as response:
            return msgspec.json.decode(await response.read(), type=ObjectInfo)

    async def get(self, key: str, offset: int = 0, length: int = -1) -> bytes:
        """The object's bytes, or `length` of them (-1: all) from `offset`; fewer where it ends.

        Raises besides: RefusedError (NotFound; RangeNotSatisfiable: it ends before `offset`).
        """
        if length == 0:
            return b""
        async with self._answer(_Ask("GET", object_path(key), _range(offset, length))) as response:
            data = await response.read()
        if response.status == 200 and hashlib.sha256(data).hexdigest() != response.headers[DIGEST_HEADER]:
            raise self._other_bytes(key)
        return data

    async def get_file(self, key: str, path: Path) -> ObjectInfo:
        """Write the object to a file, in flat memory; the file appears whole or not at all.

        Raises besides: RefusedError (NotFound), InputError (the file cannot be written).
        """
        part = path.with_name(f".{path.name}.part")
        try:
            async with self._answer(_Ask("GET", object_path(key))) as response:
                size, digest = await save(response, part)
            if digest != response.headers[DIGEST_HEADER]:
                raise self._other_bytes(key)
            os.replace(part, path)
        finally:
            part.unlink(missing_ok=True)
        return ObjectInfo(key, size, digest)

    async def head(self, key: str) -> ObjectInfo:
        """What there is under a key. Raises besides: RefusedError (NotFound)."""
        async with self._answer(_Ask("HEAD", object_path(key))) as response:
            return ObjectInfo(key, int(response.headers["Content-Length"]), response.headers[DIGEST_HEADER])

    async def list_objects(self, prefix: str = "", page_objects: int = MAX_PAGE_OBJECTS) -> AsyncIterator[ObjectInfo]:
        """Every object whose key begins with `prefix`, in the order of UTF-8 bytes, asked for page by page."""
        after = ""
        while True:
            query = {"prefix": prefix, "after": after, "limit": str(page_objects)}
            async with self._answer(_Ask("GET", str(URL(LISTING_PATH).with_query(query)))) as response:
                page = msgspec.json.decode(await response.read(), type=ObjectPage)
            for info in page.objects:
                yield info
            if not (after := page.next_after):
                return

    async def close(self) -> None:
        """Close the connections; the client may be used again."""
        opened, self._http = self._http, None
        if opened is not None:
            await opened.close()

    @asynccontextmanager
    async def _answer(self, ask: _Ask) -> AsyncIterator[aiohttp.ClientResponse]:
        """A successful answer."""
        with self._translated(ask):
            token = await self._session.token(self._connected())
            refused = await self._try(ask, token)
            if isinstance(refused, ErrorReply):
                if refused.code != "NoSession":
                    raise error_of(refused)
                # The member has many sessions and forgot the oldest, or this lease's earlier claim had it.
                token = await self._session.token(self._connected(), spent=token)
                refused = await self._try(ask, token)
            if isinstance(refused, ErrorReply):
                raise error_of(refused)
            async with refused as response:
                yield response

    async def _try(self, ask: _Ask, token: str) -> aiohttp.ClientResponse | ErrorReply:
        response = await self._connected().request(
            ask.method,
            URL(self._base + ask.path, encoded=True),
            data=ask.body() if ask.body is not None else None,
            headers={**ask.headers, SESSION_HEADER: token},
            expect100=ask.expect,
        )
        if response.status in (200, 206):
            return response
        async with response:
            body = await response.read()
        if ask.method == "HEAD":
            return _unworded(response.status, ask.path)
        return reply_of(response.status, body)

    def _connected(self) -> aiohttp.ClientSession:
        if self._http is None:
            self._http = connect(self._endpoint)
        return self._http

    @contextmanager
    def _translated(self, ask: _Ask) -> Iterator[None]:
        try:
            yield
        except (aiohttp.ClientError, TimeoutError, msgspec.MsgspecError) as error:
            silent = UnreachableError(
                f"the store at {self._endpoint} did not answer {ask.method} {ask.path[:200]}:"
                f" {str(error) or type(error).__name__}",
                remedy="it may have ended; read the lease's status",
            )
            raise unreachable(error, self._endpoint, silent) from error

    def _other_bytes(self, key: str) -> StoreError:
        return other_bytes(self._endpoint, key)


def _range(offset: int, length: int) -> dict[str, str]:
    if offset == 0 and length < 0:
        return {}
    return {"Range": f"bytes={offset}-" + ("" if length < 0 else str(offset + length - 1))}


def _unworded(status: int, path: str) -> ErrorReply:
    """The answer to HEAD has no body, so its status must do."""
    words = {401: "NoSession", 404: "NotFound", 409: "NotReady", 410: "LeaseExpired", 507: StoreError.code}
    code = words.get(status, "BadRequest")
    return ErrorReply(code=code, cause=f"HEAD {path[:200]} was refused with status {status}", remedy="try GET")
