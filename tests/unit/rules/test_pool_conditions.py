"""What a pool says of itself."""

import pytest

from leasegrid.rules.pool_conditions import conditions_of_invalid
from leasegrid.rules.pool_state import Complaint, FailureHistory, Observed, Pending
from leasegrid.rules.reasons import ConditionType, PoolReason, WarmupFailure
from tasklet_runner.wire.member import MemberState
from tests.unit.rules.pool_examples import NOW, condition, decide, members, ready, seen, spec

CLAIMED, WARMING, FENCED = MemberState.CLAIMED, MemberState.WARMING, MemberState.FENCED
BLOCKED = Complaint(PoolReason.VOLUMES_RETAINED, "the StorageClass keeps retains", blocks=True)
TOLD = Complaint(PoolReason.SEVERAL_DEFAULTS, "a and b")
FAILED = FailureHistory(2, NOW, WarmupFailure.IMAGE, "manifest unknown")


@pytest.mark.parametrize(
    ("fields", "observed", "kind", "status", "reason"),
    [
        pytest.param({}, seen(ready(1)), "Ready", "True", "MembersReady", id="ready with one member"),
        pytest.param({"targetSize": 0}, seen(), "Ready", "True", "NothingWanted", id="ready when nothing is wanted"),
        pytest.param({}, seen(), "Ready", "False", "WarmingUp", id="not ready while the first are made"),
        pytest.param({}, seen(members(WARMING, 5)), "Ready", "False", "WarmingUp", id="not ready while they warm up"),
        pytest.param(
            {"targetSize": 1},
            seen(pending=(Pending("a", NOW),)),
            "Ready",
            "False",
            "WarmingUp",
            id="not ready while a creation was not seen",
        ),
        pytest.param(
            {}, seen(members(CLAIMED, 10)), "Ready", "False", "AllClaimed", id="not ready when all are claimed"
        ),
        pytest.param({}, seen(failures=FAILED), "Ready", "False", "NoMembers", id="not ready when none comes up"),
        pytest.param(
            {"operatingMode": "Draining"}, seen(ready(1)), "Ready", "False", "Draining", id="not ready when it drains"
        ),
        pytest.param({}, seen(ready(5)), "Progressing", "False", "Settled", id="settled at its target"),
        pytest.param({}, seen(ready(4)), "Progressing", "True", "Scaling", id="progressing when it makes members"),
        pytest.param({}, seen(ready(6)), "Progressing", "True", "Scaling", id="progressing when it ends members"),
        pytest.param(
            {}, seen(members(WARMING, 5)), "Progressing", "True", "Scaling", id="progressing while members warm up"
        ),
        pytest.param(
            {}, seen(failures=FAILED), "Progressing", "True", "BackingOff", id="progressing while it backs off"
        ),
        pytest.param(
            {}, seen(members(CLAIMED, 10)), "Progressing", "False", "Settled", id="settled when maxSize allows no more"
        ),
        pytest.param(
            {"operatingMode": "Paused"},
            seen(),
            "Progressing",
            "False",
            "Paused",
            id="not progressing when it is paused",
        ),
        pytest.param({}, seen(ready(5)), "Degraded", "False", "Healthy", id="healthy"),
        pytest.param(
            {},
            seen(complaint=BLOCKED),
            "Progressing",
            "False",
            "StorageClassRetains",
            id="not progressing when blocked",
        ),
        pytest.param(
            {}, seen(ready(5), complaint=BLOCKED), "Progressing", "False", "Settled", id="settled all the same"
        ),
        pytest.param(
            {}, seen(ready(5), complaint=BLOCKED), "Degraded", "True", "StorageClassRetains", id="degraded when blocked"
        ),
        pytest.param(
            {"targetSize": 0},
            seen(complaint=TOLD),
            "Degraded",
            "True",
            "SeveralDefaultPools",
            id="degraded by what only holds for a set of pools",
        ),
        pytest.param({}, seen(complaint=TOLD), "Progressing", "True", "Scaling", id="which keeps it from nothing"),
        pytest.param(
            {}, seen(failures=FAILED), "Degraded", "True", "ImagePull", id="degraded when members do not come up"
        ),
        pytest.param({}, seen(members(FENCED, 7)), "Degraded", "True", "MemberFenced", id="degraded by fenced members"),
        pytest.param({}, seen(members(CLAIMED, 8)), "CappedByMax", "True", "MaxSize", id="capped when more are wanted"),
        pytest.param(
            {},
            seen(members(WARMING, 20, gone_at=NOW)),
            "CappedByMax",
            "True",
            "NodesLost",
            id="capped when its members are lost again and again",
        ),
        pytest.param(
            {},
            seen(members(CLAIMED, 15, gone_at=NOW), ready(5)),
            "CappedByMax",
            "False",
            "WithinMax",
            id="not capped by lost members when it wants no more",
        ),
        pytest.param(
            {},
            seen(members(CLAIMED, 15, gone_at=NOW), members(CLAIMED, 10)),
            "CappedByMax",
            "True",
            "MaxSize",
            id="capped by maxSize alone when it is reached",
        ),
        pytest.param(
            {}, seen(members(CLAIMED, 5)), "CappedByMax", "False", "WithinMax", id="not capped with room to spare"
        ),
    ],
)
def test_a_pool_is(fields: dict[str, object], observed: Observed, kind: str, status: str, reason: str) -> None:
    found = condition(decide(spec(**fields), observed), ConditionType(kind))

    assert (found.status.value, found.reason.value) == (status, reason)
    assert found.message


def test_a_failing_pool_says_why_and_what_to_do() -> None:
    found = condition(decide(spec(), seen(failures=FAILED)), ConditionType.DEGRADED)

    assert found.message == (
        "2 members in a row did not come up: manifest unknown "
        "(check the image's name and spec.template.imagePullSecrets)"
    )


@pytest.mark.parametrize("failure", list(WarmupFailure))
def test_every_failure_has_a_remedy(failure: WarmupFailure) -> None:
    decision = decide(spec(), seen(failures=FailureHistory(1, NOW, failure, "x")))

    assert condition(decision, ConditionType.DEGRADED).message.endswith(")")


def test_the_four_conditions_always_stand_in_the_same_order() -> None:
    types = [one.type.value for one in decide(spec(), seen()).conditions]
    assert types == ["Ready", "Progressing", "Degraded", "CappedByMax"]
    assert PoolReason.SETTLED in {one.reason for one in decide(spec(), seen(ready(5))).conditions}


def test_a_pool_that_cannot_be_read_says_which_field_is_at_fault() -> None:
    said = conditions_of_invalid("spec.schedules[0].start: is no cron expression")

    assert [(one.type.value, one.status.value) for one in said] == [
        ("Ready", "False"),
        ("Progressing", "False"),
        ("Degraded", "True"),
        ("CappedByMax", "Unknown"),
    ]
    assert {one.message for one in said} == {"spec.schedules[0].start: is no cron expression"}
