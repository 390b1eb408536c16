"""Where progress is shown: redrawn in place on a terminal, as plain lines elsewhere. Both read the same snapshots."""

import sys
from typing import TYPE_CHECKING, Protocol, TextIO

from leasegrid.cli import speech, words
from tasklet_runner.coordinator.progress import Progress, StageState

if TYPE_CHECKING:
    from rich.console import Group, RenderableType
    from rich.table import Table

SECONDS_BETWEEN_LOOKS = 0.1


_WITHOUT_BAR = (StageState.WAITING, StageState.SKIPPED)


class View(Protocol):
    """Something that shows snapshots of one job."""

    def show(self, progress: Progress) -> None:
        """Show what has changed."""
        ...

    def say(self, line: str) -> None:
        """Show a line that stays."""
        ...

    def close(self, progress: Progress) -> None:
        """Show the last snapshot and leave the terminal as it was; a second call does nothing."""
        ...


def open_view(name: str, stream: TextIO | None = None) -> View:
    """The view that fits the stream (standard error by default)."""
    stream = stream if stream is not None else sys.stderr
    return TerminalView(name, stream) if stream.isatty() else LineView(name, stream)


class LineView:
    """Plain lines, one in five seconds and one for each change."""

    def __init__(self, name: str, stream: TextIO) -> None:
        self._name = name
        self._stream = stream
        self._said = speech.Said()

    def show(self, progress: Progress) -> None:
        """Print the lines that are due."""
        lines, self._said = speech.plain_lines(self._name, progress, self._said)
        for line in lines:
            self.say(line)

    def say(self, line: str) -> None:
        """Print a line."""
        print(f"leasegrid: {line}", file=self._stream, flush=True)

    def close(self, progress: Progress) -> None:
        """Print what is still due."""
        self.show(progress)


class TerminalView:
    """A bar per stage and a footer, redrawn in place; notices stand above them and stay."""

    def __init__(self, name: str, stream: TextIO) -> None:
        # Rich takes longer to import than the fabric takes to start: only where there is a terminal to draw on.
        from rich.console import Console
        from rich.live import Live

        self._name = name
        self._console = Console(file=stream)
        self._live = Live(console=self._console, auto_refresh=False, transient=True)
        self._live.start()
        self._notices = 0

    def show(self, progress: Progress) -> None:
        """Redraw."""
        for notice in progress.notices[self._notices :]:
            self.say(f"{self._name}: {notice}")
        self._notices = len(progress.notices)
        self._live.update(drawn(self._name, progress), refresh=True)

    def say(self, line: str) -> None:
        """Print a line above the bars."""
        self._console.print(f"leasegrid: {line}", highlight=False, markup=False)

    def close(self, progress: Progress) -> None:
        """Remove the bars: what stays is the summary."""
        if self._live.is_started:
            self.show(progress)
            self._live.stop()


def drawn(name: str, progress: Progress) -> "Group":
    """The picture of one snapshot for a terminal."""
    from rich.console import Group
    from rich.text import Text

    header = Text.assemble(
        (name, "bold"),
        "  ",
        (speech.phase(progress), "cyan"),
        "  ",
        (words.duration(max(1, int(progress.elapsed))), "dim"),
    )
    footer = Text("  " + " · ".join(speech.workers(progress)), style="dim")
    rows: list[RenderableType] = [header, _bars(progress), footer]
    if before := speech.resumed(progress):
        rows.append(Text(f"  {before}", style="dim"))
    if progress.waiting_because:
        rows.append(Text(f"  waiting: {progress.waiting_because}", style="yellow"))
    return Group(*rows)


def _bars(progress: Progress) -> "Table":
    from rich.progress_bar import ProgressBar
    from rich.table import Table
    from rich.text import Text

    table = Table.grid(padding=(0, 1))
    named, counted = speech.divided(progress.stages)
    for stage in named:
        if stage.state in _WITHOUT_BAR and len(progress.stages) > 1:
            table.add_row(f"  {stage.name}", Text(stage.state.lower(), style="dim"))
            continue
        known = stage.total > 0
        bar = ProgressBar(total=stage.total if known else None, completed=stage.done, width=32, pulse=stage.total < 0)
        share = f"{100 * stage.done // stage.total:>3} %" if known else ""
        odd = Text(", ".join(speech.exceptions(stage)), style="red" if stage.failed else "yellow")
        table.add_row(f"  {stage.name}", bar, speech.position(stage), share, odd)
    for line in counted:
        table.add_row("", Text(line, style="dim"))
    return table
