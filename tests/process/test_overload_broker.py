"""Storms at a broker, in their short form; nothing is said of speed."""

from pathlib import Path

import pytest

from tests.soak import overload
from tests.soak.tally import Tally


@pytest.mark.timeout(400)
@pytest.mark.unhappy("thousands of claims and watches of one namespace at the broker")
def test_a_broker_under_storms_stays_what_it_was_and_serves_who_may(tmp_path: Path) -> None:
    tally = Tally("overload: broker")
    figures = overload.broker(tmp_path, overload.SHORT, tally)
    assert tally.clean, f"{tally}\n{figures}"
