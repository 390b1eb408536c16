"""Hints to the fabric at each transition, as unix datagrams or (`member.posting`) HTTP POSTs: the newest counts."""

import asyncio
import socket

import msgspec

from tasklet_runner.member.posting import HttpNotifier
from tasklet_runner.wire.errors import ProtocolError
from tasklet_runner.wire.member import Hint

_UNIX = "unix://"


class Silence:
    """Nobody wants hints."""

    def tell(self, hint: Hint) -> None:
        """Say nothing."""

    async def leave(self) -> None:
        """Nothing to let go."""


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

    async def leave(self) -> None:
        """The member ends."""
        self.close()

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


def notifier_for(target: str, authority: str = "", name: str = "") -> Silence | DatagramNotifier | HttpNotifier:
    """The notifier of `--notify`: `unix:///path`, `http(s)://…`, or empty. `authority`, `name`: see `HttpNotifier`."""
    if not target:
        return Silence()
    if target.startswith(_UNIX):
        return DatagramNotifier(target.removeprefix(_UNIX))
    if target.startswith(("http://", "https://")):
        return HttpNotifier(target, authority=authority, name=name)
    raise ProtocolError(f"--notify {target!r} is neither unix:// nor http(s)://", remedy="give unix:///path")
