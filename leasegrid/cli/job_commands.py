"""The commands for jobs on a cluster: options and words. What they do is imported when they are run."""

from pathlib import Path
from typing import Unpack

import click

from leasegrid.cli.cluster_options import WhereOptions, cluster_options, where
from leasegrid.cli.commands import checked_timeline
from leasegrid.cli.options import files_argument, json_option, verbose_option

_job = click.argument("job", metavar="[NAMESPACE/]JOB")
_results = click.option(
    "--results", type=click.Path(path_type=Path), metavar="DIR", help="Write the outputs there, then release the store."
)
_timeline = click.option(
    "--timeline", callback=checked_timeline, metavar="FILE", help="Draw the leases: FILE.svg, FILE.html or -."
)


@click.command(short_help="Run the jobs and task graphs of FILE on a cluster.")
@files_argument
@click.option("-w", "--watch", "stay", is_flag=True, help="Stay until they have ended, as `run` does.")
@_results
@_timeline
@json_option
@cluster_options
@verbose_option
def submit(
    files: tuple[str, ...],
    stay: bool,
    results: Path | None,
    timeline: str | None,
    as_json: bool,
    **options: Unpack[WhereOptions],
) -> int:
    """Make the jobs and task graphs of FILE (YAML; - is stdin) on a cluster, with the files of this machine that they
    name: modules, sources, wheels, inputs, mounts. They stand in the job's own store, equal ones once.

    InstancePools of FILE are made first where they are not there. --results and --timeline imply --watch.
    """
    from leasegrid.cli import submitting
    from leasegrid.cli.cluster_runs import run_on_cluster
    from leasegrid.cli.exits import ExitCode
    from leasegrid.cli.watching import WatchOptions

    stays = stay or results is not None or timeline is not None
    watch = WatchOptions(results, timeline, as_json) if stays else None
    order = submitting.read_order(files, watch, as_json=as_json)
    if order is None:
        return ExitCode.USAGE
    return run_on_cluster(where(options), lambda cluster: submitting.submit(cluster, order))


@click.command(short_help="Show a job of a cluster until it has ended.")
@_job
@_results
@_timeline
@json_option
@cluster_options
@verbose_option
def watch(job: str, results: Path | None, timeline: str | None, as_json: bool, **options: Unpack[WhereOptions]) -> int:
    """Show JOB, a job or task graph of a cluster, until it has ended; exits as `leasegrid run` would. Ctrl-C ends the
    watching alone.
    """
    from leasegrid.cli import job_verbs
    from leasegrid.cli.cluster_runs import run_on_cluster
    from leasegrid.cli.watching import WatchOptions

    wanted = WatchOptions(results, timeline, as_json)
    return run_on_cluster(where(options), lambda cluster: job_verbs.watch(cluster, job, wanted))


@click.command(short_help="Show why chunks of a job of a cluster failed.")
@_job
@json_option
@cluster_options
@verbose_option
def logs(job: str, as_json: bool, **options: Unpack[WhereOptions]) -> int:
    """Show what the failed chunks of JOB ended with, and the end of their stderr."""
    from leasegrid.cli import job_verbs
    from leasegrid.cli.cluster_runs import run_on_cluster

    return run_on_cluster(where(options), lambda cluster: job_verbs.logs(cluster, job, as_json=as_json))


@click.command(short_help="End a job of a cluster, and delete it.")
@_job
@json_option
@cluster_options
@verbose_option
def cancel(job: str, as_json: bool, **options: Unpack[WhereOptions]) -> int:
    """End JOB, a job or task graph of a cluster, and delete it with its outputs. To go on later: spec.suspend."""
    from leasegrid.cli import job_verbs
    from leasegrid.cli.cluster_runs import run_on_cluster

    return run_on_cluster(where(options), lambda cluster: job_verbs.cancel(cluster, job, as_json=as_json))


COMMANDS = (submit, watch, logs, cancel)
