"""Serving the broker: what no application sees. Connections are counted, silent ones closed, half-open ones found."""

import asyncio
import contextlib
import socket
import ssl
from types import TracebackType
from typing import Self, cast

from aiohttp import web

from leasegrid_operator.broker.limits import Limits

SHUTDOWN_SECONDS = 5.0
"""Requests that are under way when the server closes have so long."""

BACKLOG = 1024

_FULL = (
    b'{"code":"TooManyRequests","cause":"the broker has as many connections as it takes",'
    b'"remedy":"keep one open and use it again"}'
)
_REFUSED = (
    b"HTTP/1.1 429 Too Many Requests\r\nContent-Type: application/json\r\nRetry-After: 1\r\n"
    b"Connection: close\r\nContent-Length: %d\r\n\r\n%b" % (len(_FULL), _FULL)
)


class BrokerServer:
    """Serves an application of `make_broker` on one address. An async context manager.

    `port`: where it listens once it was started; 0 at first lets the kernel choose. `tls`: only HTTPS is spoken.
    """

    def __init__(
        self, app: web.Application, limits: Limits, host: str, port: int, tls: ssl.SSLContext | None = None
    ) -> None:
        self._tls = tls
        self._limits = limits
        self._host = host
        self.port = port
        # A caller that went away is not waited for: its request is idempotent, and it asks again.
        self._runner = web.AppRunner(
            app,
            access_log=None,
            handler_cancellation=True,
            keepalive_timeout=limits.idle_seconds,
            shutdown_timeout=SHUTDOWN_SECONDS,
            max_line_size=limits.head_bytes,
            max_field_size=limits.head_bytes,
            lingering_time=1.0,
            auto_decompress=False,
        )
        self._listening: asyncio.Server | None = None
        self._arriving: set[_Visitor] = set()

    async def __aenter__(self) -> Self:
        await self.start()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.close()

    @property
    def connections(self) -> int:
        """Connections that stand."""
        return len(self._server.connections) + len(self._arriving)

    async def start(self) -> None:
        """Listen. Raises OSError."""
        await self._runner.setup()
        self._listening = await asyncio.get_running_loop().create_server(
            lambda: _Visitor(self, self._limits),
            self._host,
            self.port,
            backlog=BACKLOG,
            ssl=self._tls,
            # A connection is counted from its handshake on, so that has to come as soon as a first head.
            ssl_handshake_timeout=self._limits.arrival_seconds if self._tls else None,
        )
        self.port = self._listening.sockets[0].getsockname()[1]

    async def close(self) -> None:
        """Listen no more, finish what is being answered."""
        if self._listening is not None:
            self._listening.close()
        for visitor in list(self._arriving):
            visitor.leave()
        await self._runner.cleanup()

    def admit(self, visitor: "_Visitor") -> bool:
        """True when there is room for one more connection; it is counted from now on."""
        if self.connections >= self._limits.connections:
            return False
        self._arriving.add(visitor)
        return True

    def left(self, visitor: "_Visitor") -> None:
        """A connection went, or was handed over."""
        self._arriving.discard(visitor)

    def make_protocol(self) -> asyncio.Protocol:
        """What speaks HTTP on a connection that is handed over."""
        return self._server()

    @property
    def _server(self) -> web.Server:
        server = self._runner.server
        if server is None:
            raise RuntimeError("the broker's server was not started")
        return server


class _Visitor(asyncio.Protocol):
    """A new connection, until its first bytes come; then aiohttp's. Its first head must come whole in time.

    aiohttp itself closes a connection that stays idle after a request, but not one that never made any.
    """

    def __init__(self, server: BrokerServer, limits: Limits) -> None:
        self._server = server
        self._limits = limits
        self._transport: asyncio.Transport
        self._head = b""
        self._timer: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)
        if not self._server.admit(self):
            self._transport.write(_REFUSED)
            self._transport.close()
            return
        _find_half_open(self._transport, self._limits.departure_seconds)
        self._timer = asyncio.get_running_loop().call_later(self._limits.arrival_seconds, self._transport.abort)

    def connection_lost(self, error: Exception | None) -> None:
        self._arrived()

    def leave(self) -> None:
        self._transport.abort()

    def data_received(self, data: bytes) -> None:
        if self._timer is None:
            return
        self._head += data
        if b"\r\n\r\n" in self._head or len(self._head) > self._limits.head_bytes:
            self._arrived()
            handler = self._server.make_protocol()
            self._transport.set_protocol(handler)
            handler.connection_made(self._transport)
            handler.data_received(self._head)

    def _arrived(self) -> None:
        self._server.left(self)
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None


def _find_half_open(transport: asyncio.Transport, seconds: float) -> None:
    """The kernel gives up a peer that acknowledges or reads nothing for so long (tcp(7), TCP_USER_TIMEOUT)."""
    sock = transport.get_extra_info("socket")
    if sock is None:
        return
    with contextlib.suppress(OSError):
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPIDLE, max(1, int(seconds)))
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, int(seconds * 1000))
