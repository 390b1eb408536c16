"""What a Job's or a TaskGraph's body says, as typed facts."""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Any

from leasegrid.api.job import Job
from leasegrid.api.loading import read_object
from leasegrid.api.taskgraph import TaskGraph
from leasegrid.rules.graph_planning import plan_graph
from leasegrid.rules.job_control import Ended, JobWish
from leasegrid.rules.planning import plan_job
from leasegrid.rules.reasons import ConditionType
from leasegrid.rules.supplies import NOTHING, Needs, needs_of
from leasegrid.rules.timelines import Point, Points
from leasegrid.rules.unsupported import Place
from leasegrid.rules.uploads import ACCESS, FETCHED, UPLOADED, UPLOADED_BASE, local_paths
from leasegrid_operator.resources import ObjectKey
from tasklet_runner.plan.types import Plan
from tasklet_runner.wire.errors import UnsupportedError

Body = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class JobWritten:
    """A job's status as far as it is read again. Instants in UNIX seconds. `access`: the key that was answered last;
    `timeline` and `began`: see `JobTimeline`; of a finished job nothing.
    """

    term: int = 0
    started: float = 0.0
    conditions: tuple[Mapping[str, str], ...] = ()
    finished: Ended | None = None
    access: str = ""
    timeline: Points = ()
    began: int | None = None


@dataclass(frozen=True, slots=True)
class JobFacts:
    """`plan` is None where it cannot be planned; the faults of the wish then say why. `version`: of all of it."""

    key: ObjectKey
    uid: str
    kind: str
    created: float
    wish: JobWish
    plan: Plan | None
    written: JobWritten
    generation: int = 0
    version: str = ""
    annotations: Mapping[str, str] = field(default_factory=dict)
    needs: Needs = NOTHING


def read_job(body: Body, known: JobFacts | None = None) -> JobFacts:
    """The facts. `known`: what was read of this very object before; a spec that is the same is not planned again."""
    metadata = body["metadata"]
    annotations = metadata.get("annotations") or {}
    status = body.get("status") or {}
    # What stands in the object itself, or was copied elsewhere, needs no store any more.
    delivered = status.get("outputs") or status.get("resultLocation")
    written = _written(status, fetched=FETCHED in annotations or bool(delivered))
    if known is not None and known.generation and known.generation == metadata.get("generation"):
        wish = replace(known.wish, missing=_missing(known.plan, annotations), entered=ACCESS in annotations)
        version = metadata.get("resourceVersion", "")
        return replace(known, written=written, annotations=annotations, wish=wish, version=version)
    wish, plan = _planned(body, annotations)
    return JobFacts(
        key=ObjectKey(metadata["namespace"], metadata["name"]),
        uid=metadata["uid"],
        kind=body["kind"],
        created=_instant(metadata["creationTimestamp"]),
        wish=wish,
        plan=plan,
        written=written,
        generation=metadata.get("generation", 0),
        version=metadata.get("resourceVersion", ""),
        annotations=annotations,
        needs=needs_of(plan) if plan is not None else NOTHING,
    )


def _planned(body: Body, annotations: Mapping[str, str]) -> tuple[JobWish, Plan | None]:
    found, faults = read_object(body)
    if not isinstance(found, Job | TaskGraph):
        return JobWish(faults=faults), None
    spec = found.spec
    try:
        plan = _plan(found)
    except UnsupportedError as error:
        return JobWish(faults=(str(error),)), None
    wish = JobWish(
        suspended=spec.suspend,
        deadline_seconds=spec.active_deadline_seconds or 0,
        ttl_seconds_after_finished=spec.ttl_seconds_after_finished,
        retain_seconds=spec.output.retain_seconds,
        missing=_missing(plan, annotations),
        claim=plan.output.claim,
        entered=ACCESS in annotations,
    )
    return wish, plan


def _plan(found: Job | TaskGraph) -> Plan:
    if isinstance(found, Job):
        return plan_job(found, base=UPLOADED_BASE, place=Place.CLUSTER)
    return plan_graph(found, base=UPLOADED_BASE, place=Place.CLUSTER)


def _missing(plan: Plan | None, annotations: Mapping[str, str]) -> tuple[str, ...]:
    return () if plan is None or UPLOADED in annotations else local_paths(plan)


def _written(status: Body, *, fetched: bool) -> JobWritten:
    conditions = tuple(status.get("conditions") or ())
    finished = _finished(conditions, fetched=fetched)
    return JobWritten(
        term=status.get("coordinatorGeneration") or 0,
        started=_instant(status["startTime"]) if status.get("startTime") else 0.0,
        conditions=conditions,
        finished=finished,
        access=(status.get("access") or {}).get("key", ""),
        timeline=() if finished is not None else tuple(map(_point, status.get("timeline") or ())),
        began=status.get("coordinatorAfterMilliseconds"),
    )


def _point(entry: Body) -> Point:
    return entry["afterMilliseconds"], entry["leased"], entry["running"], entry["done"]


def _finished(conditions: tuple[Mapping[str, str], ...], *, fetched: bool) -> Ended | None:
    for one in conditions:
        if one["type"] in (ConditionType.COMPLETE, ConditionType.FAILED) and one["status"] == "True":
            complete = one["type"] == ConditionType.COMPLETE
            at = _instant(one["lastTransitionTime"])
            return Ended(complete, one["reason"], one.get("message", ""), at, fetched=fetched)
    return None


def _instant(text: str) -> float:
    return datetime.fromisoformat(text).timestamp()
