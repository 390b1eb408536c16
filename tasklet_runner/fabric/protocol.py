"""The Fabric protocol: where leases come from. A coordinator cannot tell which fabric it is on.

Every call is idempotent: `acquire` by `request_id`, the others by nature. Times are seconds from now by the caller's
monotonic clock, as the fabric's wall clock is nobody's business.
"""

from typing import Protocol

import msgspec

from tasklet_runner.wire.member import Counters


class LeaseRequest(msgspec.Struct, frozen=True, kw_only=True):
    """What a holder wants.

    `count` members, at least `min_count` at once (fewer: nothing stays bound); `elastic` keeps growing to `count`.
    `memory` in bytes and `slots` are what one member must have; `holder_key` is an Ed25519 public key in base64url.
    """

    request_id: str
    holder_key: str
    namespace: str = "default"
    count: int = 1
    min_count: int = 1
    elastic: bool = False
    pools: tuple[str, ...] = ()
    slots: int = 1
    memory: int = 0
    cpu_features: tuple[str, ...] = ()
    ttl_seconds: int = 120
    max_lifetime_seconds: int = 86400
    holder_identity: str = ""
    purpose: str = ""
    parent: str = ""
    on_empty: str = "Fail"
    queue_timeout_seconds: int = 60
    priority: int = 0


class LeasedMember(msgspec.Struct, frozen=True, kw_only=True):
    """One bound member: where to reach it (`http://host:port` or `unix:///path`), and what it is."""

    name: str
    endpoint: str
    incarnation: str
    epoch: int
    slots: int
    tasklet_memory: int
    cpu_features: tuple[str, ...] = ()
    pool: str = ""


class LeaseView(msgspec.Struct, frozen=True, kw_only=True):
    """A lease as it is now.

    `version` rises with every change of members, capabilities or deadline; `expires_in` in seconds.
    """

    uid: str
    name: str
    version: int
    members: tuple[LeasedMember, ...]
    capabilities: tuple[str, ...]
    expires_in: float
    ttl_seconds: int
    wanted: int
    ended: str = ""
    waiting_because: str = ""

    def capability_for(self, name: str, listed: dict[str, int]) -> str:
        """The capability that lists this member; `listed` maps member names to positions in `capabilities`."""
        return self.capabilities[listed[name]]


class Receipt(msgspec.Struct, frozen=True, kw_only=True):
    """What an ended lease leaves behind in writing. Times in milliseconds, sizes in bytes."""

    lease_uid: str
    reason: str
    members: tuple[str, ...]
    tasklets: int = 0
    scratch_bytes: int = 0
    volume_bytes: int = 0
    held_milliseconds: int = 0
    released_in_milliseconds: int = 0
    unverified: tuple[str, ...] = ()
    counters: Counters = Counters()


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
