"""The holder's end of the one duplex connection to a member; see `tasklet_runner.wire.work` for the messages."""

from collections.abc import AsyncIterator
from typing import Protocol

import aiohttp
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from tasklet_runner.client.keys import unreachable
from tasklet_runner.client.transport import base_url, open_session
from tasklet_runner.wire.errors import ProtocolError, RefusedError, UnreachableError
from tasklet_runner.wire.signed import sign
from tasklet_runner.wire.statements import Challenge
from tasklet_runner.wire.work import (
    MAX_MESSAGE_BYTES,
    Hello,
    Open,
    Opened,
    Refused,
    ToHolder,
    ToMember,
    decode_to_holder,
    encode,
)

OPEN_SECONDS = 10.0
"""A member that has not opened the connection by then is unreachable."""

HEARTBEAT_SECONDS = 8.0
"""A ping so often; without an answer within half of it the connection is lost: a silent death is seen in 12 s."""


class Addressed(Protocol):
    """What must be known of a member to reach it and to know it again; `fabric.protocol.LeasedMember` is one."""

    @property
    def name(self) -> str:
        """Its name in the fabric."""
        ...

    @property
    def endpoint(self) -> str:
        """`unix:///path`, `http://host:port` or `https://host:port#incarnation`."""
        ...

    @property
    def incarnation(self) -> str:
        """Of the very process that was bound."""
        ...


class WorkConnection:
    """An open connection to one member.

    `hello` is what the member said of itself, `seconds_left` the time until its own deadline when it opened. Iterating
    yields the member's messages until it closes the connection in order; UnreachableError when it is lost.
    """

    def __init__(
        self, session: aiohttp.ClientSession, socket: aiohttp.ClientWebSocketResponse, member: Addressed
    ) -> None:
        self._session = session
        self._socket = socket
        self._member = member
        self._closing = False
        self.hello = Hello(member=member.name, incarnation=member.incarnation, nonce="", sealing_key=b"", slots=0)
        self.seconds_left = 0.0

    @classmethod
    async def open(cls, member: Addressed, capability: str, holder_key: Ed25519PrivateKey) -> "WorkConnection":
        """Connect and prove the possession of the holder's key.

        Raises:
            UnreachableError: nobody answers there, or another member does (WrongKeyError: with another key).
            RefusedError: the member knows the request and says no (LeaseExpired, Fenced, Conflict, Unauthenticated …).
        """
        session = open_session(member.endpoint, timeout_seconds=OPEN_SECONDS)
        try:
            socket = await session.ws_connect(
                f"{base_url(member.endpoint)}/v1/work",
                max_msg_size=MAX_MESSAGE_BYTES,
                compress=0,
                heartbeat=HEARTBEAT_SECONDS,
                timeout=aiohttp.ClientWSTimeout(ws_close=1.0),
            )
            connection = cls(session, socket, member)
            await connection._prove_or_close(capability, holder_key)
        except (aiohttp.ClientError, OSError, TimeoutError) as error:
            await session.close()
            silent = UnreachableError(f"the member {member.name} cannot be reached at {member.endpoint}: {error}")
            raise unreachable(error, member.endpoint, silent) from error
        except BaseException:
            await session.close()
            raise
        return connection

    async def send(self, message: ToMember) -> None:
        """Send one message; waits while the member is slow to read. Raises UnreachableError."""
        await self.send_encoded(encode(message))

    async def send_encoded(self, data: bytes) -> None:
        """Send a message that `wire.work.encode` made, for those that send one to many members.

        Raises UnreachableError; ProtocolError for one that is too large, which would cost the connection.
        """
        if len(data) > MAX_MESSAGE_BYTES:
            raise ProtocolError(
                f"a message of {len(data):,} bytes to {self._member.name}, where {MAX_MESSAGE_BYTES:,} are taken",
                remedy="send large data as blobs, in pieces, and fewer tasks in a frame",
            )
        try:
            await self._socket.send_bytes(data)
        except (aiohttp.ClientError, OSError) as error:
            raise self._lost(str(error)) from error

    def __aiter__(self) -> AsyncIterator[ToHolder]:
        return self._messages()

    async def receive(self) -> ToHolder | None:
        """The member's next message, None when the connection was closed in order."""
        message = await self._socket.receive()
        if message.type is aiohttp.WSMsgType.BINARY:
            return decode_to_holder(message.data)
        if self._closing or (message.type in _CLOSED and self._socket.close_code == aiohttp.WSCloseCode.OK):
            return None
        raise self._lost(str(message.data or message.extra or "it closed without a word"))

    async def close(self) -> None:
        """Close in order; a second call does nothing."""
        self._closing = True
        await self._socket.close()
        await self._session.close()

    async def _messages(self) -> AsyncIterator[ToHolder]:
        while (message := await self.receive()) is not None:
            yield message

    async def _prove_or_close(self, capability: str, holder_key: Ed25519PrivateKey) -> None:
        try:
            await self._prove(capability, holder_key)
        except BaseException:
            await self.close()
            raise

    async def _prove(self, capability: str, holder_key: Ed25519PrivateKey) -> None:
        hello = await self._answer()
        if not isinstance(hello, Hello):
            raise ProtocolError(f"{self._member.endpoint} did not begin with Hello", remedy="check the endpoint")
        if (hello.member, hello.incarnation) != (self._member.name, self._member.incarnation):
            raise UnreachableError(
                f"{self._member.endpoint} is now another member than {self._member.name}",
                remedy="ask the fabric for another",
            )
        challenge = Challenge(nonce=hello.nonce, member=hello.member, incarnation=hello.incarnation)
        await self.send(Open(capability, sign(challenge, holder_key)))
        opened = await self._answer()
        if not isinstance(opened, Opened):
            raise ProtocolError(f"{self._member.name} answered Open with {type(opened).__name__}")
        self.hello, self.seconds_left = hello, opened.seconds_left

    async def _answer(self) -> ToHolder | None:
        message = await self.receive()
        if isinstance(message, Refused):
            raise RefusedError(message.reason, message.cause, remedy=message.remedy)
        return message

    def _lost(self, why: str) -> UnreachableError:
        return UnreachableError(
            f"the connection to {self._member.name} is lost: {why}", remedy="its tasks go elsewhere"
        )


_CLOSED = frozenset({aiohttp.WSMsgType.CLOSE, aiohttp.WSMsgType.CLOSING, aiohttp.WSMsgType.CLOSED})
