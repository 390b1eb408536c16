"""Random damage to what is on the disk is never taken for what was written: short forms."""

from collections.abc import Callable
from pathlib import Path

import pytest

from tests.soak import corruptions
from tests.soak.tally import Tally

TRIES = 400


@pytest.mark.unhappy("random corruptions of checkpoints and objects: never accepted, the older slot serves")
@pytest.mark.parametrize("campaign", [corruptions.checkpoints, corruptions.objects], ids=["checkpoints", "objects"])
def test_no_damaged_byte_is_accepted(campaign: Callable[..., None], tmp_path: Path) -> None:
    tally = Tally(campaign.__name__)
    campaign(tmp_path, TRIES, 7, tally)
    assert tally.clean, str(tally)
