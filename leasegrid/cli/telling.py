"""What a run says: progress and lines for people on stderr, results alone on stdout."""

import json
import resource
import sys
import time
from dataclasses import replace
from pathlib import Path

import click

from leasegrid.cli import reports, summaries, timelines
from leasegrid.cli.endings import Ending
from leasegrid.cli.exits import ExitCode
from leasegrid.cli.requests import RunRequest
from leasegrid.cli.summaries import Line
from leasegrid.cli.timelines import TERMINAL
from leasegrid.cli.views import View
from tasklet_runner.fabric.protocol import Receipt

_TONES: dict[str, dict[str, object]] = {
    "good": {"fg": "green", "bold": True},
    "bad": {"fg": "red"},
    "warning": {"fg": "yellow"},
    "quiet": {"dim": True},
}


class Teller:
    """The voice of one run. `view`: the live progress, while a job runs; lines are shown above it."""

    def __init__(self, request: RunRequest) -> None:
        self._request = request
        self._warnings: list[str] = []
        self.view: View | None = None

    def tell(self, line: str) -> None:
        """A line for people, at once."""
        if self.view is not None:
            self.view.say(line)
        else:
            click.echo(f"leasegrid: {line}", err=True)

    def warn(self, line: str) -> None:
        """A line for people that the JSON document repeats."""
        self._warnings.append(line)
        self.tell(f"warning: {line}")

    def job_ended(self, ending: Ending) -> None:
        """The summary of a job, as soon as it has ended. Outputs of a job that keeps none go to stdout as they are."""
        if self._request.as_json:
            return
        raw = ending.kept is None and ending.exported is None and bool(ending.outputs)
        for line in summaries.lines(replace(ending, outputs=()) if raw else ending, time.time()):
            click.echo(styled(line), err=raw)
        if raw:
            sys.stdout.flush()
            for output in ending.outputs:
                sys.stdout.buffer.write(output.data)
            sys.stdout.buffer.flush()

    def finish(self, ended: list[Ending], receipts: list[Receipt], code: ExitCode | int) -> None:
        """The rest of what there is to say: receipts of the file's own leases, the timeline, the document."""
        if not self._request.as_json:
            for line in summaries.receipt_lines(tuple(receipts)):
                click.echo(styled(line))
        self._draw(ended)
        if self._request.as_json:
            document = reports.document(ended, receipts, self._warnings, ExitCode(code), _footprint())
            click.echo(json.dumps(document))

    def _draw(self, ended: list[Ending]) -> None:
        where = self._request.timeline
        if where == TERMINAL or (where is None and sys.stdout.isatty() and not self._request.as_json):
            timelines.show(ended, err=self._request.as_json)
        elif where is not None:
            timelines.write(ended, Path(where))
            self.tell(f"timeline: {where}")


def _footprint() -> reports.Footprint:
    used = resource.getrusage(resource.RUSAGE_SELF)
    return reports.Footprint(used.ru_maxrss * 1024, used.ru_utime + used.ru_stime)


def styled(line: Line) -> str:
    """The line with its tone, for a terminal."""
    return click.style(line.text, **_TONES[line.tone]) if line.tone else line.text  # type: ignore[arg-type]
