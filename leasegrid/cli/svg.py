"""The lease-count graph of a run as an SVG picture: a panel per series over one time axis. Pure: points in, text out.

Each panel is named in words beside its colour, so that nothing is said by colour alone.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from xml.sax.saxutils import escape

from leasegrid.cli import palette, shapes, words
from tasklet_runner.coordinator.progress import TimelinePoint

WIDTH = 960
_MARGIN = 32.0
_LEFT, _RIGHT = 84.0, 928.0
_FIRST_PANEL = 116.0
_PANEL_GAP = 48.0
_AXIS_ROOM = 66.0
_SECONDS_PER_COLUMN_AT_LEAST = 1e-6
_AFTERWARDS = 1.03
"""The time axis goes on a little past the end of the run, so that the fall to zero is seen as one."""


@dataclass(frozen=True)
class Picture:
    """What is drawn: a title, a line below it, and the points of the run."""

    title: str
    subtitle: str
    points: Sequence[TimelinePoint]


@dataclass(frozen=True)
class _Panel:
    """One series: its name, its colour, its value at a point, how its highest value is said, the panel's height."""

    name: str
    colour: str
    value: Callable[[TimelinePoint], int]
    summary: str
    height: float


_PANELS = (
    _Panel("members under lease", "leased", lambda point: point.leased, "at most {}", 168.0),
    _Panel("chunks running", "running", lambda point: point.running, "at most {}", 72.0),
    _Panel("chunks done", "done", lambda point: point.done, "{} in all", 96.0),
)


@dataclass(frozen=True)
class _Frame:
    """Where a panel stands, and what its edges mean: seconds of the whole axis, highest value."""

    top: float
    height: float
    span: float
    highest: int

    @property
    def bottom(self) -> float:
        return self.top + self.height

    def x(self, seconds: float) -> float:
        return _LEFT + (_RIGHT - _LEFT) * min(seconds / self.span, 1.0)

    def y(self, value: float) -> float:
        return self.bottom - self.height * value / self.highest


def render(picture: Picture) -> str:
    """The picture as one self-contained SVG document: no scripts, no fonts or files from elsewhere."""
    span = _AFTERWARDS * shapes.figures(picture.points).span or 1.0
    body: list[str] = []
    top = _FIRST_PANEL
    for panel in _PANELS:
        body.extend(_panel(panel, picture.points, span, top))
        top += panel.height + _PANEL_GAP
    bottom = top - _PANEL_GAP
    return "\n".join([*_opening(picture, bottom + _AXIS_ROOM), *body, *_time_axis(span, bottom), "</svg>", ""])


def _opening(picture: Picture, height: float) -> list[str]:
    return [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {height:g}" width="{WIDTH}" height="{height:g}"'
        ' role="img" aria-labelledby="title description">',
        f'<title id="title">{escape(picture.title)}</title>',
        f'<desc id="description">{escape(picture.subtitle)}</desc>',
        f"<style>{palette.style_sheet()}</style>",
        f'<rect width="{WIDTH}" height="{height:g}" class="fill-paper"/>',
        _text((_MARGIN, 46), picture.title, "title fill-ink"),
        _text((_MARGIN, 72), picture.subtitle, "subtitle fill-soft"),
    ]


def _text(place: tuple[float, float], content: str, classes: str, anchor: str = "start") -> str:
    x, y = place
    return f'<text x="{x:.1f}" y="{y:.1f}" class="{classes}" text-anchor="{anchor}">{escape(content)}</text>'


def _panel(panel: _Panel, points: Sequence[TimelinePoint], span: float, top: float) -> list[str]:
    peak = max((panel.value(point) for point in points), default=0)
    frame = _Frame(top, panel.height, span, max(peak, 1))
    series = shapes.steps(points, panel.value, max(span / (_RIGHT - _LEFT), _SECONDS_PER_COLUMN_AT_LEAST))
    return [
        f'<g aria-label="{panel.name}">',
        _text((_MARGIN, top - 14), panel.name, f"name fill-{panel.colour}"),
        _text((_RIGHT, top - 14), panel.summary.format(words.count(peak)), "fill-soft", "end"),
        *_grid(frame),
        *_curve(panel, frame, series),
        "</g>",
    ]


def _grid(frame: _Frame) -> list[str]:
    marks = []
    for tick in shapes.count_ticks(frame.highest):
        y = frame.y(tick)
        colour = "axis" if tick == 0 else "grid"
        marks.append(f'<path d="M{_LEFT:.1f} {y:.1f}H{_RIGHT:.1f}" class="stroke-{colour}" fill="none"/>')
        marks.append(_text((_LEFT - 10, y + 4), words.count(tick), "fill-soft", "end"))
    return marks


def _curve(panel: _Panel, frame: _Frame, series: list[tuple[float, int]]) -> list[str]:
    if not series:
        return []
    corners = [f"M{frame.x(series[0][0]):.1f} {frame.y(series[0][1]):.1f}"]
    for seconds, value in series[1:]:
        corners.append(f"H{frame.x(seconds):.1f}V{frame.y(value):.1f}")
    line = "".join(corners) + f"H{_RIGHT:.1f}"
    area = f"{line}V{frame.bottom:.1f}H{frame.x(series[0][0]):.1f}Z"
    return [
        f'<path d="{area}" class="fill-{panel.colour}" fill-opacity="0.16"/>',
        f'<path d="{line}" class="stroke-{panel.colour}" fill="none" stroke-width="2" stroke-linejoin="round"/>',
    ]


def _time_axis(span: float, bottom: float) -> list[str]:
    unit = shapes.time_unit(span)
    frame = _Frame(bottom, 1.0, span, 1)
    marks = []
    for tick in shapes.time_ticks(span):
        x = frame.x(tick)
        marks.append(f'<path d="M{x:.1f} {bottom:.1f}v6" class="stroke-axis" fill="none"/>')
        marks.append(_text((x, bottom + 21), shapes.time_label(tick, unit), "fill-soft", "middle"))
    return [*marks, _text((_RIGHT, bottom + 44), f"time since the start, in {unit.name}", "fill-soft", "end")]
