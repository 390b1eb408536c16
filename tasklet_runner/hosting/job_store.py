"""A job's store at a leased member, as its coordinator uses it: implements `store.protocol.JobStore`."""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from typing import TypeVar
from urllib.parse import quote

import msgspec
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from yarl import URL

from tasklet_runner.client.store_calls import Ask
from tasklet_runner.client.stores import StoreClient
from tasklet_runner.fabric.protocol import LeaseView
from tasklet_runner.store.protocol import CommitRecord, NewObject, ObjectInfo
from tasklet_runner.wire.decoding import UNREADABLE
from tasklet_runner.wire.errors import (
    LeaseGridError,
    ProtocolError,
    RefusedError,
    StoreError,
    StoreFencedError,
    UnreachableError,
)
from tasklet_runner.wire.job_store import (
    JOB_PATH,
    TERM_HEADER,
    VALUES_PATH,
    DeleteCheckpoints,
    Opened,
    Write,
    WriteObject,
    Wrote,
)
from tasklet_runner.wire.queues import CommitPage
from tasklet_runner.wire.store import COMMITS_PATH

PATIENCE_SECONDS = 60.0
"""So long a store that does not answer is asked again: a Block member that is lost has a successor by then."""

PAUSE_SECONDS = 0.2

_PASSING = frozenset({"NotReady", "LeaseExpired", "NoSession", "Unauthenticated"})
"""Refusals of a member that is about to go, or of a capability that is about to be renewed."""

Value = TypeVar("Value")
Reply = TypeVar("Reply", bound=msgspec.Struct)
_encode = msgspec.msgpack.Encoder().encode


class JobStoreClient:
    """The store of one job for the coordinator of one term, in one event loop; `moved` when its lease is another.

    Every call waits while the store does not answer, for a minute at most. Then, and when the disk fails or the quota
    is reached, it raises StoreError; StoreFencedError when a coordinator of a higher term has opened the store.
    """

    def __init__(self, view: LeaseView, holder: Ed25519PrivateKey, term: int) -> None:
        self._holder = holder
        self._headers = {TERM_HEADER: str(term)}
        self._view = view
        self._client = self._connected(view)
        self._old: list[StoreClient] = []
        self._over: list[str] = []
        self._deleting: asyncio.Task[None] | None = None

    @property
    def endpoint(self) -> str:
        """Where members put large outputs."""
        return self._view.members[0].endpoint

    @property
    def uid(self) -> str:
        """The name under which put grants address this store."""
        return self._view.uid

    def moved(self, view: LeaseView) -> None:
        """The lease as it is now: with newer capabilities, or with the successor of its member."""
        if not view.members:
            return
        if view.members[0] == self._view.members[0]:
            self._client.show(view.capabilities[0])
        else:
            self._old.append(self._client)
            self._client = self._connected(view)
        self._view = view

    async def close(self) -> None:
        """Close the connections, when what is over is deleted."""
        if self._deleting is not None:
            await asyncio.gather(self._deleting, return_exceptions=True)
        await asyncio.gather(*(client.close() for client in (*self._old, self._client)))

    async def open(self) -> Opened:
        """Be the one who writes from now on; durable when the call returns."""
        return await self._asked("POST", "open", Opened)

    async def write(self, objects: Sequence[NewObject], commits: Sequence[CommitRecord]) -> int:
        """See `JobStore.write`."""
        body = _encode(Write(tuple(WriteObject(one.key, one.data) for one in objects), tuple(commits)))
        return (await self._asked("POST", "write", Wrote, body)).new_commits

    async def read(self, key: str, offset: int = 0, length: int = -1) -> bytes:
        """See `JobStore.read`."""
        try:
            return await self._object(key, lambda client: client.get(key, offset, length))
        except RefusedError as error:
            if error.reason == "RangeNotSatisfiable":
                return b""  # it ends before `offset`; an empty one has no range at all
            raise

    async def stat(self, key: str) -> ObjectInfo:
        """See `JobStore.stat`."""
        return await self._object(key, lambda client: client.head(key))

    async def drop_uncommitted(self) -> None:
        """See `JobStore.drop_uncommitted`."""
        await self._asked("POST", "drop-uncommitted", Opened)

    async def commits(self, stage: str, first: int = 0, limit: int = 1000) -> list[CommitRecord]:
        """See `JobStore.commits`."""
        query = {"stage": stage, "first": str(first), "limit": str(limit)}
        ask = Ask("GET", str(URL(COMMITS_PATH).with_query(query)))
        return list((await self._patiently(lambda client: _reply(client, ask, CommitPage))).commits)

    async def put_value(self, name: str, value: bytes) -> None:
        """See `JobStore.put_value`."""
        await self._asked("PUT", f"values/{quote(name, safe='')}", Opened, value)

    async def get_value(self, name: str) -> bytes | None:
        """See `JobStore.get_value`."""
        ask = Ask("GET", VALUES_PATH + quote(name, safe=""), self._headers)
        try:
            return await self._patiently(lambda client: _content(client, ask))
        except RefusedError as error:
            if error.reason == "NotFound":
                return None
            raise

    def delete_checkpoints(self, prefix: str) -> None:
        """See `JobStore.delete_checkpoints`: nobody waits for it, and what is not deleted ends with the store."""
        self._over.append(prefix)
        if self._deleting is None or self._deleting.done():
            self._deleting = asyncio.get_running_loop().create_task(self._delete())

    async def _delete(self) -> None:
        while self._over:
            prefixes, self._over = tuple(self._over), []
            try:
                await self._asked(
                    "POST", "delete-checkpoints", Opened, msgspec.json.encode(DeleteCheckpoints(prefixes))
                )
            except LeaseGridError:
                return

    async def sync(self) -> None:
        """Every answer of a leased store comes when what it says is durable: there is nothing left to do."""

    async def used_bytes(self) -> int:
        """See `JobStore.used_bytes`."""
        return (await self._asked("GET", "usage", Opened)).used_bytes

    def _connected(self, view: LeaseView) -> StoreClient:
        return StoreClient(view.members[0].endpoint, view.capabilities[0], self._holder)

    async def _asked(self, method: str, path: str, kind: type[Reply], body: bytes | None = None) -> Reply:
        ask = Ask(method, JOB_PATH + path, self._headers, None if body is None else lambda: body)
        return await self._patiently(lambda client: _reply(client, ask, kind))

    async def _object(self, key: str, call: Callable[[StoreClient], Awaitable[Value]]) -> Value:
        try:
            return await self._patiently(call)
        except RefusedError as error:
            if error.reason == "NotFound":
                raise KeyError(key) from error
            raise

    async def _patiently(self, call: Callable[[StoreClient], Awaitable[Value]]) -> Value:
        """The call, again and again while the store is away. All are idempotent: also one that was heard."""
        loop = asyncio.get_running_loop()
        until = loop.time() + PATIENCE_SECONDS
        while True:
            try:
                return await call(self._client)
            except (UnreachableError, RefusedError) as error:
                if isinstance(error, RefusedError):
                    if error.reason == StoreFencedError.code:
                        raise StoreFencedError(error.cause, remedy=error.remedy) from error
                    if error.reason not in _PASSING:
                        raise
                if loop.time() >= until:
                    raise StoreError(
                        f"the job's store has not answered for {PATIENCE_SECONDS:.0f} s: {error.cause}",
                        remedy="look at its lease and at its pod; the job goes on when it is submitted again",
                    ) from error
                await asyncio.sleep(PAUSE_SECONDS)


async def _reply(client: StoreClient, ask: Ask, kind: type[Reply]) -> Reply:
    async with client.calls.answer(ask) as response:
        try:
            return msgspec.json.decode(await response.read(), type=kind)
        except UNREADABLE as error:
            raise ProtocolError(
                f"an answer of the job's store cannot be read: {error}",
                remedy="run operator and members of one version",
            ) from error


async def _content(client: StoreClient, ask: Ask) -> bytes:
    async with client.calls.answer(ask) as response:
        return await response.read()
