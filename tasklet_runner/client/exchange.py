"""One request and its answer over a kept HTTP/1.1 connection (RFC 9112), for small JSON bodies.

A batch of fifty binds is fifty of these at once in one process, so a call costs a write, a read and a split: no
redirects, cookies, compression or chunks. Members answer with a Content-Length; an answer without one is refused.
"""

import asyncio
import re
from dataclasses import dataclass
from typing import cast
from urllib.parse import urlsplit

from tasklet_runner.client.keys import key_behind, members_context
from tasklet_runner.wire.errors import ProtocolError, WrongKeyError
from tasklet_runner.wire.pins import UNPROVEN, split_pin

MAX_HEAD_BYTES = 16 * 1024
MAX_BODY_BYTES = 1024 * 1024

_UNIX = "unix://"
_HEAD_END = b"\r\n\r\n"
_STATUS = re.compile(rb"HTTP/1\.1 ([2-5]\d\d)(?: [^\r\n]*)?")
_LENGTH = re.compile(rb"\d{1,7}")


class ClosedUnansweredError(ConnectionError):
    """The other side closed the connection before the first byte of its answer."""


@dataclass(frozen=True)
class Answer:
    """A status and a body. `last`: the other side closes the connection after it."""

    status: int
    body: bytes
    last: bool = False


@dataclass(frozen=True)
class Address:
    """Where requests go: a unix socket's path, or a host and port; `name` and `prefix` stand in the request.

    `pin`: the key that has to be there (`wire.pins`); empty: without TLS, or by the system's authorities.
    """

    name: str
    path: str = ""
    host: str = ""
    port: int = 0
    tls: bool = False
    prefix: str = ""
    pin: str = ""

    @classmethod
    def of(cls, endpoint: str) -> "Address":
        """`unix:///path` or `http(s)://host:port`, the others than http with or without a pin.

        Raises ProtocolError for anything else.
        """
        endpoint, pin = split_pin(endpoint)
        if endpoint.startswith(_UNIX):
            return cls(name="member", path=endpoint.removeprefix(_UNIX), pin=pin)
        parts = urlsplit(endpoint)
        if parts.scheme not in (("https",) if pin else ("http", "https")) or not parts.hostname:
            raise ProtocolError(
                f"the endpoint {endpoint!r} is neither http(s):// nor unix://", remedy="give unix:///path"
            )
        tls = parts.scheme == "https"
        port = parts.port or (443 if tls else 80)
        return cls(parts.netloc.rpartition("@")[2], "", parts.hostname, port, tls, parts.path.rstrip("/"), pin)

    def request(self, method: str, path: str, body: bytes) -> bytes:
        """The bytes of a request."""
        head = f"{method} {self.prefix}{path} HTTP/1.1\r\nHost: {self.name}\r\n"
        kind = f"Content-Type: application/json\r\nContent-Length: {len(body)}\r\n" if body else ""
        return f"{head}{kind}\r\n".encode("latin-1") + body


class Connection(asyncio.Protocol):
    """A connection that carries one exchange at a time. `key`: the name of the other side's, where the address asks."""

    def __init__(self) -> None:
        loop = asyncio.get_running_loop()
        self._transport: asyncio.Transport | None = None
        self._buffer = b""
        self._answer: asyncio.Future[Answer] | None = None
        self._lost: asyncio.Future[None] = loop.create_future()
        self._usable = True
        self.key = ""

    @classmethod
    async def open(cls, address: Address) -> "Connection":
        """Connect. Raises OSError; WrongKeyError when the key there is another than the address's."""
        if address.pin:
            return await cls._open_pinned(address)
        loop = asyncio.get_running_loop()
        if address.path:
            return (await loop.create_unix_connection(cls, address.path))[1]
        return (await loop.create_connection(cls, address.host, address.port, ssl=address.tls or None))[1]

    @classmethod
    async def _open_pinned(cls, address: Address) -> "Connection":
        loop, context = asyncio.get_running_loop(), members_context()
        if address.path:
            opened = await loop.create_unix_connection(cls, address.path, ssl=context, server_hostname="")
        else:
            opened = await loop.create_connection(cls, address.host, address.port, ssl=context)
        connection = opened[1]
        connection.key = key_behind(opened[0])
        if address.pin not in (UNPROVEN, connection.key):
            connection._give_up()
            raise WrongKeyError(address.path or address.name, connection.key, address.pin)
        return connection

    @property
    def usable(self) -> bool:
        """True while another exchange may be tried."""
        return self._usable

    async def exchange(self, request: bytes) -> Answer:
        """Send a request and read its answer; a connection that failed or was cancelled is not usable any more.

        Raises ClosedUnansweredError, another ConnectionError for half an answer, ProtocolError for one that cannot be
        read.
        """
        if not self._usable or self._transport is None:
            raise ClosedUnansweredError("it closed the connection")
        self._answer = asyncio.get_running_loop().create_future()
        self._transport.write(request)
        try:
            answer = await self._answer
        except BaseException:
            self._give_up()
            raise
        finally:
            self._answer = None
        if answer.last:
            self._give_up()
        return answer

    async def close(self) -> None:
        """Close it and wait until it is closed."""
        self._give_up()
        if self._transport is not None:
            await asyncio.shield(self._lost)

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """The connection stands."""
        self._transport = cast(asyncio.Transport, transport)

    def data_received(self, data: bytes) -> None:
        """More of the answer; what nobody asked for ends the connection."""
        if self._answer is None or self._answer.done():
            self._give_up()
            return
        self._buffer += data
        try:
            answer = read_answer(self._buffer)
        except ProtocolError as error:
            self._answer.set_exception(error)
            return
        if answer is not None:
            self._buffer = b""
            self._answer.set_result(answer)

    def connection_lost(self, error: Exception | None) -> None:
        """The other side is gone, or this one gave up."""
        self._usable = False
        if self._answer is not None and not self._answer.done():
            why = "it closed the connection in the middle of its answer" if self._buffer else "it closed the connection"
            kind = ConnectionError if self._buffer else ClosedUnansweredError
            self._answer.set_exception(kind(f"{why}{f': {error}' if error else ''}"))
        if not self._lost.done():
            self._lost.set_result(None)

    def _give_up(self) -> None:
        self._usable = False
        if self._transport is not None:
            # Not `close`, which waits until a peer that may hang has read everything.
            self._transport.abort()


def read_answer(data: bytes) -> Answer | None:
    """The answer that these bytes are, None while it is not whole. Raises ProtocolError for anything else."""
    head, found, body = data.partition(_HEAD_END)
    if not found:
        if len(data) > MAX_HEAD_BYTES:
            raise _unreadable("its head has no end")
        return None
    status_line, *lines = head.split(b"\r\n")
    status = _STATUS.fullmatch(status_line)
    if status is None:
        raise _unreadable(f"{status_line[:60]!r} is no status line of HTTP/1.1")
    fields = [(name.lower(), value.strip()) for name, _, value in (line.partition(b":") for line in lines)]
    length = _length(fields)
    if len(body) < length:
        return None
    if len(body) > length:
        raise _unreadable("it says more than it announced")
    return Answer(int(status[1]), body, last=(b"connection", b"close") in fields)


def _length(fields: list[tuple[bytes, bytes]]) -> int:
    lengths = [value for name, value in fields if name == b"content-length"]
    if (
        len(lengths) != 1
        or not _LENGTH.fullmatch(lengths[0])
        or any(name == b"transfer-encoding" for name, _ in fields)
    ):
        raise _unreadable("it has no plain Content-Length")
    if (length := int(lengths[0])) > MAX_BODY_BYTES:
        raise _unreadable(f"it has {length} bytes, more than {MAX_BODY_BYTES}")
    return length


def _unreadable(why: str) -> ProtocolError:
    return ProtocolError(f"the answer cannot be read: {why}", remedy="check that a member listens at that endpoint")
