"""The object door as a user's program sees it: a Lease is made by POST, and usable when a watch shows capabilities.

As thin as can be, since it shares the machine with what it measures: one session, one watch, typed decoding.
"""

import asyncio
import os
import ssl
import time
import traceback
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import aiohttp
import msgspec
import yaml

WATCH_SECONDS = 3600
CONNECTIONS = 17
"""The watch, and sixteen for all else: a program of client-go has one in all, as it speaks HTTP/2. Each that is opened
costs the API server more than a write does."""
MERGE_PATCH = "application/merge-patch+json"

_encode = msgspec.json.encode


class _Metadata(msgspec.Struct):
    name: str = ""
    resourceVersion: str = ""


class _Member(msgspec.Struct):
    name: str


class _Condition(msgspec.Struct):
    type: str
    status: str
    reason: str = ""
    message: str = ""


class _Status(msgspec.Struct):
    capabilities: list[str] = []
    members: list[_Member] = []
    conditions: list[_Condition] = []
    expireTime: str = ""


class _Object(msgspec.Struct):
    metadata: _Metadata = msgspec.field(default_factory=_Metadata)
    status: _Status | str = msgspec.field(default_factory=_Status)


class _Event(msgspec.Struct):
    type: str
    object: _Object


_decode = msgspec.json.Decoder(_Event).decode


@dataclass(eq=False)
class Seen:
    """What the watch has shown of one lease; instants are monotonic seconds, `expires` UNIX seconds.
    `usable` is set as well when it has ended instead.
    """

    usable_at: float = 0.0
    members: tuple[str, ...] = ()
    expires: float = 0.0
    released_at: float = 0.0
    released_wall: float = 0.0
    reason: str = ""
    gone_at: float = 0.0
    usable: asyncio.Event = field(default_factory=asyncio.Event)
    released: asyncio.Event = field(default_factory=asyncio.Event)
    gone: asyncio.Event = field(default_factory=asyncio.Event)


def _fail_loudly(watching: "asyncio.Task[None]") -> None:
    """Without its watch the load would wait for ever."""
    if not watching.cancelled() and (error := watching.exception()) is not None:
        traceback.print_exception(error)
        os._exit(1)


GATEWAY_TIMEOUT = 504
DELETED_AT_ONCE = 500


class RefusedByServerError(Exception):
    """The API server said no: its status and its words."""

    def __init__(self, status: int, words: str) -> None:
        super().__init__(f"{status} {words}")
        self.status = status


class Door:
    """One user's connection to the Leases of a namespace."""

    def __init__(self, kubeconfig: Path, namespace: str) -> None:
        config = yaml.safe_load(kubeconfig.read_text(encoding="utf-8"))
        cluster, user = config["clusters"][0]["cluster"], config["users"][0]["user"]
        self._leases = f"{cluster['server']}/apis/leasegrid.dev/v1alpha1/namespaces/{namespace}/leases"
        self._headers = {"Authorization": f"Bearer {user['token']}", "Content-Type": "application/json"}
        self._trusted = ssl.create_default_context(cafile=str(cluster["certificate-authority"]))
        self._session: aiohttp.ClientSession
        self._watching: asyncio.Task[None]
        self._open = asyncio.Event()
        self.seen: dict[str, Seen] = {}

    async def __aenter__(self) -> Self:
        connector = aiohttp.TCPConnector(ssl=self._trusted, limit=CONNECTIONS)
        self._session = aiohttp.ClientSession(connector=connector, headers=self._headers)
        listed = msgspec.json.decode(await self._ask("GET", "?limit=1"))
        self._watching = asyncio.create_task(self._watch(listed["metadata"]["resourceVersion"]))
        self._watching.add_done_callback(_fail_loudly)
        await self._open.wait()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._watching.cancel()
        await asyncio.gather(self._watching, return_exceptions=True)
        await self._session.close()

    async def create(self, name: str, spec: dict[str, Any]) -> Seen:
        """Make a Lease; what the watch shows of it goes into the answer. Raises RefusedByServerError."""
        seen = self.seen[name] = Seen()
        body = {"apiVersion": "leasegrid.dev/v1alpha1", "kind": "Lease", "metadata": {"name": name}, "spec": spec}
        await self._ask("POST", "", _encode(body))
        return seen

    async def patch_status(self, name: str, status: dict[str, Any]) -> None:
        """Write a status, as an operator does. Raises RefusedByServerError."""
        await self._ask("PATCH", f"/{name}/status", _encode({"status": status}), MERGE_PATCH)

    async def delete(self, name: str) -> None:
        """Delete a Lease. Raises RefusedByServerError."""
        await self._ask("DELETE", f"/{name}")

    async def delete_all(self) -> None:
        """Delete all Leases of the namespace, some at a time: a request in which the server is not done within a
        minute it gives up, or cuts off.
        """
        while msgspec.json.decode(await self._ask("GET", "?limit=1"))["items"]:
            try:
                await self._ask("DELETE", f"?limit={DELETED_AT_ONCE}")
            except aiohttp.ServerDisconnectedError:
                continue
            except RefusedByServerError as error:
                if error.status != GATEWAY_TIMEOUT:
                    raise

    async def _ask(self, method: str, path: str, body: bytes = b"", content: str = "") -> bytes:
        headers = {"Content-Type": content} if content else None
        async with self._session.request(method, self._leases + path, data=body or None, headers=headers) as answer:
            data = await answer.read()
        if answer.status >= 300:
            raise RefusedByServerError(answer.status, f"{method} {path}: {data[:300].decode(errors='replace')}")
        return data

    async def _watch(self, version: str) -> None:
        while True:
            query = f"?watch=1&resourceVersion={version}&timeoutSeconds={WATCH_SECONDS}"
            timeout = aiohttp.ClientTimeout(total=None)
            async with self._session.get(self._leases + query, timeout=timeout) as answer:
                self._open.set()
                rest = b""
                async for chunk in answer.content.iter_any():
                    now, wall = time.monotonic(), time.time()
                    *lines, rest = (rest + chunk).split(b"\n")
                    for line in lines:
                        event = _decode(line)
                        version = event.object.metadata.resourceVersion
                        self._take(event, now, wall)

    def _take(self, event: _Event, now: float, wall: float) -> None:
        if event.type == "ERROR":
            raise RuntimeError("the watch of the load has lost events")
        seen = self.seen.get(event.object.metadata.name)
        if seen is None:
            return
        if event.type == "DELETED":
            seen.gone_at = now
            seen.gone.set()
            return
        status = event.object.status
        assert isinstance(status, _Status)
        if status.capabilities and not seen.usable_at:
            seen.usable_at, seen.members = now, tuple(member.name for member in status.members)
            seen.expires = datetime.fromisoformat(status.expireTime).timestamp() if status.expireTime else 0.0
            seen.usable.set()
        for condition in status.conditions:
            if condition.type == "Released" and condition.status == "True" and not seen.released_at:
                seen.released_at, seen.released_wall = now, wall
                seen.reason = f"{condition.reason}: {condition.message}"
                seen.released.set()
                seen.usable.set()  # nobody is to wait for what will not come
