"""Lease: the right of one holder to use so many members until a deadline."""

from typing import Literal

from pydantic import Field

from leasegrid.api.common import (
    Conditions,
    Count,
    Instant,
    LeaseRequirements,
    Model,
    ObjectMeta,
    PoolReferences,
    Priority,
    PublicKey,
    Reference,
    Seconds,
    SecondsOrZero,
    Whole,
)
from leasegrid.api.enums import OnEmpty


class Revoke(Model):
    """How a lease is taken away before its end."""

    grace_seconds: SecondsOrZero = Field(
        default=10, description="So long the holder may finish before members are freed."
    )


class LeaseSpec(Model):
    """What is asked for."""

    pool_refs: PoolReferences = Field(
        default=(), description="Pools in order of preference. Default: the default pool."
    )
    requirements: LeaseRequirements | None = Field(
        default=None, description="What any pool must offer, instead of poolRefs."
    )
    count: Count = Field(default=1, description="Members wanted.")
    min_count: Count | None = Field(
        default=None, description="Below it nothing stays bound. Default: count; 1 for an elastic lease."
    )
    elastic: bool = Field(default=False, strict=True, description="True: keeps growing to count while it lives.")
    ttl_seconds: Seconds | None = Field(
        default=None, description="Time to live between renewals. Default: claimDefaults of the pool."
    )
    max_lifetime_seconds: Seconds | None = Field(
        default=None, description="No renewal moves the deadline past this. Default: claimDefaults of the pool."
    )
    renew_time: Instant | None = Field(
        default=None, description="A person's renewal: any change renews; never read as a clock."
    )
    holder_identity: str = Field(default="", max_length=253, description="Who holds it, for people.")
    purpose: str = Field(default="", max_length=253, description="What for, for people.")
    holder_key: PublicKey | None = Field(
        default=None, description="Ed25519 public key of the holder, 32 raw bytes in base64url."
    )
    parent_ref: Reference | None = Field(default=None, description="Lease with which this one is released.")
    on_empty: OnEmpty = Field(default=OnEmpty.FAIL, description="When no member is ready: Fail, Queue or Provision.")
    queue_timeout_seconds: Seconds = Field(default=60, description="So long a queued lease waits at most.")
    priority: Priority = Field(default=0, description="Higher ones stand before lower ones in the queue.")
    revoke: Revoke | None = Field(
        default=None, description="Takes the lease away before its end: it is released as soon as this is given."
    )
    ttl_seconds_after_released: SecondsOrZero = Field(
        default=300, description="So long the object stays after the release."
    )

    @property
    def least(self) -> int:
        """The number of members below which nothing stays bound: minCount, or its default."""
        if self.min_count is not None:
            return self.min_count
        return 1 if self.elastic else self.count


class LeaseMember(Model):
    """One bound member."""

    name: str = Field(description="Name of the member.")
    endpoint: str = Field(
        description="Where it is reached; by https, behind # the name of the key that has to be there."
    )
    node: str = Field(default="", description="Node that it runs on.")
    epoch: Whole = Field(description="Epoch of its bind.")


class LeaseReceipt(Model):
    """What an ended lease leaves behind in writing."""

    members: Whole = Field(default=0, description="Members that were freed.")
    volumes: Whole = Field(default=0, description="Volumes that were deleted.")
    tasklets: Whole = Field(default=0, description="Tasklets that were run.")
    bytes_wiped: Whole = Field(default=0, description="Bytes of scratch and volumes that were wiped.")
    held_milliseconds: Whole = Field(default=0, description="How long it was held.")
    released_in_milliseconds: Whole = Field(default=0, description="How long the release took.")
    unverified: tuple[str, ...] = Field(
        default=(), max_length=100_000, description="Members whose end nobody has seen yet."
    )


class LeaseStatus(Model):
    """What there is."""

    members: tuple[LeaseMember, ...] = Field(default=(), max_length=100_000, description="Bound members.")
    capabilities: tuple[str, ...] = Field(
        default=(), max_length=2048, description="Signed statements for up to 64 members each."
    )
    acquire_time: Instant | None = Field(default=None, description="When it was bound.")
    renew_time: Instant | None = Field(default=None, description="When it was last renewed.")
    expire_time: Instant | None = Field(default=None, description="When it ends unless renewed; a lower bound.")
    queue_position: Whole | None = Field(default=None, description="Place in the queue, from 1.")
    receipt: LeaseReceipt | None = Field(default=None, description="What was torn down.")
    conditions: Conditions = Field(default=(), description="Satisfiable, Bound, Released.")


class Lease(Model):
    """The right of one holder to use so many members until a deadline."""

    api_version: Literal["leasegrid.dev/v1alpha1"] = Field(description="leasegrid.dev/v1alpha1")
    kind: Literal["Lease"] = Field(description="Lease")
    metadata: ObjectMeta = Field(description="Name, namespace, labels, annotations.")
    spec: LeaseSpec = Field(description="What is asked for.")
    status: LeaseStatus | None = Field(default=None, description="What there is; written by the operator alone.")
