"""Jobs of a cluster in the words that a run on one machine has."""

import json
from typing import Any

import pytest

from leasegrid.cli import exits, summaries
from leasegrid.cli.job_objects import JobObject, ending_of, outputs_of, progress_of, read_job
from leasegrid.rules.uploads import ACCESS
from tasklet_runner.coordinator.progress import Phase, StageState, TimelinePoint
from tasklet_runner.wire.errors import ClusterError

AT = "2026-01-01T00:00:00Z"
NOW = 1767225610.0
"""Ten seconds later."""

TASKS = [{"name": "map"}, {"name": "reduce"}]


def condition(kind: str, status: str, reason: str, message: str = "") -> dict[str, str]:
    return {"type": kind, "status": status, "reason": reason, "message": message, "lastTransitionTime": AT}


def job(*conditions: dict[str, str], kind: str = "Job", asks: bool = False, **status: object) -> JobObject:
    metadata: dict[str, Any] = {"name": "j", "namespace": "lab", "uid": "u"}
    if asks:
        metadata["annotations"] = {ACCESS: "key"}
    spec = {"tasks": TASKS} if kind == "TaskGraph" else {}
    return read_job({"kind": kind, "metadata": metadata, "spec": spec, "status": {"conditions": conditions, **status}})


def progressing(reason: str, message: str = "") -> dict[str, str]:
    return condition("Progressing", "True", reason, message)


@pytest.mark.parametrize(
    ("conditions", "phase", "because"),
    [
        pytest.param((), Phase.PREPARING, "", id="nobody has looked at it"),
        pytest.param((progressing("Running", "chunks run"),), Phase.RUNNING, "", id="it runs"),
        pytest.param((progressing("Resuming", "again"),), Phase.RUNNING, "again", id="another coordinator goes on"),
        pytest.param((progressing("Acquiring", "its store"),), Phase.ACQUIRING, "its store", id="its store is made"),
        pytest.param(
            (progressing("WaitingForCapacity", "place 2"),), Phase.WAITING_FOR_CAPACITY, "place 2", id="it waits"
        ),
        pytest.param((progressing("Suspended", "it is"),), Phase.STOPPED, "it is", id="suspended"),
        pytest.param((progressing("NeedsUpload", "files"),), Phase.PREPARING, "files", id="without its files"),
        pytest.param((condition("Complete", "True", "Finished", "2 chunks"),), Phase.COMPLETE, "", id="complete"),
        pytest.param((condition("Failed", "True", "ChunksFailed", "x"),), Phase.FAILED, "", id="failed"),
    ],
)
def test_phases(conditions: tuple[dict[str, str], ...], phase: Phase, because: str) -> None:
    seen = progress_of(job(*conditions), NOW)
    assert (seen.phase, seen.waiting_because) == (phase, because)


def test_what_runs_shows_its_chunks_its_workers_and_its_time() -> None:
    chunks = {"total": 9, "succeeded": 4, "failed": 1, "retried": 2}
    seen = progress_of(job(progressing("Running"), startTime=AT, chunks=chunks, workers=3), NOW)
    (stage,) = seen.stages
    assert (seen.elapsed, seen.workers, stage.total, stage.done, stage.retried) == (10.0, 3, 9, 5, 2)


def test_what_is_not_listed_yet_has_no_total() -> None:
    (stage,) = progress_of(job(progressing("Acquiring")), NOW).stages
    assert stage.total == -1


def test_a_graph_shows_its_tasks_before_and_while_it_runs() -> None:
    before = progress_of(job(kind="TaskGraph"), NOW).stages
    tasks = [{"name": "map", "state": "Succeeded", "chunks": {"total": 3, "succeeded": 3}}]
    during = progress_of(job(progressing("Running"), kind="TaskGraph", tasks=tasks), NOW).stages
    assert [(one.name, one.state) for one in before] == [
        ("map", StageState.WAITING),
        ("reduce", StageState.WAITING),
    ]
    assert [(one.name, one.state, one.done) for one in during] == [("map", StageState.SUCCEEDED, 3)]


@pytest.mark.parametrize(
    ("kind", "reason", "code"),
    [
        ("Complete", "Finished", 0),
        ("Failed", "ChunksFailed", 1),
        ("Failed", "DeadlineExceeded", 1),
        ("Failed", "InvalidSpec", 2),
        ("Failed", "WaitingForCapacity", 3),
        ("Failed", "NoCapacity", 3),
        ("Failed", "StoreUnavailable", 4),
        ("Failed", "InvalidInput", 4),
        ("Failed", "CoordinatorFailed", 4),
    ],
)
def test_an_end_has_the_exit_status_of_a_run(kind: str, reason: str, code: int) -> None:
    report = ending_of(job(condition(kind, "True", reason)), NOW).report
    assert exits.code_of_report(report.complete, report.reason) == code


def test_a_summary_has_the_lines_of_a_run() -> None:
    receipt = {"members": 2, "releasedInMilliseconds": 12, "volumes": 1, "bytesWiped": 2048}
    ended = job(
        condition("Progressing", "False", "Finished", "3 chunks succeeded"),
        condition("Complete", "True", "Finished", "3 chunks succeeded"),
        startTime=AT,
        completionTime="2026-01-01T00:00:02Z",
        chunks={"total": 3, "succeeded": 3},
        receipt=receipt,
        timeline=[{"afterMilliseconds": 500, "leased": 2, "running": 1, "done": 3}],
    )
    ending = ending_of(ended, NOW)
    assert [line.text for line in summaries.lines(ending, NOW)] == [
        "j: complete in 2 s",
        "  chunks: 3 of 3 succeeded",
        "  receipt: released 2 members and 1 volume of 2 KiB in 12 ms, 0 left behind",
    ]
    assert ending.report.timeline == (TimelinePoint(0.5, 2, 1, 3), TimelinePoint(0.512, 0, 0, 3))


def test_outputs_in_the_object_are_bytes_again() -> None:
    inline = json.dumps([{"index": 0, "text": "é\n"}, {"index": 1, "task": "b", "base64": "AP8="}, {"index": 2}])
    found = outputs_of(job(outputs=inline))
    assert [(one.index, one.task, one.data) for one in found] == [
        (0, "", "é\n".encode()),
        (1, "b", b"\x00\xff"),
        (2, "", b""),
    ]


@pytest.mark.unhappy("a status that this version does not understand")
def test_what_cannot_be_read_says_so() -> None:
    with pytest.raises(ClusterError, match="cannot be read by this version"):
        outputs_of(job(outputs="{"))
    with pytest.raises(ClusterError, match="cannot be read by this version"):
        job(workers="many")


@pytest.mark.parametrize(
    ("seen", "needs"),
    [
        pytest.param(job(), True, id="nobody has looked at it"),
        pytest.param(job(condition("Progressing", "False", "NeedsUpload")), True, id="its files are missing"),
        pytest.param(job(progressing("Suspended"), asks=True), True, id="it waits for them suspended"),
        pytest.param(job(progressing("Suspended")), False, id="suspended, it waits for nothing else"),
        pytest.param(job(progressing("Acquiring")), False, id="it needs none"),
        pytest.param(job(coordinatorGeneration=1), False, id="it runs"),
        pytest.param(job(condition("Failed", "True", "InvalidSpec")), False, id="it has ended"),
    ],
)
def test_a_job_without_its_files_may_be_made_anew(seen: JobObject, needs: bool) -> None:
    assert seen.needs_upload is needs
