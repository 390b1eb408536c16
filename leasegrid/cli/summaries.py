"""The summary of a run for people, as lines. Pure: the printing is done by the command."""

from collections.abc import Iterator
from dataclasses import dataclass

from leasegrid.cli import endings, speech, words
from leasegrid.cli.endings import INTERRUPTED, Ending
from leasegrid.cli.exits import may_go_on
from tasklet_runner.coordinator.progress import ChunkFailure, StageProgress, StageState
from tasklet_runner.fabric.protocol import Receipt
from tasklet_runner.plan.types import Kind

FAILURES_SHOWN = 5
_STDERR_LINES = 8
_BACKTRACE_LINES = 8
_OUTPUT_CHARACTERS = 4096
_TONES = {StageState.FAILED: "bad", StageState.SKIPPED: "warning", StageState.WAITING: "quiet"}


@dataclass(frozen=True)
class Line:
    """One line and its tone: `good`, `bad`, `warning`, `quiet`, or empty for plain text."""

    text: str
    tone: str = ""


def lines(ending: Ending, now: float) -> list[Line]:
    """The whole summary of one job; `now` in UNIX seconds, for "kept until"."""
    return [
        _heading(ending),
        *_stages(ending),
        *_resumed(ending),
        *_failures(ending),
        *_whereabouts(ending, now),
        *receipt_lines(ending.report.receipts),
        *_outputs(ending),
    ]


def _heading(ending: Ending) -> Line:
    span = words.duration(ending.seconds)
    report = ending.report
    if report.complete and not ending.trouble:
        failed = endings.total(report.progress.stages).failed
        but = f", {words.count(failed, 'failed chunk')} allowed by maxFailedChunks" if failed else ""
        return Line(f"{ending.name}: complete in {span}{but}", "good")
    message = f": {report.message}" if report.message else ""
    word = "complete" if report.complete else report.reason
    return Line(f"{ending.name}: {word} after {span}{message}", "bad")


def _stages(ending: Ending) -> Iterator[Line]:
    stages = ending.report.progress.stages
    if ending.kind is Kind.TASK_GRAPH:
        width = max(len(stage.name) for stage in stages)
        yield from (_task(stage, width) for stage in stages)
        return
    for stage in stages:
        yield _counts(stage, "chunks" if len(stages) == 1 else stage.name)


def _task(stage: StageProgress, width: int) -> Line:
    return Line(f"  {stage.name:{width}}  {speech.task(stage)}", _TONES.get(stage.state, ""))


def _counts(stage: StageProgress, label: str) -> Line:
    if stage.total < 0 and not stage.done:
        return Line(f"  {label}: not begun")
    done = f"{words.count(stage.succeeded)} of {words.count(max(stage.total, 0))} succeeded"
    return Line(f"  {label}: {', '.join([done, *speech.exceptions(stage)])}")


def _resumed(ending: Ending) -> Iterator[Line]:
    if before := speech.resumed(ending.report.progress):
        yield Line(f"  {before}")


def _failures(ending: Ending) -> Iterator[Line]:
    known = ending.report.failures
    for failure in known[:FAILURES_SHOWN]:
        yield from failure_lines(failure)
    rest = endings.total(ending.report.progress.stages).failed - min(len(known), FAILURES_SHOWN)
    if known and rest > 0 and all(failure.index >= 0 for failure in known):
        yield Line(f"  and {words.count(rest, 'more failed chunk')} (--json lists up to {len(known)} of them)", "bad")


def failure_lines(failure: ChunkFailure) -> Iterator[Line]:
    """What one failed chunk ended with, and what a person needs to mend it."""
    fault = failure.fault
    tries = "" if failure.attempts <= 1 else f" after {failure.attempts} attempts"
    which = f"chunk {failure.index}" if failure.index >= 0 else "every chunk"
    yield Line(f"  {failure.stage} {which}{tries}: {fault.reason}: {fault.message}", "bad")
    if fault.remedy:
        yield Line(f"    what to do: {fault.remedy}")
    yield from _excerpt("backtrace", list(fault.backtrace), first=True, limit=_BACKTRACE_LINES)
    yield from _excerpt("stderr", fault.stderr.rstrip().splitlines(), first=False, limit=_STDERR_LINES)


def _excerpt(heading: str, content: list[str], *, first: bool, limit: int) -> Iterator[Line]:
    if not content:
        return
    shown = content[:limit] if first else content[-limit:]
    cut = f" ({'first' if first else 'last'} {limit} of {len(content)} lines)" if len(content) > limit else ""
    yield Line(f"    {heading}{cut}:", "quiet")
    for line in shown:
        yield Line(f"      {printable(line)}", "quiet")


def printable(text: str) -> str:
    """The text without control characters, so that a tasklet cannot steer the terminal it is shown on."""
    return "".join(character if character.isprintable() or character == "\t" else "�" for character in text)


def _whereabouts(ending: Ending, now: float) -> Iterator[Line]:
    if ending.exported is not None:
        what = f"{words.count(ending.exported.files, 'file')}, {words.size(ending.exported.bytes)}"
        yield Line(f"  results: {ending.exported.directory} ({what})")
    if ending.copied is not None:
        what = f"{words.count(ending.copied.files, 'file')}, {words.size(ending.copied.bytes)}"
        yield Line(f"  copied: {ending.copied.directory} ({what})")
    if ending.trouble:
        yield Line(f"  results: {ending.trouble}", "bad")
    if ending.kept is None and ending.report.reason == INTERRUPTED:
        yield Line("  kept: nothing, as no chunk was done")
    if ending.kept is not None:
        span = _until(ending.kept.until, now)
        yield Line(f"  kept: {words.size(ending.kept.bytes)} in {ending.kept.directory}{span}")
        yield Line(f"  {_next_step(ending)}", "quiet")


def _until(until: float, now: float) -> str:
    return f" for {words.duration(max(0.0, until - now))}" if until else ""


def _next_step(ending: Ending) -> str:
    job = ending.name if ending.namespace == "default" else f"{ending.namespace}/{ending.name}"
    if may_go_on(ending.report.reason):
        return f"the next run goes on from there; to take what there is: leasegrid results {job} DIR"
    if ending.again:
        return f"the next run copies them, and runs no chunk again; to take them: leasegrid results {job} DIR"
    return f"take them with: leasegrid results {job} DIR"


def receipt_lines(receipts: tuple[Receipt, ...]) -> Iterator[Line]:
    """The receipt of a run's leases in one line: members, volumes and their bytes; a second line names members whose
    end could not be verified.
    """
    if not receipts:
        return
    behind = endings.left_behind(receipts)
    took = words.duration(endings.release_seconds(receipts))
    released = words.count(endings.members(receipts), "member")
    volumes, bytes_gone = endings.volumes(receipts)
    if volumes:
        released += f" and {words.count(volumes, 'volume')} of {words.size(bytes_gone)}"
    yield Line(f"  receipt: released {released} in {took}, {len(behind)} left behind", "warning" if behind else "")
    if behind:
        yield Line(f"    not verified: {words.listed(list(behind))}; each frees itself at its deadline", "warning")


def _outputs(ending: Ending) -> Iterator[Line]:
    for output in ending.outputs:
        text = readable(output.data)
        if text is not None:
            which = "".join(f" {part}" for part in (output.task, output.index) if part != "")
            yield Line(f"  output{'' if len(ending.outputs) == 1 else which}:", "quiet")
            for line in text.splitlines():
                yield Line(f"    {line}")


def readable(data: bytes) -> str | None:
    """The bytes as text that fits into a summary; None when they are long, empty, or not text."""
    if not data.strip() or len(data) > _OUTPUT_CHARACTERS:
        return None
    try:
        text = data.decode()
    except UnicodeDecodeError:
        return None
    plain = "".join(character for character in text if character not in "\n\t\r")
    return text if plain.isprintable() else None
