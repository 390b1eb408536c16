"""Clocks that step and processes that stand still, under jobs, members and stores: short forms."""

from pathlib import Path

import pytest

from tests.soak import clocks, pauses, takeovers
from tests.soak.tally import Tally

HOUR = 3600.0


@pytest.mark.unhappy("the wall clock steps by hours under a running job: no lease ends, nothing runs again")
def test_a_job_runs_through_steps_of_the_clock(tmp_path: Path) -> None:
    tally = Tally("clocks, jobs")
    clocks.jobs(tmp_path, 1, 5, tally)
    assert tally.clean, str(tally)


@pytest.mark.unhappy("the wall clock steps by hours under a held lease: it ends at its deadline")
def test_a_member_frees_itself_at_its_deadline_whatever_the_wall_clock_says(tmp_path: Path) -> None:
    tally = Tally("clocks, members")
    clocks.members(tmp_path, (-5 * HOUR, 5 * HOUR), tally)
    assert tally.clean, str(tally)


@pytest.mark.unhappy("the wall clock steps by hours while nobody serves a Block lease: not lost, nor kept for ever")
def test_the_bytes_of_a_block_lease_outlast_a_step_of_the_clock_and_not_their_time(tmp_path: Path) -> None:
    tally = Tally("clocks, blocks")
    clocks.blocks(tmp_path, (48 * HOUR,), tally)
    assert tally.clean, str(tally)


@pytest.mark.unhappy("a member, and a whole command, stand still past their deadlines and go on")
def test_a_job_ends_well_though_its_member_or_its_coordinator_stood_still_past_every_deadline(tmp_path: Path) -> None:
    tally = Tally("pauses, jobs")
    pauses.jobs(tmp_path, 2, 5, tally)
    assert tally.tries == 2
    assert not tally.words, str(tally)


@pytest.mark.unhappy("a member stands still past its deadline while a tasklet runs, and goes on")
def test_a_member_that_stood_still_is_free_and_its_old_holder_a_stranger(tmp_path: Path) -> None:
    tally = Tally("pauses, members")
    pauses.members(tmp_path, 1, tally)
    assert tally.clean, str(tally)


@pytest.mark.unhappy("a put that was sent to a store in time and reaches it after its end")
def test_a_late_put_is_not_taken_by_a_store_that_stood_still(tmp_path: Path) -> None:
    tally = Tally("pauses, stores")
    pauses.stores(tmp_path, 2, tally)
    assert tally.clean, str(tally)


@pytest.mark.unhappy("a program that stood still while another took its durable state over, and goes on")
def test_a_program_that_stood_still_writes_nothing_once_another_has_its_state(tmp_path: Path) -> None:
    tally = Tally("take-overs")
    takeovers.campaign(tmp_path, 2, tally)
    assert tally.clean, str(tally)
