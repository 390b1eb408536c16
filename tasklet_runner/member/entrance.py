"""What stands in front of the HTTP server: the short way for the fabric's calls.

Fifty members are bound in one batch by fifty requests at once, and a general HTTP server costs each of them more than
the checking of a signature. So a plain call that arrives whole is answered here; with anything else (a WebSocket, an
unusual head, half a request) the connection is handed over to aiohttp's server, for good and with every byte. How many
there are, and how long each is waited for, is the same either way: see `tasklet_runner.doors`.
"""

import asyncio
import re
import socket
import ssl
from dataclasses import dataclass
from http import HTTPStatus

from tasklet_runner.doors.guests import Door, Guest, MakeServer, listen
from tasklet_runner.doors.limits import DoorLimits
from tasklet_runner.member.calls import CallAnswer, Calls

FINISH_SECONDS = 0.5
"""Answers that are under way when the member ends have so long."""

_HEAD = re.compile(rb"(GET|POST) /v1/([a-z]+) HTTP/1\.1\r\n((?:[A-Za-z-]+:[\t -~]*\r\n)*)\r\n")
_LENGTH = re.compile(rb"(?i)\AContent-Length: *(\d{1,6}) *\Z")
_PLAIN_FIELDS = frozenset({b"host", b"content-type", b"content-length", b"accept", b"user-agent"})
_POSTED = frozenset({"bind", "confirm", "renew", "retire", "release"})


@dataclass(frozen=True)
class PlainCall:
    """One call: `state`, or a verb with its body."""

    verb: str
    body: bytes


def plain_call(data: bytes) -> PlainCall | None:
    """The one call that these bytes are; None when they are anything else or not whole."""
    head = _HEAD.match(data)
    if head is None:
        return None
    method, verb = head[1], head[2].decode("ascii")
    fields = head[3].split(b"\r\n")[:-1]
    body = data[head.end() :]
    if any(field.partition(b":")[0].lower() not in _PLAIN_FIELDS for field in fields):
        return None
    lengths = [field for field in fields if field[:15].lower() == b"content-length:"]
    if method == b"GET":
        return PlainCall(verb, b"") if verb == "state" and not lengths and not body else None
    length = _LENGTH.match(lengths[0]) if len(lengths) == 1 else None
    return PlainCall(verb, body) if length and int(length[1]) == len(body) and verb in _POSTED else None


class Entrance:
    """Listens for a member. `make_server`: makes what speaks HTTP on a connection that is handed over."""

    def __init__(self, calls: Calls, make_server: MakeServer, limits: DoorLimits | None = None) -> None:
        self.calls = calls
        self.door = Door("the member", limits or DoorLimits(), make_server)
        self.answers: set[asyncio.Task[None]] = set()
        self._listening: asyncio.Server | None = None

    async def open(self, door: socket.socket, tls: ssl.SSLContext | None = None) -> None:
        """Take connections from now on; with `tls` only such, and a visitor is met after the handshake."""
        self._listening = await listen(door, lambda: _Visitor(self), tls, self.door.limits.arrival_seconds)

    async def close(self) -> None:
        """Take no more; finish what is being answered."""
        if self._listening is not None:
            self._listening.close()
        if self.answers:
            await asyncio.wait(self.answers, timeout=FINISH_SECONDS)
        self.door.close()


class _Visitor(Guest):
    """One connection: plain calls are answered here, anything else is the server's for good."""

    def __init__(self, entrance: Entrance) -> None:
        super().__init__(entrance.door)
        self._entrance = entrance

    def leave(self) -> None:
        """Close it when it has read its answer."""
        self.transport.close()

    def arrived(self, data: bytes) -> None:
        """Answer a call that came whole."""
        call = None if self.gathers else plain_call(data)
        if call is None:
            super().arrived(data)
        elif call.verb == "state":
            self._say(self._entrance.calls.state())
        elif call.verb == "release":
            self._answer_later(call)
        else:
            self._say(self._entrance.calls.at_once(call.verb, call.body))

    def _answer_later(self, call: PlainCall) -> None:
        # Nothing is read meanwhile: one connection, one call at a time.
        self.hush()
        self.expect(None)
        task = asyncio.create_task(self._release(call))
        self._entrance.answers.add(task)
        task.add_done_callback(self._entrance.answers.discard)

    async def _release(self, call: PlainCall) -> None:
        answer = await self._entrance.calls.release(call.body)
        if not self.transport.is_closing():
            self._say(answer)
            self.listen()

    def _say(self, answer: CallAnswer) -> None:
        head = f"HTTP/1.1 {answer.status} {HTTPStatus(answer.status).phrase}\r\n"
        fields = f"Content-Type: application/json\r\nContent-Length: {len(answer.body)}\r\n\r\n"
        self.transport.write((head + fields).encode("ascii") + answer.body)
        self.expect(self.door.limits.idle_seconds)
