"""The picture of a plan: waves as columns, stages as boxes, what goes between them on the edges. Pure: text out.

What became of a stage is said in words beside its colour, so that nothing is said by colour alone.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from xml.sax.saxutils import escape

from leasegrid.cli import dag, outlines, palette, words
from leasegrid.cli.dag import Cell, Drawing, Edge
from tasklet_runner.coordinator.progress import StageProgress, StageState
from tasklet_runner.plan.types import Plan

_MARGIN = 32.0
_TOP = 128.0
_BOX_WIDTH, _BOX_HEIGHT = 196.0, 76.0
_PASS_HEIGHT = 22.0
_ROW_GAP, _COLUMN_GAP = 26.0, 132.0
_BOTTOM = 34.0
_LEAST_WIDTH = 560.0
_CHARACTER = 6.6
"""How wide a character of the small text is at most, on average."""

_COLOURS = {
    StageState.WAITING: "axis",
    StageState.RUNNING: "running",
    StageState.SUCCEEDED: "done",
    StageState.FAILED: "failed",
    StageState.SKIPPED: "axis",
}

Place = tuple[float, float]


@dataclass(frozen=True)
class Picture:
    """What is drawn: a plan, and what became of its stages when it ran (by name; empty: it has not)."""

    plan: Plan
    subtitle: str
    stages: Mapping[str, StageProgress]


def render(picture: Picture) -> str:
    """One self-contained SVG document: no scripts, no fonts or files from elsewhere."""
    found = dag.drawing(picture.plan)
    tall = max(_height(column) for column in found.columns)
    places = _places(found, tall)
    wide = 2 * _MARGIN + len(found.columns) * (_BOX_WIDTH + _COLUMN_GAP) - _COLUMN_GAP
    body = [
        *_headings(len(found.columns)),
        *(line for edge, way in found.ways for line in _edge(edge, [places[cell] for cell in way])),
        *(line for cell, place in places.items() if not cell.passing for line in _box(picture, cell.name, place)),
    ]
    opening = _opening(picture, max(wide, _LEAST_WIDTH), _TOP + tall + _BOTTOM)
    return "\n".join([*opening, *body, "</svg>", ""])


def _height(column: Sequence[Cell]) -> float:
    return sum(_tall(cell) + _ROW_GAP for cell in column) - _ROW_GAP


def _tall(cell: Cell) -> float:
    return _PASS_HEIGHT if cell.passing else _BOX_HEIGHT


def _places(found: Drawing, tall: float) -> dict[Cell, Place]:
    """The left end of each cell's middle line."""
    places: dict[Cell, Place] = {}
    for number, column in enumerate(found.columns):
        y = _TOP + (tall - _height(column)) / 2
        for cell in column:
            places[cell] = (_MARGIN + number * (_BOX_WIDTH + _COLUMN_GAP), y + _tall(cell) / 2)
            y += _tall(cell) + _ROW_GAP
    return places


def _opening(picture: Picture, wide: float, high: float) -> Iterator[str]:
    title = outlines.title(picture.plan)
    yield (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {wide:g} {high:g}" width="{wide:g}" height="{high:g}"'
        ' role="img" aria-labelledby="title description">'
    )
    yield f'<title id="title">{escape(title)}</title>'
    yield f'<desc id="description">{escape(". ".join([picture.subtitle, *_spoken(picture)]))}</desc>'
    yield f"<style>{palette.style_sheet()}</style>"
    yield f'<rect width="{wide:g}" height="{high:g}" class="fill-paper"/>'
    yield _text((_MARGIN, 46), title, "title fill-ink")
    yield _text((_MARGIN, 72), picture.subtitle, "subtitle fill-soft")


def _spoken(picture: Picture) -> Iterator[str]:
    for number, wave in enumerate(picture.plan.waves, 1):
        for name in wave:
            yield ", ".join([f"Wave {number}: {name}", *_words(picture, name)])


def _text(place: Place, content: str, classes: str, anchor: str = "start") -> str:
    return (
        f'<text x="{place[0]:.1f}" y="{place[1]:.1f}" class="{classes}" text-anchor="{anchor}">{escape(content)}</text>'
    )


def _headings(waves: int) -> Iterator[str]:
    for number in range(waves):
        x = _MARGIN + number * (_BOX_WIDTH + _COLUMN_GAP)
        yield _text((x, _TOP - 18), f"wave {number + 1}", "name fill-soft")


def _edge(edge: Edge, ends: Sequence[Place]) -> Iterator[str]:
    """A curve from the right side of a box to the left side of another; straight where it passes other boxes."""
    x, y = ends[0]
    path = [f"M{x + _BOX_WIDTH:.1f} {y:.1f}"]
    for (left, start), (right, end) in pairwise(ends):
        begin, bend = left + _BOX_WIDTH, _COLUMN_GAP / 2
        path.append(f"C{begin + bend:.1f} {start:.1f} {right - bend:.1f} {end:.1f} {right:.1f} {end:.1f}")
        path.append(f"H{right + _BOX_WIDTH:.1f}")
    path.pop()
    tip, level = ends[-1]
    dashes = "" if edge.reads else ' stroke-dasharray="4 4"'
    yield f'<g aria-label="{escape(edge.source)} to {escape(edge.target)}">'
    yield f'<path d="{"".join(path)}" class="stroke-axis" fill="none" stroke-width="1.5"{dashes}/>'
    yield f'<path d="M{tip:.1f} {level:.1f}l-8 -4v8z" class="fill-axis"/>'
    if edge.label:
        yield _label(edge.label, ends[-2], ends[-1])
    yield "</g>"


def _label(text: str, start: Place, end: Place) -> str:
    """In the middle of the last gap, on a strip of paper."""
    x, y = end[0] - _COLUMN_GAP / 2, (start[1] + end[1]) / 2
    half = len(text) * _CHARACTER / 2
    return f'<rect x="{x - half:.1f}" y="{y - 20:.1f}" width="{2 * half:.1f}" height="16" class="fill-paper"/>' + _text(
        (x, y - 8), text, "fill-soft", "middle"
    )


def _box(picture: Picture, name: str, place: Place) -> Iterator[str]:
    x, y = place[0], place[1] - _BOX_HEIGHT / 2
    stage = picture.stages.get(name)
    colour = "leased" if stage is None else _COLOURS[stage.state]
    first, second = (*_words(picture, name), "")[:2]
    yield f'<g aria-label="{escape(name)}">'
    yield (
        f'<rect x="{x:.1f}" y="{y:.1f}" width="{_BOX_WIDTH:g}" height="{_BOX_HEIGHT:g}" rx="6"'
        f' class="fill-paper stroke-{colour}" stroke-width="1.5"/>'
    )
    yield f'<rect x="{x:.1f}" y="{y:.1f}" width="6" height="{_BOX_HEIGHT:g}" rx="3" class="fill-{colour}"/>'
    yield _text((x + 18, y + 25), _cut(name, 26), "name fill-ink")
    yield _text((x + 18, y + 45), _cut(first, 29), "fill-soft")
    yield _text((x + 18, y + 62), _cut(second, 29), "fill-soft")
    yield "</g>"


def _cut(text: str, most: int) -> str:
    return text if len(text) <= most else f"{text[: most - 1]}…"


def _words(picture: Picture, name: str) -> list[str]:
    """The two lines of a box: before a run what it will do, after it what it did."""
    stage = picture.stages.get(name)
    if stage is None:
        return [outlines.brief(picture.plan, picture.plan.stage(name))]
    return [outlines.state(stage), outlines.counted(stage)]


def subtitle(plan: Plan, stages: Sequence[StageProgress], seconds: float) -> str:
    """The line below the title: how large it is, and how long it took when it ran."""
    size = f"{words.count(len(plan.stages), 'task')} in {words.count(len(plan.waves), 'wave')}"
    if not stages:
        return size
    done = sum(stage.succeeded for stage in stages)
    return f"{size} · {words.count(done, 'chunk')} in {words.duration(seconds)}"
