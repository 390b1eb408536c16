"""The Kubernetes API as the rig's kubelet uses it: keep-alive HTTPS, patience with a server that restarts, watches."""

import asyncio
import ssl
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import aiohttp
import msgspec
import yaml

Object = dict[str, Any]

STRATEGIC = "application/strategic-merge-patch+json"
MERGE = "application/merge-patch+json"
IN_FLIGHT = 32
"""As many requests at once, so that a burst of pods leaves the server time for others."""
RETRY_SECONDS = 0.2
WATCH_SECONDS = 300

_decode = msgspec.json.Decoder().decode
_LOST = (aiohttp.ClientError, ConnectionError, TimeoutError, ssl.SSLError)


@dataclass(frozen=True)
class Reply:
    """A status and the object, list or `Status` in the body."""

    status: int
    body: Object

    @property
    def accepted(self) -> bool:
        """True for 2xx."""
        return self.status < 300


@dataclass(frozen=True)
class Event:
    """`LISTED` with all `items`, or `ADDED`, `MODIFIED`, `DELETED` with one."""

    kind: str
    items: tuple[Object, ...]


class KubeApi:
    """The server of a kubeconfig's current context, whose user has a token."""

    def __init__(self, kubeconfig: Path) -> None:
        config = yaml.safe_load(kubeconfig.read_text(encoding="utf-8"))
        cluster, user = config["clusters"][0]["cluster"], config["users"][0]["user"]
        self.address = str(cluster["server"])
        self._token = str(user["token"])
        self._trusted = ssl.create_default_context(cafile=str(cluster["certificate-authority"]))
        self._room = asyncio.Semaphore(IN_FLIGHT)
        self._session: aiohttp.ClientSession

    async def __aenter__(self) -> Self:
        self._session = aiohttp.ClientSession(
            connector=aiohttp.TCPConnector(ssl=self._trusted, limit=0),
            headers={"Authorization": f"Bearer {self._token}", "Accept": "application/json"},
        )
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._session.close()

    async def ask(self, method: str, path: str, body: object = None, content: str = "application/json") -> Reply:
        """Send one request, however often it takes until a server that is away or overloaded answers it."""
        data = None if body is None else msgspec.json.encode(body)
        while True:
            try:
                async with self._room:
                    reply = await self._once(method, path, data, content)
            except _LOST:
                await asyncio.sleep(RETRY_SECONDS)
                continue
            if reply.status != 429 and reply.status < 500:
                return reply
            await asyncio.sleep(RETRY_SECONDS)

    async def follow(self, path: str) -> AsyncIterator[Event]:
        """All objects of a collection, then each change, for ever: a watch that ends is begun anew by a list."""
        while True:
            listed = await self.ask("GET", path)
            if not listed.accepted:
                await asyncio.sleep(RETRY_SECONDS)
                continue
            yield Event("LISTED", tuple(listed.body["items"]))
            try:
                async for event in self._watch(path, listed.body["metadata"]["resourceVersion"]):
                    yield event
            except _LOST:
                await asyncio.sleep(RETRY_SECONDS)

    async def _once(self, method: str, path: str, data: bytes | None, content: str) -> Reply:
        timeout = aiohttp.ClientTimeout(total=30)
        headers = {"Content-Type": content}
        async with self._session.request(
            method, f"{self.address}{path}", data=data, headers=headers, timeout=timeout
        ) as answer:
            text = await answer.read()
        try:
            return Reply(answer.status, _decode(text))
        except msgspec.DecodeError:
            return Reply(answer.status, {"message": text.decode(errors="replace")})

    async def _watch(self, path: str, version: str) -> AsyncIterator[Event]:
        query = f"?watch=1&allowWatchBookmarks=true&resourceVersion={version}&timeoutSeconds={WATCH_SECONDS}"
        timeout = aiohttp.ClientTimeout(total=None, sock_connect=5, sock_read=WATCH_SECONDS + 30)
        async with self._session.get(f"{self.address}{path}{query}", timeout=timeout) as answer:
            rest = b""
            async for chunk in answer.content.iter_any():
                *lines, rest = (rest + chunk).split(b"\n")
                for line in lines:
                    told = _decode(line)
                    if told["type"] == "ERROR":
                        return
                    if told["type"] != "BOOKMARK":
                        yield Event(told["type"], (told["object"],))
