"""How many members are made."""

import pytest

from leasegrid.rules.pool_state import Bucket, Complaint, FailureHistory, Observed, Pending, PoolMember
from leasegrid.rules.reasons import PoolReason, WarmupFailure
from tasklet_runner.wire.member import MemberState
from tests.unit.rules.pool_examples import NOW, decide, members, ready, seen, spec

CLAIMED, WARMING, RESETTING = MemberState.CLAIMED, MemberState.WARMING, MemberState.RESETTING
FENCED, TERMINATED = MemberState.FENCED, MemberState.TERMINATED


@pytest.mark.parametrize(
    ("observed", "create"),
    [
        pytest.param(seen(), 5, id="an empty pool is filled to its target"),
        pytest.param(seen(ready(5)), 0, id="a full pool is left alone"),
        pytest.param(seen(ready(2), members(WARMING, 2)), 1, id="members that warm up count"),
        pytest.param(
            seen(ready(2), pending=(Pending("new", NOW - 1),)), 2, id="creations that were not seen yet count"
        ),
        pytest.param(
            seen(ready(2), pending=(Pending("ready-0", NOW - 1),)),
            3,
            id="a creation that was seen does not count twice",
        ),
        pytest.param(
            seen(ready(2), pending=(Pending("lost", NOW - 61),)), 3, id="a creation that never came is made again"
        ),
        pytest.param(seen(members(CLAIMED, 3)), 5, id="claimed members are replaced by others that are ready"),
        pytest.param(seen(members(CLAIMED, 8)), 2, id="maxSize caps all live members"),
        pytest.param(seen(members(CLAIMED, 12)), 0, id="a pool above its maxSize makes none"),
        pytest.param(
            seen(members(CLAIMED, 8), pending=(Pending("new", NOW),)), 1, id="creations under way count for maxSize"
        ),
        pytest.param(seen(members(RESETTING, 5)), 0, id="members in reset are ready again in a moment"),
        pytest.param(seen(members(TERMINATED, 9)), 5, id="ended members do not count"),
        pytest.param(seen(members(FENCED, 6)), 4, id="fenced members are replaced, within maxSize"),
        pytest.param(
            seen(members(CLAIMED, 9, gone_at=NOW + 1)), 1, id="members of a dead node count until their time is over"
        ),
        pytest.param(seen(members(CLAIMED, 9, gone_at=NOW)), 5, id="and then leave the count"),
        pytest.param(seen(members(CLAIMED, 12, gone_at=NOW)), 5, id="each place of maxSize is given anew once"),
        pytest.param(seen(members(CLAIMED, 18, gone_at=NOW)), 2, id="those lost beyond maxSize take room again"),
        pytest.param(seen(members(WARMING, 20, gone_at=NOW)), 0, id="pods put on dead nodes are not made for ever"),
        pytest.param(
            seen(members(CLAIMED, 10, gone_at=NOW), ready(8)), 0, id="a pool that has replaced what it lost is full"
        ),
        pytest.param(seen(members(TERMINATED, 20, gone_at=NOW)), 5, id="members that ended on dead nodes are not lost"),
        pytest.param(seen(ready(5, leaving=True)), 5, id="members that are ending are replaced"),
        pytest.param(seen(ready(8, leaving=True)), 2, id="but take room below maxSize until they are gone"),
        pytest.param(seen(ready(8, leaving=True, gone_at=NOW)), 5, id="or can be taken for gone"),
        pytest.param(
            seen(complaint=Complaint(PoolReason.VOLUMES_RETAINED, "it retains", blocks=True)),
            0,
            id="nothing is made while something blocks the pool",
        ),
        pytest.param(
            seen(complaint=Complaint(PoolReason.SEVERAL_DEFAULTS, "two")), 5, id="what does not block is only said"
        ),
        pytest.param(seen(waiting=8), 8, id="what waiting leases lack raises the target"),
        pytest.param(seen(waiting=80), 10, id="but not above maxSize"),
    ],
)
def test_members_are_made(observed: Observed, create: int) -> None:
    assert decide(spec(), observed).create == create


@pytest.mark.parametrize(
    ("fields", "observed", "create"),
    [
        pytest.param({"minSize": 4, "targetSize": 4}, seen(), 4, id="a pool keeps its minSize"),
        pytest.param({"targetSize": 0}, seen(), 0, id="a pool may be empty"),
        pytest.param({"operatingMode": "Paused"}, seen(), 0, id="a paused pool makes none"),
        pytest.param({"operatingMode": "Draining"}, seen(waiting=3), 0, id="a draining pool makes none"),
        pytest.param(
            {"reuse": "Replace"}, seen(members(RESETTING, 5)), 5, id="members in reset do not come back when replaced"
        ),
        pytest.param(
            {"resource": "Memory"}, seen(members(RESETTING, 5)), 5, id="members with data never come back either"
        ),
    ],
)
def test_the_spec_decides(fields: dict[str, object], observed: Observed, create: int) -> None:
    assert decide(spec(**fields), observed).create == create


def test_refill_spends_a_burst_and_then_so_many_a_second() -> None:
    pool = spec(targetSize=10, refill={"maxPerSecond": 2, "burst": 4})

    first = decide(pool, seen())
    assert (first.create, first.bucket) == (4, Bucket(0.0, NOW))
    assert first.look_again_in == pytest.approx(0.5)

    later = decide(pool, seen(ready(4), bucket=first.bucket), NOW + 1.25)
    assert later.create == 2
    assert later.look_again_in == pytest.approx(0.25)
    assert later.bucket.tokens == pytest.approx(0.5)


def test_a_bucket_never_holds_more_than_its_burst_and_never_runs_backwards() -> None:
    pool = spec(refill={"maxPerSecond": 2, "burst": 4})

    assert decide(pool, seen(ready(5), bucket=Bucket(1.0, NOW - 999))).bucket.tokens == 4
    assert decide(pool, seen(ready(5), bucket=Bucket(1.0, NOW + 999))).bucket.tokens == 1


@pytest.mark.parametrize(
    ("failures", "group", "create", "look"),
    [
        pytest.param(FailureHistory(1, NOW - 0.25), (), 0, 0.75, id="after one failure it waits for a second"),
        pytest.param(FailureHistory(1, NOW - 1), (), 5, None, id="and then makes all again"),
        pytest.param(FailureHistory(2, NOW - 1), (), 0, 1.0, id="after two for two"),
        pytest.param(FailureHistory(3, NOW - 4), (), 1, None, id="after three it tries one at a time"),
        pytest.param(
            FailureHistory(3, NOW - 4), members(WARMING, 1), 0, 500.0, id="and no other while that one warms up"
        ),
        pytest.param(FailureHistory(99, NOW - 100), (), 0, 200.0, id="it never waits for more than five minutes"),
        pytest.param(FailureHistory(99, NOW - 101), ready(1), 4, 14300.0, id="a member that came up ends the back-off"),
        pytest.param(FailureHistory(9, NOW - 99), ready(1), 0, 157.0, id="one that had come up before does not"),
        pytest.param(FailureHistory(1, NOW), ready(5), 0, 14300.0, id="a full pool waits for nothing"),
    ],
)
def test_failing_members_are_not_hammered(
    failures: FailureHistory, group: tuple[()], create: int, look: float | None
) -> None:
    decision = decide(spec(), seen(group, failures=failures))

    assert decision.create == create
    assert decision.look_again_in == (None if look is None else pytest.approx(look))


def test_a_pool_whose_failures_are_over_forgets_them() -> None:
    history = FailureHistory(7, NOW - 500, WarmupFailure.CRASH, "exit status 1")

    assert decide(spec(), seen(ready(1), failures=history)).failures == FailureHistory()
    assert decide(spec(), seen(failures=history)).failures == history


def test_only_a_draining_pool_refuses_claims() -> None:
    assert "draining" in decide(spec(operatingMode="Draining"), seen()).refuses_claims
    assert not decide(spec(), seen()).refuses_claims


@pytest.mark.parametrize(
    ("group", "recovered"),
    [
        pytest.param(ready(1), True, id="a member that came up for the first time"),
        pytest.param(members(CLAIMED, 1, claims=1), True, id="one that came up and was claimed at once"),
        pytest.param(ready(1, claims=1), False, id="not by one that was reset"),
        pytest.param(members(CLAIMED, 1, claims=2), False, id="not by one that is claimed again"),
        pytest.param(members(WARMING, 1), False, id="not by one that warms up"),
        pytest.param(ready(1, since=NOW - 300), False, id="not by one that came up before the failure"),
    ],
)
def test_failures_in_a_row_are_ended_by(group: tuple[PoolMember, ...], recovered: bool) -> None:
    history = FailureHistory(4, NOW - 200, WarmupFailure.QUOTA, "exceeded quota")

    assert (decide(spec(), seen(group, failures=history)).failures.count == 0) is recovered
