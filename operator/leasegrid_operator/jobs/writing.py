"""Writes a job's status: transitions at once, counts and mere words at most once a second, and nothing twice."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from leasegrid.rules.job_control import JobDecision, JobVerdict
from leasegrid.rules.reasons import ConditionType
from leasegrid_operator.cluster import Cluster
from leasegrid_operator.errors import NotFoundError
from leasegrid_operator.jobs.reading import JobFacts
from leasegrid_operator.jobs.status import Status, job_conditions, receipt_status, report_status
from leasegrid_operator.leases.status import written_instant
from leasegrid_operator.resources import GRAPHS, JOBS, Resource
from tasklet_runner.fabric.protocol import Receipt
from tasklet_runner.wire.jobs import JobReport

COUNTS_SECONDS = 1.0


class JobPen:
    """For one job. `wall`: UNIX seconds. `due`: when words that were held back may be written; None: there are none."""

    def __init__(self, cluster: Cluster, wall: Callable[[], float]) -> None:
        self.due: float | None = None
        self._cluster = cluster
        self._wall = wall
        self._conditions: Sequence[Mapping[str, Any]] | None = None
        self._verdicts: tuple[JobVerdict, ...] = ()
        self._told = 0.0
        self._counts: Status = {}
        self._counted = 0.0
        self._receipt: Status = {}

    async def write(
        self,
        facts: JobFacts,
        decision: JobDecision,
        report: JobReport | None,
        receipts: Sequence[Receipt],
        began: int = 0,
    ) -> bool:
        """Write what is new; True when the decision's verdicts stand in the object. Raises ClusterError.

        `began`: when, by the report's timeline, its coordinator did.
        """
        now = self._wall()
        status: Status = {}
        turned = self._has_turned(decision, now)
        if turned:
            status["conditions"] = self._conditions_of(facts, decision, now)
        if decision.finish is not None:
            status["completionTime"] = written_instant(decision.finish.at)
            if decision.finish.location:
                status["resultLocation"] = decision.finish.location
        over = not any(one.type is ConditionType.PROGRESSING and one.status for one in decision.verdicts)
        counts = report_status(report, graph=facts.kind == GRAPHS.kind, over=over) if report is not None else {}
        if counts:
            counts["coordinatorAfterMilliseconds"] = began
        if counts != self._counts and (turned or now >= self._counted + COUNTS_SECONDS):
            status |= counts
        receipt = receipt_status(receipts) if receipts else {}
        if receipt != self._receipt:
            status["receipt"] = receipt
        if not status:
            return True
        try:
            await self._cluster.patch_status(resource_of(facts), facts.key, status)
        except NotFoundError:
            return False  # the watch tells, too
        self._note(decision, status, counts, receipt, now)
        return True

    async def raise_term(self, facts: JobFacts, decision: JobDecision, term: int, started: float) -> None:
        """Write the term of the next coordinator, unless the object is another than was seen. Raises ClusterError."""
        now = self._wall()
        conditions = self._conditions_of(facts, decision, now)
        status: Status = {
            "coordinatorGeneration": term,
            "coordinatorAfterMilliseconds": None,  # the next one has told nothing yet
            "startTime": written_instant(started),
            "conditions": conditions,
        }
        await self._cluster.patch_status(resource_of(facts), facts.key, status, version=facts.version)
        self._note(decision, status, {}, self._receipt, now)

    async def let_in(self, facts: JobFacts, access: Status) -> None:
        """Write the way into the store for whoever asked. Raises ClusterError."""
        await self._cluster.patch_status(resource_of(facts), facts.key, {"access": access})

    async def delete(self, facts: JobFacts) -> None:
        """Delete the object; that of another run of the same name stays. Raises ClusterError."""
        await self._cluster.delete(resource_of(facts), facts.key, uid=facts.uid)

    def _has_turned(self, decision: JobDecision, now: float) -> bool:
        """True when the conditions are to be written now: where only words are others, the last ones had their time."""
        if decision.verdicts == self._verdicts or _kinds(decision.verdicts) != _kinds(self._verdicts):
            self.due = None
            return decision.verdicts != self._verdicts
        self.due = self._told + COUNTS_SECONDS if now < self._told + COUNTS_SECONDS else None
        return self.due is None

    def _conditions_of(self, facts: JobFacts, decision: JobDecision, now: float) -> list[Mapping[str, str | int]]:
        before = facts.written.conditions if self._conditions is None else self._conditions
        return job_conditions(decision.verdicts, before, now, facts.generation)

    def _note(self, decision: JobDecision, status: Status, counts: Status, receipt: Status, now: float) -> None:
        if "conditions" in status:
            self._verdicts, self._conditions, self._told = decision.verdicts, status["conditions"], now
        self._receipt = receipt
        if counts and counts.items() <= status.items():
            self._counts, self._counted = counts, now


def _kinds(verdicts: Sequence[JobVerdict]) -> list[tuple[str, bool, str]]:
    return [(one.type, one.status, one.reason) for one in verdicts]


def resource_of(facts: JobFacts) -> Resource:
    """Of which kind the object is."""
    return GRAPHS if facts.kind == GRAPHS.kind else JOBS
