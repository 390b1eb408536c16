"""The Fabric protocol: where leases come from. A coordinator cannot tell which fabric it is on.

Every call is idempotent: `acquire` by `request_id`, the others by nature. Times are seconds from now by the caller's
monotonic clock, as the fabric's wall clock is nobody's business.
"""

from typing import Protocol

from tasklet_runner.wire.leases import LeasedMember, LeaseRequest, LeaseView, Receipt

__all__ = ["Fabric", "LeaseRequest", "LeaseView", "LeasedMember", "Receipt"]


class Fabric(Protocol):
    """What a coordinator needs of the world."""

    async def acquire(self, request: LeaseRequest) -> LeaseView:
        """Bind members. The same `request_id` again returns the same lease.

        Raises:
            PoolEmptyError, CapacityExceededError: none to be had now (normal while a job ramps up).
            UnsupportedError: no pool could ever satisfy it; the message says which requirement and what there is.
        """
        ...

    async def watch(self, uid: str, version: int) -> LeaseView:
        """The lease as soon as its version is above `version`; at the latest after 10 s, as it then is."""
        ...

    async def renew(self, uid: str) -> LeaseView:
        """Move the deadline to now + ttl.

        Raises LeaseEndedError when it is too late, UnreachableError when nobody answered.
        """
        ...

    async def resize(self, uid: str, count: int, give_back: tuple[str, ...] = ()) -> LeaseView:
        """Want `count` members from now on; members named in `give_back` are released at once."""
        ...

    async def report_lost(self, uid: str, member: str, reason: str) -> LeaseView:
        """The holder cannot use this member any more; the fabric checks, replaces it in an elastic lease, and says
        what is left.
        """
        ...

    async def release(self, uid: str, reason: str = "Finished") -> Receipt:
        """End the lease; a second call returns the same receipt."""
        ...
