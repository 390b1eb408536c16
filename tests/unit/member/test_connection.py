"""A holder's connection and the end of its lease, which may come at any moment of the opening."""

import asyncio
import time
from pathlib import Path
from typing import cast

from aiohttp import WSMessage, WSMsgType, web
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from tasklet_runner.member.connection import HolderConnection
from tasklet_runner.member.core import MemberCore
from tasklet_runner.member.settings import MemberSettings
from tasklet_runner.member.states import Identity
from tasklet_runner.member.workshop import Workshop
from tasklet_runner.wire.member import Hint
from tasklet_runner.wire.signed import public_text, sign
from tasklet_runner.wire.statements import Bind, Capability, Challenge, MemberGrant
from tasklet_runner.wire.work import Ended, Hello, Open, Opened, ToHolder, decode_to_holder, encode

FABRIC, HOLDER = Ed25519PrivateKey.generate(), Ed25519PrivateKey.generate()


class Nobody:
    """Hears no hints."""

    def tell(self, hint: Hint) -> None:
        """See `Notifier`."""

    async def leave(self) -> None:
        """See `Notifier`."""


class SlowSocket:
    """A holder's end that shows its capability and takes a while to read that its connection was opened."""

    def __init__(self, capability: str) -> None:
        self.said: list[ToHolder] = []
        self.opening, self.read, self.closed = asyncio.Event(), asyncio.Event(), asyncio.Event()
        self._capability = capability

    async def send_bytes(self, data: bytes) -> None:
        message = decode_to_holder(data)
        self.said.append(message)
        if isinstance(message, Opened):
            self.opening.set()
            await self.read.wait()

    async def receive(self, timeout: float) -> WSMessage:
        (hello,) = self.said
        assert isinstance(hello, Hello)
        challenge = sign(Challenge(nonce=hello.nonce, member=hello.member, incarnation=hello.incarnation), HOLDER)
        return WSMessage(WSMsgType.BINARY, encode(Open(self._capability, challenge)), "")

    async def close(self) -> None:
        self.closed.set()

    def __aiter__(self) -> "SlowSocket":
        return self

    async def __anext__(self) -> WSMessage:
        await self.closed.wait()
        raise StopAsyncIteration


def capability_of(core: MemberCore) -> str:
    """Binds the member; what its holder shows."""
    now, identity = time.time(), core.states.identity
    grant = MemberGrant(identity.member, identity.incarnation, 1)
    key = public_text(HOLDER)
    core.bind(
        sign(
            Bind(
                lease_uid="a", holder_key=key, member=grant.member, incarnation=grant.incarnation, epoch=1,
                issued_at=now, deadline=now + 60,
            ),
            FABRIC,
        )
    )  # fmt: skip
    return sign(
        Capability(
            lease_uid="a", holder_key=key, members=(grant,), issued_at=now, deadline=now + 60, expires_at=now + 60
        ),
        FABRIC,
    )


def test_a_lease_that_ends_while_its_holder_is_told_that_the_connection_is_open_ends_that_connection(
    tmp_path: Path,
) -> None:
    async def story() -> None:
        settings = MemberSettings(name="m", listen="", fabric_key=public_text(FABRIC), scratch=tmp_path)
        workshop = Workshop(settings)
        core = MemberCore(settings, Identity("m", "i", 1, 1 << 20), Nobody(), workshop)
        core.states.warmed()
        socket = SlowSocket(capability_of(core))
        connection = HolderConnection(core, workshop, cast("web.WebSocketResponse", socket))
        serving = asyncio.create_task(connection.serve())
        await asyncio.wait_for(socket.opening.wait(), 30)
        await workshop.dismiss("LeaseExpired")
        socket.read.set()
        await asyncio.wait_for(serving, 30)
        assert [type(message) for message in socket.said] == [Hello, Opened, Ended]
        assert (connection.closed, workshop.connections) == (True, set())

    asyncio.run(story())
