"""`leasegrid run` up to the point where anything lives: reads, judges, starts the zygote, imports the rest."""

import asyncio
from pathlib import Path

from leasegrid.cli.documents import read_documents
from leasegrid.cli.exits import ExitCode
from leasegrid.cli.interrupts import raise_on_signals
from leasegrid.cli.limits import check_limits
from leasegrid.cli.places import check_directory, check_file
from leasegrid.cli.preparing import prepare
from leasegrid.cli.requests import RunRequest
from leasegrid.cli.validating import say_faults


def run_files(request: RunRequest) -> int:
    """Run the files of the request; returns the exit status. What is wrong with them is said before anything starts."""
    raise_on_signals()
    prepared = prepare(read_documents(request.files))
    if prepared.faults:
        say_faults(prepared)
        return ExitCode.USAGE
    if request.results is not None:
        check_directory(request.results)
    if request.timeline not in (None, "-"):
        check_file(Path(str(request.timeline)))
    check_limits()
    # Only now, when all is well, and before the imports that follow: both processes import at the same time.
    from leasegrid.cli import early

    with early.started() as launched:
        from leasegrid.cli.sessions import Session

        return asyncio.run(Session(request, prepared, launched).run())
