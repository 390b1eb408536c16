"""What is done with a job on a cluster: its outputs fetched, its failures and its timeline shown, its end."""

import json
import time
from pathlib import Path

import click

from leasegrid.cli import reports, summaries, timelines, words
from leasegrid.cli.cluster import Cluster
from leasegrid.cli.cluster_runs import tell
from leasegrid.cli.exits import ExitCode
from leasegrid.cli.fetching import failures_of, fetch
from leasegrid.cli.job_objects import JobObject, ending_of, read_job
from leasegrid.cli.places import check_file
from leasegrid.cli.submitting import remove
from leasegrid.cli.telling import styled
from leasegrid.cli.timelines import TERMINAL
from leasegrid.cli.watching import WatchOptions, watch_all
from tasklet_runner.plan.types import Layout
from tasklet_runner.wire.errors import InvalidObjectError, NoSuchObjectError

PLURALS = ("jobs", "taskgraphs")


async def found_job(cluster: Cluster, name: str) -> JobObject:
    """The Job, or else the TaskGraph, of `[NAMESPACE/]JOB`. Raises NoSuchObjectError."""
    namespace, _, name = name.rpartition("/")
    if namespace:
        cluster.namespace = namespace
    for plural in PLURALS:
        try:
            return read_job(await cluster.get(plural, name))
        except NoSuchObjectError:
            continue
    raise NoSuchObjectError(
        f"there is neither a job nor a task graph {name!r} in namespace {cluster.namespace!r} of context "
        f"{cluster.context!r}",
        remedy=f"kubectl get lgjob,lggraph --namespace {cluster.namespace} shows what there is",
    )


async def watch(cluster: Cluster, name: str, options: WatchOptions) -> int:
    """Show it until it has ended; returns the exit status that a run would have."""
    return await watch_all(cluster, [await found_job(cluster, name)], options)


async def results(cluster: Cluster, name: str, directory: Path, layout: Layout | None) -> int:
    """Write the outputs into the directory; the store of a job that has ended is released then."""
    job = await found_job(cluster, name)
    if job.ended is None:
        raise InvalidObjectError(
            f"the {job.kind.value} {job.name!r} has not ended",
            remedy=f"wait for it: {cluster.where.command('watch', name)}",
        )
    exported = await fetch(cluster, job, directory, layout)
    click.echo(f"{job.name}: {words.count(exported.files, 'file')}, {words.size(exported.bytes)} in {directory}")
    click.echo("  its store is released")
    return ExitCode.OK


async def logs(cluster: Cluster, name: str, *, as_json: bool) -> int:
    """Say what its failed chunks ended with, their stderr too; returns the exit status."""
    job = await found_job(cluster, name)
    failures = await failures_of(cluster, job)
    if as_json:
        found = [reports.failure_entry(one) for one in failures]
        click.echo(json.dumps({"context": cluster.context, "name": job.name, "failures": found}))
        return ExitCode.OK
    for failure in failures:
        for line in summaries.failure_lines(failure):
            click.echo(styled(line))
    if not failures:
        tell(f"{job.name}: no chunk has failed")
    return ExitCode.OK


async def timeline(cluster: Cluster, name: str, where: str) -> int:
    """Draw the leases of a job that runs or ran; `where`: FILE.svg, FILE.html, or `-` for the terminal."""
    if where != TERMINAL:
        check_file(Path(where))
    ended = [ending_of(await found_job(cluster, name), time.time())]
    if where == TERMINAL:
        timelines.show(ended)
    else:
        timelines.write(ended, Path(where))
    return ExitCode.OK


async def cancel(cluster: Cluster, name: str, *, as_json: bool) -> int:
    """Delete the object: its leases end at once, and its store with them."""
    job = await found_job(cluster, name)
    await remove(cluster, job)
    done = job.status.chunks.succeeded
    if as_json:
        click.echo(json.dumps({"context": cluster.context, "cancelled": job.name, "uid": job.uid, "succeeded": done}))
        return ExitCode.OK
    how = "had ended; it is deleted" if job.ended is not None else f"cancelled after {words.count(done, 'chunk')}"
    click.echo(f"{job.name}: {how}, and its leases end with it")
    return ExitCode.OK
