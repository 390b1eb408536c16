"""Histories of two operators, one of which was stopped past its reign, held against what a lease guarantees."""

from pathlib import Path

import pytest

from tests.histories.history import Operation
from tests.integration.control_plane import ControlPlane
from tests.soak.replicas import suffer
from tests.soak.tally import Tally

SEEDS = (1, 2, 3)


@pytest.mark.timeout(240)
@pytest.mark.unhappy(
    "two operators, one stopped past its reign: leases come, are renewed and go, binds are signed twice"
)
def test_random_schedules_of_two_operators_break_no_promise(controlled: ControlPlane, tmp_path: Path) -> None:
    tally = Tally("two operators")
    counted = suffer(controlled, tmp_path, SEEDS, tally)
    assert tally.clean, str(tally)
    assert tally.tries == len(SEEDS)
    assert counted.ok(Operation.BIND) >= 5 * len(SEEDS), str(counted)
    assert counted.ok(Operation.RENEW) >= len(SEEDS), str(counted)
    assert counted.refused() >= len(SEEDS), str(counted)
