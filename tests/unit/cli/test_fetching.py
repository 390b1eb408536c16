"""A store is released for outputs that are all here, and for no less."""

from typing import Any

import msgspec
import pytest

from leasegrid.cli.endings import Exported
from leasegrid.cli.fetching import require_all
from leasegrid.cli.job_objects import read_job
from tasklet_runner.plan.types import Item, ItemsInput, Kind, Plan, Source, Stage, TaskletPlan
from tasklet_runner.wire.errors import StoreError
from tasklet_runner.wire.programs import Language
from tests.support.shuffled_plans import mapper, planned, reader

TASKLET = TaskletPlan(name="t", language=Language.WASM, source=Source(inline=""))
ITEMS = ItemsInput(items=(Item(value="a"),))
JOB = planned(Stage(name="main", tasklet=TASKLET, input=ITEMS))
GRAPH = planned(mapper(TASKLET, ITEMS), reader(TASKLET))

OF_JOB = {"chunks": {"total": 3, "succeeded": 2, "failed": 1}}
OF_GRAPH = {
    "chunks": {"total": 6, "succeeded": 6},
    "tasks": [
        {"name": "map", "state": "Succeeded", "chunks": {"total": 4, "succeeded": 4}},
        {"name": "reduce", "state": "Succeeded", "chunks": {"total": 2, "succeeded": 2}},
    ],
}


def require(plan: Plan, kind: Kind, status: dict[str, Any], chunks: int) -> None:
    """Of a job with this status so many chunks were written."""
    metadata = {"name": "j", "namespace": "lab", "uid": "u"}
    job = read_job({"kind": kind.value, "metadata": metadata, "spec": {"tasks": []}, "status": status})
    require_all(job, msgspec.structs.replace(plan, kind=kind), Exported("out", files=chunks, bytes=1, chunks=chunks))


@pytest.mark.parametrize(
    ("plan", "kind", "status", "chunks"),
    [
        pytest.param(JOB, Kind.JOB, OF_JOB, 2, id="each chunk that succeeded"),
        pytest.param(JOB, Kind.JOB, OF_JOB, 3, id="more than the status counts yet"),
        pytest.param(GRAPH, Kind.TASK_GRAPH, OF_GRAPH, 2, id="the tasks of a graph that nobody reads"),
    ],
)
def test_outputs_that_are_all_here_are_taken(plan: Plan, kind: Kind, status: dict[str, Any], chunks: int) -> None:
    require(plan, kind, status, chunks)


@pytest.mark.unhappy("a job's store gives fewer outputs than chunks have succeeded: it is kept")
@pytest.mark.parametrize(
    ("plan", "kind", "status", "chunks"),
    [
        pytest.param(JOB, Kind.JOB, OF_JOB, 0, id="none at all"),
        pytest.param(JOB, Kind.JOB, OF_JOB, 1, id="one is missing"),
        pytest.param(GRAPH, Kind.TASK_GRAPH, OF_GRAPH, 1, id="one of a graph's is missing"),
    ],
)
def test_the_store_is_kept_that_gave_fewer_outputs_than_there_are(
    plan: Plan, kind: Kind, status: dict[str, Any], chunks: int
) -> None:
    with pytest.raises(StoreError, match=f"its store gave the outputs of {chunks}"):
        require(plan, kind, status, chunks)
