"""The pure decisions on amounts, as tables."""

import pytest

from tasklet_runner.coordinator.progress import TimelinePoint
from tasklet_runner.coordinator.sizing import frame_tasks, frames_in_flight, mean_after, members_wanted, surplus
from tasklet_runner.coordinator.timeline import Timeline


@pytest.mark.parametrize(
    ("previous", "mean", "backlog", "slots", "tasks"),
    [
        (1, 0.0, 10_000, 2, 1),
        (1, 100.0, 10_000, 2, 2),
        (64, 100.0, 10_000, 2, 128),
        (512, 100.0, 10_000, 2, 150),
        (512, 1.0, 10_000, 2, 512),
        (512, 100.0, 20, 2, 5),
        (512, 100.0, 1, 8, 1),
        (512, 1_000_000.0, 10_000, 2, 1),
        (512, 100.0, 0, 0, 1),
    ],
    ids=[
        "one task while their length is unknown",
        "frames at most double",
        "frames keep doubling",
        "a frame is fifteen milliseconds of work",
        "a frame has a largest number of tasks",
        "the last chunks are shared among the slots",
        "the very last chunk goes alone",
        "a long task goes alone",
        "never less than one",
    ],
)
def test_a_frame_has_as_many_tasks_as(previous: int, mean: float, backlog: int, slots: int, tasks: int) -> None:
    assert frame_tasks(previous, mean, backlog, slots) == tasks


@pytest.mark.parametrize(
    ("mean", "frames"),
    [(0.0, 1), (100.0, 2), (99_999.0, 2), (100_000.0, 1)],
    ids=["unknown length: one", "short tasks: two", "just short enough: two", "long tasks: one"],
)
def test_a_slot_holds_a_second_frame_only_behind_short_tasks(mean: float, frames: int) -> None:
    assert frames_in_flight(mean) == frames


@pytest.mark.parametrize(
    ("parallelism", "remaining", "chunk_slots", "member_slots", "members"),
    [
        (50, -1, 1, 0, 50),
        (50, 10, 1, 1, 10),
        (50, 1000, 1, 4, 13),
        (50, 1000, 2, 4, 25),
        (50, 1000, 3, 2, 50),
        (50, 0, 1, 1, 0),
    ],
    ids=[
        "all that are allowed while nothing is known",
        "no more than chunks remain",
        "members with several slots are fewer",
        "chunks with several slots need more",
        "a chunk larger than a member still counts as one",
        "none when nothing remains",
    ],
)
def test_members_are_wanted(
    parallelism: int, remaining: int, chunk_slots: int, member_slots: int, members: int
) -> None:
    assert members_wanted(parallelism, remaining, chunk_slots, member_slots) == members


@pytest.mark.parametrize(
    ("held", "wanted", "idle", "given_back"),
    [(4, 4, 4, 0), (4, 1, 4, 3), (4, 1, 2, 2), (1, 4, 1, 0)],
    ids=["none that is wanted", "what is above it", "none that works", "none when more are wanted"],
)
def test_surplus_is(held: int, wanted: int, idle: int, given_back: int) -> None:
    assert surplus(held, wanted, idle) == given_back


def test_the_mean_follows_what_tasks_take_now() -> None:
    mean = mean_after(0.0, 1000, 10)
    assert mean == 100.0
    for _ in range(20):
        mean = mean_after(mean, 50_000, 10)
    assert 4900 < mean <= 5000


def test_a_timeline_keeps_changes_only_and_stays_bounded() -> None:
    timeline = Timeline(limit=100)
    for second in range(10_000):
        timeline.note(TimelinePoint(float(second), second // 10, 0, 0))
    points = timeline.points()
    assert 50 <= len(points) <= 100
    assert points[0].leased == 0
    assert points[-1].leased == 999
    assert [point.seconds for point in points] == sorted(point.seconds for point in points)
