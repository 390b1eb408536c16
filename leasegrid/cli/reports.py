"""The JSON document of `leasegrid run --json`: one object, keys in the API's own words. Pure."""

import base64
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from leasegrid.cli import endings, shapes
from leasegrid.cli.endings import Ending, Output
from leasegrid.cli.exits import ExitCode
from tasklet_runner.coordinator.progress import ChunkFailure, StageProgress
from tasklet_runner.fabric.protocol import Receipt
from tasklet_runner.plan.types import Kind


@dataclass(frozen=True)
class Footprint:
    """What the command's own process has used, the coordinator in it: bytes at its peak, seconds of CPU."""

    peak_memory: int = 0
    cpu_seconds: float = 0.0


def document(
    jobs: Sequence[Ending], leases: Sequence[Receipt], warnings: Sequence[str], code: ExitCode, footprint: Footprint
) -> dict[str, Any]:
    """The whole document: jobs in order, receipts of the file's own leases, warnings, footprint and exit status."""
    return {
        "process": {"peakMemoryBytes": footprint.peak_memory, "cpuSeconds": round(footprint.cpu_seconds, 4)},
        "jobs": [_job(ending) for ending in jobs],
        "leases": [_receipt(receipt) for receipt in leases],
        "warnings": list(warnings),
        "exitCode": int(code),
    }


def _job(ending: Ending) -> dict[str, Any]:
    report = ending.report
    return {
        "kind": ending.kind.value,
        "namespace": ending.namespace,
        "name": ending.name,
        "complete": report.complete,
        "reason": report.reason,
        "message": report.message,
        "chunks": _counts(endings.total(report.progress.stages)),
        "checkpoints": _checkpoints(endings.total(report.progress.stages)),
        "coordinatorGeneration": report.progress.generation,
        "resumedChunks": endings.total(report.progress.stages).resumed,
        "resumeCount": ending.resumes,
        "stages": [{"name": stage.name, **_times(stage), **_counts(stage)} for stage in report.progress.stages],
        **_indexes(ending),
        **_tasks(ending),
        "failures": [failure_entry(one) for one in report.failures],
        "results": _results(ending),
        "outputs": [_output(output) for output in ending.outputs],
        "receipt": _receipts(report.receipts),
        "figures": _figures(ending),
        "timeline": [[round(point.seconds, 4), point.leased, point.running, point.done] for point in report.timeline],
    }


def _indexes(ending: Ending) -> dict[str, str]:
    """As in the status of a Job; a TaskGraph has none, as each of its tasks counts from 0."""
    if ending.kind is not Kind.JOB:
        return {}
    return {"completedIndexes": ending.report.indexes.completed, "failedIndexes": ending.report.indexes.failed}


def _tasks(ending: Ending) -> dict[str, Any]:
    """As in the status of a TaskGraph; a Job has none."""
    if ending.kind is Kind.JOB:
        return {}
    stages = ending.report.progress.stages
    return {"tasks": [{"name": one.name, "state": one.state.value, "chunks": _counts(one)} for one in stages]}


def _times(stage: StageProgress) -> dict[str, float | None]:
    """Seconds since the run's start; None for what has not happened."""
    instants = {"beganSeconds": stage.began, "endedSeconds": stage.ended}
    return {name: round(seconds, 4) if seconds >= 0 else None for name, seconds in instants.items()}


def _counts(stage: StageProgress) -> dict[str, int]:
    return {
        "total": stage.total,
        "succeeded": stage.succeeded,
        "failed": stage.failed,
        "retried": stage.retried,
        "cached": stage.cached,
        "skipped": stage.skipped,
    }


def _checkpoints(stage: StageProgress) -> dict[str, int]:
    return {"kept": stage.checkpoints, "failed": stage.checkpoints_failed}


def failure_entry(failure: ChunkFailure) -> dict[str, Any]:
    """One failed chunk."""
    fault = failure.fault
    return {
        "stage": failure.stage,
        "index": failure.index,
        "chunkId": failure.chunk_id,
        "attempts": failure.attempts,
        "fault": fault.kind.value,
        "reason": fault.reason,
        "message": fault.message,
        "remedy": fault.remedy,
        "exitCode": fault.exit_code,
        "trap": fault.trap,
        "fuelUsed": fault.fuel_used,
        "backtrace": list(fault.backtrace),
        "stderr": fault.stderr,
    }


def _results(ending: Ending) -> dict[str, Any]:
    exported, kept = ending.exported, ending.kept
    return {
        "directory": exported.directory if exported else None,
        "files": exported.files if exported else 0,
        "bytes": exported.bytes if exported else 0,
        "copiedTo": ending.copied.directory if ending.copied else None,
        "copiedFiles": ending.copied.files if ending.copied else 0,
        "copiedBytes": ending.copied.bytes if ending.copied else 0,
        "keptIn": kept.directory if kept else None,
        "keptBytes": kept.bytes if kept else 0,
        "keptUntil": kept.until if kept and kept.until else None,
        "trouble": ending.trouble,
    }


def _output(output: Output) -> dict[str, Any]:
    """As text where the bytes are UTF-8, else in base64: one of the two keys, never both."""
    which = {"task": output.task} if output.task else {}
    try:
        return {**which, "index": output.index, "stdout": output.data.decode()}
    except UnicodeDecodeError:
        return {**which, "index": output.index, "stdoutBase64": base64.b64encode(output.data).decode()}


def _receipts(receipts: tuple[Receipt, ...]) -> dict[str, Any]:
    return {
        "members": endings.members(receipts),
        "unverified": list(endings.left_behind(receipts)),
        "releasedInMilliseconds": max((receipt.released_in_milliseconds for receipt in receipts), default=0),
        "tasklets": sum(receipt.counters.tasklets for receipt in receipts),
        "fuelUsed": sum(receipt.counters.fuel_used for receipt in receipts),
        "scratchBytes": sum(receipt.scratch_bytes for receipt in receipts),
        "volumes": endings.volumes(receipts)[0],
        "volumeBytes": endings.volumes(receipts)[1],
        "leases": [_receipt(receipt) for receipt in receipts],
    }


def _receipt(receipt: Receipt) -> dict[str, Any]:
    return {
        "lease": receipt.lease_uid,
        "reason": receipt.reason,
        "members": list(receipt.members),
        "heldMilliseconds": receipt.held_milliseconds,
        "releasedInMilliseconds": receipt.released_in_milliseconds,
        "scratchBytes": receipt.scratch_bytes,
        "volumes": receipt.volumes,
        "volumeBytes": receipt.volume_bytes,
        "unverified": list(receipt.unverified),
    }


def _figures(ending: Ending) -> dict[str, Any]:
    figures = shapes.figures(ending.report.timeline)
    stages = endings.total(ending.report.progress.stages)
    done = max(0, stages.succeeded - stages.resumed)
    return {
        "seconds": round(ending.seconds, 4),
        "chunksPerSecond": round(done / ending.seconds, 2) if ending.seconds > 0 else 0.0,
        "peakMembers": figures.peak_leased,
        "memberSeconds": round(figures.member_seconds, 3),
    }
