"""Checkpoint slots, a store and the state directory, killed at every call, on failing disks, through power cuts."""

from collections.abc import Callable
from pathlib import Path

import pytest

from tests.soak.driving import Effort, Scenario, cuts, failures, kills
from tests.soak.durable_judge import DURABLE
from tests.soak.slots_judge import SLOTS
from tests.soak.state_judge import STATE
from tests.soak.store_judge import STORE
from tests.soak.tally import Tally

pytestmark = pytest.mark.timeout(300)
"""Hundreds of processes: on a busy machine they take their time."""

CAMPAIGNS = [
    pytest.param(
        SLOTS, kills, None,
        id="checkpoints: SIGKILL at every system call, every write torn",
        marks=pytest.mark.unhappy("killed at every system call of a checkpoint: the acknowledged one is restored"),
    ),
    pytest.param(
        SLOTS, failures, 120,
        id="checkpoints: ENOSPC, EDQUOT, EIO or a short write at a call",
        marks=pytest.mark.unhappy("disk full or broken in mid-checkpoint: the last good one stays"),
    ),
    pytest.param(
        SLOTS, cuts, 200,
        id="checkpoints: power cuts that take what was not synced",
        marks=pytest.mark.unhappy("a power cut in mid-checkpoint takes what was not synced, and nothing acknowledged"),
    ),
    pytest.param(
        DURABLE, kills, 80,
        id="Durable: SIGKILL at a system call, writes torn",
        marks=pytest.mark.unhappy("a program with a Durable state is killed at any system call of a save"),
    ),
    pytest.param(
        DURABLE, failures, 60,
        id="Durable: ENOSPC, EDQUOT, EIO or a short write at a call",
        marks=pytest.mark.unhappy("the disk of a Durable state fails or fills at any call: the last good one stays"),
    ),
    pytest.param(
        DURABLE, cuts, 100,
        id="Durable: power cuts that take what was not synced",
        marks=pytest.mark.unhappy("the power goes at any call of a save of a Durable state"),
    ),
    pytest.param(
        STATE, kills, 100,
        id="the state directory: SIGKILL at a system call, writes torn",
        marks=pytest.mark.unhappy("a command is killed at any system call on its state: keys, terms and leases stay"),
    ),
    pytest.param(
        STATE, failures, 80,
        id="the state directory: ENOSPC, EDQUOT, EIO or a short write at a call",
        marks=pytest.mark.unhappy("the disk below the state directory fails or fills at any call: a typed error"),
    ),
    pytest.param(
        STATE, cuts, 200,
        id="the state directory: power cuts that take what was not synced",
        marks=pytest.mark.unhappy("the power goes at any call of a command: no lease, key or term is lost or doubled"),
    ),
    pytest.param(
        STORE, kills, 150,
        id="a store: SIGKILL at a system call, writes torn",
        marks=pytest.mark.unhappy("a store's process is killed at any system call: acknowledged is readable"),
    ),
    pytest.param(
        STORE, failures, 100,
        id="a store: ENOSPC, EDQUOT, EIO or a short write at a call",
        marks=pytest.mark.unhappy("a store's disk fails or fills at any call: a typed error, and nothing half"),
    ),
    pytest.param(
        STORE, cuts, 200,
        id="a store: power cuts that take what was not synced",
        marks=pytest.mark.unhappy("the power of a store's machine goes at any call: what it had answered is there"),
    ),
]  # fmt: skip


@pytest.mark.parametrize(("scenario", "campaign", "bound"), CAMPAIGNS)
def test_nothing_that_was_acknowledged_is_lost_and_nothing_is_there_in_part(
    scenario: Scenario, campaign: Callable[..., None], bound: int | None, tmp_path: Path
) -> None:
    tally = Tally(scenario.target)
    campaign(tmp_path, scenario, Effort(bound=bound), tally)
    assert tally.clean, str(tally)
