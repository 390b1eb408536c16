"""The way to a member of a lease: its own address where this machine reaches it, else a port-forward."""

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from dataclasses import dataclass, replace
from urllib.parse import urlsplit

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from leasegrid.cli.cluster import Cluster
from leasegrid.cli.forwarding import forwarded
from leasegrid.cli.lease_objects import LeaseObject
from leasegrid.cli.lease_verbs import renewed
from tasklet_runner.client.work import WorkConnection
from tasklet_runner.coordinator.capabilities import capabilities_by_member, read_capability
from tasklet_runner.wire.errors import ClusterError, LeaseEndedError, RefusedError, UnreachableError
from tasklet_runner.wire.pins import pinned, split_pin

DIRECT_SECONDS = 2.0
"""An address that takes no connection by then is not one of this machine's network."""

_PRESENTABLE_SECONDS = 10.0
_ENDED = frozenset({"LeaseExpired", "Revoked", "Released", "Fenced"})


@dataclass(frozen=True)
class Target:
    """A member as `WorkConnection` needs to know it."""

    name: str
    endpoint: str
    incarnation: str


@dataclass(frozen=True)
class Reached:
    """An open connection to one member of a lease."""

    lease: LeaseObject
    member: str
    connection: WorkConnection


@asynccontextmanager
async def reached(cluster: Cluster, lease: LeaseObject, key: Ed25519PrivateKey) -> AsyncIterator[Reached]:
    """A connection to the lease's first member, closed afterwards.

    Raises LeaseEndedError, ClusterError (no way there).
    """
    if not lease.status.members:
        raise ClusterError(f"the lease {lease.name!r} has no member yet", remedy="wait until it is bound")
    member = lease.status.members[0]
    lease, capability = await _capability(cluster, lease, member.name)
    grants = {grant.member: grant.incarnation for grant in read_capability(capability).members}
    async with AsyncExitStack() as stack:
        try:
            target = Target(member.name, member.endpoint, grants[member.name])
            connection = await _open(cluster, target, _Proof(capability, key), stack)
        except RefusedError as error:
            raise _refused(lease, member.name, error) from error
        stack.push_async_callback(connection.close)
        yield Reached(lease, member.name, connection)


async def _capability(cluster: Cluster, lease: LeaseObject, member: str) -> tuple[LeaseObject, str]:
    """A capability that lists the member and may still be shown: an old one is made anew by a renewal."""
    found = capabilities_by_member(lease.status.capabilities).get(member)
    if found is None or read_capability(found).expires_at < time.time() + _PRESENTABLE_SECONDS:
        lease = await renewed(cluster, lease)
        found = capabilities_by_member(lease.status.capabilities).get(member)
    if found is None:
        raise ClusterError(f"no capability of the lease {lease.name!r} lists {member!r}", remedy="claim another lease")
    return lease, found


@dataclass(frozen=True)
class _Proof:
    """What a member wants to see of its holder."""

    capability: str
    key: Ed25519PrivateKey


async def _open(cluster: Cluster, target: Target, proof: _Proof, stack: AsyncExitStack) -> WorkConnection:
    if await _is_near(target.endpoint):
        # Another network may have the same addresses: whoever answers there need not be this member.
        with suppress(UnreachableError):
            return await WorkConnection.open(target, proof.capability, proof.key)
    port = urlsplit(target.endpoint).port or 80
    forward = await stack.enter_async_context(forwarded(lambda: cluster.port(target.name, port)))
    try:
        behind = replace(target, endpoint=pinned(forward.endpoint, split_pin(target.endpoint)[1]))
        return await WorkConnection.open(behind, proof.capability, proof.key)
    except UnreachableError as error:
        raise ClusterError(
            f"the member {target.name!r} can be reached neither at {target.endpoint} nor by a port-forward: "
            f"{'; '.join(forward.trouble) or error}",
            remedy="check that its pod runs, and that you may get and create pods/portforward in this namespace",
        ) from error


async def _is_near(endpoint: str) -> bool:
    parts = urlsplit(endpoint)
    if parts.scheme == "unix":
        return True
    try:
        async with asyncio.timeout(DIRECT_SECONDS):
            _, writer = await asyncio.open_connection(parts.hostname, parts.port or 80)
    except (OSError, TimeoutError):
        return False
    writer.close()
    return True


def _refused(lease: LeaseObject, member: str, error: RefusedError) -> LeaseEndedError | ClusterError:
    if error.reason in _ENDED:
        return LeaseEndedError(
            f"the lease {lease.name!r} has ended at {member!r}: {error.reason}: {error.cause}",
            remedy="claim another: leasegrid claim",
        )
    return ClusterError(f"the member {member!r} refused: {error.reason}: {error.cause}", remedy=error.remedy)
