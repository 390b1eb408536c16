"""What is to be done for a job that names objects of its namespace: ConfigMaps, Secrets, a claim for its outputs."""

from dataclasses import replace

import pytest

from leasegrid.rules.job_control import (
    UNCOPIED_SECONDS,
    Ended,
    JobSight,
    JobWish,
    LeaseSight,
    LeaseState,
    Step,
    control_job,
)
from leasegrid.rules.job_sights import REFERENCES_SECONDS, CopySight, CopyState, ReferenceSight

NOW = 1_750_000_000.0
BOUND = LeaseSight(LeaseState.BOUND)
LACKING = ReferenceSight(False, "Secret buckets is not in namespace team: create it", NOW)
DONE = Ended(True, "Finished", "3 chunks", NOW)
WISH = JobWish(ttl_seconds_after_finished=7200, retain_seconds=600)
TO_CLAIM = replace(WISH, claim="results")
NEW = JobSight(references=ReferenceSight(there=False))
WORKED = JobSight(term=1, started=NOW - 5, store=BOUND, coordinator=BOUND, ordered=True, phase="Running", ending=DONE)


def copied(state: CopyState, words: str = "") -> JobSight:
    return replace(WORKED, copy=CopySight(state, words))


@pytest.mark.parametrize(
    ("seen", "now", "steps", "look_at"),
    [
        pytest.param(NEW, NOW, (Step.LOOK_AT_REFERENCES,), None, id="they are looked for before anything is held"),
        pytest.param(
            replace(NEW, references=LACKING), NOW, (), NOW + REFERENCES_SECONDS, id="what lacks is waited for"
        ),
        pytest.param(
            replace(NEW, references=LACKING),
            NOW + REFERENCES_SECONDS,
            (Step.LOOK_AT_REFERENCES,),
            None,
            id="and looked for again",
        ),
        pytest.param(
            replace(NEW, references=ReferenceSight()),
            NOW,
            (Step.ACQUIRE_STORE, Step.RAISE_TERM, Step.ACQUIRE_COORDINATOR),
            None,
            id="with all of it there the job begins",
        ),
        pytest.param(
            replace(WORKED, ending=None, references=LACKING), NOW, (), None, id="a coordinator that has it goes on"
        ),
    ],
)
def test_references(seen: JobSight, now: float, steps: tuple[Step, ...], look_at: float | None) -> None:
    decision = control_job(WISH, seen, now)
    assert (decision.steps, decision.look_at) == (steps, look_at)


def test_what_lacks_stands_in_the_condition() -> None:
    (said,) = control_job(WISH, replace(NEW, references=LACKING), NOW).verdicts
    assert (said.status, said.reason, said.message) == (False, "ReferenceMissing", LACKING.words)


@pytest.mark.parametrize(
    ("seen", "steps"),
    [
        pytest.param(WORKED, (Step.COPY,), id="when the work is done the outputs are copied"),
        pytest.param(copied(CopyState.RUNNING, "the claim is not there"), (), id="once"),
        pytest.param(replace(WORKED, store=LeaseSight(LeaseState.WAITING)), (), id="from a store that serves"),
        pytest.param(replace(WORKED, coordinator=LeaseSight(LeaseState.ENDED)), (Step.COPY,), id="by nobody's leave"),
        pytest.param(
            replace(copied(CopyState.DONE), finished=DONE),
            (Step.RELEASE_COORDINATOR, Step.END_COPY),
            id="then whoever copied goes",
        ),
    ],
)
def test_steps_of_a_copy(seen: JobSight, steps: tuple[Step, ...]) -> None:
    assert control_job(TO_CLAIM, seen, NOW).steps == steps
    assert control_job(replace(TO_CLAIM, suspended=seen.finished is None), seen, NOW).steps == steps


def test_while_outputs_are_copied_the_job_says_what_that_waits_for() -> None:
    decision = control_job(TO_CLAIM, copied(CopyState.RUNNING, "the claim is not there"), NOW)
    (said,) = decision.verdicts
    assert decision.finish is None
    assert (said.status, said.reason) == (True, "Finishing")
    assert said.message == "outputs are being copied into the claim results: the claim is not there"


def test_a_job_is_complete_when_its_outputs_are_in_the_claim() -> None:
    finish = control_job(TO_CLAIM, copied(CopyState.DONE, "3 files copied"), NOW).finish
    assert finish == replace(DONE, message="3 chunks; 3 files copied", location="persistentVolumeClaim/results")


@pytest.mark.unhappy("outputs that cannot be copied into a claim")
def test_a_copy_that_failed_fails_the_job_and_its_store_stays() -> None:
    finish = control_job(TO_CLAIM, copied(CopyState.FAILED, "the volume is full"), NOW).finish
    assert finish == Ended(False, "CopyFailed", "the volume is full", NOW)
    after = control_job(TO_CLAIM, replace(copied(CopyState.FAILED), finished=finish), NOW + 5)
    assert (Step.RELEASE_STORE in after.steps, after.look_at) == (False, NOW + UNCOPIED_SECONDS)


@pytest.mark.unhappy("a job that fails has nothing to copy")
def test_a_failed_job_is_not_copied() -> None:
    failed = Ended(False, "ChunksFailed", "1 of 3", NOW)
    assert control_job(TO_CLAIM, replace(WORKED, ending=failed), NOW).finish == failed
