"""What a job's status says. Pure."""

from collections.abc import Mapping, Sequence
from typing import Any

from leasegrid.api.enums import ConditionStatus
from leasegrid.rules.job_control import JobVerdict
from leasegrid_operator.leases.status import LONGEST_MESSAGE, written_instant
from tasklet_runner.wire.jobs import ChunkTally, JobReport
from tasklet_runner.wire.leases import Receipt

Status = dict[str, Any]
Said = Sequence[Mapping[str, str]]


def report_status(report: JobReport, *, graph: bool, over: bool) -> Status:
    """The counts of a report. Of a graph with those of each task beside. `over`: the job works no more, as it has ended
    or is suspended; its last coordinator has told of workers that are given back since.
    """
    status: Status = {
        "chunks": _sum(report.stages),
        "workers": 0 if over else report.workers,
        "timeline": [
            {"afterMilliseconds": after, "leased": leased, "running": running, "done": done}
            for after, leased, running, done in report.timeline
        ],
    }
    if graph:
        status["tasks"] = [{"name": one.name, "state": one.state, "chunks": _sum([one])} for one in report.stages]
    elif report.stages:
        # Those of the job's own input; an aggregate has one chunk.
        status["completedIndexes"] = report.stages[0].completed_indexes
        status["failedIndexes"] = report.stages[0].failed_indexes
    if report.ending is not None and report.ending.outputs:
        status["outputs"] = report.ending.outputs
    if report.ending is not None and report.ending.location:
        status["resultLocation"] = report.ending.location
    return status


def queued_chunks(report: JobReport) -> int:
    """How many chunks of stages that run are with no worker yet, as far as their inputs are known."""
    left = (one.total - one.succeeded - one.failed - one.skipped - one.running for one in report.stages if one.running)
    return sum(max(0, one) for one in left)


def receipt_status(receipts: Sequence[Receipt]) -> Status:
    """What all leases of a job left behind in writing, together."""
    return {
        "members": sum(len(one.members) for one in receipts),
        "volumes": sum(one.volumes for one in receipts),
        "tasklets": sum(one.tasklets for one in receipts),
        "bytesWiped": sum(one.scratch_bytes + one.volume_bytes for one in receipts),
        "heldMilliseconds": max((one.held_milliseconds for one in receipts), default=0),
        "releasedInMilliseconds": max((one.released_in_milliseconds for one in receipts), default=0),
        "unverified": sorted({name for one in receipts for name in one.unverified}),
    }


def job_conditions(
    verdicts: Sequence[JobVerdict], before: Said, now: float, generation: int
) -> list[Mapping[str, str | int]]:
    """Conditions for a status: one keeps its transition time while its status is the same, others turn False."""
    known = {one["type"]: one for one in before}
    decided = {one.type.value: _condition(one, known.get(one.type.value, {}), now, generation) for one in verdicts}
    over = {
        kind: _turned_false(one, now, generation)
        for kind, one in known.items()
        if kind not in decided and one["status"] == ConditionStatus.TRUE
    }
    kept = {kind: dict(one) for kind, one in known.items() if kind not in decided and kind not in over}
    return list((kept | over | decided).values())


def _condition(verdict: JobVerdict, before: Mapping[str, str], now: float, generation: int) -> dict[str, str | int]:
    status = ConditionStatus.TRUE if verdict.status else ConditionStatus.FALSE
    since = before["lastTransitionTime"] if before.get("status") == status else written_instant(now)
    return {
        "type": verdict.type.value,
        "status": status.value,
        "reason": str(verdict.reason),
        "message": verdict.message[:LONGEST_MESSAGE],
        "lastTransitionTime": since,
        "observedGeneration": generation,
    }


def _turned_false(before: Mapping[str, str], now: float, generation: int) -> dict[str, str | int]:
    """Suspended after a resume: what held holds no longer."""
    return {
        **before,
        "status": ConditionStatus.FALSE.value,
        "lastTransitionTime": written_instant(now),
        "observedGeneration": generation,
    }


def _sum(stages: Sequence[ChunkTally]) -> Status:
    return {
        "total": sum(max(one.total, 0) for one in stages),
        "succeeded": sum(one.succeeded for one in stages),
        "failed": sum(one.failed for one in stages),
        "retried": sum(one.retried for one in stages),
        "cached": sum(one.cached for one in stages),
        "skipped": sum(one.skipped for one in stages),
    }
