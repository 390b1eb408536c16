"""What a job's status says."""

from leasegrid.rules.job_control import JobVerdict
from leasegrid.rules.reasons import ConditionType
from leasegrid_operator.jobs.status import job_conditions, queued_chunks, receipt_status, report_status
from tasklet_runner.wire.jobs import ChunkTally, JobReport
from tasklet_runner.wire.leases import Receipt

STAGES = (
    ChunkTally(name="map", state="Succeeded", total=4, succeeded=4, completed_indexes="0-3"),
    ChunkTally(name="reduce", state="Running", total=-1, succeeded=1, retried=2),
)
REPORT = JobReport(uid="u", term=1, sequence=1, phase="Running", stages=STAGES, workers=2, timeline=((5, 1, 2, 3),))


def test_a_job_shows_its_sums_and_the_indexes_of_its_own_input() -> None:
    assert report_status(REPORT, graph=False, over=False) == {
        "chunks": {"total": 4, "succeeded": 5, "failed": 0, "retried": 2, "cached": 0, "skipped": 0},
        "workers": 2,
        "timeline": [{"afterMilliseconds": 5, "leased": 1, "running": 2, "done": 3}],
        "completedIndexes": "0-3",
        "failedIndexes": "",
    }


def test_a_job_that_works_no_more_has_no_workers_whatever_its_last_coordinator_told() -> None:
    assert report_status(REPORT, graph=False, over=True)["workers"] == 0


def test_a_graph_shows_each_of_its_tasks() -> None:
    tasks = report_status(REPORT, graph=True, over=False)["tasks"]
    assert [(one["name"], one["state"], one["chunks"]["succeeded"]) for one in tasks] == [
        ("map", "Succeeded", 4),
        ("reduce", "Running", 1),
    ]


def test_chunks_of_running_stages_that_nobody_has_are_counted() -> None:
    stages = (
        ChunkTally(name="map", state="Running", total=9, succeeded=2, failed=1, skipped=1, running=2),
        ChunkTally(name="listed", state="Running", total=-1, succeeded=2, running=1),
        ChunkTally(name="reduce", state="Pending", total=4),
    )
    assert queued_chunks(JobReport(uid="u", term=1, sequence=1, phase="Running", stages=stages)) == 3


def test_receipts_are_added_up() -> None:
    receipts = [
        Receipt(lease_uid="a", reason="Finished", members=("m", "n"), tasklets=3, scratch_bytes=5, held_milliseconds=9),
        Receipt(lease_uid="b", reason="Finished", members=("s",), volumes=1, volume_bytes=7, unverified=("s",)),
    ]
    assert receipt_status(receipts) == {
        "members": 3,
        "volumes": 1,
        "tasklets": 3,
        "bytesWiped": 12,
        "heldMilliseconds": 9,
        "releasedInMilliseconds": 0,
        "unverified": ["s"],
    }


def test_conditions_keep_their_time_and_what_held_turns_false() -> None:
    before = job_conditions([JobVerdict(ConditionType.SUSPENDED, True, "Suspended", "")], [], 1.0, 1)
    running = JobVerdict(ConditionType.PROGRESSING, True, "Running", "chunks run")
    first = job_conditions([running], before, 2.0, 2)  # type: ignore[arg-type]  # as they were written
    again = job_conditions([running], first, 3.0, 2)  # type: ignore[arg-type]  # as they were written
    assert again == first
    assert {one["type"]: (one["status"], str(one["lastTransitionTime"])[:19]) for one in again} == {
        "Suspended": ("False", "1970-01-01T00:00:02"),
        "Progressing": ("True", "1970-01-01T00:00:02"),
    }
