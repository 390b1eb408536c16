"""`leasegrid validate`: all faults of the files, or what would run."""

from collections.abc import Iterator

import click

from leasegrid.cli import outlines, words
from leasegrid.cli.documents import read_documents
from leasegrid.cli.exits import ExitCode
from leasegrid.cli.preparing import Prepared, prepare
from tasklet_runner.plan.types import Kind, Plan


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
        head, *rest = outlines.lines(plan) if plan.kind is Kind.TASK_GRAPH else [stages(plan)]
        yield f"{outlines.title(plan)}: {head}{' (suspended: it does not run)' if plan.suspended else ''}"
        yield from rest


def stages(plan: Plan) -> str:
    """The stages of a Job's plan with their chunks."""
    return ", then ".join(f"{stage.name}: {outlines.chunks(stage)}" for stage in plan.stages)


def _name(namespace: str, name: str) -> str:
    return name if namespace == "default" else f"{namespace}/{name}"
