"""What a pool's status says, and when it is written."""

from dataclasses import replace
from typing import Any

import pytest

from leasegrid.api.enums import ConditionStatus
from leasegrid.rules.pool_state import PoolCondition, PoolMember
from leasegrid.rules.reasons import ConditionType, PoolReason
from leasegrid_operator.pools.status import PoolView, Sampled, pool_status, status_patch, write_due_in
from tasklet_runner.wire.member import MemberState

NOW = 1767225600.0
READY = PoolCondition(ConditionType.READY, ConditionStatus.TRUE, PoolReason.MEMBERS_READY, "2 ready")
VIEW = PoolView(
    name="cpu",
    generation=3,
    effective_target=5,
    members=(
        PoolMember("a", MemberState.READY, 0),
        PoolMember("b", MemberState.CLAIMED, 0),
        PoolMember("c", MemberState.READY, 0, leaving=True),
        PoolMember("d", MemberState.TERMINATED, 0),
    ),
    oldest=(Sampled("a", NOW - 60, NOW - 50), Sampled("b", NOW - 40, None, "mine")),
    conditions=(READY,),
)


def test_a_status_counts_shows_the_oldest_and_says_how_it_is() -> None:
    assert pool_status(VIEW, {}, NOW) == {
        "replicas": 2,
        "selector": "leasegrid.dev/pool=cpu",
        "effectiveTarget": 5,
        "members": {"warming": 0, "ready": 1, "claimed": 1, "resetting": 0, "fenced": 0},
        "oldest": [
            {
                "name": "a",
                "warmingStartedTime": "2025-12-31T23:59:00Z",
                "readyTime": "2025-12-31T23:59:10Z",
                "holder": "",
            },
            {"name": "b", "warmingStartedTime": "2025-12-31T23:59:20Z", "holder": "mine"},
        ],
        "conditions": [
            {
                "type": "Ready",
                "status": "True",
                "reason": "MembersReady",
                "message": "2 ready",
                "lastTransitionTime": "2026-01-01T00:00:00Z",
                "observedGeneration": 3,
            }
        ],
    }


@pytest.mark.parametrize(
    ("change", "kept"),
    [
        pytest.param({"message": "1 ready"}, True, id="another sentence is no transition"),
        pytest.param({"reason": PoolReason.NOTHING_WANTED}, True, id="another reason neither"),
        pytest.param({"status": ConditionStatus.FALSE}, False, id="another status is one"),
    ],
)
def test_a_transition_has_its_time(change: dict[str, Any], kept: bool) -> None:
    before = pool_status(VIEW, {}, NOW)
    after = pool_status(replace(VIEW, conditions=(replace(READY, **change),)), before, NOW + 90)

    then = "2026-01-01T00:00:00Z" if kept else "2026-01-01T00:01:30Z"
    assert after["conditions"][0]["lastTransitionTime"] == then


@pytest.mark.parametrize(
    ("change", "due"),
    [
        pytest.param({}, None, id="nothing when nothing changed"),
        pytest.param({"effective_target": 6}, 0.75, id="numbers within a second of the write before"),
        pytest.param({"conditions": (replace(READY, message="1 ready"),)}, 0.75, id="sentences too"),
        pytest.param({"conditions": (replace(READY, status=ConditionStatus.FALSE),)}, 0.0, id="transitions at once"),
        pytest.param({"generation": 4}, 0.0, id="that a new spec was judged, at once"),
    ],
)
def test_is_written(change: dict[str, Any], due: float | None) -> None:
    before = pool_status(VIEW, {}, NOW)
    after = pool_status(replace(VIEW, **change), before, NOW)

    assert write_due_in(after, before, written_at=100.0, now=100.25) == due


def test_a_sample_is_bounded_and_messages_are() -> None:
    many = tuple(Sampled(str(number), NOW, None) for number in range(100))
    view = replace(VIEW, oldest=many, conditions=(replace(READY, message="x" * 5000),))
    status = pool_status(view, {}, NOW)

    assert (len(status["oldest"]), len(status["conditions"][0]["message"])) == (8, 1024)


def test_a_patch_has_what_changed_and_takes_away_what_is_there_no_more() -> None:
    assert status_patch({"replicas": 2, "selector": "a"}, {"replicas": 1, "selector": "a", "old": 1}) == {
        "replicas": 2,
        "old": None,
    }
