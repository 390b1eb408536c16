"""Which members a pool ends, and why."""

import pytest

from leasegrid.rules.pool_state import Observed, Pending
from leasegrid.rules.reasons import RetireReason
from tasklet_runner.wire.member import MemberState
from tests.unit.rules.pool_examples import NOW, decide, members, ready, seen, spec

CLAIMED, WARMING, RESETTING, FENCED = (
    MemberState.CLAIMED,
    MemberState.WARMING,
    MemberState.RESETTING,
    MemberState.FENCED,
)
ROLLING = {"rollout": {"strategy": "Rolling"}}


@pytest.mark.parametrize(
    ("fields", "observed", "retired"),
    [
        pytest.param({}, seen(ready(5)), {}, id="nobody without a reason"),
        pytest.param({}, seen(ready(6)), {"ready-0": "Surplus"}, id="the surplus above the target"),
        pytest.param({}, seen(ready(5), members(RESETTING, 4)), {}, id="nobody for members that are still in reset"),
        pytest.param(
            {},
            seen(members(FENCED, 1), ready(5)),
            {"fenced-0": "Fenced"},
            id="members that could not prove a clean reset",
        ),
        pytest.param(
            {"warmupGraceSeconds": 100},
            seen(members(WARMING, 1)),
            {"warming-0": "WarmupTimeout"},
            id="members that do not come up",
        ),
        pytest.param(
            {"maxClaimsPerMember": 3},
            seen(ready(2, claims=3), members(CLAIMED, 1, claims=9)),
            {"ready-0": "MaxClaims", "ready-1": "MaxClaims"},
            id="ready members that have served enough leases",
        ),
        pytest.param(
            {"maxClaimsPerMember": 3},
            seen(ready(1, epoch=3), ready(4)[1:]),
            {"ready-0": "MaxClaims"},
            id="those that have served them before the operator was started anew",
        ),
        pytest.param({"maxClaimsPerMember": 3}, seen(ready(5, claims=2)), {}, id="nobody who has served fewer"),
        pytest.param({}, seen(ready(5, claims=10**6)), {}, id="nobody for leases when there is no limit"),
        pytest.param({"readyTTLSeconds": 100}, seen(ready(5)), {"ready-0": "ReadyTTL"}, id="one idle member at a time"),
        pytest.param(
            {"readyTTLSeconds": 100, "targetSize": 8},
            seen(ready(8)),
            {"ready-0": "ReadyTTL", "ready-1": "ReadyTTL"},
            id="a quarter of a larger pool",
        ),
        pytest.param({"readyTTLSeconds": 101}, seen(ready(5)), {}, id="nobody who is idle for less"),
        pytest.param(
            {"readyTTLSeconds": 0}, seen(ready(5, since=0.0)), {}, id="nobody for idleness when it has no limit"
        ),
        pytest.param({"readyTTLSeconds": 100}, seen(ready(4)), {}, id="no idle one while others are missing"),
        pytest.param(
            {"readyTTLSeconds": 100}, seen(ready(5), members(WARMING, 1)), {}, id="no idle one while others warm up"
        ),
        pytest.param(
            {"readyTTLSeconds": 100},
            seen(ready(5), pending=(Pending("x", NOW),)),
            {},
            id="no idle one while others are made",
        ),
        pytest.param(
            {}, seen(ready(5), template="new"), {}, id="nobody for an old template before its next reset (OnClaim)"
        ),
        pytest.param(
            {},
            seen(ready(1, claims=1), ready(4, template="new"), template="new", template_since=NOW - 200),
            {"ready-0": "Drifted"},
            id="a member that was reset after its template changed",
        ),
        pytest.param(
            {},
            seen(ready(5, claims=1), template="new", template_since=NOW - 50),
            {},
            id="nobody who was reset before the template changed",
        ),
        pytest.param(
            ROLLING, seen(ready(5), template="new"), {"ready-0": "Drifted"}, id="old templates one by one (Rolling)"
        ),
        pytest.param(
            {},
            seen(members(WARMING, 1, stuck=True), members(WARMING, 1)[1:], ready(3, template="new"), template="new"),
            {"warming-0": "Drifted"},
            id="one that cannot start from an old template, whatever the strategy",
        ),
        pytest.param({}, seen(members(WARMING, 5, stuck=True)), {}, id="nobody who cannot start yet but is wanted"),
        pytest.param(
            {"targetSize": 3},
            seen(members(WARMING, 4, stuck=True), ready(1)),
            {"warming-0": "Surplus", "warming-1": "Surplus"},
            id="those that cannot start and are not wanted any more",
        ),
        pytest.param({}, seen(ready(5), ready(4, leaving=True)), {}, id="nobody for those that are ending already"),
        pytest.param(
            {"operatingMode": "Draining"},
            seen(ready(1), members(WARMING, 1), members(CLAIMED, 1), members(RESETTING, 1), members(FENCED, 1)),
            {"ready-0": "Draining", "warming-0": "Draining", "fenced-0": "Draining"},
            id="all unclaimed ones of a draining pool",
        ),
        pytest.param(
            {"operatingMode": "Draining", "warmupGraceSeconds": 1},
            seen(members(WARMING, 1)),
            {"warming-0": "Draining"},
            id="overdue ones of a draining pool too",
        ),
        pytest.param({"operatingMode": "Paused"}, seen(ready(9), members(FENCED, 1)), {}, id="nobody of a paused pool"),
    ],
)
def test_a_pool_ends(fields: dict[str, object], observed: Observed, retired: dict[str, str]) -> None:
    decision = decide(spec(**fields), observed)

    assert {one.name: one.reason.value for one in decision.retire} == retired
    assert len(decision.retire) == len(retired)


def test_of_a_surplus_the_outdated_and_then_the_oldest_go_first() -> None:
    current = ready(5, template="new", since=NOW - 500)
    outdated = members(MemberState.READY, 7, since=NOW - 5)[5:]

    decision = decide(spec(), seen(current, outdated, ready(0), template="new"))
    assert [one.name for one in decision.retire] == ["ready-5", "ready-6"]

    decision = decide(spec(targetSize=4), seen(current, outdated, template="new"))
    assert [one.name for one in decision.retire] == ["ready-5", "ready-6", "ready-0"]


def test_who_is_worn_out_is_replaced_in_the_same_step() -> None:
    decision = decide(spec(maxClaimsPerMember=1), seen(ready(5, claims=1)))

    assert (len(decision.retire), decision.create) == (5, 5)
    assert {one.reason for one in decision.retire} == {RetireReason.MAX_CLAIMS}


def test_a_pool_looks_again_when_the_next_member_is_due() -> None:
    observed = seen(members(WARMING, 1), ready(5))

    assert decide(spec(), observed).look_again_in == pytest.approx(500)
    assert decide(spec(readyTTLSeconds=150), observed).look_again_in == pytest.approx(50)
    assert decide(spec(targetSize=0, readyTTLSeconds=0), seen(ready(0))).look_again_in is None
