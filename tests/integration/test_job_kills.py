"""What runs jobs on a cluster is killed at random: no chunk is lost, none is there twice, nothing is left."""

import random
from pathlib import Path

import pytest

from tests.integration.control_plane import ControlPlane
from tests.soak.cluster_jobs import suffer
from tests.soak.tally import Tally

KILLS = 20
SEED = 8


@pytest.mark.timeout(400)
@pytest.mark.unhappy("SIGKILL of operator, coordinators, workers, stores and all of them at random, 20 times")
def test_twenty_kills_lose_no_chunk_and_double_none_and_leave_nothing(controlled: ControlPlane, tmp_path: Path) -> None:
    tally = Tally("killed at random: jobs on a cluster")
    suffer(controlled, tmp_path, random.Random(SEED), KILLS, tally)
    assert tally.clean, str(tally)
