"""What holds for admission whatever is asked."""

from hypothesis import given
from hypothesis import strategies as st

from leasegrid.api.enums import OnEmpty
from leasegrid.rules.admission import admit
from leasegrid.rules.choosing import satisfies
from leasegrid.rules.claims import Admission, Claim, Supply
from tasklet_runner.plan.types import Requirements

POOLS = ("a", "b", "c")


@st.composite
def one_claim(draw: st.DrawFn, number: int) -> Claim:
    count = draw(st.integers(1, 8))
    admitted = draw(st.booleans())
    return Claim(
        uid=f"lease-{number}",
        count=count,
        minimum=draw(st.integers(1, count)),
        arrived=draw(st.integers(0, 5)),
        pools=tuple(draw(st.lists(st.sampled_from(POOLS), unique=True, max_size=3))),
        needs=Requirements(draw(st.integers(1, 3))),
        admitted=admitted,
        bound=draw(st.integers(1, count)) if admitted else 0,
        elastic=draw(st.booleans()),
        priority=draw(st.integers(-1, 1)),
        on_empty=draw(st.sampled_from(OnEmpty)),
    )


@st.composite
def situations(draw: st.DrawFn) -> tuple[list[Claim], list[Supply]]:
    claims = [draw(one_claim(number)) for number in range(draw(st.integers(0, 6)))]
    supplies = [
        Supply(name, Requirements(draw(st.integers(1, 3))), draw(st.integers(0, 8)), 10, draining=draw(st.booleans()))
        for name in POOLS[: draw(st.integers(0, 3))]
    ]
    return claims, supplies


@given(situations())
def test_never_more_is_granted_than_there_is(situation: tuple[list[Claim], list[Supply]]) -> None:
    claims, supplies = situation
    left = {supply.pool: supply.ready for supply in supplies}

    for grant in admit(claims, supplies, now=3.0).grants:
        for take in grant.takes:
            left[take.pool] -= take.count

    assert all(count >= 0 for count in left.values())


@given(situations())
def test_nobody_holds_and_waits(situation: tuple[list[Claim], list[Supply]]) -> None:
    claims, supplies = situation
    by_uid = {claim.uid: claim for claim in claims}
    admission = admit(claims, supplies, now=3.0)
    granted = {grant.uid: sum(take.count for take in grant.takes) for grant in admission.grants}

    for uid, count in granted.items():
        held = by_uid[uid].bound + count
        assert by_uid[uid].minimum <= held or by_uid[uid].admitted
        assert held <= by_uid[uid].count
    assert not set(_without_members(admission)) & set(granted)


@given(situations())
def test_only_members_that_will_do_are_granted(situation: tuple[list[Claim], list[Supply]]) -> None:
    claims, supplies = situation
    by_uid = {claim.uid: claim for claim in claims}
    by_pool = {supply.pool: supply for supply in supplies}

    for grant in admit(claims, supplies, now=3.0).grants:
        for take in grant.takes:
            assert satisfies(by_pool[take.pool].shape, by_uid[grant.uid].needs)
            assert not by_pool[take.pool].draining
            assert not by_uid[grant.uid].pools or take.pool in by_uid[grant.uid].pools


@given(situations())
def test_every_first_comer_gets_exactly_one_answer(situation: tuple[list[Claim], list[Supply]]) -> None:
    claims, supplies = situation
    admission = admit(claims, supplies, now=3.0)
    answers = [*(grant.uid for grant in admission.grants), *_without_members(admission)]
    first = {claim.uid for claim in claims if not claim.admitted}

    assert sorted(uid for uid in answers if uid in first) == sorted(first)


def _without_members(admission: Admission) -> list[str]:
    waiting = [place.uid for place in admission.queue] + [one.uid for one in admission.provisions]
    return waiting + [refusal.uid for refusal in admission.refusals]
