"""The member at work: the state machine with a clock, a facility and hints around it."""

import asyncio
import contextlib
import time
from collections.abc import Callable
from typing import Protocol, TypeVar

import msgspec
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

from tasklet_runner.member import decisions
from tasklet_runner.member.decisions import End, Refusal
from tasklet_runner.member.facility import Facility
from tasklet_runner.member.settings import MemberSettings
from tasklet_runner.member.states import Claim, Identity, MemberStates
from tasklet_runner.wire.errors import LeaseGridError, RefusedError, SignatureError
from tasklet_runner.wire.member import BindReply, Hint, MemberState, ReleaseReply, StateReport
from tasklet_runner.wire.signed import Statement, public_key, verify
from tasklet_runner.wire.statements import Bind, Capability, Challenge, Confirm, Release, Retire

DRAIN_SECONDS = 5.0
"""After SIGTERM running tasks have so long to end."""

Decision = TypeVar("Decision")


class Notifier(Protocol):
    """Where hints go."""

    def tell(self, hint: Hint) -> None:
        """Pass the hint on; only the newest counts."""
        ...

    async def leave(self) -> None:
        """The member ends: try for a moment to deliver the last hint, then let go."""
        ...


class MemberCore:
    """One member in one event loop. `ended` is set when the process should end."""

    def __init__(self, settings: MemberSettings, identity: Identity, notifier: Notifier, facility: Facility) -> None:
        self.settings = settings
        self.states = MemberStates(identity)
        self._facility = facility
        facility.attach(self)
        self.ended = asyncio.Event()
        self._fabric_key: Ed25519PublicKey = public_key(settings.fabric_key)
        self._notifier = notifier
        self._timer: asyncio.TimerHandle | None = None
        self._reset: asyncio.Task[None] | None = None
        self._wiped: asyncio.Future[ReleaseReply] | None = None
        self._last_release: ReleaseReply | None = None
        self._leaving: asyncio.Task[None] | None = None

    @property
    def serving(self) -> bool:
        """True while a lease may begin something here."""
        return self.states.state is MemberState.CLAIMED and self._leaving is None

    @property
    def claim(self) -> Claim | None:
        """The claim that stands at this moment."""
        return self.states.held(time.monotonic())

    async def warm(self) -> None:
        """Make the facility ready. Raises LeaseGridError or OSError when that cannot be done."""
        await self._facility.open()
        self.states.warmed(self._facility.epoch)
        self._tell()

    def report(self) -> StateReport:
        """What the member says of itself."""
        report = self.states.report(time.monotonic())
        return msgspec.structs.replace(report, kept_lease_uid=self._facility.kept_lease_uid)

    def bind(self, statement: str) -> BindReply:
        """Bind by the fabric's statement. Raises RefusedError or SignatureError, as all of the following do."""
        order = self._verified(statement, Bind)
        self._facility.check(order)
        bound = _accepted(self.states.bind(order, time.monotonic()))
        if not bound.repeated:
            self._begin(order)
        return bound.reply

    def confirm(self, statement: str) -> None:
        """Make the bind stand."""
        _accepted(self.states.confirm(self._verified(statement, Confirm), time.monotonic()))
        self._set_timer()

    def renew(self, capability: str) -> float:
        """Show a capability again; the seconds until the deadline."""
        admitted = _accepted(self.states.admit(self._verified(capability, Capability), time.monotonic()))
        self._set_timer()
        return admitted.seconds_left

    def open_work(self, capability: str, challenge: str, fresh: Callable[[str], bool]) -> float:
        """Check the capability and that who shows it has the holder's key; the seconds until the deadline.

        `fresh` is asked once, about the nonce that the holder did sign: is it this member's and not used yet?
        """
        shown = self._verified(capability, Capability)
        signed = verify(challenge, Challenge, public_key(shown.holder_key))
        identity = self.states.identity
        if (signed.member, signed.incarnation) != (identity.member, identity.incarnation) or not fresh(signed.nonce):
            raise RefusedError(
                Refusal.UNAUTHENTICATED,
                "the challenge is of another connection or member, or is used up",
                remedy="sign the nonce of Hello (or of GET /v1/challenge)",
            )
        admitted = _accepted(self.states.admit(shown, time.monotonic()))
        self._set_timer()
        return admitted.seconds_left

    async def release(self, statement: str) -> ReleaseReply:
        """End the lease's part; returns when scratch is wiped. Who asks again is told the same counters again."""
        order = self._verified_release(statement)
        decided = self.states.release(order, time.monotonic())
        if isinstance(decided, decisions.Refused):
            raise _refusal(decided)
        if isinstance(decided, decisions.Released):
            return await asyncio.shield(self._begin_reset(End.RELEASED, told=isinstance(order, Release)))
        if self._wiped is not None:
            await asyncio.shield(self._wiped)
        last = self._last_release
        if last is not None and last.epoch == decided.epoch and not decided.other_process:
            return ReleaseReply(
                member=last.member,
                epoch=last.epoch,
                stale=True,
                counters=last.counters,
                scratch_bytes=last.scratch_bytes,
            )
        return ReleaseReply(member=self.settings.name, epoch=decided.epoch, stale=True)

    def retire(self, statement: str) -> None:
        """End an idle member: the process ends after the reply."""
        _accepted(self.states.retire(self._verified(statement, Retire)))
        self._moved()

    def drain(self) -> None:
        """Take no more work; end when running tasks have ended, at the latest after a grace."""
        if self.states.end_when_free():
            self._moved()
        elif self.states.state is MemberState.CLAIMED and self._leaving is None:
            self._leaving = asyncio.create_task(self._leave("the member was told to end"))

    def orphan(self) -> None:
        """The fabric's process is gone: end at once if unleased, else when the lease ends."""
        if self.states.end_when_free():
            self._moved()

    async def close(self) -> None:
        """The process is about to end: kill and wipe whatever there is."""
        if self._reset is not None:
            await asyncio.gather(self._reset, return_exceptions=True)
        await self._facility.dismiss(End.REVOKED.value)
        await self._facility.clear()

    def taint(self) -> None:
        """This process is not used for another lease."""
        self.states.taint()

    def fail(self, why: str) -> None:
        """The member's own disk failed: end the lease here, in order, and then the member."""
        self.states.taint()
        self._leaving = asyncio.create_task(self._leave(why))

    def _begin(self, order: Bind) -> None:
        try:
            self._facility.begin(order)
        except LeaseGridError:
            self.states.revoke(End.STORE_FAILED)
            self._begin_reset(End.STORE_FAILED)
            raise
        # No hint: whoever bound it has the reply, and a fabric that lost that asks.
        self._set_timer()

    def _verified(self, statement: str, kind: type[Statement]) -> Statement:
        return verify(statement, kind, self._fabric_key)

    def _verified_release(self, statement: str) -> Capability | Release:
        try:
            return verify(statement, Capability, self._fabric_key)
        except SignatureError:
            return verify(statement, Release, self._fabric_key)

    async def _leave(self, why: str) -> None:
        await self._facility.warn(why)
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(self._facility.until_idle(), DRAIN_SECONDS)
        if self.states.state is MemberState.CLAIMED:
            self.states.revoke(End.DRAINED)
            self._begin_reset(End.DRAINED)

    def _moved(self, *, told: bool = False) -> None:
        if not told:
            self._tell()
        self._set_timer()
        if self.states.state is MemberState.TERMINATED:
            self.ended.set()

    def _tell(self) -> None:
        identity, states = self.states.identity, self.states
        self._notifier.tell(
            Hint(
                member=identity.member,
                incarnation=identity.incarnation,
                epoch=states.epoch,
                state=states.state,
                reason=states.reason,
            )
        )

    def _set_timer(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
        at = self.states.next_tick()
        self._timer = None if at is None else asyncio.get_running_loop().call_at(at, self._tick)

    def _tick(self) -> None:
        reason = self.states.tick(time.monotonic())
        if reason is None:
            self._set_timer()
            return
        self._begin_reset(reason)

    def _begin_reset(self, reason: End, *, told: bool = False) -> "asyncio.Future[ReleaseReply]":
        """`told`: the fabric gave the order itself, and needs no hint before the member is ready again."""
        # Killed before anything else is done: at the deadline nothing of the lease may go on running.
        self._facility.stop()
        self._moved(told=told)
        wiped: asyncio.Future[ReleaseReply] = asyncio.get_running_loop().create_future()
        self._wiped = wiped
        self._reset = asyncio.create_task(self._run_reset(reason, wiped))
        return wiped

    async def _run_reset(self, reason: End, wiped: "asyncio.Future[ReleaseReply]") -> None:
        epoch, counters, scratch_bytes, unclean = self.states.epoch, self._facility.counters(), 0, ""
        await self._facility.dismiss(reason.value)
        try:
            counters = self._facility.counters()
            scratch_bytes = await self._facility.clear()
        except (LeaseGridError, OSError) as error:
            unclean = f"the reset could not be proven clean: {error}"
        reply = ReleaseReply(member=self.settings.name, epoch=epoch, counters=counters, scratch_bytes=scratch_bytes)
        self._last_release, self._leaving = reply, None
        wiped.set_result(reply)
        if not unclean and not self.states.ends_after_reset:
            unclean = await self._stand_again()
        self.states.reset_finished(unclean)
        self._moved()

    async def _stand_again(self) -> str:
        try:
            await self._facility.open()
        except (LeaseGridError, OSError) as error:
            return f"the member does not stand after the reset: {error}"
        return ""


def _accepted(decision: Decision | decisions.Refused) -> Decision:
    if isinstance(decision, decisions.Refused):
        raise _refusal(decision)
    return decision


def _refusal(decision: decisions.Refused) -> RefusedError:
    return RefusedError(decision.code, decision.cause, remedy=decision.remedy)
