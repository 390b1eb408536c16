"""A unix socket whose connections end at a port of a pod, through the API server.

Each connection is a WebSocket of `pods/portforward`. Its subprotocol is v4.channel.k8s.io: the first byte of a message
is its channel, 0 for data and 1 for errors, and the first message of each channel from the server is only the port (two
bytes, little-endian). Source: kubernetes/kubelet, pkg/cri/streaming/portforward/websocket.go.
"""

import asyncio
import contextlib
import tempfile
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path

import aiohttp

from tasklet_runner.wire.errors import LeaseGridError

DATA, ERRORS = 0, 1
_PIECE_BYTES = 32 * 1024

Dial = Callable[[], AbstractAsyncContextManager[aiohttp.ClientWebSocketResponse]]
"""Opens one WebSocket to the pod's port."""


@dataclass
class Forward:
    """A listener and what went wrong behind it. `endpoint`: unix:///path, for this user alone."""

    endpoint: str
    dial: Dial
    trouble: list[str] = field(default_factory=list)

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """One connection, until either side ends it."""
        try:
            async with self.dial() as socket:
                ways = (asyncio.ensure_future(_up(reader, socket)), asyncio.ensure_future(self._down(socket, writer)))
                try:
                    await asyncio.wait(ways, return_when=asyncio.FIRST_COMPLETED)
                finally:
                    for way in ways:
                        way.cancel()
                    await asyncio.gather(*ways, return_exceptions=True)
        except (LeaseGridError, aiohttp.ClientError, OSError) as error:
            self._note(str(error))
        finally:
            writer.close()
            with contextlib.suppress(OSError):
                await writer.wait_closed()

    def _note(self, trouble: str) -> None:
        # A connection that ends before a word is tried again by its client, and fails alike.
        if trouble not in self.trouble:
            self.trouble.append(trouble)

    async def _down(self, socket: aiohttp.ClientWebSocketResponse, writer: asyncio.StreamWriter) -> None:
        begun: set[int] = set()
        async for message in socket:
            if message.type is not aiohttp.WSMsgType.BINARY or not message.data:
                continue
            channel, data = message.data[0], message.data[1:]
            if channel not in begun:
                begun.add(channel)
            elif channel == ERRORS:
                self._note(data.decode(errors="replace").strip())
            else:
                writer.write(data)
                await writer.drain()


async def _up(reader: asyncio.StreamReader, socket: aiohttp.ClientWebSocketResponse) -> None:
    while data := await reader.read(_PIECE_BYTES):
        await socket.send_bytes(bytes([DATA]) + data)


@asynccontextmanager
async def forwarded(dial: Dial) -> AsyncIterator[Forward]:
    """A listener for the time of the block."""
    with tempfile.TemporaryDirectory(prefix="leasegrid-") as directory:
        path = Path(directory) / "member"
        forward = Forward(f"unix://{path}", dial)
        serving: set[asyncio.Task[None]] = set()

        def accept(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            task = asyncio.ensure_future(forward.serve(reader, writer))
            serving.add(task)
            task.add_done_callback(serving.discard)

        server = await asyncio.start_unix_server(accept, path)
        try:
            yield forward
        finally:
            server.close()
            for task in serving:
                task.cancel()
            await asyncio.gather(*serving, return_exceptions=True)
