"""What holders and fabrics tell each other of leases. As JSON the names are in camelCase, as in the resources."""

from typing import Annotated

import msgspec
from msgspec import Meta

from tasklet_runner.wire.member import Counters

Name = Annotated[str, Meta(max_length=253)]
Positive = Annotated[int, Meta(ge=1, le=10 * 365 * 86400)]
Whole = Annotated[int, Meta(ge=0, le=2**53)]
MemberCount = Annotated[int, Meta(ge=1, le=100_000)]


class LeaseRequest(msgspec.Struct, frozen=True, kw_only=True, rename="camel", forbid_unknown_fields=True):
    """What a holder wants.

    `count` members, at least `min_count` at once (fewer: nothing stays bound); `elastic` keeps growing to `count`.
    `memory` in bytes and `slots` (CPU), or `size` (Memory, Block), are what one member must have; `holder_key` is an
    Ed25519 public key in base64url.
    """

    request_id: Annotated[str, Meta(min_length=1, max_length=253, description="Drawn by the holder; the same again is "
                                    "the same lease.")]  # fmt: skip
    holder_key: Annotated[str, Meta(max_length=64, description="Ed25519 public key, 32 raw bytes in base64url.")]
    namespace: Name = "default"
    count: Annotated[MemberCount, Meta(description="Members wanted.")] = 1
    min_count: Annotated[MemberCount, Meta(description="With fewer nothing stays bound.")] = 1
    elastic: Annotated[bool, Meta(description="True: keeps growing to count while it lives.")] = False
    pools: Annotated[tuple[Name, ...], Meta(max_length=64, description="In order of preference. Default: the default "
                                            "pool of the namespace.")] = ()  # fmt: skip
    resource: Annotated[str, Meta(pattern="^(CPU|Memory|Block)$", description="CPU runs tasklets; Memory and Block "
                                  "hold objects.")] = "CPU"  # fmt: skip
    size: Annotated[Whole, Meta(description="Bytes that each Memory or Block member must have room for.")] = 0
    slots: Annotated[Positive, Meta(description="Slots that each member must have.")] = 1
    memory: Annotated[Whole, Meta(description="Bytes that each slot must have for a tasklet.")] = 0
    cpu_features: Annotated[tuple[Name, ...], Meta(max_length=64)] = ()
    ttl_seconds: Annotated[Positive, Meta(description="Time to live between renewals.")] = 120
    max_lifetime_seconds: Annotated[Positive, Meta(description="No renewal moves the deadline past this.")] = 86400
    holder_identity: Annotated[Name, Meta(description="Who holds it, for people.")] = ""
    purpose: Annotated[Name, Meta(description="What for, for people.")] = ""
    parent: Annotated[Name, Meta(description="The lease with which this one is released.")] = ""
    on_empty: Annotated[str, Meta(pattern="^(Fail|Queue|Provision)$", description="When no member is ready: Fail (at "
                                  "once), Queue or Provision.")] = "Fail"  # fmt: skip
    queue_timeout_seconds: Annotated[Positive, Meta(description="A queued request waits so long at most.")] = 60
    priority: Annotated[
        int, Meta(ge=-1_000_000_000, le=1_000_000_000, description="Higher ones stand before lower ones.")
    ] = 0


class LeasedMember(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """One bound member: where to reach it (`http://host:port` or `unix:///path`), and what it is."""

    name: str
    endpoint: str
    incarnation: str
    epoch: int
    slots: int
    tasklet_memory: int
    cpu_features: tuple[str, ...] = ()
    pool: str = ""


class LeaseView(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """A lease as it is now.

    `version` rises with every change of members, capabilities or deadline; `expires_in` in seconds. A replica that
    does not lead and renewed one capability by itself answers with version 0: then only `capabilities`, which holds
    that one alone, and `expires_in` count.
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


class Receipt(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """What an ended lease leaves behind in writing. Times in milliseconds, sizes in bytes."""

    lease_uid: str
    reason: str
    members: tuple[str, ...]
    tasklets: int = 0
    scratch_bytes: int = 0
    volumes: int = 0
    volume_bytes: int = 0
    held_milliseconds: int = 0
    released_in_milliseconds: int = 0
    unverified: tuple[str, ...] = ()
    counters: Counters = Counters()
