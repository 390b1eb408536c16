"""Every hostile module, file and input ends in its own fault, and costs nobody else anything."""

from pathlib import Path

import pytest

from tests.hostile.corpus import ROOMS, kinds
from tests.hostile.stage import Effort, play_room


def test_the_corpus_is_broad() -> None:
    counted = kinds()

    assert len(counted) >= 15
    assert counted.total() >= 60
    assert min(counted.values()) >= 3


@pytest.mark.timeout(600)  # a loaded machine: alone each takes some seconds
@pytest.mark.unhappy("tasklets, programs and inputs that are made to harm")
@pytest.mark.parametrize("room", ROOMS)
def test_each_ends_in_its_fault_the_member_lives_and_neighbours_work_rightly(
    tmp_path: Path, room: str, request: pytest.FixtureRequest
) -> None:
    if room == "Python":
        request.getfixturevalue("compiled_python")
    report = play_room(tmp_path, ROOMS[room], Effort())

    assert not report.wrongs, "\n".join(report.wrongs)
    assert report.faults == report.tried == len(ROOMS[room].cases)
    assert report.worked > 0
