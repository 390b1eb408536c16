"""Hints by HTTP to a fabric of several replicas, of which one leads and listens.

A replica that does not lead answers 503 with `{"code": "NotLeader", "leader": "http://host:port"}`: the hint goes to
that address, same path, and so do the next ones until it fails. Until the newest hint is taken (any 2xx) it is sent
again, with a delay that doubles up to a bound and has jitter: a thousand members must not all knock at once when the
fabric comes back.
"""

import asyncio
import contextlib
import random
from collections.abc import Callable
from http import HTTPStatus
from urllib.parse import urlsplit, urlunsplit

import aiohttp
import msgspec

from tasklet_runner.wire.authorities import trusting
from tasklet_runner.wire.decoding import UNREADABLE
from tasklet_runner.wire.errors import NotLeaderError
from tasklet_runner.wire.member import Hint

POST_SECONDS = 5.0
FIRST_DELAY_SECONDS = 0.1
LAST_DELAY_SECONDS = 15.0
LEAVE_SECONDS = 1.0
"""The last hint of a member's life has so long: it may not keep the process."""

MAX_ANSWER_BYTES = 16 * 1024
_HOPS = 3

Jitter = Callable[[], float]
"""A number between 0 and 1."""


class _NotLeader(msgspec.Struct, frozen=True):
    code: str
    leader: str = ""


class HttpNotifier:
    """Posts hints to `url` as JSON, one after another over one kept connection.

    `authority`: certificates (PEM) of who may vouch for an https fabric, empty for the system's; `name`: what its
    certificate must say, empty for the host that is asked. Raises InputError for an authority that cannot be read.
    """

    def __init__(self, url: str, jitter: Jitter = random.random, *, authority: str = "", name: str = "") -> None:
        self._trust = trusting(authority) if authority else True
        self._name = name or None
        self._url = url
        self._target = url
        self._jitter = jitter
        self._latest: Hint | None = None
        self._news = asyncio.Event()
        self._done = asyncio.Event()
        self._task: asyncio.Task[None] | None = None

    def tell(self, hint: Hint) -> None:
        """Post the hint, in place of an older one that has not been taken yet."""
        self._latest = hint
        self._done.clear()
        self._news.set()
        if self._task is None:
            self._task = asyncio.create_task(self._run())

    async def leave(self) -> None:
        """Wait a moment for the newest hint to be taken, then close the connection."""
        if self._task is None:
            return
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(self._done.wait(), LEAVE_SECONDS)
        self._task.cancel()
        await asyncio.gather(self._task, return_exceptions=True)

    async def _run(self) -> None:
        timeout = aiohttp.ClientTimeout(total=POST_SECONDS)
        async with aiohttp.ClientSession(timeout=timeout, cookie_jar=aiohttp.DummyCookieJar()) as session:
            while True:
                await self._news.wait()
                await self._deliver(session)
                self._done.set()

    async def _deliver(self, session: aiohttp.ClientSession) -> None:
        """Returns when the newest hint has been taken."""
        delay = FIRST_DELAY_SECONDS
        while self._latest is not None:
            hint = self._latest
            self._news.clear()
            if await self._taken(session, msgspec.json.encode(hint)):
                delay = FIRST_DELAY_SECONDS
                if self._latest is hint:
                    self._latest = None
                continue
            await self._pause(delay * (0.5 + self._jitter() / 2))
            delay = min(2 * delay, LAST_DELAY_SECONDS)

    async def _pause(self, seconds: float) -> None:
        # A newer hint does not wait: it is a transition, and those are rare.
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(self._news.wait(), seconds)

    async def _taken(self, session: aiohttp.ClientSession, body: bytes) -> bool:
        for _ in range(_HOPS):
            tried = self._target
            try:
                onward = await self._post(session, body)
            except (aiohttp.ClientError, OSError, TimeoutError):
                onward = self._url
            if not onward:
                return True
            self._target = onward
            if onward in (tried, self._url):
                return False
        return False

    async def _post(self, session: aiohttp.ClientSession, body: bytes) -> str:
        """Empty when the hint was taken; else where the next attempt should go."""
        headers = {"Content-Type": "application/json"}
        async with session.post(
            self._target,
            data=body,
            headers=headers,
            allow_redirects=False,
            ssl=self._trust,
            server_hostname=self._name,
        ) as response:
            answer = await response.content.read(MAX_ANSWER_BYTES)
        if HTTPStatus.OK <= response.status < HTTPStatus.MULTIPLE_CHOICES:
            return ""
        return leader_url(self._url, answer) if response.status == HTTPStatus.SERVICE_UNAVAILABLE else self._url


def leader_url(url: str, answer: bytes) -> str:
    """Where the leader takes what was posted to `url`; `url` itself when the answer names none."""
    try:
        said = msgspec.json.decode(answer, type=_NotLeader)
        leader = urlsplit(said.leader)
    except (*UNREADABLE, ValueError):
        return url
    if said.code != NotLeaderError.code or leader.scheme not in ("http", "https") or not leader.netloc:
        return url
    parts = urlsplit(url)
    return urlunsplit((leader.scheme, leader.netloc, parts.path, parts.query, ""))
