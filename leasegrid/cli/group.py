"""The group of commands of `leasegrid`, and the one edge at which errors become lines and statuses."""

import os
import signal
import sys
import traceback
from collections.abc import Sequence
from typing import NoReturn, TextIO

import click

from leasegrid.cli.at_once import NOTHING_RAN
from leasegrid.cli.cluster_options import is_plugin
from leasegrid.cli.commands import completion, gc, graph, results, run, timeline, validate, version
from leasegrid.cli.interrupts import StoppedError
from leasegrid.cli.options import Session, verbose_option

_EPILOG = """\b
Exit status:
  0    all is done
  1    some chunks failed, or the tasklet of exec
  2    wrong usage, YAML that is not valid, or an object that is not there
  3    no capacity, a requirement that nothing here can meet, or a lease that has ended
  4    the surroundings: disk full, file unreadable, state directory in use, cluster out of reach
  70   an error in leasegrid itself
  130  interrupted (Ctrl-C); 143 terminated (SIGTERM); 129 terminal closed
"""

_NO_THREAD = "can't start new thread"
"""What the interpreter says, as a RuntimeError, where the operating system has its own word for processes."""


ON_CLUSTER = ("claim", "renew", "release", "terminate", "exec", "leases", "pools", "top", "drain")
JOBS_ON_CLUSTER = ("submit", "watch", "logs", "cancel")
"""Commands that are imported when one of them, or the list of all, is wanted: `run` should start at once."""


class _Commands(click.Group):
    """The commands of this machine, and those of a cluster."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        """The names of all."""
        return sorted([*super().list_commands(ctx), *ON_CLUSTER, *JOBS_ON_CLUSTER])

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """The command of that name."""
        if cmd_name in JOBS_ON_CLUSTER:
            from leasegrid.cli import job_commands

            return next(command for command in job_commands.COMMANDS if command.name == cmd_name)
        if cmd_name not in ON_CLUSTER:
            return super().get_command(ctx, cmd_name)
        from leasegrid.cli.cluster_commands import COMMANDS

        return next(command for command in COMMANDS if command.name == cmd_name)


@click.group(
    cls=_Commands, epilog=_EPILOG, context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100}
)
@verbose_option
def leasegrid() -> None:
    """Compute that exists only while somebody leases it."""


for _command in (run, validate, results, timeline, graph, gc, completion, version):
    leasegrid.add_command(_command)


def command() -> NoReturn:
    """Run the command line of this process and exit."""
    _open_standard_streams()
    status = execute(sys.argv[1:])
    for stream in (sys.stdout, sys.stderr):
        status = _flushed(stream, status)
    sys.exit(status)


def execute(arguments: Sequence[str]) -> int:
    """Run one command line; returns the exit status, having said on stderr what there is to say."""
    session = Session()
    program = "kubectl leasegrid" if is_plugin() else "leasegrid"
    try:
        status = leasegrid.main(list(arguments), prog_name=program, standalone_mode=False, obj=session)
        sys.stdout.flush()
        return int(status or 0)
    except click.ClickException as error:
        error.show()
        return error.exit_code
    except (click.Abort, KeyboardInterrupt, StoppedError) as error:
        click.echo(NOTHING_RAN, err=True)
        return error.status if isinstance(error, StoppedError) else 128 + signal.SIGINT
    except (BrokenPipeError, SystemExit):
        # click makes SystemExit(1) of a broken pipe, which would say here that chunks failed.
        return 128 + signal.SIGPIPE
    except Exception as error:  # noqa: BLE001 - the edge of the process: whatever comes here must become a line and a status
        return _told(error, verbose=session.verbose)


def _open_standard_streams() -> None:
    """A caller may have closed them (`>&-`): the next socket would get their numbers, and be written to."""
    for number, name in enumerate(("stdin", "stdout", "stderr")):
        try:
            os.fstat(number)
        except OSError:
            # The kernel gives the lowest free number, which is this one.
            os.open(os.devnull, os.O_RDWR)
        if getattr(sys, name) is None:
            setattr(sys, name, os.fdopen(number, "w" if number else "r", encoding="utf-8", closefd=False))


def _flushed(stream: TextIO, status: int) -> int:
    """The exit status once what was said is out: a reader that has gone, or a full disk, leaves text that cannot be."""
    try:
        stream.flush()
    except OSError as error:
        # The interpreter flushes at exit and would complain about the same text again.
        os.dup2(os.open(os.devnull, os.O_WRONLY), stream.fileno())
        if status == 0:
            from leasegrid.cli.exits import ExitCode

            return 128 + signal.SIGPIPE if isinstance(error, BrokenPipeError) else ExitCode.ENVIRONMENT
    return status


def _told(error: Exception, *, verbose: bool) -> int:
    # Here and not above: `--help` and completion need none of it and should answer at once.
    from leasegrid.cli.exits import ExitCode, code_of_error
    from tasklet_runner.wire.errors import LeaseGridError

    if isinstance(error, LeaseGridError):
        click.echo(f"leasegrid: {error}", err=True)
        return code_of_error(error)
    if isinstance(error, OSError):
        where = f"{error.filename}: " if error.filename else ""
        click.echo(f"leasegrid: {where}{error.strerror or error}", err=True)
        return code_of_error(error)
    if str(error) == _NO_THREAD:
        click.echo("leasegrid: no more threads may be started (end others, or raise the limit: ulimit -u)", err=True)
        return ExitCode.ENVIRONMENT
    if verbose:
        traceback.print_exception(error)
    name = type(error).__name__
    click.echo(f"leasegrid: a bug: {name}: {error} (please report it with the output of --verbose)", err=True)
    return ExitCode.BUG
