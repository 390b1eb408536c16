"""Who may still come into a room that groups share."""

import pytest

from tasklet_runner.plan.shares import has_room


@pytest.mark.parametrize(
    ("mine", "present", "total", "allowed"),
    [
        pytest.param(0, 0, 1, True, id="the first of all"),
        pytest.param(0, 1, 1, False, id="a full room"),
        pytest.param(4, 4, 10, True, id="alone with less than half"),
        pytest.param(5, 5, 10, False, id="alone with half of it"),
        pytest.param(0, 5, 10, True, id="a newcomer beside a greedy one"),
        pytest.param(3, 6, 10, True, id="the third of two greedy ones"),
        pytest.param(4, 7, 10, False, id="more than is left"),
        pytest.param(0, 9, 10, True, id="the last place is a newcomer's"),
    ],
)
def test_a_room_is_shared_by_groups(mine: int, present: int, total: int, allowed: bool) -> None:
    assert has_room(mine, present, total) is allowed
