"""What is to be done for a job on a cluster."""

from dataclasses import replace

import pytest

from leasegrid.rules.job_control import (
    MAX_FRUITLESS,
    Ended,
    JobSight,
    JobWish,
    LeaseSight,
    LeaseState,
    Step,
    backoff_seconds,
    control_job,
)
from leasegrid.rules.reasons import ConditionType

NOW = 1_750_000_000.0
WISH = JobWish(ttl_seconds_after_finished=3600, retain_seconds=600)
BOUND, WAITING = LeaseSight(LeaseState.BOUND), LeaseSight(LeaseState.WAITING)
LOST = LeaseSight(LeaseState.ENDED, "its member was lost")
REFUSED = LeaseSight(LeaseState.REFUSED, "no pool has so much memory")
NEW = JobSight()
STARTING = JobSight(term=1, started=NOW - 5, store=BOUND, coordinator=BOUND)
RUNNING = replace(STARTING, ordered=True, phase="Running")
DONE = Ended(True, "Finished", "3 chunks", NOW)
FAILED = Ended(False, "ChunksFailed", "1 of 3 chunks failed", NOW)


@pytest.mark.parametrize(
    ("wish", "seen", "steps"),
    [
        pytest.param(
            WISH, NEW, (Step.ACQUIRE_STORE, Step.RAISE_TERM, Step.ACQUIRE_COORDINATOR), id="a new job gets all it needs"
        ),
        pytest.param(
            WISH, JobSight(term=1, store=WAITING, coordinator=WAITING), (), id="what is asked for is waited for"
        ),
        pytest.param(WISH, JobSight(term=1, store=BOUND, coordinator=WAITING), (), id="a store alone begins nothing"),
        pytest.param(WISH, JobSight(term=1, store=WAITING, coordinator=BOUND), (), id="nor does a coordinator alone"),
        pytest.param(WISH, STARTING, (Step.ORDER,), id="with both it is ordered"),
        pytest.param(WISH, RUNNING, (), id="once"),
        pytest.param(
            WISH,
            JobSight(term=3, store=BOUND),
            (Step.ACQUIRE_COORDINATOR,),
            id="an operator that starts looks for the coordinator that there is",
        ),
        pytest.param(
            WISH,
            replace(RUNNING, coordinator=LOST),
            (Step.RAISE_TERM, Step.ACQUIRE_COORDINATOR),
            id="a coordinator that ended has a successor under a higher term",
        ),
        pytest.param(
            WISH,
            replace(RUNNING, coordinator=LOST, fruitless=3, ended_at=NOW - 0.5),
            (),
            id="which waits when several in a row did nothing",
        ),
        pytest.param(
            replace(WISH, missing=("a.wasm",)), NEW, (), id="nothing is held for files that nobody is about to bring"
        ),
        pytest.param(
            replace(WISH, missing=("a.wasm",), entered=True),
            NEW,
            (Step.ACQUIRE_STORE,),
            id="files are uploaded into a store",
        ),
        pytest.param(
            replace(WISH, suspended=True), RUNNING, (Step.RELEASE_COORDINATOR,), id="a suspended job works not"
        ),
        pytest.param(
            replace(WISH, suspended=True), NEW, (), id="and one that is suspended from the start needs nothing"
        ),
        pytest.param(
            replace(WISH, suspended=True, missing=("a.wasm",), entered=True),
            NEW,
            (Step.ACQUIRE_STORE,),
            id="but a store for its files, which may come before it runs",
        ),
        pytest.param(WISH, replace(RUNNING, ending=DONE), (), id="nothing is let go before the end is written"),
        pytest.param(
            WISH,
            replace(RUNNING, finished=DONE),
            (Step.RELEASE_COORDINATOR,),
            id="then the workers are, and the store stays",
        ),
        pytest.param(
            WISH,
            replace(RUNNING, coordinator=LOST, finished=replace(DONE, fetched=True)),
            (Step.RELEASE_STORE,),
            id="until its outputs are fetched",
        ),
        pytest.param(
            WISH,
            replace(RUNNING, coordinator=LOST, finished=replace(DONE, at=NOW - 600)),
            (Step.RELEASE_STORE,),
            id="or its time is over",
        ),
        pytest.param(
            WISH, JobSight(finished=replace(DONE, at=NOW - 3600)), (Step.DELETE,), id="at last the object goes"
        ),
        pytest.param(
            replace(WISH, retain_seconds=0),
            replace(RUNNING, coordinator=LOST, finished=FAILED),
            (Step.RELEASE_STORE,),
            id="a failed job whose outputs nobody keeps keeps no store",
        ),
    ],
)
def test_steps(wish: JobWish, seen: JobSight, steps: tuple[Step, ...]) -> None:
    assert control_job(wish, seen, NOW).steps == steps


@pytest.mark.parametrize(
    ("wish", "seen", "reason"),
    [
        pytest.param(replace(WISH, faults=("spec.x: is wrong", "spec.y: too")), NEW, "InvalidSpec", id="a wrong spec"),
        pytest.param(WISH, replace(RUNNING, ending=FAILED), "ChunksFailed", id="what its coordinator says"),
        pytest.param(
            replace(WISH, deadline_seconds=5), RUNNING, "DeadlineExceeded", id="its deadline, counted from its start"
        ),
        pytest.param(WISH, replace(RUNNING, store=LOST), "StoreUnavailable", id="a lost store"),
        pytest.param(WISH, replace(NEW, store=REFUSED), "StoreUnavailable", id="a store that no pool can be"),
        pytest.param(
            WISH,
            JobSight(term=1, store=BOUND, coordinator=REFUSED),
            "NoCapacity",
            id="members that no pool has",
        ),
        pytest.param(
            WISH,
            replace(RUNNING, coordinator=LOST, fruitless=MAX_FRUITLESS),
            "CoordinatorFailed",
            id="coordinators that end again and again",
        ),
    ],
)
def test_a_job_ends_by(wish: JobWish, seen: JobSight, reason: str) -> None:
    decision = control_job(wish, seen, NOW)
    assert decision.finish is not None
    assert (decision.finish.reason, decision.finish.complete) == (reason, False)
    assert {one.type: one.status for one in decision.verdicts} == {
        ConditionType.PROGRESSING: False,
        ConditionType.FAILED: True,
    }


def test_a_job_that_is_done_is_complete() -> None:
    decision = control_job(WISH, replace(RUNNING, ending=DONE), NOW)
    assert decision.finish == DONE
    assert [(one.type, one.status) for one in decision.verdicts] == [
        (ConditionType.PROGRESSING, False),
        (ConditionType.COMPLETE, True),
    ]


@pytest.mark.parametrize(
    ("wish", "seen", "reason", "words"),
    [
        pytest.param(WISH, NEW, "Acquiring", "store of its outputs", id="its store is made"),
        pytest.param(
            WISH,
            replace(STARTING, store=LeaseSight(LeaseState.WAITING, "no node has room")),
            "Acquiring",
            "no node has room",
            id="or says why it is not",
        ),
        pytest.param(
            WISH,
            replace(STARTING, coordinator=LeaseSight(LeaseState.WAITING, "2nd in the queue")),
            "WaitingForCapacity",
            "2nd in the queue",
            id="its coordinator waits in a queue",
        ),
        pytest.param(WISH, replace(STARTING, coordinator=WAITING), "Acquiring", "being started", id="or is bound soon"),
        pytest.param(WISH, STARTING, "Acquiring", "being started", id="it has not said anything yet"),
        pytest.param(WISH, RUNNING, "Running", "chunks run", id="it runs"),
        pytest.param(
            WISH,
            replace(RUNNING, workers=3, most_workers=8, queued=40),
            "Running",
            "on 3 of 8 workers",
            id="it runs on fewer workers than it may have",
        ),
        pytest.param(
            WISH,
            replace(RUNNING, workers=8, most_workers=8, queued=40),
            "Running",
            "chunks run",
            id="on as many as it may have",
        ),
        pytest.param(
            WISH,
            replace(RUNNING, workers=3, most_workers=8),
            "Running",
            "chunks run",
            id="or on as many as have work",
        ),
        pytest.param(
            WISH,
            replace(RUNNING, store=LeaseSight(LeaseState.WAITING, "its member was lost")),
            "StoreUnavailable",
            "its member was lost",
            id="the member of its store is followed by another",
        ),
        pytest.param(
            WISH,
            replace(RUNNING, phase="WaitingForCapacity", waiting_because="the pool is empty"),
            "WaitingForCapacity",
            "the pool is empty",
            id="it has no worker",
        ),
        pytest.param(
            WISH, replace(RUNNING, phase="Preparing"), "Running", "chunks run", id="a phase of no reason's name"
        ),
        pytest.param(WISH, replace(RUNNING, phase="Finishing"), "Finishing", "made safe", id="it ends"),
        pytest.param(WISH, replace(RUNNING, coordinator=LOST), "Resuming", "term 1", id="its coordinator died"),
        pytest.param(
            replace(WISH, missing=tuple(f"{name}.c" for name in "abcdefg")),
            NEW,
            "NeedsUpload",
            "a.c, b.c, c.c, d.c, e.c and 2 more",
            id="its files are missing",
        ),
        pytest.param(
            replace(WISH, missing=("x",)),
            replace(NEW, store=LeaseSight(LeaseState.WAITING, "no room")),
            "NeedsUpload",
            "their store: no room",
            id="and their store is not there yet",
        ),
        pytest.param(replace(WISH, missing=("x",)), NEW, "NeedsUpload", "machine: x (submit", id="or one of them"),
        pytest.param(replace(WISH, suspended=True), RUNNING, "Suspended", "goes on", id="it is suspended"),
    ],
)
def test_progress_is_told(wish: JobWish, seen: JobSight, reason: str, words: str) -> None:
    told = control_job(wish, seen, NOW).verdicts[0]
    assert (told.type, told.reason) == (ConditionType.PROGRESSING, reason)
    assert words in told.message


@pytest.mark.parametrize(
    ("wish", "seen", "at"),
    [
        pytest.param(WISH, RUNNING, None, id="a job that runs is looked at when something happens"),
        pytest.param(replace(WISH, deadline_seconds=60), RUNNING, NOW + 55, id="or at its deadline"),
        pytest.param(
            WISH,
            replace(RUNNING, coordinator=LOST, fruitless=3, ended_at=NOW),
            NOW + 1.0,
            id="or when another coordinator may be tried",
        ),
        pytest.param(
            replace(WISH, deadline_seconds=6),
            replace(RUNNING, coordinator=LOST, fruitless=5, ended_at=NOW),
            NOW + 1.0,
            id="whichever comes first",
        ),
        pytest.param(WISH, JobSight(store=BOUND, finished=DONE), NOW + 600, id="an ended one when its store goes"),
        pytest.param(WISH, JobSight(finished=DONE), NOW + 3600, id="or its object"),
        pytest.param(WISH, JobSight(finished=replace(DONE, at=NOW - 3600)), None, id="and then never"),
    ],
)
def test_the_next_look(wish: JobWish, seen: JobSight, at: float | None) -> None:
    assert control_job(wish, seen, NOW).look_at == at


@pytest.mark.parametrize(
    ("fruitless", "seconds"),
    [
        pytest.param(0, 0.0, id="a coordinator that did something has a successor at once"),
        pytest.param(1, 0.0, id="so has the first that did nothing"),
        pytest.param(2, 0.5, id="then there are pauses"),
        pytest.param(4, 2.0, id="which double"),
        pytest.param(60, 60.0, id="up to a minute"),
    ],
)
def test_pauses_between_coordinators(fruitless: int, seconds: float) -> None:
    assert backoff_seconds(fruitless) == seconds
