"""Serving the broker: what no application sees. Connections are counted, silent ones closed, half-open ones found."""

import asyncio
import socket
import ssl
from types import TracebackType
from typing import Self

from aiohttp import web

from leasegrid_operator.broker.limits import Limits
from tasklet_runner.doors.guests import Door, Guest, listen
from tasklet_runner.doors.handlers import HttpHandler
from tasklet_runner.doors.limits import DoorLimits, own_limits

SHUTDOWN_SECONDS = 5.0
"""Requests that are under way when the server closes have so long."""


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
        self._runner = web.AppRunner(app, handler_cancellation=True, shutdown_timeout=SHUTDOWN_SECONDS)
        self._door = Door("the broker", door_limits(limits), self._handler)
        self._listening: asyncio.Server | None = None

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
        return self._door.crowd.total

    @property
    def refused(self) -> int:
        """Connections for which there was no room."""
        return self._door.crowd.refused

    async def start(self) -> None:
        """Listen. Raises OSError."""
        await self._runner.setup()
        family = socket.AF_INET6 if ":" in self._host else socket.AF_INET
        sock = socket.create_server((self._host, self.port), family=family)
        # A connection is counted from its handshake on, so that has to come as soon as a first head.
        self._listening = await listen(sock, lambda: Guest(self._door), self._tls, self._limits.arrival_seconds)
        self.port = self._listening.sockets[0].getsockname()[1]

    async def close(self) -> None:
        """Listen no more, finish what is being answered."""
        if self._listening is not None:
            self._listening.close()
        self._door.close()
        await self._runner.cleanup()

    def _handler(self) -> HttpHandler:
        return HttpHandler.behind(self._runner, self._door.limits, lingering_time=1.0, auto_decompress=False)


def door_limits(limits: Limits) -> DoorLimits:
    """What of the broker's limits is its door's business."""
    return DoorLimits(
        connections=min(limits.connections, own_limits().connections),
        head_bytes=limits.head_bytes,
        arrival_seconds=limits.arrival_seconds,
        idle_seconds=limits.idle_seconds,
        stall_seconds=limits.departure_seconds,
    )
