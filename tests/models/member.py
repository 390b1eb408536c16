"""A member beside a model of who holds it: whatever is signed, in whatever order, by whoever's clock."""

from dataclasses import dataclass

from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from tasklet_runner.member.decisions import Admitted, Bound, Confirmed, End, Refused, Released, Retired, Stale
from tasklet_runner.member.states import PROVISIONAL_SECONDS, Identity, MemberStates
from tasklet_runner.wire.member import MemberState
from tasklet_runner.wire.statements import (
    MAX_PRESENTATION_SECONDS,
    Bind,
    Capability,
    Confirm,
    MemberGrant,
    Release,
    Retire,
)

_LEASES = st.sampled_from(("lease-1", "lease-2"))
_KEYS = st.sampled_from(("key-1", "key-2"))
_MEMBERS = st.sampled_from(("m0", "m0", "m0", "m0", "m1"))
_INCARNATIONS = st.sampled_from(("inc", "inc", "inc", "inc", "before"))
_STEPS = st.sampled_from((1, 1, 0, -1, 2))
_HERE = st.sampled_from((0, 0, 0, -1, 1))
_SECONDS = st.sampled_from((-1.0, 0.0, 2.0, 60.0, 400.0))


@dataclass
class Held:
    """Who holds the member, and until when, in the member's own time."""

    lease: str
    key: str
    since: float
    signed_at: float
    deadline: float
    confirmed: bool = False

    def local(self, instant: float) -> float:
        """The signer's clock was `signed_at` when the member's was `since`, and is never read again."""
        return self.since + instant - self.signed_at

    @property
    def ends(self) -> float:
        """An unconfirmed bind ends sooner."""
        return self.deadline if self.confirmed else min(self.deadline, self.since + PROVISIONAL_SECONDS)


class MemberAgainstModel(RuleBasedStateMachine):
    """`now` is the member's monotonic clock; `signer` that of whoever signs, which steps as it likes."""

    def __init__(self) -> None:
        super().__init__()
        self.states = MemberStates(Identity("m0", "inc", slots=1, tasklet_memory=1))
        self.now, self.signer = 1000.0, 1_700_000_000.0
        self.phase, self.epoch = MemberState.READY, 0
        self.held: Held | None = None
        self.spent = False
        self.holders: dict[int, tuple[str, str]] = {}
        self.states.warmed()

    @property
    def live(self) -> Held | None:
        """Who holds it at this moment, looked at or not."""
        return self.held if self.held is not None and self.now < self.held.ends else None

    @rule(seconds=st.sampled_from((0.5, 3.0, 5.0, 59.0, 301.0)))
    def time_goes_on(self, seconds: float) -> None:
        self.now += seconds
        self.signer += seconds

    @rule(seconds=st.sampled_from((-86_400.0, -10.0, 10.0, 86_400.0)))
    def the_signers_clock_steps(self, seconds: float) -> None:
        self.signer += seconds

    @rule(lease=_LEASES, key=_KEYS, member=_MEMBERS, incarnation=_INCARNATIONS, step=_STEPS, seconds=_SECONDS)
    def bind(self, lease: str, key: str, member: str, incarnation: str, step: int, seconds: float) -> None:  # noqa: PLR0917 - a statement has so many fields
        epoch = self.epoch + step
        times = {"issued_at": self.signer, "deadline": self.signer + seconds}
        said = self.states.bind(
            Bind(lease_uid=lease, holder_key=key, member=member, incarnation=incarnation, epoch=epoch, **times),
            self.now,
        )
        here, live = (member, incarnation) == ("m0", "inc"), self.live
        again = here and live is not None and step == 0 and (live.lease, live.key) == (lease, key)
        fresh = here and self.phase is MemberState.READY and step == 1 and seconds > 0
        assert isinstance(said, Bound) == (again or fresh)
        if not isinstance(said, Bound):
            return
        assert said.repeated == again
        assert self.holders.setdefault(epoch, (lease, key)) == (lease, key), "two holders in one epoch"
        if fresh:
            self.held = Held(lease, key, self.now, self.signer, self.now + seconds)
            self.phase, self.epoch = MemberState.CLAIMED, epoch

    @rule(lease=_LEASES, member=_MEMBERS, incarnation=_INCARNATIONS, step=_HERE)
    def confirm(self, lease: str, member: str, incarnation: str, step: int) -> None:
        order = Confirm(lease_uid=lease, member=member, incarnation=incarnation, epoch=self.epoch + step)
        said = self.states.confirm(order, self.now)
        good = (member, incarnation, step) == ("m0", "inc", 0) and self.live is not None and self.live.lease == lease
        assert isinstance(said, Confirmed) == good
        if good and self.held is not None:
            self.held.confirmed = True

    @rule(lease=_LEASES, key=_KEYS, incarnation=_INCARNATIONS, step=_HERE, seconds=_SECONDS, shown=_SECONDS)
    def show(self, lease: str, key: str, incarnation: str, step: int, seconds: float, shown: float) -> None:  # noqa: PLR0917 - a statement has so many fields
        capability = Capability(
            lease_uid=lease,
            holder_key=key,
            members=(MemberGrant("m1", "other", 9), MemberGrant("m0", incarnation, self.epoch + step)),
            issued_at=self.signer,
            deadline=self.signer + seconds,
            expires_at=self.signer + shown,
        )
        said = self.states.admit(capability, self.now)
        live = self.live
        good = (
            (incarnation, step) == ("inc", 0)
            and live is not None
            and (live.lease, live.key) == (lease, key)
            and shown <= MAX_PRESENTATION_SECONDS
            and self.now < live.local(capability.expires_at)
        )
        assert isinstance(said, Admitted) == good
        if good and live is not None:
            later = max(live.deadline, live.local(capability.deadline))
            assert isinstance(said, Admitted)
            assert (said.extended, said.seconds_left) == (later > live.deadline, later - self.now)
            live.deadline, live.confirmed = later, True

    @rule(lease=_LEASES, incarnation=_INCARNATIONS, step=_HERE)
    def release(self, lease: str, incarnation: str, step: int) -> None:
        order = Release(lease_uid=lease, member="m0", incarnation=incarnation, epoch=self.epoch + step)
        said = self.states.release(order, self.now)
        if incarnation != "inc" or step < 0 or (step == 0 and self.held is None):
            assert isinstance(said, Stale)
        elif step == 0 and self.held is not None and self.held.lease == lease:
            assert isinstance(said, Released)
            self._end()
        else:
            assert isinstance(said, Refused)

    @rule(incarnation=_INCARNATIONS, step=_HERE)
    def retire(self, incarnation: str, step: int) -> None:
        said = self.states.retire(Retire(member="m0", incarnation=incarnation, epoch=self.epoch + step))
        idle = self.phase not in (MemberState.CLAIMED, MemberState.RESETTING)
        good = (incarnation, step) == ("inc", 0) and idle
        assert isinstance(said, Retired) == good
        if good:
            self.phase = MemberState.TERMINATED

    @rule()
    def tick(self) -> None:
        said = self.states.tick(self.now)
        over = self.held is not None and self.live is None
        assert (said is not None) == over
        if over:
            self._end()

    @rule()
    def revoke(self) -> None:
        self.states.revoke(End.REVOKED)
        if self.held is not None:
            self._end()

    @rule()
    def taint(self) -> None:
        self.states.taint()
        self.spent = True

    @rule()
    def drain(self) -> None:
        at_once = self.states.end_when_free()
        assert at_once == (self.phase not in (MemberState.CLAIMED, MemberState.RESETTING))
        self.spent = True
        if at_once:
            self.phase = MemberState.TERMINATED

    @precondition(lambda self: self.phase is MemberState.RESETTING)
    @rule(unclean=st.sampled_from(("", "", "", "a file is left")))
    def the_reset_ends(self, unclean: str) -> None:
        self.states.reset_finished(unclean)
        self.phase = MemberState.TERMINATED if self.spent else MemberState.READY
        if unclean:
            self.phase = MemberState.FENCED

    @invariant()
    def says_what_the_model_says(self) -> None:
        report, live = self.states.report(self.now), self.live
        assert (report.state, report.epoch) == (self.phase, self.epoch)
        assert (self.states.held(self.now) is None) == (live is None)
        assert self.states.next_tick() == (self.held.ends if self.held is not None else None)
        if live is not None:
            assert (report.lease_uid, report.confirmed) == (live.lease, live.confirmed)

    def _end(self) -> None:
        self.held, self.phase = None, MemberState.RESETTING
