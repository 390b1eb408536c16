"""A TCP door between a client and a server that can be closed: connections break, new ones are refused."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress


class Door:
    """Listens on 127.0.0.1 at `port` and passes bytes both ways while it is open."""

    def __init__(self, host: str, port: int) -> None:
        self._target = (host, port)
        self._server: asyncio.Server | None = None
        self._writers: set[asyncio.StreamWriter] = set()
        self.port = 0

    async def open(self) -> None:
        """Let connections through; always at the same port."""
        self._server = await asyncio.start_server(self._accepted, "127.0.0.1", self.port)
        self.port = self._server.sockets[0].getsockname()[1]

    async def close(self) -> None:
        """Break all connections and refuse new ones."""
        if self._server:
            self._server.close()
        while self._writers:
            for writer in self._writers:
                writer.transport.abort()
            await asyncio.sleep(0)

    async def _accepted(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._writers.add(writer)
        try:
            there_reader, there_writer = await asyncio.open_connection(*self._target)
            self._writers.add(there_writer)
            await asyncio.gather(_pass_on(reader, there_writer), _pass_on(there_reader, writer))
            self._writers.discard(there_writer)
        finally:
            writer.transport.abort()
            self._writers.discard(writer)


async def _pass_on(source: asyncio.StreamReader, sink: asyncio.StreamWriter) -> None:
    with suppress(ConnectionError):
        while data := await source.read(65536):
            sink.write(data)
            await sink.drain()
    sink.transport.abort()


@asynccontextmanager
async def door(host: str, port: int) -> AsyncIterator[Door]:
    """An open door, closed at the end."""
    made = Door(host, port)
    await made.open()
    try:
        yield made
    finally:
        await made.close()
