"""InstancePool: members of one shape, kept warm."""

from typing import Annotated, Literal

from pydantic import Field

from leasegrid.api.common import (
    DEFAULT_MAX_LIFETIME_SECONDS,
    DEFAULT_TTL_SECONDS,
    Bytes,
    Conditions,
    Instant,
    Key,
    LabelValue,
    Millicores,
    Model,
    Name,
    ObjectMeta,
    Reference,
    Seconds,
    SecondsOrZero,
    Text,
    Whole,
    bounded_bytes,
)
from leasegrid.api.enums import OperatingMode, ResourceKind, Reuse, RolloutStrategy
from leasegrid.api.quantities import GIBI, MEBI
from leasegrid.api.schedules import CronText, TimeZone
from leasegrid.api.scheduling import Affinity, Toleration, TopologySpreadConstraint

DEFAULT_POOL_ANNOTATION = "leasegrid.dev/is-default-pool"
"""The pool with this annotation set to "true" is the default one of its namespace."""

DEFAULT_MIN_SIZE = 2
DEFAULT_MAX_SIZE = 10
MEMBER_MEMORY = bounded_bytes(64 * MEBI, 1024 * GIBI)
StorageBytes = Annotated[Bytes, bounded_bytes(MEBI, 65536 * GIBI)]
Size = Annotated[Whole, Field(le=100_000)]


class MemberResources(Model):
    """The limits of one member."""

    cpu: Millicores = Field(default=2000, description="Cores; a member has max(1, whole cores) slots.")
    memory: Annotated[Bytes, MEMBER_MEMORY] = Field(default=2 * GIBI, description="Memory of the whole member.")

    @property
    def slots(self) -> int:
        """How many tasklets run side by side: whole cores, at least one."""
        return max(1, self.cpu // 1000)


class MemberRequests(Model):
    """What the pod of a member reserves on its node."""

    cpu: Millicores | None = Field(default=None, description="Cores that are reserved. Default: those of resources.")
    memory: Bytes | None = Field(default=None, description="Memory that is reserved. Default: that of resources.")


class PoolStorage(Model):
    """The storage of Memory and Block members."""

    size: StorageBytes = Field(description="Size of the tmpfs or volume of each member.")
    storage_class_name: Text | None = Field(
        default=None, description="StorageClass of Block volumes; its reclaim policy must be Delete."
    )


class Schedule(Model):
    """A larger target for some time, again and again."""

    start: CronText = Field(description="When it starts: five cron fields, such as 0 8 * * 1-5.")
    time_zone: TimeZone = Field(default="UTC", description="Time zone of start, by its IANA name.")
    duration_seconds: Seconds = Field(description="How long it lasts.")
    target_size: Size = Field(description="Target for that time; it never lowers the pool's own.")


class Rollout(Model):
    """How members follow a changed template."""

    strategy: RolloutStrategy = Field(
        default=RolloutStrategy.ON_CLAIM,
        description="OnClaim: a member keeps its version until its next reset. Rolling: ready ones go one by one.",
    )


class Refill(Model):
    """The token bucket that bounds how fast members are made."""

    max_per_second: Annotated[Whole, Field(ge=1, le=10_000)] = Field(default=50, description="Members made per second.")
    burst: Annotated[Whole, Field(ge=1, le=10_000)] = Field(
        default=100, description="Members made at once after a pause."
    )


class ClaimDefaults(Model):
    """What a lease gets that does not say."""

    ttl_seconds: Seconds = Field(default=DEFAULT_TTL_SECONDS, description="Time to live between renewals.")
    max_lifetime_seconds: Seconds = Field(
        default=DEFAULT_MAX_LIFETIME_SECONDS, description="No renewal moves a deadline past this."
    )


class PodTemplate(Model):
    """What is copied into the pods of members as it stands; one machine has no use for it."""

    labels: dict[Key, LabelValue] = Field(default_factory=dict, description="Labels of the pods.")
    annotations: dict[Key, str] = Field(default_factory=dict, description="Annotations of the pods.")
    node_selector: dict[Key, LabelValue] = Field(default_factory=dict, description="Labels that a node must have.")
    tolerations: tuple[Toleration, ...] = Field(
        default=(), max_length=64, description="Taints that are tolerated, as in a pod."
    )
    affinity: Affinity | None = Field(default=None, description="Where the pods like to stand, as in a pod.")
    topology_spread_constraints: tuple[TopologySpreadConstraint, ...] = Field(
        default=(), max_length=16, description="How members are spread over nodes, as in a pod."
    )
    priority_class_name: Name | None = Field(default=None, description="PriorityClass of the pods.")
    runtime_class_name: Name | None = Field(default=None, description="RuntimeClass of the pods.")
    image_pull_secrets: tuple[Reference, ...] = Field(
        default=(), max_length=16, description="Secrets for pulling the image."
    )


class InstancePoolSpec(Model):
    """What a pool is to be."""

    resource: ResourceKind = Field(
        default=ResourceKind.CPU, description="What its members offer: CPU, Memory or Block."
    )
    resources: MemberResources = Field(default=MemberResources(), description="Limits of each member.")
    requests: MemberRequests = Field(
        default=MemberRequests(), description="What each pod reserves. Default: resources."
    )
    storage: PoolStorage | None = Field(
        default=None, description="Storage of Block members (needed) and Memory members."
    )
    target_size: Size = Field(default=5, description="Members to keep unclaimed and warm; HPA and KEDA write it too.")
    min_size: Size | None = Field(
        default=None, description="Least target. Default: 2, or targetSize where that is less."
    )
    max_size: Size | None = Field(
        default=None, description="Most live members. Default: 10, or targetSize where that is more."
    )
    warmup_grace_seconds: Seconds = Field(default=600, description="A member that warms up for longer is replaced.")
    ready_ttl_seconds: SecondsOrZero = Field(
        default=14400, alias="readyTTLSeconds", description="A member that was idle for so long is replaced; 0: never."
    )
    reuse: Reuse | None = Field(
        default=None,
        description="After a lease: Reset or Replace. Default: Reset for CPU; Memory and Block are always replaced.",
    )
    max_claims_per_member: Whole = Field(
        default=0, description="A member is replaced after so many leases; 0: no limit."
    )
    operating_mode: OperatingMode = Field(default=OperatingMode.ACTIVE, description="Active, Paused or Draining.")
    schedules: tuple[Schedule, ...] = Field(default=(), max_length=64, description="Times with a larger target.")
    rollout: Rollout = Field(default=Rollout(), description="How members follow a changed template.")
    refill: Refill = Field(default=Refill(), description="How fast members are made.")
    claim_defaults: ClaimDefaults = Field(default=ClaimDefaults(), description="What a lease gets that does not say.")
    template: PodTemplate = Field(default=PodTemplate(), description="What the pods of members have besides.")

    @property
    def least(self) -> int:
        """The least target: minSize, or its default."""
        return min(DEFAULT_MIN_SIZE, self.target_size) if self.min_size is None else self.min_size

    @property
    def most(self) -> int:
        """The most live members: maxSize, or its default."""
        return max(DEFAULT_MAX_SIZE, self.target_size) if self.max_size is None else self.max_size

    @property
    def reused(self) -> bool:
        """True when a member is wiped and ready again after a lease."""
        return self.resource is ResourceKind.CPU and self.reuse is not Reuse.REPLACE


class MemberCounts(Model):
    """Members by state."""

    warming: Whole = Field(default=0, description="Members that are starting.")
    ready: Whole = Field(default=0, description="Members that can be claimed.")
    claimed: Whole = Field(default=0, description="Members under lease.")
    resetting: Whole = Field(default=0, description="Members that are being wiped.")
    fenced: Whole = Field(default=0, description="Members whose reset could not be proven clean.")


class MemberSample(Model):
    """One of the oldest members."""

    name: str = Field(description="Name of the member.")
    warming_started_time: Instant | None = Field(default=None, description="When it began to warm up.")
    ready_time: Instant | None = Field(default=None, description="When it became ready.")
    holder: str = Field(default="", description="Lease that holds it.")


class InstancePoolStatus(Model):
    """What a pool is."""

    replicas: Whole = Field(default=0, description="Live members.")
    selector: str = Field(default="", description="Label selector of the members, for autoscalers.")
    effective_target: Whole = Field(default=0, description="Target now: of targetSize, schedules and waiting claims.")
    members: MemberCounts = Field(default=MemberCounts(), description="Members by state.")
    oldest: tuple[MemberSample, ...] = Field(
        default=(), max_length=32, description="A bounded sample of the oldest members."
    )
    conditions: Conditions = Field(default=(), description="Ready, Progressing, Degraded, CappedByMax.")


class InstancePool(Model):
    """Members of one shape, kept warm."""

    api_version: Literal["leasegrid.dev/v1alpha1"] = Field(description="leasegrid.dev/v1alpha1")
    kind: Literal["InstancePool"] = Field(description="InstancePool")
    metadata: ObjectMeta = Field(description="Name, namespace, labels, annotations.")
    spec: InstancePoolSpec = Field(description="What the pool is to be.")
    status: InstancePoolStatus | None = Field(
        default=None, description="What the pool is; written by the operator alone."
    )

    @property
    def is_default(self) -> bool:
        """True for the default pool of its namespace."""
        return self.metadata.annotations.get(DEFAULT_POOL_ANNOTATION) == "true"
