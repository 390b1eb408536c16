"""A state directory whose machine's clock is the test's."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from leasegrid.local.state import StateDirectory
from tests.support.machine_clock import MachineClock


@pytest.fixture
def clock() -> MachineClock:
    return MachineClock()


@pytest.fixture
def state(tmp_path: Path, clock: MachineClock) -> Iterator[StateDirectory]:
    directory = StateDirectory(tmp_path / "state", clock)
    yield directory
    directory.close()
