"""`leasegrid timeline` and `leasegrid graph`: pictures of what ran, and of what would run."""

import asyncio
from pathlib import Path

import click

from leasegrid.cli import dag_svg, outlines, timelines
from leasegrid.cli.documents import read_documents
from leasegrid.cli.endings import Ending
from leasegrid.cli.exits import ExitCode
from leasegrid.cli.kept import KeptRun, hold_kept, with_kept
from leasegrid.cli.places import check_file
from leasegrid.cli.preparing import prepare
from leasegrid.cli.timelines import TERMINAL
from leasegrid.cli.validating import say_faults
from leasegrid.local.state import StateDirectory
from tasklet_runner.coordinator.progress import RunReport
from tasklet_runner.plan.types import Plan
from tasklet_runner.wire.errors import NoSuchObjectError, StateDirectoryError


def draw_timeline(namespace: str, name: str, where: str) -> int:
    """Draw the leases of a run that the state directory keeps; `where`: FILE.svg, FILE.html, or `-` for the terminal.

    Raises StateDirectoryError: nothing of it is kept.
    """
    _check(where)
    plan, report = _kept(namespace, name)
    if report is None:
        raise StateDirectoryError(
            f"the run of {namespace}/{name} was killed before it could write down its timeline",
            remedy="run it again: it goes on from what is kept",
        )
    ended = [Ending(namespace, name, report, kind=plan.kind)]
    if where == TERMINAL:
        timelines.show(ended)
    else:
        timelines.write(ended, Path(where))
    return ExitCode.OK


def draw_graph(files: tuple[str, ...], where: str, *, name: str | None, ran: bool | None) -> int:
    """Draw the plan of the one job or graph of the files, or of that `name`; `where`: FILE.svg, or `-` for text.

    `ran`: with what became of it (None: when the state directory keeps that). Returns the exit status.
    """
    _check(where)
    prepared = prepare(read_documents(files))
    if prepared.faults:
        say_faults(prepared)
        return ExitCode.USAGE
    plan = _chosen(prepared.plans, name)
    report = _report_of(plan, needed=bool(ran)) if ran is not False else None
    stages = report.progress.stages if report is not None else ()
    by_name = {stage.name: stage for stage in stages}
    if where == TERMINAL:
        head, *rest = outlines.lines(plan, by_name)
        for line in (f"{outlines.title(plan)}: {head}", *rest):
            click.echo(line)
    else:
        subtitle = dag_svg.subtitle(plan, stages, report.progress.elapsed if report is not None else 0.0)
        Path(where).write_text(dag_svg.render(dag_svg.Picture(plan, subtitle, by_name)), encoding="utf-8")
    return ExitCode.OK


def _check(where: str) -> None:
    if where != TERMINAL:
        check_file(Path(where))


def _chosen(plans: tuple[Plan, ...], name: str | None) -> Plan:
    found = [plan for plan in plans if name in (None, plan.name)]
    if len(found) == 1:
        return found[0]
    there = ", ".join(plan.name for plan in plans) or "none"
    which = "more than one job or graph" if found else f"no job or graph {name or ''}".rstrip()
    raise NoSuchObjectError(f"there is {which} in the files, which have: {there}", remedy="name one with --name")


def _report_of(plan: Plan, *, needed: bool) -> RunReport | None:
    """What is kept of a run of this very plan."""
    try:
        kept, report = _kept(plan.namespace, plan.name)
    except StateDirectoryError:
        if needed:
            raise
        return None
    if kept == plan and report is not None:
        return report
    if needed:
        raise StateDirectoryError(
            f"what is kept of {plan.namespace}/{plan.name} is the run of another plan, or was killed",
            remedy="run the file again",
        )
    return None


def _kept(namespace: str, name: str) -> tuple[Plan, RunReport | None]:
    state = StateDirectory.default()
    try:
        volume = hold_kept(state, namespace, name)
        try:
            return asyncio.run(with_kept(volume, _told))
        finally:
            volume.release()
    finally:
        state.close()


async def _told(run: KeptRun) -> tuple[Plan, RunReport | None]:
    return run.plan, run.report
