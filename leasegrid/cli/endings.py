"""How a job ended and what became of its outputs: what summary, document and picture are made from."""

from dataclasses import dataclass

from tasklet_runner.coordinator.progress import RunReport, StageProgress
from tasklet_runner.fabric.protocol import Receipt
from tasklet_runner.plan.types import Kind

INTERRUPTED = "Interrupted"
"""The reason of a run that a signal ended."""


@dataclass(frozen=True)
class Exported:
    """Outputs that were handed over: the path or URI of a directory, its files and their bytes; `chunks`: whose they
    are, where that was counted.
    """

    directory: str
    files: int
    bytes: int
    chunks: int = 0


@dataclass(frozen=True)
class Kept:
    """A store that outlives the command: its directory, its bytes, the UNIX second of its end (0: none)."""

    directory: str
    bytes: int
    until: float


@dataclass(frozen=True)
class Output:
    """The stdout of one chunk of the last stage, or of a task that nobody reads."""

    index: int
    data: bytes
    task: str = ""


@dataclass(frozen=True)
class Ending:
    """One run of a command. `started`: seconds after the command's; `trouble`: why outputs were not handed over;
    `resumes`: how often the job was gone on with by now; `copied`: where spec.output.copyTo led; `again`: the next run
    has only to hand over.
    """

    namespace: str
    name: str
    report: RunReport
    started: float = 0.0
    exported: Exported | None = None
    kept: Kept | None = None
    outputs: tuple[Output, ...] = ()
    trouble: str = ""
    kind: Kind = Kind.JOB
    resumes: int = 0
    copied: Exported | None = None
    again: bool = False

    @property
    def seconds(self) -> float:
        """How long the run took."""
        return self.report.progress.elapsed


def total(stages: tuple[StageProgress, ...], name: str = "all") -> StageProgress:
    """The counts of all stages together; a stage that is still being listed counts with what it has done."""
    return StageProgress(
        name=name,
        total=sum(stage.total if stage.total >= 0 else stage.done for stage in stages),
        succeeded=sum(stage.succeeded for stage in stages),
        failed=sum(stage.failed for stage in stages),
        retried=sum(stage.retried for stage in stages),
        cached=sum(stage.cached for stage in stages),
        skipped=sum(stage.skipped for stage in stages),
        running=sum(stage.running for stage in stages),
        resumed=sum(stage.resumed for stage in stages),
        checkpoints=sum(stage.checkpoints for stage in stages),
        checkpoints_failed=sum(stage.checkpoints_failed for stage in stages),
    )


def members(receipts: tuple[Receipt, ...]) -> int:
    """How many different members the leases of a run have released."""
    return len({member for receipt in receipts for member in receipt.members})


def left_behind(receipts: tuple[Receipt, ...]) -> tuple[str, ...]:
    """Members whose end nobody could verify."""
    return tuple(dict.fromkeys(member for receipt in receipts for member in receipt.unverified))


def volumes(receipts: tuple[Receipt, ...]) -> tuple[int, int]:
    """How many volumes were torn down with the leases of a run, and how many bytes were in them."""
    return sum(receipt.volumes for receipt in receipts), sum(receipt.volume_bytes for receipt in receipts)


def release_seconds(receipts: tuple[Receipt, ...]) -> float:
    """How long the slowest of the releases took."""
    return max((receipt.released_in_milliseconds for receipt in receipts), default=0) / 1000
