"""A computation survives power cuts: killed at random, it ends with the results of an undisturbed run."""

from pathlib import Path

import pytest

from tests.support.outages import suffer

KILLS = 20

pytestmark = pytest.mark.timeout(900)


@pytest.mark.unhappy("20 SIGKILLs of the coordinator and of everything at random: results equal, losses 0, doubles 0")
def test_twenty_power_cuts_at_random_lose_nothing_and_double_nothing(tmp_path: Path) -> None:
    found = suffer(tmp_path, KILLS, seed=11)

    assert found.kills == KILLS
    assert (found.losses, found.doubles, found.wrong) == (0, 0, [])
