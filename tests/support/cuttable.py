"""A TCP door between a client and a server that can be closed: connections break, new ones are refused."""

import asyncio
import threading
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager, suppress

PATIENCE_SECONDS = 60
ACCEPTING_TURNS = 20
"""A connection that was accepted as the door closed is seen some turns of the event loop later."""


class Door:
    """Listens on 127.0.0.1 at `port` and passes bytes both ways while it is open."""

    def __init__(self, host: str, port: int) -> None:
        self._target = (host, port)
        self._server: asyncio.Server | None = None
        self._writers: set[asyncio.StreamWriter] = set()
        self._heard, self._audible = asyncio.Event(), asyncio.Event()
        self._heard.set()
        self._audible.set()
        self.port = 0

    def mute(self) -> None:
        """Connections stand, but carry nothing any more that the server says, until the door is closed."""
        self._audible.clear()

    def hold(self) -> None:
        """Connections stand, and what clients say from now on waits here until it is let go."""
        self._heard.clear()

    def let_go(self) -> None:
        """What was held goes on its way, and whatever follows it."""
        self._heard.set()

    async def open(self) -> None:
        """Let connections through; always at the same port."""
        self._server = await asyncio.start_server(self._accepted, "127.0.0.1", self.port)
        self.port = self._server.sockets[0].getsockname()[1]

    async def close(self) -> None:
        """Break all connections and refuse new ones."""
        self._audible.set()
        self._heard.set()
        if self._server:
            # Accept no more, and let what was accepted become a connection, before the server is closed: asyncio loses
            # one that comes after that, and its socket stays open.
            for listening in self._server.sockets:
                asyncio.get_running_loop().remove_reader(listening.fileno())
            for _ in range(ACCEPTING_TURNS):
                await asyncio.sleep(0)
            self._server.close()
        turns = 0
        while self._writers or turns < ACCEPTING_TURNS:
            for writer in self._writers:
                writer.transport.abort()
            await asyncio.sleep(0)
            turns += 1

    async def _accepted(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._writers.add(writer)
        try:
            # A server that is gone is a connection that breaks.
            with suppress(OSError):
                there_reader, there_writer = await self._connect()
                self._writers.add(there_writer)
                await asyncio.gather(
                    _pass_on(reader, there_writer, self._heard), _pass_on(there_reader, writer, self._audible)
                )
                self._writers.discard(there_writer)
        finally:
            writer.transport.abort()
            self._writers.discard(writer)

    async def _connect(self) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        return await asyncio.open_connection(*self._target)


class DoorOfSocket(Door):
    """The same before a server that listens on a unix socket at `path`."""

    def __init__(self, path: str) -> None:
        super().__init__("", 0)
        self._path = path

    async def _connect(self) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        return await asyncio.open_unix_connection(self._path)


async def _pass_on(source: asyncio.StreamReader, sink: asyncio.StreamWriter, audible: asyncio.Event) -> None:
    with suppress(ConnectionError):
        while data := await source.read(65536):
            await audible.wait()
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


class DoorBeside:
    """A door for a test that is no coroutine, in the loop of a thread of its own."""

    def __init__(self, door_: Door, loop: asyncio.AbstractEventLoop) -> None:
        self._door = door_
        self._loop = loop

    @property
    def port(self) -> int:
        """Where it listens, also while it is closed."""
        return self._door.port

    def open(self) -> None:
        """See `Door`."""
        asyncio.run_coroutine_threadsafe(self._door.open(), self._loop).result(PATIENCE_SECONDS)

    def close(self) -> None:
        """See `Door`."""
        asyncio.run_coroutine_threadsafe(self._door.close(), self._loop).result(PATIENCE_SECONDS)


@contextmanager
def door_beside(host: str, port: int) -> Iterator[DoorBeside]:
    """An open door, closed at the end."""
    loop = asyncio.new_event_loop()
    thread = threading.Thread(target=loop.run_forever, name="door")
    thread.start()
    made = DoorBeside(Door(host, port), loop)
    try:
        made.open()
        yield made
        made.close()
    finally:
        loop.call_soon_threadsafe(loop.stop)
        thread.join()
        loop.close()
