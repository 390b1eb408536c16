"""Renewing a lease by its capability alone: what a replica may do that knows nothing but the fabric's key."""

from msgspec.structs import replace

from tasklet_runner.wire.errors import LeaseEndedError
from tasklet_runner.wire.leases import LeaseView
from tasklet_runner.wire.statements import MAX_PRESENTATION_SECONDS, Capability


def renewed(capability: Capability, now: float) -> Capability | None:
    """The capability with its deadline at now + ttl, but never past its last one; None when it does not say these.

    `now` in UNIX seconds of the fabric's clock. Raises LeaseEndedError when the deadline has passed. That the
    presentation time has passed is no matter, as the holder's key has been proven.
    """
    if now >= capability.deadline:
        raise LeaseEndedError(
            f"the lease {capability.lease_uid} ended {now - capability.deadline:.1f} s ago", remedy="acquire a new one"
        )
    if not capability.ttl_seconds or not capability.last_deadline:
        return None
    wanted = min(now + capability.ttl_seconds, capability.last_deadline)
    return replace(
        capability,
        issued_at=now,
        deadline=max(capability.deadline, wanted),
        expires_at=now + MAX_PRESENTATION_SECONDS,
    )


def view_of(capability: Capability, statement: str, now: float) -> LeaseView:
    """What a replica that keeps no leases says of one: version 0, and the one capability that it renewed."""
    return LeaseView(
        uid=capability.lease_uid,
        name="",
        version=0,
        members=(),
        capabilities=(statement,),
        expires_in=capability.deadline - now,
        ttl_seconds=capability.ttl_seconds,
        wanted=0,
    )
