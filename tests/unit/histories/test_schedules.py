"""Schedules are drawn from their seeds alone."""

import pytest

from tests.histories.cases import CASES, EVERYTHING
from tests.histories.schedule import HOLDERS, JOB, OPERATORS, STORE, WORKERS, draw

SEEDS = range(200)


def test_a_seed_always_draws_the_same_schedule_and_another_one_another() -> None:
    assert [draw(seed) for seed in SEEDS] == [draw(seed) for seed in SEEDS]
    assert len({draw(seed).steps for seed in SEEDS}) == len(SEEDS)


def test_whoever_acts_and_whatever_is_acted_on_is_there() -> None:
    for schedule in (*map(draw, SEEDS), *CASES.values(), EVERYTHING):
        stores = {name for name, _ in schedule.roles}
        for step in schedule.steps:
            assert step.who in {*OPERATORS, *HOLDERS, "fabric", "nemesis"}
            if step.on.partition("/")[0] in (STORE, JOB):
                assert step.on.partition("/")[0] in stores
            if step.verb == "hold":
                assert step.on in {*WORKERS, *stores}


@pytest.mark.parametrize(
    "verb", ["reign", "acquire", "bind", "renew", "release", "open", "set", "hold", "stop", "step", "kill", "crowd"]
)
def test_every_kind_of_trouble_is_drawn(verb: str) -> None:
    assert sum(step.verb == verb for seed in SEEDS for step in draw(seed).steps) > 20
