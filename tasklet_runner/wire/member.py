"""The member's HTTP door: requests and replies as JSON.

`GET /v1/state` -> StateReport · `POST /v1/bind` SignedRequest(Bind) -> BindReply · `POST /v1/confirm`
SignedRequest(Confirm) · `POST /v1/release` SignedRequest(Capability or Release) -> ReleaseReply · `POST /v1/retire`
SignedRequest(Retire) · `POST /v1/renew` SignedRequest(Capability) -> RenewReply · `GET /v1/work` (WebSocket, see
`wire.work`; a store member has the paths of `wire.store` in its place) · `GET /metrics` · `GET /healthz`. A refusal is
an ErrorReply with status 400 (malformed), 401 (signature), 409 (Conflict, NotReady, Fenced), 410 (LeaseExpired), 413,
422, 503, or 507 (a store member's volume fails).
"""

from enum import StrEnum

import msgspec


class MemberState(StrEnum):
    """`warming → ready → claimed → resetting → ready …` or `→ terminated`; `fenced` takes no lease again."""

    WARMING = "warming"
    READY = "ready"
    CLAIMED = "claimed"
    RESETTING = "resetting"
    FENCED = "fenced"
    TERMINATED = "terminated"


class Role(StrEnum):
    """What a member is for: `CPU` runs tasklets in slots; `Memory` and `Block` serve a store and have no slots."""

    CPU = "CPU"
    MEMORY = "Memory"
    BLOCK = "Block"


class SignedRequest(msgspec.Struct, frozen=True):
    """The body of every POST: one statement as compact JWS."""

    statement: str


class StateReport(msgspec.Struct, frozen=True, kw_only=True):
    """What a member says of itself.

    `seconds_left` until its deadline, -1 when unclaimed; `lease_uid` empty when unclaimed. `signers_clock`: what the
    clock of the one who signed the bind shows now, UNIX seconds: a successor's instants are taken for that clock's.
    `kept_lease_uid`: the lease whose objects lie on a Block member's volume, claimed or not; no other lease can be
    bound there.
    """

    member: str
    incarnation: str
    epoch: int
    state: MemberState
    slots: int
    tasklet_memory: int
    lease_uid: str = ""
    confirmed: bool = False
    seconds_left: float = -1.0
    signers_clock: float = 0.0
    cpu_features: tuple[str, ...] = ()
    reason: str = ""
    role: Role = Role.CPU
    kept_lease_uid: str = ""


class BindReply(msgspec.Struct, frozen=True, kw_only=True):
    """Bound, provisionally for five seconds. The same bind again gets the same reply."""

    member: str
    incarnation: str
    epoch: int
    slots: int
    tasklet_memory: int
    role: Role = Role.CPU


class Counters(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """What a member did under one lease; handed over with its release, so that nothing is lost when it vanishes.

    `checkpoints` of /durable are in their store, `checkpoint_bytes` went there; `resumed` tasks began with one.
    """

    tasklets: int = 0
    faults: int = 0
    fuel_used: int = 0
    wall_milliseconds: int = 0
    killed: int = 0
    checkpoints: int = 0
    checkpoints_failed: int = 0
    checkpoint_bytes: int = 0
    resumed: int = 0

    def plus(self, other: "Counters") -> "Counters":
        """Both together."""
        return Counters(
            tasklets=self.tasklets + other.tasklets,
            faults=self.faults + other.faults,
            fuel_used=self.fuel_used + other.fuel_used,
            wall_milliseconds=self.wall_milliseconds + other.wall_milliseconds,
            killed=self.killed + other.killed,
            checkpoints=self.checkpoints + other.checkpoints,
            checkpoints_failed=self.checkpoints_failed + other.checkpoints_failed,
            checkpoint_bytes=self.checkpoint_bytes + other.checkpoint_bytes,
            resumed=self.resumed + other.resumed,
        )


class ReleaseReply(msgspec.Struct, frozen=True, kw_only=True):
    """The lease's part in this member is over (or was: an older epoch is a successful no-op, with `stale`)."""

    member: str
    epoch: int
    stale: bool = False
    counters: Counters = Counters()
    scratch_bytes: int = 0


class RenewReply(msgspec.Struct, frozen=True, kw_only=True):
    """`seconds_left` until the member's deadline after the renewal."""

    seconds_left: float


class Hint(msgspec.Struct, frozen=True, kw_only=True):
    """A member's word to its fabric at each transition; a hint: `/v1/state` decides."""

    member: str
    incarnation: str
    epoch: int
    state: MemberState
    reason: str = ""


class ErrorReply(msgspec.Struct, frozen=True, kw_only=True):
    """A refusal: a stable word, what and where, what to do."""

    code: str
    cause: str
    remedy: str = ""
