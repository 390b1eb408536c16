"""What a coordinator needs of the world around it, in one frozen value, so that nothing is global."""

import random
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from tasklet_runner.coordinator.code import CodeVault
from tasklet_runner.data.access import ENVIRONMENT, Access
from tasklet_runner.fabric.protocol import Fabric, LeasedMember
from tasklet_runner.plan.types import CacheSettings
from tasklet_runner.store.cache import ResultCache
from tasklet_runner.store.protocol import JobStore
from tasklet_runner.wire.queues import PushMany
from tasklet_runner.wire.work import Hello, ToHolder, ToMember

OpenCache = Callable[[CacheSettings], Awaitable[ResultCache]]


class Connection(Protocol):
    """One duplex connection to a leased member; `client.work.WorkConnection` is the real one."""

    @property
    def hello(self) -> Hello:
        """The member's first word."""
        ...

    async def send(self, message: ToMember) -> None:
        """Send one message; waits while the member does not read. Raises UnreachableError when it is gone."""
        ...

    def __aiter__(self) -> AsyncIterator[ToHolder]:
        """Messages of the member until the connection ends."""
        ...

    async def close(self) -> None:
        """End the connection; a second call does nothing."""
        ...


Connect = Callable[[LeasedMember, str, Ed25519PrivateKey], Awaitable[Connection]]
"""Opens a connection to a member: the member, the capability that lists it, the holder's key."""


async def open_work_connection(member: LeasedMember, capability: str, holder: Ed25519PrivateKey) -> Connection:
    """The connection that every fabric's members understand."""
    # Here and not above: the tests of the pure parts of this room need no HTTP stack.
    from tasklet_runner.client.work import WorkConnection

    return await WorkConnection.open(member, capability, holder)


Show = Callable[[LeasedMember, str], Awaitable[None]]
"""Shows a member to which no connection stands a renewed capability: no member believes another's word for that."""


async def show_capability(member: LeasedMember, capability: str) -> None:
    """As every fabric's members understand it. Raises UnreachableError, RefusedError."""
    from tasklet_runner.client.members import MemberClient

    client = MemberClient(member.endpoint)
    try:
        await client.renew(capability)
    finally:
        await client.close()


class Announcer(Protocol):
    """Tells queues of leased stores of objects; `client.ahead.QueuePusher` is the real one."""

    async def push(self, endpoint: str, grant: str, push: PushMany) -> None:
        """Push messages under a PutGrant. Raises LeaseGridError."""
        ...

    async def close(self) -> None:
        """Close its connections."""
        ...


def open_announcer() -> Announcer:
    """As every fabric's members understand it."""
    from tasklet_runner.client.ahead import QueuePusher

    return QueuePusher()


@dataclass(frozen=True)
class Surroundings:
    """The fabric, the job's store and the keys.

    `scratch`: an existing directory of this run alone, for temporary files (packed inputs, sources); the coordinator
    removes what it made there. `term`: the coordinator's generation, named in put grants. `holder` signs them too, so
    the store's door must know its public half. `parent`: the lease under which worker leases stand, if any; `home`: the
    member on which the coordinator itself is, if any, which it keeps to its end. `jitter` draws from 0 <= x < 1.
    `access`: what it takes to read modules and inputs that lie elsewhere.
    """

    fabric: Fabric
    store: JobStore
    holder: Ed25519PrivateKey
    code: CodeVault
    scratch: Path
    open_cache: OpenCache | None = None
    term: int = 1
    holder_identity: str = ""
    parent: str = ""
    home: str = ""
    connect: Connect = open_work_connection
    show: Show = show_capability
    open_announcer: Callable[[], Announcer] = open_announcer
    jitter: Callable[[], float] = field(default=random.random)
    access: Access = ENVIRONMENT
