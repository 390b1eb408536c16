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
    """Sends each hint as one datagram; the newest waits while the fabric's queue is full.

    A kernel queues few datagrams (`net.unix.max_dgram_qlen`, often ten), and members of one lease speak all at once.
    """

    def __init__(self, path: str) -> None:
        self._path = path
        self._socket: socket.socket | None = None
        self._waiting = b""

    def tell(self, hint: Hint) -> None:
        """Send the hint, now or when there is room for it; it is lost when nobody listens."""
        waits, self._waiting = bool(self._waiting), msgspec.json.encode(hint)
        if not waits:
            self._send()

    def close(self) -> None:
        """Close the socket; the next hint opens another."""
        connected, self._socket = self._socket, None
        if connected is not None:
            connected.close()

    def _send(self) -> None:
        try:
            self._connected().send(self._waiting)
        except BlockingIOError:
            # Connected, so that the kernel says when this very receiver has room.
            asyncio.get_running_loop().add_writer(self._connected(), self._send_waiting)
            return
        except OSError:
            self.close()
        self._waiting = b""

    def _send_waiting(self) -> None:
        asyncio.get_running_loop().remove_writer(self._connected())
        self._send()

    def _connected(self) -> socket.socket:
        if self._socket is None:
            self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_NONBLOCK)
            self._socket.connect(self._path)
        return self._socket


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
        # Asked again after the session's end: a hint that came while it closed would wait for the next one.
        while self._latest is not None:
            async with aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=5)) as session:
                await self._post_latest(session)

    async def _post_latest(self, session: aiohttp.ClientSession) -> None:
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
