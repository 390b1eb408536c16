"""How often a job's status is written: what turns at once, words when the last ones had their time."""

import asyncio
from typing import cast

from leasegrid.rules.job_control import JobDecision, JobVerdict, JobWish
from leasegrid.rules.reasons import ConditionType, JobReason
from leasegrid_operator.cluster import Cluster
from leasegrid_operator.jobs.reading import JobFacts, JobWritten
from leasegrid_operator.jobs.writing import COUNTS_SECONDS, JobPen
from leasegrid_operator.resources import ObjectKey, Resource

NOON = 1_700_000_000.0
FACTS = JobFacts(ObjectKey("default", "mine"), "uid", "Job", NOON, JobWish(), None, JobWritten(), version="7")

Written = dict[str, object]


class Paper:
    """Takes what is written, and has a clock that only tests move."""

    def __init__(self) -> None:
        self.now = NOON
        self.written: list[Written] = []
        self.versions: list[str] = []
        self.pen = JobPen(cast(Cluster, self), lambda: self.now)

    async def patch_status(self, resource: Resource, key: ObjectKey, status: Written, *, version: str = "") -> None:
        """As the cluster's."""
        self.written.append(status)
        self.versions.append(version)

    def write(self, decision: JobDecision) -> None:
        """What the pen makes of a decision without a report."""
        asyncio.run(self.pen.write(FACTS, decision, None, ()))

    @property
    def messages(self) -> list[object]:
        """Of the conditions, write by write."""
        return [cast(list[Written], one["conditions"])[0]["message"] for one in self.written]


def _decision(reason: str, message: str) -> JobDecision:
    return JobDecision(verdicts=(JobVerdict(ConditionType.PROGRESSING, True, reason, message),))


def test_another_reason_is_written_at_once() -> None:
    paper = Paper()
    paper.write(_decision(JobReason.ACQUIRING, "a store is made"))
    paper.write(_decision(JobReason.RUNNING, "chunks run"))
    assert paper.messages == ["a store is made", "chunks run"]
    assert paper.pen.due is None


def test_other_words_wait_until_the_last_ones_had_their_time() -> None:
    paper = Paper()
    paper.write(_decision(JobReason.ACQUIRING, "a store is made"))
    paper.write(_decision(JobReason.ACQUIRING, "a coordinator is started"))
    assert paper.messages == ["a store is made"]
    assert paper.pen.due == NOON + COUNTS_SECONDS
    paper.now += COUNTS_SECONDS
    paper.write(_decision(JobReason.ACQUIRING, "a coordinator is started"))
    assert paper.messages == ["a store is made", "a coordinator is started"]
    assert paper.pen.due is None


def test_words_that_are_taken_back_are_never_written() -> None:
    paper = Paper()
    for message in ("a store is made", "a coordinator is started", "a store is made"):
        paper.write(_decision(JobReason.ACQUIRING, message))
    paper.now += COUNTS_SECONDS
    paper.write(_decision(JobReason.ACQUIRING, "a store is made"))
    assert paper.messages == ["a store is made"]
    assert paper.pen.due is None


def test_the_term_and_the_words_of_its_time_are_one_guarded_write() -> None:
    paper = Paper()
    decision = _decision(JobReason.ACQUIRING, "a store is made")
    asyncio.run(paper.pen.raise_term(FACTS, decision, 3, NOON))
    paper.write(decision)
    assert [one["coordinatorGeneration"] for one in paper.written] == [3]
    assert paper.versions == ["7"]
    assert paper.messages == ["a store is made"]
