"""`leasegrid validate`: all faults of the files, or what would run."""

from collections.abc import Iterator

import click

from leasegrid.cli import words
from leasegrid.cli.documents import read_documents
from leasegrid.cli.exits import ExitCode
from leasegrid.cli.preparing import Prepared, prepare
from tasklet_runner.plan.types import CountInput, ItemsInput, Plan, Stage, StageInput


def validate_files(files: tuple[str, ...]) -> int:
    """Print all faults to stderr, or what would run to stdout; returns the exit status."""
    prepared = prepare(read_documents(files))
    if prepared.faults:
        say_faults(prepared)
        return ExitCode.USAGE
    for line in described(prepared):
        click.echo(line)
    return ExitCode.OK


def say_faults(prepared: Prepared) -> None:
    """A line on stderr for each fault, and how many there are."""
    for fault in prepared.faults:
        click.echo(str(fault), err=True)
    click.echo(f"leasegrid: {words.count(len(prepared.faults), 'fault')}, nothing was started", err=True)


def described(prepared: Prepared) -> Iterator[str]:
    """What a run of the files would make and do, a line each."""
    for pool in prepared.pools:
        name = _name(pool.metadata.namespace, pool.metadata.name)
        yield f"InstancePool {name}: {words.count(pool.spec.target_size, 'member')} warm"
    for lease in prepared.leases:
        members = words.count(lease.spec.count, "member")
        yield f"Lease {_name(lease.metadata.namespace, lease.metadata.name)}: {members}"
    for plan in prepared.plans:
        suspended = " (suspended: it does not run)" if plan.suspended else ""
        yield f"Job {_name(plan.namespace, plan.name)}: {stages(plan)}{suspended}"
    for graph in prepared.graphs:
        name = _name(graph.metadata.namespace, graph.metadata.name)
        yield f"TaskGraph {name}: {words.count(len(graph.spec.tasks), 'task')} (this version does not run it)"


def stages(plan: Plan) -> str:
    """The stages of a plan with their chunks, as far as these are known before the input is read."""
    return ", then ".join(f"{stage.name}: {_chunks(stage)}" for stage in plan.stages)


def _chunks(stage: Stage) -> str:
    given = stage.input
    if isinstance(given, StageInput):
        return "1 chunk" if given.gather else "a chunk per output"
    if isinstance(given, CountInput):
        return words.count(given.count, "chunk")
    if given.shards:
        return f"at most {words.count(given.shards, 'chunk')}"
    if isinstance(given, ItemsInput):
        return words.count(len(given.items), "chunk")
    return "as many chunks as its input has"


def _name(namespace: str, name: str) -> str:
    return name if namespace == "default" else f"{namespace}/{name}"
