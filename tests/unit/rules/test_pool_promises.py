"""What holds for the size of a pool whatever it sees."""

from dataclasses import replace

from hypothesis import given
from hypothesis import strategies as st

from leasegrid.api.pool import InstancePoolSpec
from leasegrid.rules.pool_state import Observed, PoolDecision, PoolMember
from tasklet_runner.wire.member import MemberState
from tests.unit.rules.pool_examples import NOW, WALL, decide

SETTLES_WITHIN = 40
LIVE = [state for state in MemberState if state is not MemberState.TERMINATED]


@st.composite
def pools(draw: st.DrawFn) -> InstancePoolSpec:
    most = draw(st.integers(1, 12))
    target = draw(st.integers(0, most))
    return InstancePoolSpec.model_validate(
        {
            "targetSize": target,
            "minSize": draw(st.integers(0, target)),
            "maxSize": most,
            "warmupGraceSeconds": 60,
            "readyTTLSeconds": draw(st.sampled_from([0, 100])),
            "maxClaimsPerMember": draw(st.integers(0, 2)),
            "reuse": draw(st.sampled_from(["Reset", "Replace"])),
            "operatingMode": draw(st.sampled_from(["Active", "Paused", "Draining"])),
            "rollout": {"strategy": draw(st.sampled_from(["OnClaim", "Rolling"]))},
        }
    )


@st.composite
def sights(draw: st.DrawFn) -> Observed:
    members = tuple(
        PoolMember(
            f"m{number}",
            draw(st.sampled_from(MemberState)),
            since=NOW - draw(st.sampled_from([0, 30, 60, 100])),
            template=draw(st.sampled_from(["old", "new"])),
            claims=draw(st.integers(0, 2)),
        )
        for number in range(draw(st.integers(0, 12)))
    )
    return Observed(wall_time=WALL, members=members, waiting=draw(st.integers(0, 15)), template="new")


def applied(observed: Observed, decision: PoolDecision, step: int) -> Observed:
    """The world after the decision: retired members are gone, made ones are ready and of the current template."""
    gone = {one.name for one in decision.retire}
    kept = tuple(member for member in observed.members if member.name not in gone)
    made = tuple(
        PoolMember(f"new-{step}-{number}", MemberState.READY, NOW, observed.template)
        for number in range(decision.create)
    )
    return replace(observed, members=kept + made, bucket=decision.bucket, pending=decision.pending)


def live(observed: Observed) -> int:
    return sum(member.state in LIVE for member in observed.members)


@given(pools(), sights())
def test_never_more_live_members_than_max_size(spec: InstancePoolSpec, observed: Observed) -> None:
    decision = decide(spec, observed)

    assert decision.create == 0 or live(observed) + decision.create <= spec.most


@given(pools(), sights())
def test_however_often_the_nodes_of_its_members_die_a_pool_has_at_most_twice_max_size(
    spec: InstancePoolSpec, observed: Observed
) -> None:
    for step in range(SETTLES_WITHIN):
        decision = decide(spec, observed)
        assert decision.create == 0 or live(observed) + decision.create <= 2 * spec.most
        observed = applied(observed, replace(decision, retire=()), step)
        observed = replace(observed, members=tuple(replace(one, gone_at=NOW) for one in observed.members))


@given(pools(), sights())
def test_applied_again_and_again_it_settles_and_then_decides_nothing(
    spec: InstancePoolSpec, observed: Observed
) -> None:
    for step in range(SETTLES_WITHIN):
        decision = decide(spec, observed)
        if not decision.create and not decision.retire:
            break
        observed = applied(observed, decision, step)

    again = decide(spec, observed)
    assert (again.create, again.retire) == (0, ())


@given(pools(), sights())
def test_with_room_to_spare_the_second_run_only_replaces_whom_it_renews(
    spec: InstancePoolSpec, observed: Observed
) -> None:
    roomy = spec.model_copy(update={"max_size": 100})
    second = decide(roomy, applied(observed, decide(roomy, observed), 0))

    assert second.create <= len(second.retire)


@given(pools(), sights())
def test_only_members_that_nobody_holds_are_ended_and_each_once(spec: InstancePoolSpec, observed: Observed) -> None:
    held = {one.name for one in observed.members if one.state in (MemberState.CLAIMED, MemberState.RESETTING)}
    ended = [one.name for one in decide(spec, observed).retire]

    assert not held & set(ended)
    assert len(ended) == len(set(ended))
