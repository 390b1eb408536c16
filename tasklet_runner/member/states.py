"""The member's state machine: who may use it, and until when.

Pure: statements come in verified, and `now` is an argument.

    warming → ready → claimed → resetting → ready …
                 ↘ terminated      ↘ fenced | terminated

`now` is in seconds of the member's monotonic clock. The signer's clock is read once, at the bind: its `iat` and the
monotonic instant of the bind are one and the same moment, and every later instant that the signer names is converted
through that pair. So a step of either wall clock changes nothing.
"""

from dataclasses import dataclass, replace

from tasklet_runner.member.decisions import (
    Admitted,
    Bound,
    Confirmed,
    End,
    Refusal,
    Refused,
    Released,
    Retired,
    Stale,
)
from tasklet_runner.wire.member import BindReply, MemberState, Role, StateReport
from tasklet_runner.wire.statements import (
    MAX_PRESENTATION_SECONDS,
    Bind,
    Capability,
    Confirm,
    MemberGrant,
    Release,
    Retire,
)

PROVISIONAL_SECONDS = 5.0
"""A bind that neither the fabric nor the holder has confirmed by then is undone."""


@dataclass(frozen=True)
class Identity:
    """What does not change in a member's life. `tasklet_memory` in bytes; `replace_after_use`: `reuse: Replace`."""

    member: str
    incarnation: str
    slots: int
    tasklet_memory: int
    replace_after_use: bool = False
    cpu_features: tuple[str, ...] = ()
    role: Role = Role.CPU


@dataclass(frozen=True)
class Claim:
    """One bind. `bound_at` is monotonic and the same moment as the signer's `issued_at`."""

    lease_uid: str
    holder_key: str
    bound_at: float
    issued_at: float
    deadline: float
    confirmed: bool = False

    def local(self, instant: float) -> float:
        """An instant of the signer's clock on this member's monotonic one."""
        return self.bound_at + (instant - self.issued_at)

    def signers_clock(self, now: float) -> float:
        """A monotonic instant of this member on the signer's clock: the way back."""
        return self.issued_at + (now - self.bound_at)

    @property
    def ends_at(self) -> float:
        """The monotonic instant at which the claim ends if nothing more happens."""
        provisional = self.bound_at + PROVISIONAL_SECONDS
        return self.deadline if self.confirmed else min(self.deadline, provisional)


class MemberStates:
    """One member's life. Every method decides and, where the answer is yes, moves on at once."""

    def __init__(self, identity: Identity) -> None:
        self.identity = identity
        self.state = MemberState.WARMING
        self.epoch = 0
        self.claim: Claim | None = None
        self.reason = ""
        self._last_lease = False
        self._tainted = False

    def warmed(self, epoch: int = 0) -> None:
        """Scratch is wiped and all slots stand: the first `ready`. `epoch`: the last one of the member's volume."""
        self.state, self.epoch = MemberState.READY, epoch

    def held(self, now: float) -> Claim | None:
        """The claim that stands now."""
        return None if self._over(now) else self.claim

    def bind(self, bind: Bind, now: float) -> Bound | Refused:
        """Belong to a lease from now on, provisionally. The same bind again gets the same answer."""
        if refusal := self._misaddressed(bind):
            return refusal
        if self.claim is not None and not self._over(now) and bind.epoch == self.epoch:
            return self._bind_again(bind, self.claim)
        if self.state is not MemberState.READY:
            return self._not_ready()
        if bind.epoch != self.epoch + 1:
            return self._wrong_epoch(bind.epoch)
        if bind.deadline <= bind.issued_at:
            return Refused(Refusal.BAD_REQUEST, "the bind's deadline is not after its iat", "sign a later deadline")
        deadline = now + (bind.deadline - bind.issued_at)
        self.claim = Claim(bind.lease_uid, bind.holder_key, now, bind.issued_at, deadline)
        self.state, self.epoch, self.reason = MemberState.CLAIMED, bind.epoch, ""
        return Bound(self._bind_reply())

    def confirm(self, confirm: Confirm, now: float) -> Confirmed | Refused:
        """The fabric has counted the bind: it stands until its deadline."""
        claim = self._claimed(confirm, confirm.lease_uid, now)
        if isinstance(claim, Refused):
            return claim
        self.claim = replace(claim, confirmed=True)
        return Confirmed()

    def admit(self, capability: Capability, now: float) -> Admitted | Refused:
        """A holder that has proved its key shows a capability: on opening a connection, and to renew.

        Only a later deadline extends; it confirms a provisional bind.
        """
        grant = self._grant_of(capability)
        if isinstance(grant, Refused):
            return grant
        claim = self._claimed(grant, capability.lease_uid, now)
        if isinstance(claim, Refused):
            return claim
        if refusal := _unpresentable(capability, claim, now):
            return refusal
        deadline = max(claim.deadline, claim.local(capability.deadline))
        self.claim = replace(claim, confirmed=True, deadline=deadline)
        return Admitted(deadline - now, extended=deadline > claim.deadline)

    def release(self, statement: Capability | Release, now: float) -> Released | Stale | Refused:
        """End the lease's part. An expired capability will do; an older epoch or incarnation is a successful no-op."""
        grant = self._grant_of(statement) if isinstance(statement, Capability) else statement
        if isinstance(grant, Refused):
            return grant
        if grant.member != self.identity.member:
            return self._other_member(grant.member)
        if grant.incarnation != self.identity.incarnation:
            return Stale(grant.epoch, other_process=True)
        if grant.epoch < self.epoch:
            return Stale(grant.epoch)
        if grant.epoch > self.epoch:
            return self._wrong_epoch(grant.epoch)
        return self._release_now(statement.lease_uid)

    def retire(self, retire: Retire) -> Retired | Refused:
        """End an idle member; arbitrated like a bind, so that nobody deletes a member that was just bound."""
        if refusal := self._misaddressed(retire):
            return refusal
        if retire.epoch != self.epoch:
            return self._wrong_epoch(retire.epoch)
        if self.state is MemberState.CLAIMED:
            return _conflict()
        if self.state is MemberState.RESETTING:
            return self._not_ready()
        self.state, self.reason = MemberState.TERMINATED, "Retired"
        return Retired()

    def tick(self, now: float) -> End | None:
        """End the claim when its time has come, and say why; the member must then be reset. None: nothing to do yet."""
        if self.claim is None or not self._over(now):
            return None
        reason = End.LEASE_EXPIRED if now >= self.claim.deadline else End.UNCONFIRMED
        self._end(reason)
        return reason

    def next_tick(self) -> float | None:
        """The monotonic instant at which `tick` should be asked next; None while unclaimed."""
        return None if self.claim is None else self.claim.ends_at

    def end_when_free(self) -> bool:
        """Take no lease any more. True when the member may end at once, as nobody holds it."""
        self._last_lease = True
        if self.state in (MemberState.CLAIMED, MemberState.RESETTING):
            return False
        self.state, self.reason = MemberState.TERMINATED, End.DRAINED.value
        return True

    def revoke(self, reason: End) -> None:
        """End the claim from inside: a drain's grace is over. Does nothing while unclaimed."""
        if self.claim is not None:
            self._end(reason)

    def taint(self) -> None:
        """A slot died by SEGV, BUS, ILL or SYS: this process is not used for another lease."""
        self._tainted = True

    @property
    def ends_after_reset(self) -> bool:
        """True when this process is not used for another lease."""
        return self.identity.replace_after_use or self._tainted or self._last_lease

    def reset_finished(self, unclean: str = "") -> MemberState:
        """After a reset. `unclean` says what could not be proven gone: such a member takes no lease again.

        It stays to say so, unless it was to end anyway: nobody would come to end it any more.
        """
        self.reason = unclean or self.reason
        if self._last_lease if unclean else self.ends_after_reset:
            self.state = MemberState.TERMINATED
        else:
            self.state = MemberState.FENCED if unclean else MemberState.READY
        return self.state

    def report(self, now: float) -> StateReport:
        """What `GET /v1/state` says. It names the lease, never the holder."""
        claim = self.claim
        return StateReport(
            member=self.identity.member,
            incarnation=self.identity.incarnation,
            epoch=self.epoch,
            state=self.state,
            slots=self.identity.slots,
            tasklet_memory=self.identity.tasklet_memory,
            lease_uid=claim.lease_uid if claim else "",
            confirmed=claim.confirmed if claim else False,
            seconds_left=max(0.0, claim.deadline - now) if claim else -1.0,
            signers_clock=claim.signers_clock(now) if claim else 0.0,
            cpu_features=self.identity.cpu_features,
            reason=self.reason,
            role=self.identity.role,
        )

    def _release_now(self, lease_uid: str) -> Released | Stale | Refused:
        if self.claim is None:
            return Stale(self.epoch)
        if lease_uid != self.claim.lease_uid:
            return _conflict()
        self._end(End.RELEASED)
        return Released(self.epoch)

    def _end(self, reason: End) -> None:
        self.claim, self.state, self.reason = None, MemberState.RESETTING, reason.value

    def _over(self, now: float) -> bool:
        return self.claim is not None and now >= self.claim.ends_at

    def _bind_reply(self) -> BindReply:
        identity = self.identity
        return BindReply(
            member=identity.member,
            incarnation=identity.incarnation,
            epoch=self.epoch,
            slots=identity.slots,
            tasklet_memory=identity.tasklet_memory,
            role=identity.role,
        )

    def _bind_again(self, bind: Bind, claim: Claim) -> Bound | Refused:
        if (bind.lease_uid, bind.holder_key) == (claim.lease_uid, claim.holder_key):
            return Bound(self._bind_reply(), repeated=True)
        return _conflict()

    def _claimed(self, statement: Confirm | MemberGrant, lease_uid: str, now: float) -> Claim | Refused:
        """The claim that the statement names, or why there is none."""
        if refusal := self._misaddressed(statement):
            return refusal
        if statement.epoch != self.epoch:
            return self._wrong_epoch(statement.epoch)
        if self.claim is None or self._over(now):
            return Refused(
                Refusal.LEASE_EXPIRED,
                f"the lease has ended at {self.identity.member}{_because(self.reason)}",
                "acquire a new lease",
            )
        return self.claim if self.claim.lease_uid == lease_uid else _conflict()

    def _grant_of(self, capability: Capability) -> MemberGrant | Refused:
        """The capability's newest entry for this member; one for another incarnation only when there is no other."""
        listed = [grant for grant in capability.members if grant.member == self.identity.member]
        if not listed:
            return Refused(
                Refusal.UNAUTHENTICATED,
                f"the capability does not list the member {self.identity.member}",
                "show the capability that lists it",
            )
        return max(listed, key=lambda grant: (grant.incarnation == self.identity.incarnation, grant.epoch))

    def _misaddressed(self, statement: Bind | Confirm | Retire | MemberGrant) -> Refused | None:
        if statement.member != self.identity.member:
            return self._other_member(statement.member)
        if statement.incarnation != self.identity.incarnation:
            return Refused(
                Refusal.FENCED,
                f"the statement names another incarnation of {self.identity.member}",
                "that process is gone; read /v1/state",
            )
        return None

    def _other_member(self, named: str) -> Refused:
        return Refused(
            Refusal.CONFLICT, f"the statement is for {named}, this is {self.identity.member}", "check the endpoint"
        )

    def _wrong_epoch(self, named: int) -> Refused:
        cause = f"the statement names epoch {named}, {self.identity.member} is at {self.epoch}"
        code = Refusal.FENCED if named <= self.epoch else Refusal.CONFLICT
        return Refused(code, cause, "read /v1/state and sign for what it says")

    def _not_ready(self) -> Refused:
        if self.state is MemberState.CLAIMED:
            return _conflict()
        code = Refusal.FENCED if self.state is MemberState.FENCED else Refusal.NOT_READY
        cause = f"{self.identity.member} is {self.state.value}{_because(self.reason)}"
        return Refused(code, cause, "choose another member")


def _conflict() -> Refused:
    # Neither the lease nor its holder is named: the asker may be a stranger.
    return Refused(Refusal.CONFLICT, "the member is bound to another lease", "choose another member")


def _because(reason: str) -> str:
    return f" ({reason})" if reason else ""


def _unpresentable(capability: Capability, claim: Claim, now: float) -> Refused | None:
    if capability.holder_key != claim.holder_key:
        return Refused(
            Refusal.UNAUTHENTICATED, "the capability names another holder key than the bind", "show the lease's own"
        )
    if capability.expires_at - capability.issued_at > MAX_PRESENTATION_SECONDS:
        cause = f"the capability can be presented for more than {MAX_PRESENTATION_SECONDS} s"
        return Refused(Refusal.BAD_REQUEST, cause, "sign an earlier exp")
    if claim.local(capability.issued_at) > now + MAX_PRESENTATION_SECONDS:
        # As much as an earlier clock is let be behind. Whoever takes over goes on with the clock of the binds that he
        # finds; were they of two clocks, hours apart, a renewal by the later one would last for hours more.
        return Refused(
            Refusal.UNAUTHENTICATED,
            "the capability is of a time that has not come (iat): its signer goes by another clock than the bind's",
            "set the fabric's clocks, acquire a new lease",
        )
    if now >= claim.local(capability.expires_at):
        return Refused(
            Refusal.UNAUTHENTICATED,
            "the capability can no longer be presented (exp)",
            "renew the lease, show the new one",
        )
    return None
