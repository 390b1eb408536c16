"""A process full of connections to one server: `python -m tests.support.storm_child SPEC`, SPEC as JSON of `Storm`.

Says `begun` in a line before the first connection and `up` when every one was tried, ends when its stdin does (or all
have been closed by the server), and says then what each has heard: `{"200 open": 12, "429 closed": 9988}`.
"""

import asyncio
import contextlib
import json
import os
import resource
import select
import socket
import sys
from collections import Counter

from tests.support.storm import BEGUN, UP, Storm

AT_ONCE = 500
"""So many connects are under way: a kernel's queue of those that nobody has taken yet is short."""

CONNECT_SECONDS = 60.0
SMALL_BUFFER = 4096


class Caller(asyncio.Protocol):
    """One connection: says its words, hears a status, and stays."""

    def __init__(self, words: bytes, *, hears: bool, repeats: bool) -> None:
        self.words = words
        self._repeats = repeats
        self.heard = b""
        self.closed = False
        self._hears = hears
        self.answered = asyncio.get_running_loop().create_future()
        self.transport: asyncio.Transport | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self.transport = transport
        if not self._hears:
            transport.pause_reading()
        transport.write(self.words)

    def data_received(self, data: bytes) -> None:
        if len(self.heard) < 16:
            self.heard += data[:16]
        self._done()
        if self._repeats and self.transport is not None and not self.transport.is_closing():
            self.transport.write(self.words)

    def connection_lost(self, error: Exception | None) -> None:
        self.closed = True
        self._done()

    def outcome(self) -> str:
        status = self.heard[9:12].decode("latin-1") if self.heard.startswith(b"HTTP/1.") else ""
        return f"{status or 'silent'} {'closed' if self.closed else 'open'}"

    def _done(self) -> None:
        if not self.answered.done():
            self.answered.set_result(None)


class Crowd:
    """All of them."""

    def __init__(self, storm: Storm) -> None:
        self.storm = storm
        self.callers: list[Caller] = []
        self.failed: Counter[str] = Counter()
        self._gate = asyncio.Semaphore(AT_ONCE)

    async def come(self) -> None:
        await asyncio.gather(*(self._call() for _ in range(self.storm.count)))

    async def answered(self) -> None:
        await asyncio.gather(*(caller.answered for caller in self.callers))

    async def _call(self) -> None:
        async with self._gate:
            try:
                sock = await self._connected()
                loop = asyncio.get_running_loop()
                said = self.storm.said.replace("{n}", str(len(self.callers) % 8))
                words = said.encode("latin-1") + b"x" * self.storm.padding
                caller = Caller(words, hears=not self.storm.sips, repeats=self.storm.repeats)
                await loop.create_connection(lambda: caller, sock=sock)
            except (OSError, TimeoutError) as error:
                self.failed[f"no connection: {type(error).__name__}"] += 1
                return
        self.callers.append(caller)

    async def _connected(self) -> socket.socket:
        sock = socket.socket()
        sock.setblocking(False)
        if self.storm.sips:
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, SMALL_BUFFER)
        try:
            sock.bind((self.storm.source, 0))
            async with asyncio.timeout(CONNECT_SECONDS):
                await asyncio.get_running_loop().sock_connect(sock, ("127.0.0.1", self.storm.port))
        except (OSError, TimeoutError):
            sock.close()
            raise
        return sock

    async def sip(self) -> None:
        """Read a byte of each every second."""
        while True:
            await asyncio.sleep(1.0)
            for caller in self.callers:
                self._sip_of(caller)

    def _sip_of(self, caller: Caller) -> None:
        if caller.closed or caller.transport is None:
            return
        descriptor = caller.transport.get_extra_info("socket").fileno()
        watch = select.poll()
        watch.register(descriptor, select.POLLIN)
        events = watch.poll(0)
        if events and events[0][1] & (select.POLLERR | select.POLLHUP):
            caller.closed = True
        elif events:
            # The event loop's own view of the socket has no such reading.
            caller.heard = (caller.heard + os.read(descriptor, 1))[:16]

    def outcomes(self) -> dict[str, int]:
        return dict(self.failed + Counter(caller.outcome() for caller in self.callers))


async def _until_told(crowd: Crowd) -> None:
    """Until stdin ends, or the server has closed every connection."""
    reader = asyncio.StreamReader()
    await asyncio.get_running_loop().connect_read_pipe(lambda: asyncio.StreamReaderProtocol(reader), sys.stdin)
    told = asyncio.create_task(reader.read())
    while not told.done() and not all(caller.closed for caller in crowd.callers):
        await asyncio.wait((told,), timeout=0.2)


async def main() -> None:
    storm = Storm(**json.loads(sys.argv[1]))
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    crowd = Crowd(storm)
    _say(BEGUN)
    await crowd.come()
    sipping = asyncio.create_task(crowd.sip()) if storm.sips else None
    if storm.answered:
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(CONNECT_SECONDS):
                await crowd.answered()
    _say(UP)
    await _until_told(crowd)
    if sipping is not None:
        sipping.cancel()
    _say(json.dumps(crowd.outcomes()).encode() + b"\n")


def _say(line: bytes) -> None:
    sys.stdout.buffer.write(line)
    sys.stdout.flush()


if __name__ == "__main__":
    asyncio.run(main())
