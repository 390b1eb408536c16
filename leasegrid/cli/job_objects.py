"""Jobs and TaskGraphs as the API server keeps them, in the words that a run on one machine has. Pure."""

import base64
from dataclasses import dataclass
from typing import Any

import msgspec
from pydantic import ValidationError

from leasegrid.api.common import Condition
from leasegrid.api.enums import ConditionStatus
from leasegrid.api.job import Job
from leasegrid.api.job_status import ChunkCounts
from leasegrid.api.loading import read_object
from leasegrid.api.taskgraph import TaskGraph, TaskGraphStatus
from leasegrid.cli.endings import Ending, Output
from leasegrid.cli.lease_objects import seconds_of, unreadable
from leasegrid.rules.graph_planning import plan_graph
from leasegrid.rules.planning import MAIN_STAGE, plan_job
from leasegrid.rules.reasons import ConditionType, JobReason
from leasegrid.rules.unsupported import Place
from leasegrid.rules.uploads import ACCESS, UPLOADED, UPLOADED_BASE
from tasklet_runner.coordinator.progress import Phase, Progress, RunReport, StageProgress, StageState, TimelinePoint
from tasklet_runner.fabric.protocol import Receipt
from tasklet_runner.plan.types import Kind, Plan
from tasklet_runner.wire.decoding import UNREADABLE
from tasklet_runner.wire.errors import InvalidObjectError
from tasklet_runner.wire.jobs import InlineOutput

_PHASES = {
    JobReason.ACQUIRING: Phase.ACQUIRING,
    JobReason.RUNNING: Phase.RUNNING,
    JobReason.RESUMING: Phase.RUNNING,
    JobReason.FINISHING: Phase.FINISHING,
    JobReason.WAITING_FOR_CAPACITY: Phase.WAITING_FOR_CAPACITY,
}
_PLAIN = frozenset({JobReason.RUNNING, JobReason.FINISHING})
"""Reasons whose messages say nothing that the phase does not."""

_STATES = {Phase.COMPLETE: StageState.SUCCEEDED, Phase.FAILED: StageState.FAILED, Phase.STOPPED: StageState.WAITING}


@dataclass(frozen=True)
class JobObject:
    """One Job or TaskGraph. A Job's status is read as a TaskGraph's without tasks."""

    kind: Kind
    plural: str
    name: str
    namespace: str
    uid: str
    annotations: dict[str, str]
    status: TaskGraphStatus
    raw: dict[str, Any]

    def condition(self, kind: ConditionType) -> Condition | None:
        """The condition of that type, if there is one."""
        return next((one for one in self.status.conditions if one.type == kind), None)

    @property
    def ended(self) -> Condition | None:
        """How it ended; None while it has not."""
        found = (self.condition(ConditionType.COMPLETE), self.condition(ConditionType.FAILED))
        return next((one for one in found if one is not None and one.status is ConditionStatus.TRUE), None)

    @property
    def complete(self) -> bool:
        """True when it ended well."""
        return self.ended is not None and self.ended.type == ConditionType.COMPLETE

    @property
    def needs_upload(self) -> bool:
        """True while nothing was run, and nobody has said that its files are in its store."""
        if self.status.coordinator_generation or self.ended is not None or UPLOADED in self.annotations:
            return False
        said = self.condition(ConditionType.PROGRESSING)
        if said is None or said.reason == JobReason.NEEDS_UPLOAD:
            return True
        return said.reason == JobReason.SUSPENDED and ACCESS in self.annotations

    def plan(self) -> Plan:
        """As the operator plans it. Raises InvalidObjectError, UnsupportedError."""
        return plan_of(self.raw)


def read_job(raw: dict[str, Any]) -> JobObject:
    """The object; fields of a newer version are passed over. Raises ClusterError."""
    metadata, kind = raw["metadata"], Kind(raw["kind"])
    try:
        status = TaskGraphStatus.model_validate(raw.get("status") or {}, extra="ignore")
    except ValidationError as error:
        raise unreadable(kind.value, metadata["name"], error) from error
    return JobObject(
        kind=kind,
        plural="jobs" if kind is Kind.JOB else "taskgraphs",
        name=metadata["name"],
        namespace=metadata["namespace"],
        uid=metadata["uid"],
        annotations=metadata.get("annotations") or {},
        status=status,
        raw=raw,
    )


def plan_of(body: dict[str, Any]) -> Plan:
    """The plan of an object with locations as the operator has them. Raises InvalidObjectError, UnsupportedError."""
    found, faults = read_object(body)
    if isinstance(found, Job):
        return plan_job(found, base=UPLOADED_BASE, place=Place.CLUSTER)
    if isinstance(found, TaskGraph):
        return plan_graph(found, base=UPLOADED_BASE, place=Place.CLUSTER)
    raise InvalidObjectError("; ".join(faults), remedy="correct what it names")


def progress_of(job: JobObject, now: float) -> Progress:
    """A snapshot as of one machine. `now`: UNIX seconds."""
    phase, because = _phase(job)
    began, ended = seconds_of(job.status.start_time), seconds_of(job.status.completion_time)
    return Progress(
        phase=phase,
        elapsed=max(0.0, (ended or now) - began) if began is not None else 0.0,
        stages=_stages(job, phase),
        workers=0 if ended is not None else job.status.workers,
        slots=0 if ended is not None else job.status.workers,
        waiting_because=because,
        generation=job.status.coordinator_generation,
    )


def ending_of(job: JobObject, now: float) -> Ending:
    """How it ended, or stands, for summaries, documents and pictures. `now`: UNIX seconds."""
    ended = job.ended or job.condition(ConditionType.PROGRESSING)
    report = RunReport(
        complete=job.complete,
        reason=ended.reason if ended is not None else JobReason.ACQUIRING.value,
        message=ended.message if ended is not None and not job.complete else "",
        progress=progress_of(job, now),
        receipts=_receipts(job),
        timeline=_timeline(job),
    )
    return Ending(job.namespace, job.name, report, outputs=outputs_of(job), kind=job.kind)


def outputs_of(job: JobObject) -> tuple[Output, ...]:
    """The outputs that stand in the object itself. Raises ClusterError: they cannot be read."""
    if not job.status.outputs:
        return ()
    try:
        found = msgspec.json.decode(job.status.outputs, type=list[InlineOutput])
        return tuple(Output(one.index, _data(one), one.task) for one in found)
    except (*UNREADABLE, ValueError) as error:
        raise unreadable(job.kind.value, job.name, error) from error


def _data(output: InlineOutput) -> bytes:
    return base64.b64decode(output.base64) if output.base64 else output.text.encode()


def _phase(job: JobObject) -> tuple[Phase, str]:
    if job.ended is not None:
        return (Phase.COMPLETE if job.complete else Phase.FAILED), ""
    said = job.condition(ConditionType.PROGRESSING)
    if said is None:
        return Phase.PREPARING, ""
    if said.reason == JobReason.SUSPENDED:
        return Phase.STOPPED, said.message
    phase = next((phase for reason, phase in _PHASES.items() if reason == said.reason), Phase.PREPARING)
    return phase, "" if said.reason in _PLAIN else said.message


def _stages(job: JobObject, phase: Phase) -> tuple[StageProgress, ...]:
    if job.kind is Kind.JOB:
        return (_stage(MAIN_STAGE, job.status.chunks, _STATES.get(phase, StageState.RUNNING)),)
    if not job.status.tasks:
        return tuple(StageProgress(name=str(task["name"])) for task in job.raw["spec"]["tasks"])
    return tuple(_stage(one.name, one.chunks, StageState(one.state)) for one in job.status.tasks)


def _stage(name: str, chunks: ChunkCounts, state: StageState) -> StageProgress:
    listed = chunks.total > 0 or state in (StageState.SUCCEEDED, StageState.FAILED, StageState.SKIPPED)
    return StageProgress(
        name=name,
        state=state,
        total=chunks.total if listed else -1,
        succeeded=chunks.succeeded,
        failed=chunks.failed,
        retried=chunks.retried,
        cached=chunks.cached,
        skipped=chunks.skipped,
    )


def _timeline(job: JobObject) -> tuple[TimelinePoint, ...]:
    """The change points, and with the receipt the last of them: when nothing was under lease any more."""
    points = [
        TimelinePoint(one.after_milliseconds / 1000, one.leased, one.running, one.done) for one in job.status.timeline
    ]
    if job.status.receipt is not None and points:
        released = job.status.receipt.released_in_milliseconds / 1000
        points.append(TimelinePoint(points[-1].seconds + released, 0, 0, points[-1].done))
    return tuple(points)


def _receipts(job: JobObject) -> tuple[Receipt, ...]:
    """The object's one, in which members are counted and not named."""
    found = job.status.receipt
    if found is None:
        return ()
    return (
        Receipt(
            lease_uid=job.uid,
            reason="Finished",
            members=tuple(f"{job.name}-{number}" for number in range(found.members)),
            tasklets=found.tasklets,
            volumes=found.volumes,
            volume_bytes=found.bytes_wiped if found.volumes else 0,
            held_milliseconds=found.held_milliseconds,
            released_in_milliseconds=found.released_in_milliseconds,
            unverified=found.unverified,
        ),
    )
