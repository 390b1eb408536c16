"""`leasegrid watch`: a job on a cluster as a run on one machine is shown, until it has ended."""

import asyncio
import time
from collections.abc import Callable, Sequence
from contextlib import aclosing
from dataclasses import dataclass, replace
from pathlib import Path

import msgspec

from leasegrid.cli import endings, exits
from leasegrid.cli.cluster import Cluster
from leasegrid.cli.cluster_runs import tell
from leasegrid.cli.endings import Ending
from leasegrid.cli.fetching import failures_of, fetch
from leasegrid.cli.job_doors import deleted
from leasegrid.cli.job_objects import JobObject, ending_of, progress_of, read_job
from leasegrid.cli.requests import RunRequest
from leasegrid.cli.telling import Teller
from leasegrid.cli.views import open_view
from tasklet_runner.coordinator.progress import Progress
from tasklet_runner.wire.errors import LeaseGridError, NoSuchObjectError

SECONDS_BETWEEN_LOOKS = 0.5
RECEIPT_SECONDS = 5.0
"""The receipt is written once the leases are back, which is after the end."""


@dataclass(frozen=True)
class WatchOptions:
    """What is wanted at the end: outputs in a directory, a picture, a document."""

    results: Path | None = None
    timeline: str | None = None
    as_json: bool = False


async def watch_all(cluster: Cluster, jobs: Sequence[JobObject], options: WatchOptions) -> int:
    """Show the jobs one after the other until all have ended; returns the exit status."""
    teller = Teller(RunRequest((), results=options.results, timeline=options.timeline, as_json=options.as_json))
    ended: list[Ending] = []
    for job in jobs:
        cluster.namespace = job.namespace
        seen = await _watched(cluster, job, teller)
        results = options.results
        if results is not None and len(jobs) > 1:
            results = results / job.name
        ended.append(await _handed_over(cluster, job, ending_of(seen, time.time()), results))
        teller.job_ended(ended[-1])
        _say_next(cluster, seen, ended[-1], options)
    codes = [exits.code_of_report(one.report.complete, one.report.reason, one.trouble) for one in ended]
    teller.finish(ended, [], exits.worst(codes))
    return exits.worst(codes)


def _say_next(cluster: Cluster, job: JobObject, ending: Ending, options: WatchOptions) -> None:
    if job.status.result_location:
        tell(f"{job.name}: its outputs are at {job.status.result_location}")
        return
    kept = endings.total(ending.report.progress.stages).succeeded and not ending.outputs and ending.exported is None
    if kept and not options.as_json:
        tell(f"take them with: {cluster.where.command('results', ending.name, 'DIR', context=cluster.context)}")


async def _watched(cluster: Cluster, job: JobObject, teller: Teller) -> JobObject:
    view = open_view(job.name)
    teller.view = view
    latest = [job]
    showing = asyncio.ensure_future(_show(latest, view.show))
    try:
        await _followed(cluster, latest)
    except asyncio.CancelledError:
        tell(f"{job.name} goes on; end it with: {cluster.where.command('cancel', job.name, context=cluster.context)}")
        raise
    finally:
        showing.cancel()
        view.close(progress_of(latest[0], time.time()))
        teller.view = None
    return latest[0]


async def _show(latest: list[JobObject], show: Callable[[Progress], None]) -> None:
    while True:
        show(progress_of(latest[0], time.time()))
        await asyncio.sleep(SECONDS_BETWEEN_LOOKS)


async def _followed(cluster: Cluster, latest: list[JobObject]) -> None:
    """Until it has ended and its receipt is there, or should be."""
    job = latest[0]
    try:
        await _until(cluster, latest, lambda seen: seen.ended is not None)
        async with asyncio.timeout(RECEIPT_SECONDS):
            await _until(cluster, latest, lambda seen: seen.status.receipt is not None)
    except TimeoutError:
        return
    except NoSuchObjectError:
        # Its time after the end may be over before the receipt was read.
        if latest[0].ended is None:
            raise deleted(job) from None


async def _until(cluster: Cluster, latest: list[JobObject], holds: Callable[[JobObject], bool]) -> None:
    job = latest[0]
    async with aclosing(cluster.follow(job.plural, job.name)) as seen:
        async for raw in seen:
            if raw is None or raw["metadata"]["uid"] != job.uid:
                raise deleted(job)
            latest[0] = read_job(raw)
            if holds(latest[0]):
                return
    raise deleted(job)


async def _handed_over(cluster: Cluster, job: JobObject, ending: Ending, results: Path | None) -> Ending:
    """With the outputs where they are wanted, and with what failed chunks said."""
    counts = endings.total(ending.report.progress.stages)
    try:
        if counts.failed:
            failures = await failures_of(cluster, await _again(cluster, job))
            ending = replace(ending, report=msgspec.structs.replace(ending.report, failures=failures))
        if results is not None and (ending.report.complete or counts.succeeded):
            ending = replace(ending, exported=await fetch(cluster, await _again(cluster, job), results, None))
    except LeaseGridError as error:
        return replace(ending, trouble=str(error) if results is not None else "")
    return ending


async def _again(cluster: Cluster, job: JobObject) -> JobObject:
    return read_job(await cluster.get(job.plural, job.name))
