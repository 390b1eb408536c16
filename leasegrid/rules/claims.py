"""What admission is asked, and what it answers; `admission` decides.

Order: higher priority first, then earlier arrival. A lease is given at least its minimum or nothing (no hold-and-wait);
a lease that finds too little waits, fails or has members made, as its `on_empty` says. Only the head of the queue
reserves: what would do for it is kept from those behind it, who may still use what it could not. Elastic leases grow
only with members that no waiting lease could use.
"""

from dataclasses import dataclass

from leasegrid.api.enums import OnEmpty
from leasegrid.rules.reasons import AdmissionReason
from tasklet_runner.plan.types import Requirements

ANY_MEMBER = Requirements()
"""One slot of any member."""


@dataclass(frozen=True)
class Claim:
    """A lease that wants members: `bound` are those that it has. `pools` in order of preference; empty: any pool.

    A claim with `bound` >= `minimum` is not waiting: it grows when `elastic`. `arrived` in seconds of the caller's
    clock; `provisioning`: members that are being made for it alone.
    """

    uid: str
    count: int
    minimum: int
    arrived: float
    pools: tuple[str, ...] = ()
    needs: Requirements = ANY_MEMBER
    admitted: bool = False
    bound: int = 0
    elastic: bool = False
    priority: int = 0
    on_empty: OnEmpty = OnEmpty.FAIL
    queue_timeout_seconds: float = 60
    provisioning: int = 0


@dataclass(frozen=True)
class Supply:
    """Members of one shape in one pool: how many are ready, and how many live ones the pool may have at most.

    List the pools in the fabric's own order, which is the order of preference of claims without `pools`. A pool without
    ready members is listed too, with `ready=0`. `draining`: claims are refused. `owner`: the uid of the only
    lease that may have them (provisioned ones), or empty.
    """

    pool: str
    shape: Requirements
    ready: int
    most: int
    draining: bool = False
    owner: str = ""


@dataclass(frozen=True)
class Take:
    """So many ready members of one pool."""

    pool: str
    count: int


@dataclass(frozen=True)
class Grant:
    """Bind these to the lease, all together."""

    uid: str
    takes: tuple[Take, ...]


@dataclass(frozen=True)
class Refusal:
    """The lease ends here: why, and what to do about it."""

    uid: str
    reason: AdmissionReason
    message: str
    remedy: str


@dataclass(frozen=True)
class Place:
    """The lease's place in the queue, from 1, and why it waits."""

    uid: str
    position: int
    reason: AdmissionReason
    message: str


@dataclass(frozen=True)
class Provision:
    """Make so many members for this lease alone."""

    uid: str
    count: int


@dataclass(frozen=True)
class Admission:
    """The decision. `provisions` repeat nothing that is `provisioning` already; `wake_at`: when the next waiting lease
    times out.
    """

    grants: tuple[Grant, ...] = ()
    refusals: tuple[Refusal, ...] = ()
    queue: tuple[Place, ...] = ()
    provisions: tuple[Provision, ...] = ()
    wake_at: float | None = None
