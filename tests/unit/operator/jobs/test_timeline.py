"""The timeline of a job goes on where it was, whichever coordinator tells it and whichever operator listens."""

from leasegrid.rules.timelines import Points
from leasegrid_operator.jobs.timeline import JobTimeline

FIRST: Points = ((0, 0, 0, 0), (100, 3, 3, 0), (5000, 3, 3, 20))
SECOND: Points = ((0, 0, 0, 20), (200, 3, 3, 20), (900, 0, 0, 40))


def _two_coordinators() -> JobTimeline:
    timeline = JobTimeline()
    timeline.begun(50.0)
    timeline.whole(FIRST)
    timeline.over()
    timeline.begun(57.0)
    return timeline


def test_a_second_coordinator_stands_behind_the_first() -> None:
    timeline = _two_coordinators()
    assert timeline.whole(SECOND)[: len(FIRST) + 1] == (*FIRST, (7000, 0, 0, 20))
    assert timeline.began == 7000


def test_an_operator_that_begins_anew_goes_on_with_what_was_written_down() -> None:
    timeline = _two_coordinators()
    written, began = timeline.whole(SECOND[:2]), timeline.began
    assert JobTimeline(written, began, 0.0).whole(SECOND) == timeline.whole(SECOND)


def test_an_operator_that_begins_anew_before_the_second_coordinator_has_told_anything_keeps_the_first() -> None:
    told = JobTimeline(FIRST, None, 0.0).whole(SECOND)
    assert told[: len(FIRST)] == FIRST
    assert told[-1] == (5900, 0, 0, 40)


def test_a_coordinator_that_is_ordered_by_another_operator_stands_where_the_clock_says() -> None:
    timeline = JobTimeline(FIRST, 0, 1000.0)
    timeline.over()
    timeline.begun(1009.0)
    assert timeline.whole(SECOND)[-1] == (9900, 0, 0, 40)


def test_after_coordinators_that_told_nothing_time_begins_with_the_one_that_does() -> None:
    timeline = JobTimeline()
    timeline.begun(50.0)
    timeline.over()
    timeline.begun(90.0)
    assert (timeline.whole(FIRST), timeline.began) == (FIRST, 0)
