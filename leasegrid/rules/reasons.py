"""Every reason and condition type that a rule gives, once, with what it means."""

from enum import StrEnum


class ConditionType(StrEnum):
    """Types of conditions."""

    READY = "Ready"
    """A pool can be claimed from, or nothing is wanted of it."""
    PROGRESSING = "Progressing"
    """A pool is making, warming or ending members; a job is under way."""
    DEGRADED = "Degraded"
    """A pool fails to make members, or had to take some out of service."""
    CAPPED_BY_MAX = "CappedByMax"
    """A pool would make more members if maxSize allowed it."""


class PoolReason(StrEnum):
    """Reasons of a pool's conditions."""

    MEMBERS_READY = "MembersReady"
    """At least one member is ready."""
    NOTHING_WANTED = "NothingWanted"
    """The target is zero."""
    WARMING_UP = "WarmingUp"
    """None is ready yet, some are starting."""
    ALL_CLAIMED = "AllClaimed"
    """Every live member is under lease."""
    NO_MEMBERS = "NoMembers"
    """None is ready and none is starting."""
    PAUSED = "Paused"
    """operatingMode is Paused: nothing is made or ended."""
    DRAINING = "Draining"
    """operatingMode is Draining: everything unclaimed ends and claims are refused."""
    SCALING = "Scaling"
    """Members are being made, started or ended."""
    BACKING_OFF = "BackingOff"
    """Members failed to start; the next try waits."""
    SETTLED = "Settled"
    """There is nothing to do."""
    MEMBER_FENCED = "MemberFenced"
    """A member could not prove a clean reset and is being replaced."""
    HEALTHY = "Healthy"
    """Members start as they should."""
    MAX_SIZE = "MaxSize"
    """maxSize is reached while more are wanted."""
    WITHIN_MAX = "WithinMax"
    """maxSize leaves room for all that is wanted."""


class WarmupFailure(StrEnum):
    """Why members of a pool do not come up."""

    IMAGE = "ImagePull"
    """The image cannot be pulled."""
    UNSCHEDULABLE = "Unschedulable"
    """No node (or not this machine) has room for one."""
    CRASH = "Crash"
    """The process ended while it started."""
    QUOTA = "Quota"
    """A quota, or the operating system's limits, forbid another."""
    TIMEOUT = "WarmupTimeout"
    """It was not ready within warmupGraceSeconds."""


class RetireReason(StrEnum):
    """Why a member is ended by its pool."""

    SURPLUS = "Surplus"
    """More are ready than the target asks for."""
    DRAINING = "Draining"
    """The pool drains."""
    WARMUP_TIMEOUT = "WarmupTimeout"
    """It was not ready within warmupGraceSeconds."""
    READY_TTL = "ReadyTTL"
    """It was idle for readyTTLSeconds."""
    MAX_CLAIMS = "MaxClaims"
    """It has served maxClaimsPerMember leases."""
    DRIFTED = "Drifted"
    """The pool's template has changed."""
    FENCED = "Fenced"
    """Its reset could not be proven clean."""


class AdmissionReason(StrEnum):
    """Why a lease waits, or is refused."""

    POOL_EMPTY = "PoolEmpty"
    """onEmpty is Fail and too few members are ready."""
    POOL_NOT_FOUND = "PoolNotFound"
    """None of the named pools exists, or there is no pool at all."""
    UNSUPPORTED = "Unsupported"
    """No member of the pools has what is required."""
    UNSATISFIABLE = "Unsatisfiable"
    """The pools could never hold as many members as minCount."""
    DRAINING = "Draining"
    """All pools that would do are draining."""
    QUEUE_TIMEOUT = "QueueTimeout"
    """It waited for queueTimeoutSeconds."""
    HEAD_OF_QUEUE = "HeadOfQueue"
    """First in the queue: what becomes ready is kept for it."""
    BEHIND_OTHERS = "BehindOthers"
    """Others stand before it in the queue."""
