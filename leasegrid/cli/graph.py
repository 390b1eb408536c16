"""The lease timeline as text for a terminal: members under lease as blocks, chunks done as a line of sparks. Pure."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from leasegrid.cli import shapes, words
from tasklet_runner.coordinator.progress import TimelinePoint

_BLOCKS = " ▁▂▃▄▅▆▇█"
_PLAIN = " .:-=+*##"
_HEIGHT = 5


@dataclass(frozen=True)
class Canvas:
    """Columns that the graph may take, and whether the terminal can show block characters."""

    columns: int = 64
    blocks: bool = True


def render(points: Sequence[TimelinePoint], canvas: Canvas) -> list[str]:
    """The graph as lines without colours; empty for a run without points."""
    if not points:
        return []
    leased = columns(points, lambda point: point.leased, canvas.columns)
    done = columns(points, lambda point: point.done, canvas.columns)
    figures = shapes.figures(points)
    gutter = len(words.count(max(figures.peak_leased, figures.done)))
    shades = _BLOCKS if canvas.blocks else _PLAIN
    corner, rule = ("└", "─") if canvas.blocks else ("+", "-")
    return [
        "members under lease",
        *_area(leased, figures.peak_leased, gutter, shades),
        f"{'0':>{gutter}} {corner}{rule * canvas.columns}",
        f"{'':{gutter}}  {_time_marks(figures.span, canvas.columns)}",
        "chunks done",
        f"{words.count(figures.done):>{gutter}} {_row_edge(shades)}{_row(done, max(figures.done, 1), 0, shades, 1)}",
    ]


def columns(points: Sequence[TimelinePoint], value: Callable[[TimelinePoint], int], how_many: int) -> list[int]:
    """The highest value within each of so many equal parts of the run; the last part shows the value at the end."""
    span = points[-1].seconds or 1.0
    highest = [0] * how_many
    for point, following in zip(points, [*points[1:], points[-1]], strict=True):
        first = min(int(point.seconds / span * how_many), how_many - 1)
        last = min(int(following.seconds / span * how_many), how_many - 1)
        for column in range(first, last + 1):
            highest[column] = max(highest[column], value(point))
    highest[-1] = value(points[-1])
    return highest


def _area(values: list[int], peak: int, gutter: int, shades: str) -> list[str]:
    height = min(_HEIGHT, max(peak, 1))
    rows = []
    for row in range(height - 1, -1, -1):
        label = words.count(peak) if row == height - 1 else ""
        rows.append(f"{label:>{gutter}} {_row_edge(shades)}{_row(values, max(peak, 1), row, shades, height)}".rstrip())
    return rows


def _row_edge(shades: str) -> str:
    return "┤" if shades is _BLOCKS else "|"


def _row(values: list[int], peak: int, row: int, shades: str, height: int) -> str:
    steps = len(shades) - 1
    levels = (-(-value * height * steps // peak) - row * steps for value in values)
    return "".join(shades[max(0, min(steps, level))] for level in levels)


def _time_marks(span: float, width: int) -> str:
    left, right = "0", words.duration(span)
    middle = words.duration(span / 2)
    half = (width - len(middle)) // 2
    return f"{left}{middle:>{half + len(middle) - len(left)}}{right:>{width - half - len(middle)}}"
