"""Which ready member a claim takes."""

import random

import pytest

from leasegrid.rules.choosing import Offer, ReadyIndex, satisfies, unmet
from tasklet_runner.plan.types import Requirements

SMALL = Requirements(1, 1024)
LARGE = Requirements(2, 4096, ("avx2", "avx512f"))


def index(*offers: Offer) -> ReadyIndex:
    ready = ReadyIndex()
    for offer in offers:
        ready.add(offer)
    return ready


@pytest.mark.parametrize(
    ("needs", "lacking"),
    [
        pytest.param(Requirements(), (), id="nothing when little is asked"),
        pytest.param(LARGE, (), id="nothing when it is just enough"),
        pytest.param(Requirements(3), ("3 slots (it has 2)",), id="slots"),
        pytest.param(Requirements(1, 8192), ("8192 bytes of memory (it has 4096)",), id="memory"),
        pytest.param(Requirements(1, 0, ("sve", "amx", "avx2")), ("the CPU features amx, sve",), id="CPU features"),
    ],
)
def test_a_member_lacks(needs: Requirements, lacking: tuple[str, ...]) -> None:
    assert unmet(LARGE, needs) == lacking
    assert satisfies(LARGE, needs) is (not lacking)


def test_the_one_that_is_ready_longest_goes_first() -> None:
    ready = index(Offer("young", SMALL, 9.0), Offer("old", SMALL, 1.0), Offer("middle", SMALL, 5.0))

    assert [taken.name for _ in range(3) if (taken := ready.take(Requirements()))] == ["old", "middle", "young"]
    assert ready.take(Requirements()) is None


def test_a_small_need_leaves_the_large_member_alone() -> None:
    ready = index(Offer("large", LARGE, 0.0), Offer("small", SMALL, 9.0))

    taken = ready.take(Requirements())

    assert taken is not None
    assert taken.name == "small"


def test_a_large_need_takes_nothing_too_small() -> None:
    ready = index(Offer("small", SMALL, 0.0))

    assert ready.take(Requirements(2)) is None
    assert "small" in ready


def test_a_member_that_left_is_never_taken() -> None:
    ready = index(Offer("gone", SMALL, 0.0), Offer("here", SMALL, 1.0))

    assert ready.remove("gone") == Offer("gone", SMALL, 0.0)
    assert ready.remove("gone") is None
    taken = ready.take(Requirements())
    assert taken is not None
    assert taken.name == "here"
    assert len(ready) == 0


def test_a_member_that_is_offered_again_counts_once_and_by_its_new_time() -> None:
    ready = index(Offer("a", SMALL, 0.0), Offer("b", SMALL, 1.0), Offer("a", SMALL, 2.0))

    assert len(ready) == 2
    assert [taken.name for _ in range(2) if (taken := ready.take(Requirements()))] == ["b", "a"]


def test_a_member_may_come_back_with_another_shape() -> None:
    ready = index(Offer("a", SMALL, 0.0), Offer("b", SMALL, 1.0), Offer("a", LARGE, 0.0))

    assert ready.shapes() == ((SMALL, 1), (LARGE, 1))
    assert ready.count(Requirements(2)) == 1
    taken = ready.take(Requirements())
    assert taken is not None
    assert taken.name == "b"


def test_ten_thousand_claims_take_the_oldest_each_time() -> None:
    generator = random.Random(7)
    offers = [Offer(f"m{number}", SMALL, generator.random()) for number in range(10_000)]
    ready = index(*offers)

    taken = [offer.ready_since for _ in offers if (offer := ready.take(Requirements()))]

    assert taken == sorted(taken)
    assert len(taken) == len(offers)
