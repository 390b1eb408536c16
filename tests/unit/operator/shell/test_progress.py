"""Liveness: when watches have stalled, and when they have not."""

import pytest

from leasegrid_operator.progress import ASKED_AGAIN_SECONDS, COMES_BACK_SECONDS, WatchProgress
from leasegrid_operator.resources import LEASES, PODS, SECRETS


@pytest.mark.unhappy("a watch stalls: liveness fails")
def test_a_watch_that_is_not_asked_for_again_has_stalled() -> None:
    progress = WatchProgress([LEASES, PODS], 0.0)
    progress.asked(PODS, ASKED_AGAIN_SECONDS)

    assert progress.stalled(ASKED_AGAIN_SECONDS) == ()
    assert progress.stalled(ASKED_AGAIN_SECONDS + 1) == ("the watch of leases was not asked for again for 301 s",)


@pytest.mark.unhappy("a watch stays open and carries nothing: liveness fails")
def test_a_watch_that_does_not_show_our_own_write_has_stalled() -> None:
    progress = WatchProgress([LEASES], 0.0)
    progress.written(LEASES, "8", 10.0)
    progress.written(LEASES, "9", 100.0)

    assert progress.stalled(10.0 + COMES_BACK_SECONDS) == ()
    assert progress.stalled(11.0 + COMES_BACK_SECONDS) == (
        f"the watch of leases has not shown our own writes for {COMES_BACK_SECONDS + 1:.0f} s",
    )


@pytest.mark.parametrize(
    ("written", "seen"),
    [
        pytest.param("8", "8", id="the write itself was seen"),
        pytest.param("8", "9", id="a later change was seen"),
        pytest.param("opaque", "9", id="versions that are no numbers say nothing"),
        pytest.param("", "9", id="a deletion without a version says nothing"),
    ],
)
def test_all_is_well_where(written: str, seen: str) -> None:
    progress = WatchProgress([LEASES], 0.0)
    progress.written(LEASES, written, 1.0)
    progress.seen(LEASES, seen, 2.0)
    progress.asked(LEASES, 10_000.0)

    assert progress.stalled(10_000.0) == ()


def test_a_write_that_changed_nothing_is_not_waited_for() -> None:
    progress = WatchProgress([LEASES], 0.0)
    progress.seen(LEASES, "8", 1.0)
    progress.written(LEASES, "8", 2.0)
    progress.asked(LEASES, 10_000.0)

    assert progress.stalled(10_000.0) == ()


def test_writes_of_kinds_that_are_not_watched_are_not_waited_for() -> None:
    progress = WatchProgress([LEASES], 0.0)
    progress.written(SECRETS, "8", 1.0)

    assert progress.stalled(200.0) == ()
