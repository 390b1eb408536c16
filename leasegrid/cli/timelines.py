"""The lease timeline of runs: in the terminal, as SVG, or as a page with figures."""

import sys
from collections.abc import Sequence
from pathlib import Path

import click

from leasegrid.cli import endings, graph, outlines, shapes, svg, words
from leasegrid.cli.endings import Ending
from leasegrid.cli.page import Table
from leasegrid.cli.page import render as render_page
from tasklet_runner.coordinator.progress import TimelinePoint
from tasklet_runner.plan.types import Kind

TERMINAL = "-"


def show(ended: Sequence[Ending], *, err: bool = False) -> None:
    """Print the timeline as text, to stdout or (`err`) to stderr."""
    blocks = (sys.stdout.encoding or "").lower().startswith("utf")
    for line in graph.render(_points(ended), graph.Canvas(blocks=blocks)):
        click.echo(line, err=err)


def write(ended: Sequence[Ending], path: Path) -> None:
    """Write the picture, or the page when the path ends in .html. Raises OSError."""
    picture = _picture(ended)
    if path.suffix == ".html":
        path.write_text(
            render_page(picture, [table for ending in ended for table in _tables(ending)]), encoding="utf-8"
        )
    else:
        path.write_text(svg.render(picture), encoding="utf-8")


def _points(ended: Sequence[Ending]) -> tuple[TimelinePoint, ...]:
    return shapes.joined((ending.started, ending.report.timeline) for ending in ended)


def _picture(ended: Sequence[Ending]) -> svg.Picture:
    points = _points(ended)
    figures = shapes.figures(points)
    receipts = tuple(receipt for ending in ended for receipt in ending.report.receipts)
    subtitle = [
        f"{words.count(figures.done, 'chunk')} in {words.duration(figures.span)}",
        f"up to {words.count(figures.peak_leased, 'member')} under lease",
        f"{figures.member_seconds:,.1f} member-seconds",
        f"{words.count(endings.members(receipts), 'member')} released",
        f"{len(endings.left_behind(receipts))} left behind",
    ]
    return svg.Picture(", ".join(ending.name for ending in ended) or "no job", " · ".join(subtitle), points)


def _tables(ending: Ending) -> list[Table]:
    stages = ending.report.progress.stages
    tasks = [(stage.name, f"{outlines.state(stage)}, {outlines.counted(stage)}") for stage in stages]
    return [_table(ending), *([Table("tasks", tasks)] if ending.kind is Kind.TASK_GRAPH else [])]


def _table(ending: Ending) -> Table:
    counts = endings.total(ending.report.progress.stages)
    figures = shapes.figures(ending.report.timeline)
    receipts = ending.report.receipts
    behind = endings.left_behind(receipts)
    volumes, volume_bytes = endings.volumes(receipts)
    rows = [
        ("how it ended", ": ".join(filter(None, (ending.report.reason, ending.report.message)))),
        ("time", words.duration(ending.seconds)),
        ("chunks", words.count(counts.total)),
        ("succeeded", words.count(counts.succeeded)),
        ("of these from the cache", words.count(counts.cached)),
        ("failed", words.count(counts.failed)),
        ("retries", words.count(counts.retried)),
        ("chunks per second", words.rate(counts.succeeded / ending.seconds if ending.seconds else 0.0)),
        ("most members under lease", words.count(figures.peak_leased)),
        ("members under lease, times seconds", f"{figures.member_seconds:,.1f}"),
        ("leases", words.count(len(receipts))),
        ("members released", words.count(endings.members(receipts))),
        ("volumes torn down", f"{words.count(volumes)} of {words.size(volume_bytes)}"),
        ("slowest release", words.duration(endings.release_seconds(receipts))),
        ("left behind", ", ".join(behind) or "0"),
    ]
    return Table(f"{ending.namespace}/{ending.name}", rows)
