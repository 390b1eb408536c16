"""A plan as a layered drawing: a column per wave, its stages one above the other, edges from left to right. Pure.

Method: Sugiyama, Tagawa and Toda, "Methods for visual understanding of hierarchical system structures" (1981). An edge
that crosses a wave gets a place of its own there, so that it runs around the stages; each column is then put in the
order of the mean places of its neighbours, a few times back and forth. The same plan gives the same drawing.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise

from leasegrid.cli.outlines import streamed
from tasklet_runner.plan.types import Plan, StageInput

_SWEEPS = 4


@dataclass(frozen=True)
class Edge:
    """That one stage follows another. `reads`: it reads its outputs too; `label`: how these come, where that is odd."""

    source: str
    target: str
    reads: bool
    label: str = ""


@dataclass(frozen=True)
class Cell:
    """A place in a column: a stage, or (`passing`) where the edges of that stage to later waves pass by, together."""

    wave: int
    name: str
    passing: bool = False


@dataclass(frozen=True)
class Drawing:
    """Columns of cells from left to right and from top to bottom, and each edge with the cells that it runs through."""

    columns: tuple[tuple[Cell, ...], ...]
    ways: tuple[tuple[Edge, tuple[Cell, ...]], ...]


def drawing(plan: Plan) -> Drawing:
    """The layers of a plan."""
    level = {name: number for number, wave in enumerate(plan.waves) for name in wave}
    columns = [[Cell(number, name) for name in wave] for number, wave in enumerate(plan.waves)]
    ways: list[tuple[Edge, tuple[Cell, ...]]] = []
    for edge in edges(plan):
        between = range(level[edge.source] + 1, level[edge.target])
        passed = [Cell(number, edge.source, passing=True) for number in between]
        for cell in passed:
            if cell not in columns[cell.wave]:
                columns[cell.wave].append(cell)
        ends = Cell(level[edge.source], edge.source), Cell(level[edge.target], edge.target)
        ways.append((edge, (ends[0], *passed, ends[1])))
    return Drawing(_ordered(columns, [way for _, way in ways]), tuple(ways))


def edges(plan: Plan) -> Iterator[Edge]:
    """The edges in the order of the stages. Waiting alone is no edge where others imply it."""
    before = _all_before(plan)
    for stage in plan.stages:
        read = stage.input.stages if isinstance(stage.input, StageInput) else ()
        for source in dict.fromkeys((*stage.depends_on, *read)):
            if source not in read and any(source in before[other] for other in stage.depends_on):
                continue
            label = _label(plan, source, stage.input) if source in read else ""
            yield Edge(source, stage.name, source in read, label)


def _all_before(plan: Plan) -> dict[str, frozenset[str]]:
    """For each stage all that is done before it begins, by whatever way."""
    found: dict[str, frozenset[str]] = {}
    for stage in (plan.stage(name) for wave in plan.waves for name in wave):
        found[stage.name] = frozenset(stage.depends_on).union(*(found[other] for other in stage.depends_on))
    return found


def _label(plan: Plan, source: str, given: object) -> str:
    shuffle = plan.stage(source).shuffle
    if shuffle is not None:
        return f"{shuffle.partitions:,} by {shuffle.by.lower()}, {shuffle.medium}{streamed(shuffle)}"
    return "all in one" if isinstance(given, StageInput) and given.gather else ""


def _ordered(columns: list[list[Cell]], ways: list[tuple[Cell, ...]]) -> tuple[tuple[Cell, ...], ...]:
    before: dict[Cell, list[Cell]] = {}
    after: dict[Cell, list[Cell]] = {}
    for left, right in (step for way in ways for step in pairwise(way)):
        before.setdefault(right, []).append(left)
        after.setdefault(left, []).append(right)
    for _ in range(_SWEEPS):
        _sweep(columns, range(1, len(columns)), before)
        _sweep(columns, range(len(columns) - 2, -1, -1), after)
    return tuple(tuple(column) for column in columns)


def _sweep(columns: list[list[Cell]], order: Iterable[int], neighbours: Mapping[Cell, Sequence[Cell]]) -> None:
    place = {cell: where for column in columns for cell, where in _places(column)}
    for number in order:
        wanted = {
            cell: sum(place[other] for other in neighbours[cell]) / len(neighbours[cell])
            if cell in neighbours
            else place[cell]
            for cell in columns[number]
        }
        columns[number].sort(key=wanted.__getitem__)
        place.update(_places(columns[number]))


def _places(column: Sequence[Cell]) -> Iterator[tuple[Cell, float]]:
    """Each cell with its distance from the middle of its column, in rows."""
    return ((cell, number - (len(column) - 1) / 2) for number, cell in enumerate(column))
