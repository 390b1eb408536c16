"""Storms at a store, in their short form; nothing is said of speed."""

from pathlib import Path

import pytest

from tests.soak import overload
from tests.soak.tally import Tally


@pytest.mark.timeout(400)
@pytest.mark.unhappy(
    "an object larger than memory, readers of a byte a second, writers that stop, strangers at a store"
)
def test_a_store_under_storms_stays_what_it_was_and_serves_who_may(tmp_path: Path) -> None:
    tally = Tally("overload: store")
    figures = overload.store(tmp_path, overload.SHORT, tally)
    assert tally.clean, f"{tally}\n{figures}"
