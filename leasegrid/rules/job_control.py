"""What is to be done for a Job or a TaskGraph on a cluster: its store, its coordinator, its end. Pure.

A job that is to run has a store under lease, and one coordinator at a time, which is a lease too. The coordinator of
term n + 1 is wanted when that of term n has ended and the job has not. Instants are UNIX seconds of the fabric's clock.
"""

from dataclasses import dataclass, replace
from enum import StrEnum

from leasegrid.rules.job_sights import NO_COPY, THERE, CopySight, CopyState, ReferenceSight
from leasegrid.rules.reasons import ConditionType, JobReason

MAX_FRUITLESS = 6
"""So many coordinators in a row may end without a chunk more than the one before them."""

FIRST_BACKOFF_SECONDS = 0.5
MAX_BACKOFF_SECONDS = 60.0

UNCOPIED_SECONDS = 3600.0
"""So long outputs are kept at least that could not be copied to where they should be."""


class LeaseState(StrEnum):
    """Of a lease that the job needs."""

    ABSENT = "Absent"
    WAITING = "Waiting"
    BOUND = "Bound"
    ENDED = "Ended"
    REFUSED = "Refused"


@dataclass(frozen=True)
class LeaseSight:
    """A lease as the fabric sees it; `words`: why it waits, ended or was refused."""

    state: LeaseState = LeaseState.ABSENT
    words: str = ""


@dataclass(frozen=True)
class JobWish:
    """What the object asks for. `faults`: why it cannot be planned; `missing`: local paths that nobody has uploaded;
    `claim`: the PersistentVolumeClaim into which its outputs are copied.
    `entered`: somebody asked for a way into its store.
    """

    suspended: bool = False
    deadline_seconds: int = 0
    ttl_seconds_after_finished: int = 0
    retain_seconds: int = 0
    faults: tuple[str, ...] = ()
    missing: tuple[str, ...] = ()
    claim: str = ""
    entered: bool = False


@dataclass(frozen=True)
class Ended:
    """How the job ended, and when that was written; `fetched`: nobody needs its store any more; `location`: where the
    fabric has copied its outputs.
    """

    complete: bool
    reason: str
    message: str
    at: float
    fetched: bool = False
    location: str = ""


@dataclass(frozen=True)
class JobSight:
    """What is observed.

    `term`: of the last coordinator, 0 before the first; `started`: when that was; `coordinator` and `ordered` are of
    this term, `phase`, `waiting_because` and `ending` what it reported last. `fruitless`: how many coordinators ended
    in a row without a step forward, the last at `ended_at`. `workers`: of at most `most_workers`; `queued`: chunks that
    none of them has.
    """

    term: int = 0
    started: float = 0.0
    store: LeaseSight = LeaseSight()
    coordinator: LeaseSight = LeaseSight()
    ordered: bool = False
    phase: str = ""
    waiting_because: str = ""
    ending: Ended | None = None
    fruitless: int = 0
    ended_at: float = 0.0
    finished: Ended | None = None
    workers: int = 0
    most_workers: int = 0
    queued: int = 0
    references: ReferenceSight = THERE
    copy: CopySight = NO_COPY


class Step(StrEnum):
    """One thing to do; each is idempotent."""

    ACQUIRE_STORE = "AcquireStore"
    RAISE_TERM = "RaiseTerm"
    ACQUIRE_COORDINATOR = "AcquireCoordinator"
    ORDER = "Order"
    LOOK_AT_REFERENCES = "LookAtReferences"
    COPY = "Copy"
    END_COPY = "EndCopy"
    RELEASE_COORDINATOR = "ReleaseCoordinator"
    RELEASE_STORE = "ReleaseStore"
    DELETE = "Delete"


@dataclass(frozen=True)
class JobVerdict:
    """A condition as it should stand."""

    type: ConditionType
    status: bool
    reason: str
    message: str


@dataclass(frozen=True)
class JobDecision:
    """`steps` in their order. `look_at`: when to decide again though nothing happened; None: not by time. `finish`:
    write this end down; until it stands nothing that the job holds is let go.
    """

    steps: tuple[Step, ...] = ()
    verdicts: tuple[JobVerdict, ...] = ()
    look_at: float | None = None
    finish: Ended | None = None


def control_job(wish: JobWish, seen: JobSight, now: float) -> JobDecision:
    """What the job needs now."""
    if seen.finished is not None:
        return _after(wish, seen, seen.finished, now)
    ended = _ending(wish, seen, now)
    if ended is not None:
        return JobDecision(verdicts=_ended_verdicts(ended), finish=ended)
    if wish.suspended and not _copies(wish, seen):
        return _suspended(wish, seen)
    deadline = seen.started + wish.deadline_seconds if wish.deadline_seconds and seen.started else None
    decision = _copying(wish, seen) if _copies(wish, seen) else _going(wish, seen, now)
    looks = [at for at in (deadline, decision.look_at) if at is not None]
    return JobDecision(decision.steps, decision.verdicts, min(looks, default=None))


def backoff_seconds(fruitless: int) -> float:
    """How long to wait before another coordinator is tried, after so many in a row that did nothing."""
    return 0.0 if fruitless < 2 else min(FIRST_BACKOFF_SECONDS * 2.0 ** (fruitless - 2), MAX_BACKOFF_SECONDS)


def _ending(wish: JobWish, seen: JobSight, now: float) -> Ended | None:
    if wish.faults:
        return Ended(False, JobReason.INVALID_SPEC, "; ".join(wish.faults), now)
    return _delivered(wish, seen, now) or _over_time(wish, seen, now) or _hopeless(seen, now)


def _copies(wish: JobWish, seen: JobSight) -> bool:
    """True from the end of the work until its outputs are in the claim, or cannot be."""
    return bool(wish.claim) and seen.ending is not None and seen.ending.complete


def _delivered(wish: JobWish, seen: JobSight, now: float) -> Ended | None:
    """How the work ended, with its outputs where they should be."""
    if seen.ending is None or not _copies(wish, seen):
        return seen.ending
    if seen.copy.state is CopyState.FAILED:
        return Ended(False, JobReason.COPY_FAILED, seen.copy.words, now)
    if seen.copy.state is not CopyState.DONE:
        return None
    words = f"{seen.ending.message}; {seen.copy.words}"
    return replace(seen.ending, message=words, location=f"persistentVolumeClaim/{wish.claim}")


def _copying(wish: JobWish, seen: JobSight) -> JobDecision:
    words = f"outputs are being copied into the claim {wish.claim}"
    steps = (Step.COPY,) if seen.copy.state is CopyState.ABSENT and seen.store.state is LeaseState.BOUND else ()
    waits = f": {seen.copy.words}" if seen.copy.words else ""
    return JobDecision(steps, _progressing(True, JobReason.FINISHING, f"{words}{waits}"))


def _over_time(wish: JobWish, seen: JobSight, now: float) -> Ended | None:
    if wish.deadline_seconds and seen.started and now >= seen.started + wish.deadline_seconds:
        words = f"activeDeadlineSeconds ({wish.deadline_seconds}) are over"
        return Ended(False, JobReason.DEADLINE_EXCEEDED, words, now)
    return None


def _hopeless(seen: JobSight, now: float) -> Ended | None:
    """What it needs cannot be had, or is lost."""
    if seen.store.state in (LeaseState.ENDED, LeaseState.REFUSED):
        return Ended(False, JobReason.STORE_UNAVAILABLE, f"the store of its outputs: {seen.store.words}", now)
    if seen.coordinator.state is LeaseState.REFUSED:
        return Ended(False, JobReason.NO_CAPACITY, f"its coordinator: {seen.coordinator.words}", now)
    if seen.fruitless >= MAX_FRUITLESS:
        words = f"{seen.fruitless} coordinators in a row ended without a step forward: {seen.coordinator.words}"
        return Ended(False, JobReason.COORDINATOR_FAILED, words, now)
    return None


def _after(wish: JobWish, seen: JobSight, finished: Ended, now: float) -> JobDecision:
    """The end stands in the object: let go what is held, in time, and last of the object itself."""
    steps: list[Step] = []
    looks: list[float] = []
    if seen.coordinator.state in (LeaseState.WAITING, LeaseState.BOUND):
        steps.append(Step.RELEASE_COORDINATOR)
    if seen.copy.state is not CopyState.ABSENT:
        steps.append(Step.END_COPY)
    store_until = finished.at + _retained_seconds(wish, finished)
    if seen.store.state in (LeaseState.WAITING, LeaseState.BOUND):
        if finished.fetched or now >= store_until:
            steps.append(Step.RELEASE_STORE)
        else:
            looks.append(store_until)
    delete_at = finished.at + wish.ttl_seconds_after_finished
    if now >= delete_at:
        steps.append(Step.DELETE)
    else:
        looks.append(delete_at)
    return JobDecision(tuple(steps), _ended_verdicts(finished), min(looks, default=None))


def _retained_seconds(wish: JobWish, finished: Ended) -> float:
    """Outputs that should be elsewhere, and are not, are not thrown away at once."""
    if finished.reason == JobReason.COPY_FAILED:
        return max(wish.retain_seconds, UNCOPIED_SECONDS)
    return wish.retain_seconds


def _ended_verdicts(ended: Ended) -> tuple[JobVerdict, ...]:
    kind = ConditionType.COMPLETE if ended.complete else ConditionType.FAILED
    return (
        JobVerdict(ConditionType.PROGRESSING, False, ended.reason, ended.message),
        JobVerdict(kind, True, ended.reason, ended.message),
    )


def _suspended(wish: JobWish, seen: JobSight) -> JobDecision:
    # Its files may come before it runs: whoever submits it does not wait until it is resumed.
    steps = [Step.ACQUIRE_STORE] if wish.missing and _wants_store(wish, seen) else []
    if seen.coordinator.state in (LeaseState.WAITING, LeaseState.BOUND):
        steps.append(Step.RELEASE_COORDINATOR)
    words = "spec.suspend is true; what is done stays done, and goes on when it is false"
    verdicts = (
        JobVerdict(ConditionType.PROGRESSING, False, JobReason.SUSPENDED, words),
        JobVerdict(ConditionType.SUSPENDED, True, JobReason.SUSPENDED, words),
    )
    return JobDecision(tuple(steps), verdicts)


def _going(wish: JobWish, seen: JobSight, now: float) -> JobDecision:
    steps: list[Step] = [Step.ACQUIRE_STORE] if _wants_store(wish, seen) else []
    if wish.missing:
        words = _needs_upload(wish.missing, "" if seen.store.state is LeaseState.BOUND else seen.store.words)
        return JobDecision(tuple(steps), _progressing(False, JobReason.NEEDS_UPLOAD, words))
    look_at = None
    if seen.term == 0 or seen.coordinator.state is LeaseState.ENDED:
        look_at = seen.ended_at + backoff_seconds(seen.fruitless)
        if now >= look_at and not seen.references.there:
            return _referring(seen, now)
        if now >= look_at:
            steps += [Step.RAISE_TERM, Step.ACQUIRE_COORDINATOR]
            look_at = None
    elif seen.coordinator.state is LeaseState.ABSENT:
        steps.append(Step.ACQUIRE_COORDINATOR)
    elif _may_begin(seen) and not seen.ordered:
        steps.append(Step.ORDER)
    return JobDecision(tuple(steps), _progress(seen), look_at)


def _referring(seen: JobSight, now: float) -> JobDecision:
    """Nothing is held while what its coordinator would need is not there."""
    references = seen.references
    steps = (Step.LOOK_AT_REFERENCES,) if now >= references.look_at else ()
    if not references.words:
        return JobDecision(steps, _progress(seen))
    said = _progressing(False, JobReason.REFERENCE_MISSING, references.words)
    return JobDecision(steps, said, None if steps else references.look_at)


def _wants_store(wish: JobWish, seen: JobSight) -> bool:
    """Not while files are missing that nobody is about to put into it."""
    return seen.store.state is LeaseState.ABSENT and (wish.entered or not wish.missing)


def _may_begin(seen: JobSight) -> bool:
    return seen.coordinator.state is LeaseState.BOUND and seen.store.state is LeaseState.BOUND


def _progress(seen: JobSight) -> tuple[JobVerdict, ...]:
    if seen.coordinator.state is LeaseState.ENDED:
        words = f"its coordinator of term {seen.term} ended ({seen.coordinator.words}); the next one goes on"
        return _progressing(True, JobReason.RESUMING, words)
    if seen.store.state is not LeaseState.BOUND:
        if seen.ordered:
            return _progressing(True, JobReason.STORE_UNAVAILABLE, f"the store of its outputs: {seen.store.words}")
        return _progressing(True, JobReason.ACQUIRING, seen.store.words or "the store of its outputs is being made")
    if seen.coordinator.state is LeaseState.WAITING and seen.coordinator.words:
        return _progressing(True, JobReason.WAITING_FOR_CAPACITY, seen.coordinator.words)
    if seen.coordinator.state is not LeaseState.BOUND or not seen.phase:
        return _progressing(True, JobReason.ACQUIRING, "its coordinator is being started")
    reason = seen.phase if seen.phase in _PHASES else JobReason.RUNNING
    return _progressing(True, reason, seen.waiting_because or _shortage(seen) or _PHASES.get(seen.phase, "chunks run"))


def _shortage(seen: JobSight) -> str:
    """What is said of a job that runs on fewer workers than it may have; empty when none of them would have work."""
    if seen.phase != JobReason.RUNNING or not seen.queued or seen.workers >= seen.most_workers:
        return ""
    return f"chunks run on {seen.workers} of {seen.most_workers} workers: its pools have no more ready"


_PHASES: dict[str, str] = {
    JobReason.ACQUIRING: "its first workers are being acquired",
    JobReason.WAITING_FOR_CAPACITY: "no worker is to be had",
    JobReason.RUNNING: "chunks run",
    JobReason.FINISHING: "outputs are being made safe",
}


def _progressing(status: bool, reason: str, message: str) -> tuple[JobVerdict, ...]:
    return (JobVerdict(ConditionType.PROGRESSING, status, reason, message),)


def _needs_upload(missing: tuple[str, ...], waits: str) -> str:
    named = ", ".join(missing[:5]) + (f" and {len(missing) - 5} more" if len(missing) > 5 else "")
    store = f"; their store: {waits}" if waits else ""
    return f"these are files of its author's machine: {named} (submit it with: leasegrid submit FILE){store}"
