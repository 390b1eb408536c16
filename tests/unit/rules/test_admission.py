"""Which waiting leases get members, which wait, and which are refused."""

from dataclasses import replace

import pytest

from leasegrid.api.enums import OnEmpty
from leasegrid.rules.admission import admit
from leasegrid.rules.claims import Admission, Claim, Grant, Provision, Supply, Take
from leasegrid.rules.reasons import AdmissionReason
from tasklet_runner.plan.types import Requirements

SHAPE = Requirements(2, 1024)
LARGE = Requirements(4, 4096)


def claim(uid: str, count: int = 1, **changes: object) -> Claim:
    plain = Claim(uid=uid, count=count, minimum=count, arrived=float(ord(uid[0])), on_empty=OnEmpty.QUEUE)
    return replace(plain, **changes)  # type: ignore[arg-type]  # names are checked by the constructor


def pool(ready: int, name: str = "cpu", most: int = 10, **changes: object) -> Supply:
    return replace(Supply(name, SHAPE, ready, most), **changes)  # type: ignore[arg-type]  # as above


def grants(admission: Admission) -> dict[str, list[tuple[str, int]]]:
    return {grant.uid: [(take.pool, take.count) for take in grant.takes] for grant in admission.grants}


@pytest.mark.parametrize(
    ("claims", "supplies", "expected"),
    [
        pytest.param([claim("a", 3)], [pool(3)], {"a": [("cpu", 3)]}, id="a lease gets all that it asks for"),
        pytest.param([claim("a", 3)], [pool(2)], {}, id="less than the minimum is nothing"),
        pytest.param(
            [claim("a", 5, minimum=2)],
            [pool(3)],
            {"a": [("cpu", 3)]},
            id="between minimum and count it gets what there is",
        ),
        pytest.param(
            [claim("b", 2), claim("a", 2)], [pool(3)], {"a": [("cpu", 2)]}, id="the earlier arrival is served first"
        ),
        pytest.param(
            [claim("b", 2, priority=1), claim("a", 2)],
            [pool(3)],
            {"b": [("cpu", 2)]},
            id="the higher priority is served before the earlier arrival",
        ),
        pytest.param(
            [claim("a", 5), claim("b", 1)],
            [pool(3)],
            {},
            id="what is ready is kept for the head of the queue",
        ),
        pytest.param(
            [claim("a", 5, pools=("cpu",)), claim("b", 1, pools=("other",))],
            [pool(3), pool(2, "other")],
            {"b": [("other", 1)]},
            id="what the head could not use is free for those behind it",
        ),
        pytest.param(
            [claim("a", 5, pools=("cpu",)), claim("b", 3, pools=("other",)), claim("c", 1, pools=("other",))],
            [pool(3), pool(2, "other")],
            {"c": [("other", 1)]},
            id="only the head reserves",
        ),
        pytest.param(
            [claim("a", 3, pools=("second", "first"))],
            [pool(2, "first"), pool(2, "second")],
            {"a": [("second", 2), ("first", 1)]},
            id="pools are used in order of preference and overflow",
        ),
        pytest.param(
            [claim("a", 1)],
            [pool(1, shape=LARGE), pool(1)],
            {"a": [("cpu", 1)]},
            id="without preference the first pool is used",
        ),
        pytest.param(
            [claim("a", 1, pools=("missing", "cpu"))],
            [pool(1)],
            {"a": [("cpu", 1)]},
            id="a pool that is missing is passed over",
        ),
        pytest.param(
            [claim("a", 1)],
            [pool(1, "down", draining=True), pool(1, "up")],
            {"a": [("up", 1)]},
            id="a draining pool is passed over",
        ),
        pytest.param(
            [claim("a", 1, needs=Requirements(3))],
            [pool(1, "small"), pool(1, "large", shape=LARGE)],
            {"a": [("large", 1)]},
            id="a member that is too small is passed over",
        ),
        pytest.param(
            [claim("a", 2)],
            [pool(1, "provisioned-b", owner="b"), pool(1), pool(1, "provisioned-a", owner="a")],
            {"a": [("provisioned-a", 1), ("cpu", 1)]},
            id="members made for a lease are its own, and used first",
        ),
        pytest.param(
            [claim("a", 2)],
            [pool(1), pool(1, shape=LARGE)],
            {"a": [("cpu", 2)]},
            id="takes from two shapes of one pool are one take",
        ),
    ],
)
def test_members_are_granted(
    claims: list[Claim], supplies: list[Supply], expected: dict[str, list[tuple[str, int]]]
) -> None:
    assert grants(admit(claims, supplies, now=0.0)) == expected


@pytest.mark.parametrize(
    ("claims", "ready", "expected"),
    [
        pytest.param(
            [claim("a", 4, minimum=1, elastic=True)], 3, {"a": [("cpu", 3)]}, id="takes all that nobody else wants"
        ),
        pytest.param(
            [claim("a", 9, minimum=1, elastic=True), claim("b", 2)],
            4,
            {"a": [("cpu", 2)], "b": [("cpu", 2)]},
            id="grows only after all first-comers have theirs",
        ),
        pytest.param(
            [claim("a", 9, minimum=1, elastic=True, admitted=True, bound=1), claim("b", 5)],
            4,
            {},
            id="does not grow with what the queue waits for",
        ),
        pytest.param(
            [
                claim("a", 9, minimum=1, elastic=True, admitted=True, bound=4),
                claim("b", 9, minimum=1, elastic=True, admitted=True, bound=1),
            ],
            3,
            {"b": [("cpu", 3)]},
            id="lets the one with fewest members catch up",
        ),
        pytest.param(
            [
                claim("a", 9, minimum=1, elastic=True, admitted=True, bound=1),
                claim("b", 9, minimum=1, elastic=True, admitted=True, bound=4, priority=1),
            ],
            2,
            {"b": [("cpu", 2)]},
            id="gives way to a higher priority",
        ),
        pytest.param([claim("a", 3, minimum=1, elastic=True, admitted=True, bound=3)], 2, {}, id="stops at its count"),
        pytest.param([claim("a", 3, admitted=True, bound=2)], 2, {}, id="is not for a lease that is not elastic"),
    ],
)
def test_elastic_growth(claims: list[Claim], ready: int, expected: dict[str, list[tuple[str, int]]]) -> None:
    assert grants(admit(claims, [pool(ready)], now=0.0)) == expected


@pytest.mark.parametrize(
    ("one", "supplies", "reason", "words"),
    [
        pytest.param(
            claim("a", 3, on_empty=OnEmpty.FAIL),
            [pool(1)],
            AdmissionReason.POOL_EMPTY,
            ["3 members are needed", "pool 'cpu' has 1 ready", "spec.targetSize", "starts faster", "onEmpty: Queue"],
            id="too few are ready and it would not wait",
        ),
        pytest.param(
            claim("a", pools=("gone",)),
            [pool(1)],
            AdmissionReason.POOL_NOT_FOUND,
            ["pool 'gone' cannot be found", "InstancePool"],
            id="its pool does not exist",
        ),
        pytest.param(
            claim("a"), [], AdmissionReason.POOL_NOT_FOUND, ["there is no pool"], id="there is no pool at all"
        ),
        pytest.param(
            claim("a", needs=Requirements(3, 2048)),
            [pool(1), pool(1, "other", shape=Requirements(4, 512))],
            AdmissionReason.UNSUPPORTED,
            ["pools 'cpu', 'other'", "'other' lacks 2048 bytes of memory", "spec.resources"],
            id="no member has what it requires, and the closest is named",
        ),
        pytest.param(
            claim("a"),
            [pool(1, draining=True)],
            AdmissionReason.DRAINING,
            ["operatingMode is Draining", "Active"],
            id="all that would do are draining",
        ),
        pytest.param(
            claim("a", 20),
            [pool(1), pool(1, shape=LARGE), pool(1, "other", most=5)],
            AdmissionReason.UNSATISFIABLE,
            ["20 members are needed", "never have more than 15", "spec.maxSize", "minParallelism"],
            id="its pools can never be so large",
        ),
        pytest.param(
            claim("a", 3, queue_timeout_seconds=60, arrived=0.0),
            [pool(1)],
            AdmissionReason.QUEUE_TIMEOUT,
            ["60 s have passed", "3 members of pool 'cpu'", "queueTimeoutSeconds"],
            id="it has waited for long enough",
        ),
        pytest.param(
            claim("a", 3, queue_timeout_seconds=60, arrived=0.0, on_empty=OnEmpty.PROVISION),
            [],
            AdmissionReason.QUEUE_TIMEOUT,
            ["no pool"],
            id="members that were to be made did not come in time",
        ),
        pytest.param(
            claim("a", 3, queue_timeout_seconds=60, arrived=0.0, on_empty=OnEmpty.PROVISION),
            [pool(1, "lease/a", owner="a")],
            AdmissionReason.QUEUE_TIMEOUT,
            ["3 members of this lease's own pool"],
            id="not all of the members that are made for it came in time",
        ),
        pytest.param(
            claim("a", 3, on_empty=OnEmpty.FAIL),
            [pool(1), pool(1, "lease/a", owner="a")],
            AdmissionReason.POOL_EMPTY,
            ["pool 'cpu' and this lease's own has 2 ready"],
            id="its pool and what was made for it are too few",
        ),
        pytest.param(
            claim("a", needs=LARGE),
            [pool(1), pool(1, "lease/b", owner="b")],
            AdmissionReason.UNSUPPORTED,
            ["no member of pool 'cpu' has"],
            id="no member will do, and those of other leases are not spoken of",
        ),
    ],
)
def test_a_lease_is_refused_when(one: Claim, supplies: list[Supply], reason: AdmissionReason, words: list[str]) -> None:
    admission = admit([one], supplies, now=60.0)

    (refusal,) = admission.refusals
    assert not admission.grants
    assert refusal.reason is reason
    for word in words:
        assert word in f"{refusal.message} ({refusal.remedy})"


def test_failing_at_once_says_what_is_promised_to_others() -> None:
    admission = admit([claim("a", 5), claim("b", 1, on_empty=OnEmpty.FAIL)], [pool(3)], now=0.0)

    assert admission.refusals[0].message.endswith("has 3 ready, 3 of them promised to others")


def test_the_queue_tells_everyone_its_place_and_why() -> None:
    admission = admit([claim("a", 5), claim("b", 4), claim("c", 9, priority=2)], [pool(3)], now=0.0)

    assert [(place.uid, place.position, place.reason) for place in admission.queue] == [
        ("c", 1, AdmissionReason.HEAD_OF_QUEUE),
        ("a", 2, AdmissionReason.BEHIND_OTHERS),
        ("b", 3, AdmissionReason.BEHIND_OTHERS),
    ]
    assert admission.queue[0].message == "first in the queue: 3 of 9 members are ready in pool 'cpu'"
    assert admission.queue[2].message == "position 3 of 3 in the queue for 4 members"


def test_the_next_timeout_is_when_to_look_again() -> None:
    claims = [claim("a", 5, arrived=1.0), claim("b", 5, arrived=2.0, queue_timeout_seconds=10)]

    assert admit(claims, [pool(3)], now=5.0).wake_at == 12.0
    assert admit([], [pool(3)], now=5.0) == Admission()


@pytest.mark.parametrize(
    ("provisioning", "expected"),
    [
        pytest.param(0, (Provision("a", 3),), id="all that are missing are made"),
        pytest.param(2, (Provision("a", 1),), id="those under way are counted"),
        pytest.param(3, (), id="nothing is made twice"),
    ],
)
def test_members_are_made_for_a_lease_alone(provisioning: int, expected: tuple[Provision, ...]) -> None:
    admission = admit([claim("a", 3, on_empty=OnEmpty.PROVISION, provisioning=provisioning)], [], now=70.0)

    assert admission.provisions == expected
    assert not admission.queue
    assert not admission.refusals


def test_a_lease_that_could_have_members_made_takes_ready_ones_first() -> None:
    admission = admit([claim("a", 2, on_empty=OnEmpty.PROVISION)], [pool(2)], now=0.0)

    assert admission.grants == (Grant("a", (Take("cpu", 2),)),)
    assert not admission.provisions
