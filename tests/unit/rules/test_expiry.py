"""When what stands on a volume is over, whatever clocks and machines do."""

import math

import msgspec
import pytest

from leasegrid.rules.expiry import Moment, Standing, continued, seconds_left, standing

WALL = 1_000_000.0
TTL = 120.0
HOUR = 3600.0
THEN = Moment(WALL, "one", 500.0)

RENEWED = standing(WALL + TTL, TTL, THEN)
KEPT = standing(WALL + HOUR, 0.0, THEN)
FOR_EVER = standing(None, 0.0, THEN)


def later(seconds: float, step: float = 0.0) -> Moment:
    """On the same boot; `step`: by how much the wall clock was set."""
    return Moment(WALL + seconds + step, "one", 500.0 + seconds)


def rebooted(wall_seconds: float) -> Moment:
    """After a reboot, by the wall clock so much later."""
    return Moment(WALL + wall_seconds, "two", 30.0)


def left(known: Standing, now: Moment) -> float | None:
    """What is left of it as it goes on; None: it is over, inf: it does not expire."""
    lasting = continued(known, now)
    if lasting is None:
        return None
    return math.inf if lasting.expires is None else seconds_left(lasting, now)


@pytest.mark.parametrize(
    ("known", "now", "expected"),
    [
        pytest.param(RENEWED, later(20), 100.0, id="a renewed lease loses the seconds that go by"),
        pytest.param(KEPT, later(HOUR - 1), 1.0, id="so does what is kept"),
        pytest.param(KEPT, later(HOUR), None, id="what is kept is over at its time"),
        pytest.param(FOR_EVER, later(1e9), math.inf, id="an unfinished job's store has no time"),
        pytest.param(RENEWED, later(20, step=1e6), 100.0, id="a clock that steps forward takes nothing"),
        pytest.param(RENEWED, later(20, step=-1e6), 100.0, id="a clock that steps back gives nothing"),
        pytest.param(KEPT, later(20, step=1e6), HOUR - 20, id="a clock that steps forward deletes no outputs"),
        pytest.param(RENEWED, later(500), TTL, id="no command ran for its holder: one whole TTL from the first sight"),
        pytest.param(RENEWED, rebooted(20), TTL, id="after a reboot a renewed lease has one whole TTL"),
        pytest.param(RENEWED, rebooted(1e6), TTL, id="also when the machine was off for days"),
        pytest.param(RENEWED, rebooted(-1e6), TTL, id="also when its clock has lost the date"),
        pytest.param(KEPT, rebooted(600), HOUR - 600, id="what is kept goes on over a reboot by wall time"),
        pytest.param(KEPT, rebooted(1e6), HOUR, id="what nobody could fetch while the machine was off is kept again"),
        pytest.param(KEPT, rebooted(-1e6), HOUR, id="a clock that lost the date keeps nothing for longer than it was"),
        pytest.param(FOR_EVER, rebooted(1e9), math.inf, id="an unfinished job outlives every reboot"),
        pytest.param(standing(WALL - 1, 0.0, THEN), rebooted(1), None, id="what was over as it was written stays so"),
    ],
)
def test_what_is_left(known: Standing, now: Moment, expected: float | None) -> None:
    assert left(known, now) == expected


def test_nothing_is_written_while_the_clock_of_the_machine_goes_on() -> None:
    assert continued(RENEWED, later(20)) is RENEWED
    assert continued(KEPT, later(20)) is KEPT


def extended(known: Standing, now: Moment) -> Standing:
    lasting = continued(known, now)
    assert lasting is not None
    assert lasting is not known
    return lasting


def test_a_lease_that_nobody_renewed_is_over_after_the_ttl_that_it_was_given_once_more() -> None:
    seen = extended(RENEWED, later(500))
    assert left(seen, later(619)) == 1.0
    assert left(seen, later(620)) is None


def test_a_reboot_gives_a_holder_a_whole_ttl_again_though_it_had_one_before() -> None:
    seen = extended(RENEWED, later(500))
    again = extended(seen, rebooted(1e6))
    assert left(again, rebooted(1e6)) == TTL
    assert left(again, msgspec.structs.replace(rebooted(1e6), since_boot=30.0 + TTL)) is None


def test_what_is_kept_is_given_its_time_again_by_one_reboot_and_no_more() -> None:
    seen = extended(KEPT, rebooted(1e6))
    assert left(seen, Moment(WALL + 2e6, "three", 1.0)) is None


def test_without_a_boot_id_wall_time_decides() -> None:
    unknown = standing(WALL + HOUR, 0.0, Moment(WALL, "", 5.0))
    assert left(unknown, Moment(WALL + 600, "", 605.0)) == HOUR - 600
    assert left(unknown, Moment(WALL + HOUR, "", 9.0)) is None
