"""The target that schedules give."""

from datetime import datetime
from zoneinfo import ZoneInfo

import pytest

from leasegrid.api.pool import Schedule
from leasegrid.rules.pool_schedules import Scheduled, scheduled
from leasegrid.rules.pool_sizing import effective_target, size_pool
from leasegrid.rules.pool_state import Observed
from tests.unit.rules.pool_examples import NOW, spec

BERLIN = {"start": "0 8 * * 1-5", "timeZone": "Europe/Berlin", "durationSeconds": 7200, "targetSize": 20}


def schedule(**changes: object) -> Schedule:
    return Schedule.model_validate({**BERLIN, **changes})


def berlin(text: str) -> float:
    return datetime.fromisoformat(text).replace(tzinfo=ZoneInfo("Europe/Berlin")).timestamp()


@pytest.mark.parametrize(
    ("when", "expected"),
    [
        pytest.param("2026-03-02T07:59:59", Scheduled(0, 1), id="it has not started a second before"),
        pytest.param("2026-03-02T08:00:00", Scheduled(20, 7200), id="it holds from its very start"),
        pytest.param("2026-03-02T09:59:59.5", Scheduled(20, 0.5), id="it holds to its end"),
        pytest.param("2026-03-02T10:00:00", Scheduled(0, 22 * 3600), id="and not longer"),
        pytest.param("2026-03-06T12:00:00", Scheduled(0, 68 * 3600), id="it is quiet at the weekend"),
        pytest.param("2026-03-27T12:00:00", Scheduled(0, 67 * 3600), id="the clocks' change is reckoned with"),
    ],
)
def test_working_hours_in_berlin(when: str, expected: Scheduled) -> None:
    assert scheduled([schedule()], berlin(when)) == expected


def test_without_schedules_there_is_nothing_to_wait_for() -> None:
    assert scheduled([], berlin("2026-03-02T08:00:00")) == Scheduled(0, None)


def test_the_largest_of_those_that_hold_counts() -> None:
    several = [schedule(), schedule(targetSize=30), schedule(start="0 9 * * *", targetSize=99)]

    assert scheduled(several, berlin("2026-03-02T08:30:00")) == Scheduled(30, 1800)


def test_a_schedule_longer_than_its_period_always_holds() -> None:
    always = schedule(start="0 * * * *", durationSeconds=7200)

    assert scheduled([always], berlin("2026-03-02T08:30:00")) == Scheduled(20, 1800)


def test_a_schedule_raises_the_target_and_says_when_to_look_again() -> None:
    pool = spec(maxSize=30, schedules=[BERLIN])

    decision = size_pool(pool, Observed(wall_time=berlin("2026-03-02T08:00:00")), NOW)

    assert (decision.effective_target, decision.create, decision.look_again_in) == (20, 20, 7200)


@pytest.mark.parametrize(
    ("fields", "schedule_target", "waiting", "expected"),
    [
        pytest.param({}, 0, 0, 5, id="the target is targetSize"),
        pytest.param({}, 8, 0, 8, id="or what a schedule asks for"),
        pytest.param({}, 8, 9, 9, id="or what waiting leases lack"),
        pytest.param({}, 80, 90, 10, id="at most maxSize"),
        pytest.param({"targetSize": 3, "minSize": 3}, 1, 0, 3, id="a schedule never lowers it"),
        pytest.param(
            {"minSize": None, "maxSize": None, "targetSize": 1},
            0,
            0,
            1,
            id="a small pool lowers the default of minSize",
        ),
        pytest.param(
            {"minSize": None, "maxSize": None, "targetSize": 99}, 0, 0, 99, id="a large pool raises that of maxSize"
        ),
        pytest.param({"operatingMode": "Draining"}, 8, 9, 0, id="nothing when it drains"),
    ],
)
def test_the_effective_target(fields: dict[str, object], schedule_target: int, waiting: int, expected: int) -> None:
    assert effective_target(spec(**fields), schedule_target, waiting) == expected
