"""One connection of a door for all its life: counted, its first head in time, then an HTTP server's; watched.

What strangers say is passed on a few pieces at a time (`doors.turns`): one who asks once is not behind thousands.

An HTTP server closes a connection that stays idle between requests. It does not count them, nor ask who has how many,
nor cut off one who reads nothing of an answer; and it keeps what it must say for as long as that takes.
"""

import asyncio
import contextlib
import socket
import ssl
import struct
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Self, cast

from tasklet_runner.doors.crowd import Crowd
from tasklet_runner.doors.handlers import HttpHandler
from tasklet_runner.doors.limits import DoorLimits
from tasklet_runner.doors.pace import Pace
from tasklet_runner.doors.refusals import crowded, too_long
from tasklet_runner.doors.turns import Turns

HEAD_END = b"\r\n\r\n"
_TOO_BIG = b"\x88\x02\x03\xf1"
"""A WebSocket's closing frame with the code 1009, message too big (RFC 6455, sections 5.2 and 7.4.1)."""

STRANGER_BYTES = 16 * 1024
ADMITTED_BYTES = 256 * 1024
"""What is read of a connection at once, at first and later; asyncio's own measure is the larger one for everybody."""

MakeServer = Callable[[], HttpHandler]


@dataclass
class Door:
    """What the guests of one server share. `who`: whose door it is, in refusals; `make_server`: makes what speaks HTTP
    on a connection whose first head has come. `hurries`: whether others wait for what a slow reader has.
    """

    who: str
    limits: DoorLimits
    make_server: MakeServer
    crowd: Crowd = field(init=False)
    hurries: Callable[[], bool] = lambda: False
    guests: "set[Guest]" = field(default_factory=set)
    turns: Turns = field(default_factory=Turns)
    full: bytes = field(init=False)
    closed: bool = field(init=False, default=False)

    def __post_init__(self) -> None:
        self.crowd = Crowd(self.limits.connections)
        self.full = crowded(self.who)

    def close(self) -> None:
        """As `dismiss_idle`, and for whoever comes yet: a connection that was accepted is met turns of the loop later,
        when nobody listens any more, and by then there may be no server to hand it over to.
        """
        self.closed = True
        self.dismiss_idle()

    def dismiss_idle(self) -> None:
        """Close the connections that no server has taken over."""
        for guest in [guest for guest in self.guests if guest.server is None]:
            guest.leave()


class Guest(asyncio.Protocol):
    """See above. Where a subclass answers itself, it does so in `arrived`."""

    def __init__(self, door: Door) -> None:
        self.door = door
        self.transport: asyncio.Transport
        self.server: HttpHandler | None = None
        self._peer: str | None = None
        self._head = bytearray()
        self._held = bytearray()
        self._deaf = 0
        self._timer: asyncio.TimerHandle | None = None
        self._stall: asyncio.TimerHandle | None = None
        self._buffered = 0
        self._pace = Pace(door.limits)
        self._left: int | None = None
        self._trusted = False

    @classmethod
    def behind(cls, transport: asyncio.BaseTransport | None) -> Self | None:
        """The guest of a connection; None where there is none."""
        found = transport.get_protocol() if transport is not None else None
        return found if isinstance(found, cls) else None

    @property
    def gathers(self) -> bool:
        """True while half a head is here."""
        return bool(self._head)

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Count it, or say that there is no room; to a closed door it comes too late."""
        self.transport = cast(asyncio.Transport, transport)
        if self.door.closed:
            self.transport.abort()
            return
        peer = peer_of(transport)
        if not self.door.crowd.enter(peer):
            self.transport.write(self.door.full)
            self.transport.close()
            return
        self._peer = peer
        self.door.guests.add(self)
        self.read_at_once(STRANGER_BYTES)
        _find_half_open(self.transport, self.door.limits.stall_seconds)
        self.expect(self.door.limits.arrival_seconds)

    def connection_lost(self, error: Exception | None) -> None:
        """Count it no more."""
        if self._peer is None:
            return
        self.door.crowd.leave(self._peer)
        self.door.guests.discard(self)
        self.expect(None)
        self._unwatch()
        self._said()
        if self.server is not None:
            self.server.connection_lost(error)

    def data_received(self, data: bytes) -> None:
        """Pass it on to whoever has the connection, now or in turn."""
        if self._peer is None:
            return
        if self._left is not None:
            self._left -= len(data)
            if self._left < 0:
                self._end(_TOO_BIG)
                return
        if self._held:
            self._hold(data)
        elif self._trusted or not self._peer or self.door.turns.may_speak() or not self.door.turns.has_place(len(data)):
            self._pass_on(data)
        else:
            self._hold(data)
            self.door.turns.wait(self._peer, self._in_turn)

    def eof_received(self) -> None:
        """Nothing more comes."""
        if self._held:
            self._pass_on(self._said())
        if self.server is not None:
            self.server.eof_received()

    def pause_writing(self) -> None:
        """The other side does not read: it is waited for, but not for ever."""
        if self.server is not None:
            self.server.pause_writing()
        else:
            # One who reads no answers asks no more.
            self.hush()
        self._watch()

    def resume_writing(self) -> None:
        """It reads."""
        self._unwatch()
        if self.server is not None:
            self.server.resume_writing()
        else:
            self.listen()

    def arrived(self, data: bytes) -> None:
        """Bytes that nobody has a use for before the first head is whole."""
        self._head += data
        if HEAD_END in self._head:
            self.hand_over(bytes(self._head))
        elif len(self._head) > self.door.limits.head_bytes:
            self._end(too_long(self.door.who, self.door.limits.head_bytes))

    def hand_over(self, data: bytes) -> None:
        """From now on it is the server's, beginning with these bytes."""
        self.expect(None)
        self._head.clear()
        server = self.server = self.door.make_server()
        server.connection_made(self.transport)
        server.data_received(data)

    def hush(self) -> None:
        """Hear nothing more of it until `listen` is called as often."""
        self._deaf += 1
        self.transport.pause_reading()

    def listen(self) -> None:
        """Hear it again."""
        self._deaf -= 1
        if not self._deaf and self._held:
            self.door.turns.wait(self._peer or "", self._in_turn)
        else:
            self._read_on()

    def expect(self, seconds: float | None) -> None:
        """Close it unless something comes within so many seconds; None: wait."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        if seconds is not None:
            self._timer = asyncio.get_running_loop().call_later(seconds, self.transport.abort)

    def distrust(self, most_bytes: int) -> None:
        """Take at most so many bytes more, until whoever is there has proven himself."""
        self._left = most_bytes

    def trust(self) -> None:
        """Take what comes, and wait for ever: its server finds out by itself whether the other side is there."""
        self._left, self._trusted = None, True
        self.read_at_once(ADMITTED_BYTES)

    def read_at_once(self, most_bytes: int) -> None:
        """Take so much from the kernel at once: `STRANGER_BYTES` until there is a place for more, or it is known who
        sends it.
        """
        # An event loop makes a buffer of this size for each reading, and what comes leaves a hole in memory behind it.
        self.transport.max_size = most_bytes  # type: ignore[attr-defined]  # of asyncio's transports; TLS has its own

    def leave(self) -> None:
        """Close it."""
        self.transport.abort()

    def _hold(self, data: bytes) -> None:
        self._held += data
        self.door.turns.held += len(data)
        # Also where its server, which knows nothing of this, has it read on.
        self.transport.pause_reading()

    def _said(self) -> bytes:
        """What is held, which is then no more."""
        said = bytes(self._held)
        self.door.turns.held -= len(said)
        self._held.clear()
        return said

    def _in_turn(self) -> bool:
        if self._deaf or not self._held or self.transport.is_closing():
            return False
        self._pass_on(self._said())
        self._read_on()
        return True

    def _pass_on(self, data: bytes) -> None:
        if self.server is not None:
            self.server.data_received(data)
        else:
            self.arrived(data)

    def _read_on(self) -> None:
        if not self._deaf and not (self.server is not None and self.server.hushed):
            self.transport.resume_reading()

    def _end(self, words: bytes) -> None:
        self.transport.write(words)
        self.transport.close()

    def _watch(self) -> None:
        if self._trusted:
            return
        self._buffered = self.transport.get_write_buffer_size()
        self._stall = asyncio.get_running_loop().call_later(self._pace.step, self._look)

    def _unwatch(self) -> None:
        self._pace = Pace(self.door.limits)
        if self._stall is not None:
            self._stall.cancel()
            self._stall = None

    def _look(self) -> None:
        # Nothing is added to what waits: servers write when there is room.
        if self._trusted:
            return
        moved = self._buffered - self.transport.get_write_buffer_size()
        if self._pace.is_over(self._pace.step, moved, hurried=self.door.hurries()):
            _forget_what_is_sent(self.transport)
            self.transport.abort()
        else:
            self._watch()


def peer_of(transport: asyncio.BaseTransport | None) -> str:
    """The address of the other side; empty behind a unix socket, where that is this machine's own user."""
    address = transport.get_extra_info("peername") if transport is not None else None
    return str(address[0]) if isinstance(address, tuple) else ""


def _forget_what_is_sent(transport: asyncio.Transport) -> None:
    """What the kernel has of an answer, some megabytes, it does not keep for who reads none (socket(7), SO_LINGER)."""
    sock = transport.get_extra_info("socket")
    if sock is not None and sock.family != socket.AF_UNIX:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))


def _find_half_open(transport: asyncio.Transport, seconds: float) -> None:
    """The kernel gives up a peer that acknowledges or reads nothing for so long (tcp(7), TCP_USER_TIMEOUT)."""
    sock = transport.get_extra_info("socket")
    if sock is None or sock.family == socket.AF_UNIX:
        return
    with contextlib.suppress(OSError):
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPIDLE, max(1, int(seconds)))
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, int(seconds * 1000))


ACCEPTS = 8
"""So many connections are taken in one turn of the event loop: between two turns, those that stand are answered."""

BACKLOG = 1024
"""So many may wait in the kernel."""


async def listen(
    door: socket.socket, make_guest: Callable[[], Guest], tls: ssl.SSLContext | None, handshake_seconds: float
) -> asyncio.Server:
    """Take connections at a bound socket from now on; with `tls` a guest is met after the handshake."""
    timeout = handshake_seconds if tls is not None else None
    loop = asyncio.get_running_loop()
    server = await loop.create_server(make_guest, sock=door, ssl=tls, ssl_handshake_timeout=timeout, backlog=ACCEPTS)
    # The event loop has one number for both, which it has given to the kernel; for this socket it is another.
    door.listen(BACKLOG)
    return server
