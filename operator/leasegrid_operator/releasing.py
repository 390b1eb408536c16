"""The end of a lease at a replica that does not lead: its members are told, and they tell the leader."""

import asyncio
from collections.abc import Mapping, Sequence

from leasegrid.leasing.signing import Signer
from tasklet_runner.client.members import MemberClient
from tasklet_runner.fabric.protocol import Receipt
from tasklet_runner.wire.errors import LeaseEndedError, LeaseGridError
from tasklet_runner.wire.member import Counters, ReleaseReply
from tasklet_runner.wire.pins import pinned, split_pin
from tasklet_runner.wire.statements import Capability, MemberGrant

MEMBER_SECONDS = 5.0
"""A member that has not wiped itself by then stands in the receipt as unverified; it is told again at its deadline."""


async def release_members(capability: Capability, endpoints: Mapping[str, str], signer: Signer, reason: str) -> Receipt:
    """Free the members that a capability lists and that are there. `endpoints` by name; empty: no address is known.

    The receipt is of these members alone. Raises LeaseEndedError when none of them is there any more.
    """
    there = [grant for grant in capability.members if grant.member in endpoints]
    if not there:
        raise LeaseEndedError(f"no member of the lease {capability.lease_uid} is here", remedy="acquire a new one")
    started = asyncio.get_running_loop().time()
    replies = await asyncio.gather(
        *(
            _release(signer.release(capability.lease_uid, grant), _known(endpoints[grant.member], grant))
            for grant in there
        )
    )
    counters = _counted(replies)
    return Receipt(
        lease_uid=capability.lease_uid,
        reason=reason,
        members=tuple(grant.member for grant in capability.members),
        released_in_milliseconds=round((asyncio.get_running_loop().time() - started) * 1000),
        tasklets=counters.tasklets,
        scratch_bytes=sum(reply.scratch_bytes for reply in replies if reply is not None),
        unverified=_silent(there, replies),
        counters=counters,
    )


def _known(endpoint: str, grant: MemberGrant) -> str:
    """A replica that does not lead has not met the member; the capability says whose key it has to be."""
    return pinned(endpoint, grant.incarnation) if split_pin(endpoint)[1] else endpoint


async def _release(statement: str, endpoint: str) -> ReleaseReply | None:
    if not endpoint:
        return None
    try:
        async with MemberClient(endpoint, timeout_seconds=MEMBER_SECONDS) as client:
            return await client.release(statement)
    except LeaseGridError:
        return None


def _silent(grants: Sequence[MemberGrant], replies: Sequence[ReleaseReply | None]) -> tuple[str, ...]:
    return tuple(grant.member for grant, reply in zip(grants, replies, strict=True) if reply is None)


def _counted(replies: Sequence[ReleaseReply | None]) -> Counters:
    counters = Counters()
    for reply in replies:
        counters = counters if reply is None else counters.plus(reply.counters)
    return counters
