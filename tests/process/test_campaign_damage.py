"""Random damage to what is on the disk is never taken for what was written: short forms."""

from collections.abc import Callable
from pathlib import Path

import pytest

from tests.soak import corruptions
from tests.soak.tally import Tally

TRIES = 400


@pytest.mark.unhappy("random corruptions of checkpoints, objects, capabilities and frames: never accepted")
@pytest.mark.parametrize(
    "campaign",
    [corruptions.checkpoints, corruptions.objects, corruptions.capabilities, corruptions.frames],
    ids=["checkpoints", "objects", "capabilities", "frames"],
)
def test_no_damaged_byte_is_accepted(campaign: Callable[..., None], tmp_path: Path) -> None:
    tally = Tally(campaign.__name__)
    campaign(tmp_path, TRIES, 7, tally)
    assert tally.clean, str(tally)
