"""Timelines made ready for drawing."""

import pytest

from leasegrid.cli import shapes
from tasklet_runner.coordinator.progress import TimelinePoint

RUN = (
    TimelinePoint(0.0, 0, 0, 0),
    TimelinePoint(1.0, 2, 2, 0),
    TimelinePoint(3.0, 2, 1, 5),
    TimelinePoint(4.0, 0, 0, 6),
)


def test_figures_of_a_run_are_its_span_its_highest_values_and_members_times_seconds() -> None:
    assert shapes.figures(RUN) == shapes.Figures(span=4.0, peak_leased=2, peak_running=2, done=6, member_seconds=6.0)


def test_figures_of_nothing_are_zero() -> None:
    assert shapes.figures(()) == shapes.Figures(0.0, 0, 0, 0, 0.0)


def test_runs_that_follow_each_other_are_one_timeline_whose_done_chunks_add_up() -> None:
    whole = shapes.joined([(0.0, RUN), (10.0, RUN)])

    assert whole[-1] == TimelinePoint(14.0, 0, 0, 12)
    assert [point.seconds for point in whole] == [0.0, 1.0, 3.0, 4.0, 10.0, 11.0, 13.0, 14.0]


def test_runs_without_points_join_to_nothing() -> None:
    assert shapes.joined([(0.0, ()), (1.0, ())]) == ()


def test_steps_name_a_value_only_where_it_changes() -> None:
    assert shapes.steps(RUN, lambda point: point.leased, 0.001) == [(0.0, 0), (1.0, 2), (4.0, 0)]


def test_a_spike_shorter_than_a_pixel_survives_the_thinning() -> None:
    noise = [TimelinePoint(index / 1000, 1 + index % 2, 0, 0) for index in range(1000)]
    spike = TimelinePoint(0.5005, 99, 0, 0)
    series = shapes.steps(sorted([*noise, spike], key=lambda point: point.seconds), lambda point: point.leased, 0.1)

    assert (0.5005, 99) in series
    assert len(series) <= 3 * 11


@pytest.mark.parametrize(
    ("highest", "ticks"),
    [
        pytest.param(0, [0], id="an empty series has its ground line"),
        pytest.param(1, [0, 1], id="one member"),
        pytest.param(4, [0, 1, 2, 3, 4], id="each whole number while they fit"),
        pytest.param(7, [0, 2, 4, 6], id="never above the highest value"),
        pytest.param(1024, [0, 500, 1000], id="round numbers of thousands"),
        pytest.param(100_000, [0, 50_000, 100_000], id="a hundred thousand"),
    ],
)
def test_count_ticks(highest: int, ticks: list[int]) -> None:
    assert shapes.count_ticks(highest) == ticks


@pytest.mark.parametrize(
    ("span", "labels"),
    [
        pytest.param(0.26, ["0", "50", "100", "150", "200", "250"], id="a quarter of a second in milliseconds"),
        pytest.param(7.5, ["0", "1", "2", "3", "4", "5", "6", "7"], id="some seconds"),
        pytest.param(100, ["0", "15", "30", "45", "60", "75", "90"], id="quarters of a minute"),
        pytest.param(1200, ["0", "5", "10", "15", "20"], id="twenty minutes in minutes"),
        pytest.param(5 * 3600, ["0", "1", "2", "3", "4", "5"], id="five hours in hours"),
        pytest.param(60 * 86400, ["0", "192", "384", "576", "768", "960", "1152", "1344"], id="weeks still fit"),
    ],
)
def test_time_ticks_are_round_in_their_unit(span: float, labels: list[str]) -> None:
    unit = shapes.time_unit(span)

    assert [shapes.time_label(tick, unit) for tick in shapes.time_ticks(span)] == labels
