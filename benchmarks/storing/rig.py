"""A real store member as a process of its own, and what its holder's workers do with it under grants."""

import contextlib
import socket
import time
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path

from tasklet_runner.client.members import MemberClient
from tasklet_runner.client.stores import StoreClient
from tasklet_runner.wire.signed import sign
from tasklet_runner.wire.statements import GetGrant, PutGrant
from tests.support.members import LEASE, MemberRig
from tests.support.tcp_members import TcpRig

LEASE_SECONDS = 3600.0
QUOTA_BYTES = 4 << 30


@dataclass(frozen=True)
class Store:
    """A leased store member: its holder's client, and grants for others."""

    endpoint: str
    client: StoreClient
    _rig: MemberRig

    def put_grant(self, prefix: str) -> str:
        """Leave to put objects below the prefix."""
        words = {"store": LEASE, "term": 1, "key_prefix": prefix, "expires_at": time.time() + LEASE_SECONDS}
        return sign(PutGrant(max_bytes=QUOTA_BYTES, **words), self._rig.holder)  # type: ignore[arg-type]  # as named

    def get_grant(self, prefix: str) -> str:
        """Leave to get objects below the prefix."""
        words = {"store": LEASE, "term": 1, "key_prefix": prefix, "expires_at": time.time() + LEASE_SECONDS}
        return sign(GetGrant(**words), self._rig.holder)  # type: ignore[arg-type]  # as named


@contextlib.asynccontextmanager
async def leased_store(folder: Path, role: str, *, tcp: bool) -> AsyncIterator[Store]:
    """A store member with its directory in `folder`, for the length of a block."""
    arguments = ("--role", role, "--store", str(folder / "volume"), "--quota", str(QUOTA_BYTES))
    folder.mkdir()
    rig = TcpRig(folder, arguments, port=_free_port()) if tcp else MemberRig(folder, arguments)
    rig.start()
    try:
        async with contextlib.AsyncExitStack() as stack:
            member = MemberClient(rig.endpoint)
            stack.push_async_callback(member.close)
            state = await rig.claimed(member, LEASE_SECONDS)
            capability = rig.signed(rig.capability(state, LEASE_SECONDS))
            client = await stack.enter_async_context(StoreClient(rig.endpoint, capability, rig.holder))
            yield Store(rig.endpoint, client, rig)
    finally:
        rig.stop()


def _free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as found:
        return int(found.getsockname()[1])
