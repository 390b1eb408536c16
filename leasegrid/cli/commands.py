"""The commands: options and words. What they do is imported when they are run, so that `--help` answers at once."""

from pathlib import Path
from typing import Unpack

import click

from leasegrid.cli.cluster_options import WhereOptions, cluster_options, local_option, on_cluster, where
from leasegrid.cli.interrupts import ending_at_once
from leasegrid.cli.options import RunOptions, files_argument, json_option, verbose_option

_PATH = click.Path(path_type=Path)
_TIMELINE_ENDINGS = (".svg", ".html")
_DRAWN = "FILE.svg, FILE.html, or - for the terminal."


def checked_timeline(_context: click.Context, _parameter: click.Parameter, value: str | None) -> str | None:
    """The file of a timeline. Raises BadParameter: it is of another kind."""
    if value is None or value == "-" or value.endswith(_TIMELINE_ENDINGS):
        return value
    raise click.BadParameter(f"{value!r} is neither FILE.svg nor FILE.html, nor '-' for the terminal")


def _checked_picture(_context: click.Context, _parameter: click.Parameter, value: str) -> str:
    if value == "-" or value.endswith(".svg"):
        return value
    raise click.BadParameter(f"{value!r} is not FILE.svg, nor '-' for the terminal")


@click.command(short_help="Run the jobs and task graphs of FILE on leased workers of this machine.")
@files_argument
@click.option("--results", type=_PATH, metavar="DIR", help="Write the outputs there, then release the job's store.")
@click.option(
    "--timeline", callback=checked_timeline, metavar="FILE", help="Draw the leases: FILE.svg, FILE.html or -."
)
@json_option
@click.option(
    "--workers", type=click.IntRange(1, 4096), metavar="N", help="Members of the default pool (one per core)."
)
@click.option("--keep-going", is_flag=True, help="Run the jobs that follow one that failed.")
@click.option("--restart", is_flag=True, help="Delete what unfinished runs of the jobs have left, and begin anew.")
@verbose_option
def run(files: tuple[str, ...], **chosen: Unpack[RunOptions]) -> int:
    """Run the jobs and task graphs of FILE (YAML; - is stdin) on leased workers of this machine.

    InstancePools of the file are made first, then its Leases (held until its jobs end; without jobs, until
    Ctrl-C), then its jobs and graphs run in order. Progress goes to stderr, the summary or the JSON document to stdout.

    A job whose last run has not finished, however it ended, goes on where that was; not when it was changed since.
    """
    with ending_at_once():
        from leasegrid.cli.requests import RunRequest
        from leasegrid.cli.running import run_files

    return run_files(RunRequest(files, **chosen))


@click.command()
@files_argument
@verbose_option
def validate(files: tuple[str, ...]) -> int:
    """Check FILE and say all its faults, or what would run."""
    from leasegrid.cli.validating import validate_files

    return validate_files(files)


@click.command(short_help="Write the kept outputs of JOB into DIR.")
@click.argument("job", metavar="[NAMESPACE/]JOB")
@click.argument("directory", type=_PATH, metavar="DIR")
@click.option("--release", is_flag=True, help="Release the store of an interrupted job too: it cannot go on then.")
@click.option("--layout", type=click.Choice(["ByIndex", "ByPath"]), help="Another layout than the job's own.")
@local_option
@cluster_options
@verbose_option
def results(
    job: str, directory: Path, release: bool, layout: str | None, local: bool, **options: Unpack[WhereOptions]
) -> int:
    """Write the kept outputs of JOB into DIR. The store of a finished job is released then.

    With --context (or -n, or as kubectl's plugin): of a job on a cluster.
    """
    from tasklet_runner.plan.types import Layout

    chosen, place = Layout(layout) if layout else None, where(options)
    if on_cluster(place, local=local, named=place.named):
        if release:
            raise click.UsageError("--release is for this machine: on a cluster, wait for the job, or cancel it")
        from leasegrid.cli import job_verbs
        from leasegrid.cli.cluster_runs import run_on_cluster

        return run_on_cluster(place, lambda cluster: job_verbs.results(cluster, job, directory, chosen))
    from leasegrid.cli.exporting import export_kept
    from leasegrid.cli.kept import split_name

    return export_kept(*split_name(job), directory, release=release, layout=chosen)


@click.command(short_help="Draw the leases of JOB, a run whose outputs are kept.")
@click.argument("job", metavar="[NAMESPACE/]JOB")
@click.option("-o", "--output", default="-", callback=checked_timeline, metavar="FILE", help=_DRAWN)
@local_option
@cluster_options
@verbose_option
def timeline(job: str, output: str, local: bool, **options: Unpack[WhereOptions]) -> int:
    """Draw the leases of JOB, a job or graph that ran and whose outputs are still kept.

    A run whose outputs were delivered at once is drawn by `leasegrid run --timeline`. With --context (or -n, or as
    kubectl's plugin): of a job on a cluster, which may still run.
    """
    place = where(options)
    if on_cluster(place, local=local, named=place.named):
        from leasegrid.cli import job_verbs
        from leasegrid.cli.cluster_runs import run_on_cluster

        return run_on_cluster(place, lambda cluster: job_verbs.timeline(cluster, job, output))
    from leasegrid.cli.kept import split_name
    from leasegrid.cli.pictures import draw_timeline

    return draw_timeline(*split_name(job), output)


@click.command(short_help="Draw the tasks of FILE with their waves, and with their times once they ran.")
@files_argument
@click.option("-o", "--output", default="-", callback=_checked_picture, metavar="FILE", help="FILE.svg, or - for text.")
@click.option("--name", metavar="NAME", help="Which one, where the files have several.")
@click.option("--run/--no-run", "ran", default=None, help="With times and counts of the kept run (as far as there is).")
@verbose_option
def graph(files: tuple[str, ...], output: str, name: str | None, ran: bool | None) -> int:
    """Draw the tasks of FILE: waves as columns, with times and counts when a run of the file is kept."""
    from leasegrid.cli.pictures import draw_graph

    return draw_graph(files, output, name=name, ran=ran)


@click.command(short_help="Delete what runs have left on this machine.")
@click.option("--dry-run", is_flag=True, help="Only say what would be deleted.")
@json_option
@verbose_option
def gc(dry_run: bool, as_json: bool) -> int:
    """Delete what is over on this machine: leases that have expired with their volumes, outputs that nobody fetched,
    caches past their retention, directories of runs that died. What is in use is named and kept.

    Nobody need do this: runs and most commands delete the same as they start, and say nothing of it.
    """
    from leasegrid.cli.collecting import collect_garbage

    return collect_garbage(dry_run=dry_run, as_json=as_json)


@click.command()
@click.argument("shell", type=click.Choice(["bash", "zsh", "fish"]))
def completion(shell: str) -> None:
    """Print the completion script of SHELL.

    \b
    bash:  eval "$(leasegrid completion bash)"
    zsh:   eval "$(leasegrid completion zsh)"
    fish:  leasegrid completion fish | source
    """
    from click.shell_completion import get_completion_class

    found = get_completion_class(shell)
    root = click.get_current_context().find_root().command
    if found is not None:
        click.echo(found(root, {}, "leasegrid", "_LEASEGRID_COMPLETE").source())


@click.command()
def version() -> None:
    """Print the version."""
    from importlib.metadata import version as version_of

    click.echo(f"leasegrid {version_of('leasegrid')}")
