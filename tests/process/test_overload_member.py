"""Storms at a member, in their short form; nothing is said of speed."""

from pathlib import Path

import pytest

from tests.soak import overload
from tests.soak.tally import Tally


@pytest.mark.timeout(400)
@pytest.mark.unhappy("thousands of strangers, slow, half-open and oversized, at a member")
def test_a_member_under_storms_stays_what_it_was_and_serves_who_may(tmp_path: Path) -> None:
    tally = Tally("overload: member")
    figures = overload.member(tmp_path, overload.SHORT, tally)
    assert tally.clean, f"{tally}\n{figures}"
