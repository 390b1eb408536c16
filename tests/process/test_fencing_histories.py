"""Random schedules on real members, operators and holders: the short form of the campaign, and that it can fail."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.histories.campaign import Campaign
from tests.histories.cases import CASES, EVERYTHING
from tests.histories.defects import DEFECTS, MODULE, VARIABLE
from tests.histories.history import Operation
from tests.histories.schedule import Schedule
from tests.soak.tally import Tally

SEEDS = range(1, 51)
PLAYS = 8


@pytest.mark.timeout(600)
@pytest.mark.unhappy("whoever acts is stopped and goes on, speaks late, twice and out of order, and clocks step")
def test_fifty_schedules_break_no_promise(tmp_path: Path) -> None:
    tally = Tally("fencing")
    counted = Campaign(tmp_path, tally).run(SEEDS)
    assert tally.clean, str(tally)
    assert tally.tries == len(SEEDS)
    # A campaign in which nothing is done, refused or held up finds nothing, and proves nothing.
    for operation in (Operation.BIND, Operation.RUN, Operation.GET, Operation.WRITE, Operation.RENEW):
        assert counted.ok(operation) > 0, str(counted)
    assert counted.ok(Operation.STOPPED) > 0, str(counted)
    assert counted.ok(Operation.HELD) > 0, str(counted)
    assert counted.refused() > len(SEEDS), str(counted)


@pytest.mark.timeout(300)
@pytest.mark.unhappy("what a campaign found once, and the plain stories that every defect is found in")
def test_every_schedule_by_hand_keeps_every_promise(tmp_path: Path) -> None:
    tally = Tally("by hand")
    counted = Campaign(tmp_path, tally).run_by_hand(CASES.values())
    assert not tally.words, str(tally)
    assert counted.ok(Operation.BIND) >= len(CASES), str(counted)


@pytest.mark.timeout(300)
@pytest.mark.parametrize("defect", DEFECTS)
def test_a_member_with_a_defect_is_found(defect: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(VARIABLE, defect)
    tally, rule = Tally(defect), DEFECTS[defect][1]
    campaign = Campaign(tmp_path, tally, MODULE, tmp_path)

    def until_found() -> Iterator[Schedule]:
        """Once is enough, unless the machine is too busy to be asked in time."""
        for _ in range(PLAYS):
            if rule in campaign.broken:
                return
            yield EVERYTHING

    campaign.run_by_hand(until_found())
    assert rule in campaign.broken, str(tally)
