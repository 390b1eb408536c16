"""How a job's end is told: in lines, as a document, as an exit status."""

import json
from dataclasses import replace

import pytest

from leasegrid.cli import reports, summaries
from leasegrid.cli.endings import Ending, Exported, Kept, Output
from leasegrid.cli.exits import ExitCode, code_of_error, code_of_report, worst
from tasklet_runner.coordinator.progress import (
    ChunkFailure,
    Phase,
    Progress,
    RunReport,
    StageProgress,
    StageState,
    TimelinePoint,
)
from tasklet_runner.fabric.protocol import Receipt
from tasklet_runner.plan.types import Kind
from tasklet_runner.wire import errors
from tasklet_runner.wire.faults import Fault, FaultKind

FAULT = Fault(
    kind=FaultKind.TRAPPED,
    trap="UNREACHABLE",
    message="unreachable was executed",
    remedy="mend the module",
    backtrace=("main", "start"),
    stderr="one\ntwo\x1b[31m\n",
)
RECEIPT = Receipt(lease_uid="u1", reason="Finished", members=("m-0", "m-1"), released_in_milliseconds=12)
FOOTPRINT = reports.Footprint(80_000_000, 0.5)


def report(succeeded: int = 3, failed: int = 0, reason: str = "Finished", message: str = "") -> RunReport:
    stage = StageProgress(name="tile", total=succeeded + failed, succeeded=succeeded, failed=failed)
    failures = tuple(
        ChunkFailure(stage="tile", index=index, chunk_id=f"{index}-x", attempts=1, fault=FAULT)
        for index in range(failed)
    )
    return RunReport(
        complete=reason == "Finished",
        reason=reason,
        message=message,
        progress=Progress(phase=Phase.COMPLETE, elapsed=2.0, stages=(stage,)),
        failures=failures,
        receipts=(RECEIPT,),
        timeline=(TimelinePoint(0.0, 2, 2, 0), TimelinePoint(2.0, 0, 0, 3)),
    )


def said(ending: Ending, now: float = 1000.0) -> list[str]:
    return [line.text for line in summaries.lines(ending, now)]


def test_a_finished_job_says_time_counts_results_and_receipt() -> None:
    assert said(Ending("default", "fractal", report(), exported=Exported("out", 3, 2048))) == [
        "fractal: complete in 2 s",
        "  chunks: 3 of 3 succeeded",
        "  results: out (3 files, 2 KiB)",
        "  receipt: released 2 members in 12 ms, 0 left behind",
    ]


def test_a_failed_chunk_says_fault_message_remedy_backtrace_and_stderr() -> None:
    lines = said(Ending("default", "fractal", report(2, 1, "ChunksFailed", "1 chunk failed")))

    assert lines[0] == "fractal: ChunksFailed after 2 s: 1 chunk failed"
    assert lines[2:9] == [
        "  tile chunk 0: Trapped(UNREACHABLE): unreachable was executed",
        "    what to do: mend the module",
        "    backtrace:",
        "      main",
        "      start",
        "    stderr:",
        "      one",
    ]


def graph_ending() -> Ending:
    stages = (
        StageProgress(name="map", state=StageState.SUCCEEDED, total=3, succeeded=3, retried=1, began=0.25),
        StageProgress(name="reduce", state=StageState.FAILED, total=2, succeeded=1, failed=1),
        StageProgress(name="final", state=StageState.SKIPPED, total=1, skipped=1),
    )
    store = Receipt(lease_uid="u2", reason="Finished", members=("s-0",), volumes=1, volume_bytes=2048)
    ended = RunReport(
        complete=False,
        reason="ChunksFailed",
        message="1 of 5 chunks failed",
        progress=Progress(phase=Phase.FAILED, elapsed=2.0, stages=stages),
        receipts=(RECEIPT, store),
    )
    return Ending("default", "words", ended, outputs=(Output(0, b"a\n", "left"), Output(0, b"b\n", "right")),
                  kind=Kind.TASK_GRAPH)  # fmt: skip


def test_a_graph_says_what_became_of_each_task_and_of_its_stores() -> None:
    assert said(graph_ending()) == [
        "words: ChunksFailed after 2 s: 1 of 5 chunks failed",
        "  map     succeeded: 3 of 3 chunks, 1 retried",
        "  reduce  failed: 2 of 2 chunks, 1 failed",
        "  final   skipped: a task that it waits for has failed",
        "  receipt: released 3 members and 1 volume of 2 KiB in 12 ms, 0 left behind",
        "  output left 0:",
        "    a",
        "  output right 0:",
        "    b",
    ]


def test_the_document_has_the_tasks_of_a_graph_as_its_status_has_them() -> None:
    (graph,) = reports.document([graph_ending()], [], [], ExitCode.CHUNKS_FAILED, FOOTPRINT)["jobs"]

    assert graph["kind"] == "TaskGraph"
    assert [(task["name"], task["state"]) for task in graph["tasks"]] == [
        ("map", "Succeeded"),
        ("reduce", "Failed"),
        ("final", "Skipped"),
    ]
    assert graph["tasks"][0]["chunks"] == {
        "total": 3, "succeeded": 3, "failed": 0, "retried": 1, "cached": 0, "skipped": 0
    }  # fmt: skip
    assert (graph["stages"][0]["beganSeconds"], graph["stages"][2]["endedSeconds"]) == (0.25, None)
    assert (graph["receipt"]["volumes"], graph["receipt"]["volumeBytes"]) == (1, 2048)
    assert graph["outputs"][1] == {"task": "right", "index": 0, "stdout": "b\n"}


def test_what_a_tasklet_wrote_cannot_steer_the_terminal() -> None:
    assert "      two\N{REPLACEMENT CHARACTER}[31m" in said(Ending("default", "fractal", report(2, 1, "ChunksFailed")))


def test_of_many_failed_chunks_the_first_five_are_told_and_the_rest_counted() -> None:
    lines = said(Ending("default", "fractal", report(0, 9, "ChunksFailed")))

    assert sum("Trapped" in line for line in lines) == 5
    assert "  and 4 more failed chunks (--json lists up to 9 of them)" in lines


def test_failed_chunks_within_max_failed_chunks_are_told_though_the_job_is_complete() -> None:
    assert said(Ending("default", "fractal", report(2, 1)))[0].endswith("1 failed chunk allowed by maxFailedChunks")


def test_kept_outputs_say_where_how_long_and_how_to_take_them() -> None:
    lines = said(Ending("default", "fractal", report(), kept=Kept("/state/jobs/default/fractal", 1024, 4600.0)))

    assert "  kept: 1 KiB in /state/jobs/default/fractal for 1 h" in lines
    assert "  take them with: leasegrid results fractal DIR" in lines


def test_an_interrupted_job_of_another_namespace_says_its_whole_name() -> None:
    ending = Ending("lab", "fractal", report(reason="Interrupted"), kept=Kept("/state", 1024, 0.0))

    assert any(line.endswith("leasegrid results lab/fractal DIR") for line in said(ending))


def test_members_whose_end_is_not_verified_are_named() -> None:
    receipt = Receipt(lease_uid="u", reason="Finished", members=("a", "b"), unverified=("b",))

    assert [line.text for line in summaries.receipt_lines((receipt,))] == [
        "  receipt: released 2 members in 0 ms, 1 left behind",
        "    not verified: b; each frees itself at its deadline",
    ]


@pytest.mark.parametrize(
    ("data", "text"),
    [
        pytest.param(b"hello\n", "hello\n", id="text is shown"),
        pytest.param(b" \n", None, id="nothing to see"),
        pytest.param(b"\xff\xfe", None, id="bytes that are no text"),
        pytest.param(b"\x1b[2J", None, id="control sequences"),
        pytest.param(b"x" * 5000, None, id="too long for a summary"),
    ],
)
def test_readable_outputs(data: bytes, text: str | None) -> None:
    assert summaries.readable(data) == text


def test_the_document_and_the_summary_say_what_was_gone_on_from() -> None:
    stage = StageProgress(name="tile", total=10, succeeded=10, resumed=4)
    progress = Progress(phase=Phase.COMPLETE, elapsed=2.0, stages=(stage,), generation=5)
    ending = Ending("default", "fractal", RunReport(complete=True, reason="Finished", message="", progress=progress))
    (job,) = reports.document([replace(ending, resumes=2)], [], [], ExitCode.OK, FOOTPRINT)["jobs"]

    assert (job["coordinatorGeneration"], job["resumedChunks"], job["resumeCount"]) == (5, 4, 2)
    assert job["figures"]["chunksPerSecond"] == 3.0
    said = [line.text for line in summaries.lines(ending, 0.0)]
    assert "  resumed: 4 of 10 chunks were done (generation 5)" in said


def test_the_document_is_json_with_counts_failures_receipt_and_figures() -> None:
    ending = Ending("default", "fractal", report(2, 1, "ChunksFailed"), outputs=(Output(0, b"a"), Output(1, b"\xff")))
    document = json.loads(
        json.dumps(reports.document([ending], [RECEIPT], ["careful"], ExitCode.CHUNKS_FAILED, FOOTPRINT))
    )
    job = document["jobs"][0]

    assert (document["exitCode"], document["warnings"]) == (1, ["careful"])
    assert job["chunks"] == {"total": 3, "succeeded": 2, "failed": 1, "retried": 0, "cached": 0, "skipped": 0}
    assert job["checkpoints"] == {"kept": 0, "failed": 0}
    assert job["failures"][0]["reason"] == "Trapped(UNREACHABLE)"
    assert job["receipt"]["members"] == 2
    assert job["figures"] == {"seconds": 2.0, "chunksPerSecond": 1.0, "peakMembers": 2, "memberSeconds": 4.0}
    assert job["outputs"] == [{"index": 0, "stdout": "a"}, {"index": 1, "stdoutBase64": "/w=="}]


@pytest.mark.parametrize(
    ("complete", "reason", "code"),
    [
        pytest.param(True, "Finished", 0, id="complete"),
        pytest.param(False, "ChunksFailed", 1, id="some chunks failed"),
        pytest.param(False, "DeadlineExceeded", 1, id="activeDeadlineSeconds are over"),
        pytest.param(False, "NoCapacity", 3, id="no member to be had"),
        pytest.param(False, "StoreUnavailable", 4, id="the disk is full"),
        pytest.param(False, "InvalidInput", 4, id="an input that cannot be read"),
        pytest.param(False, "Interrupted", 130, id="interrupted"),
    ],
)
def test_exit_status_of_a_report(complete: bool, reason: str, code: int) -> None:
    assert code_of_report(complete, reason) == code


@pytest.mark.parametrize(
    ("error", "code"),
    [
        pytest.param(errors.PoolEmptyError("x"), 3, id="an empty pool"),
        pytest.param(errors.UnsupportedError("x"), 3, id="a requirement that nothing meets"),
        pytest.param(errors.StoreError("x"), 4, id="a full disk"),
        pytest.param(errors.StateDirectoryError("x"), 4, id="a state directory in use"),
        pytest.param(errors.InputError("x"), 4, id="an unreadable file"),
        pytest.param(PermissionError("x"), 4, id="what the operating system refuses"),
        pytest.param(errors.ProtocolError("x"), 1, id="anything else of ours"),
    ],
)
def test_exit_status_of_an_error(error: errors.LeaseGridError | OSError, code: int) -> None:
    assert code_of_error(error) == code


def test_of_several_jobs_the_gravest_status_counts() -> None:
    assert worst([ExitCode.OK, ExitCode.ENVIRONMENT, ExitCode.CHUNKS_FAILED]) is ExitCode.ENVIRONMENT
    assert worst([]) is ExitCode.OK
