"""The shape of a run, made ready for drawing: series of steps, thinned to pixels, and ticks for axes. Pure."""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from itertools import pairwise

from tasklet_runner.coordinator.progress import TimelinePoint

_NICE = (1, 2, 5)
_TIME_STEPS = (
    *(nice * 10.0**power for power in range(-3, 1) for nice in _NICE), 10.0, 15.0, 30.0,
    60.0, 120.0, 300.0, 600.0, 900.0, 1800.0,
    3600.0, 7200.0, 14400.0, 21600.0, 43200.0, 86400.0,
)  # fmt: skip


@dataclass(frozen=True)
class TimeUnit:
    """The unit of a time axis: seconds in one unit, and its short name."""

    seconds: float
    name: str


@dataclass(frozen=True)
class Figures:
    """What the points of a run come to: its span in seconds, highest values, the sum of members times seconds."""

    span: float
    peak_leased: int
    peak_running: int
    done: int
    member_seconds: float


def figures(points: Sequence[TimelinePoint]) -> Figures:
    """The figures of a timeline; all are zero for none."""
    if not points:
        return Figures(0.0, 0, 0, 0, 0.0)
    pairs = pairwise(points)
    return Figures(
        span=points[-1].seconds,
        peak_leased=max(point.leased for point in points),
        peak_running=max(point.running for point in points),
        done=max(point.done for point in points),
        member_seconds=sum(before.leased * (after.seconds - before.seconds) for before, after in pairs),
    )


def joined(parts: Iterable[tuple[float, Sequence[TimelinePoint]]]) -> tuple[TimelinePoint, ...]:
    """One timeline of several runs that followed each other; each comes with the second at which it started."""
    whole: list[TimelinePoint] = []
    before = 0
    for offset, points in parts:
        for point in points:
            whole.append(TimelinePoint(offset + point.seconds, point.leased, point.running, before + point.done))
        before = whole[-1].done if whole else 0
    return tuple(whole)


def steps(
    points: Sequence[TimelinePoint], value: Callable[[TimelinePoint], int], seconds_per_column: float
) -> list[tuple[float, int]]:
    """(second, value) pairs of a series whose value holds until its next pair.

    Pairs within one column of the picture are thinned to the lowest, the highest and the last, so that a spike of one
    millisecond stays visible and a long run stays a small file.
    """
    changes: list[tuple[float, int]] = []
    for point in points:
        if not changes or changes[-1][1] != value(point):
            changes.append((point.seconds, value(point)))
    thinned: list[tuple[float, int]] = []
    column: list[tuple[float, int]] = []
    for change in changes:
        if column and int(change[0] / seconds_per_column) != int(column[0][0] / seconds_per_column):
            thinned.extend(_extremes(column))
            column = []
        column.append(change)
    return thinned + _extremes(column)


def _extremes(column: list[tuple[float, int]]) -> list[tuple[float, int]]:
    if len(column) <= 3:
        return column
    lowest = min(range(len(column)), key=lambda position: column[position][1])
    highest = max(range(len(column)), key=lambda position: column[position][1])
    return [column[position] for position in sorted({lowest, highest, len(column) - 1})]


def count_ticks(highest: int, at_most: int = 4) -> list[int]:
    """Whole, round numbers from 0 to at most `highest`, so wide apart that `at_most` of them stand above zero."""
    power = 1
    while True:
        for nice in _NICE:
            step = nice * power
            if highest // step <= at_most:
                return list(range(0, highest + 1, step))
        power *= 10


def time_unit(span: float) -> TimeUnit:
    """The unit in which a run of so many seconds is read most easily."""
    if span < 1:
        return TimeUnit(0.001, "ms")
    if span < 180:
        return TimeUnit(1, "s")
    return TimeUnit(60, "min") if span < 3 * 3600 else TimeUnit(3600, "h")


def time_ticks(span: float, at_most: int = 8) -> list[float]:
    """Seconds of the marks of a time axis: round in their unit, from 0 to at most `span`."""
    step = next((step for step in _TIME_STEPS if span / step <= at_most), _TIME_STEPS[-1])
    while span / step > at_most:
        step *= 2
    return [step * position for position in range(int(span / step + 1e-9) + 1)]


def time_label(seconds: float, unit: TimeUnit) -> str:
    """A mark of a time axis in its unit, without needless decimals."""
    return f"{seconds / unit.seconds:.6g}"
