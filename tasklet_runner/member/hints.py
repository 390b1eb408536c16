"""Hints to the fabric at each transition: a unix datagram, or an HTTP POST. Lost ones cost nothing but time."""

import asyncio
import contextlib
import socket

import aiohttp
import msgspec

from tasklet_runner.wire.errors import ProtocolError
from tasklet_runner.wire.member import Hint

_UNIX = "unix://"


class Silence:
    """Nobody wants hints."""

    def tell(self, hint: Hint) -> None:
        """Say nothing."""


class DatagramNotifier:
    """Sends each hint as one datagram; one that does not get through is lost."""

    def __init__(self, path: str) -> None:
        self._path = path
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_NONBLOCK)

    def tell(self, hint: Hint) -> None:
        """Send the hint, or lose it: nobody listens, or the queue is full."""
        with contextlib.suppress(OSError):
            self._socket.sendto(msgspec.json.encode(hint), self._path)


class HttpNotifier:
    """Posts each hint as JSON, one after another; the newest is kept when they come faster than they go."""

    def __init__(self, url: str) -> None:
        self._url = url
        self._latest: Hint | None = None
        self._task: asyncio.Task[None] | None = None

    def tell(self, hint: Hint) -> None:
        """Post the hint soon."""
        self._latest = hint
        if self._task is None or self._task.done():
            self._task = asyncio.create_task(self._post())

    async def _post(self) -> None:
        async with aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=5)) as session:
            while self._latest is not None:
                body, self._latest = msgspec.json.encode(self._latest), None
                with contextlib.suppress(aiohttp.ClientError, OSError, TimeoutError):
                    async with session.post(self._url, data=body, headers={"Content-Type": "application/json"}):
                        pass


def notifier_for(target: str) -> Silence | DatagramNotifier | HttpNotifier:
    """The notifier of `--notify`: `unix:///path`, `http(s)://…`, or empty."""
    if not target:
        return Silence()
    if target.startswith(_UNIX):
        return DatagramNotifier(target.removeprefix(_UNIX))
    if target.startswith(("http://", "https://")):
        return HttpNotifier(target)
    raise ProtocolError(f"--notify {target!r} is neither unix:// nor http(s)://", remedy="give unix:///path")
