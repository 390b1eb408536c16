"""Writes a job's status: transitions at once, counts at most once a second, and nothing that stands there already."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from leasegrid.rules.job_control import JobDecision, JobVerdict
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
    """For one job. `wall`: UNIX seconds."""

    def __init__(self, cluster: Cluster, wall: Callable[[], float]) -> None:
        self._cluster = cluster
        self._wall = wall
        self._conditions: Sequence[Mapping[str, Any]] | None = None
        self._verdicts: tuple[JobVerdict, ...] = ()
        self._counts: Status = {}
        self._counted = 0.0
        self._receipt: Status = {}

    async def write(
        self, facts: JobFacts, decision: JobDecision, report: JobReport | None, receipts: Sequence[Receipt]
    ) -> bool:
        """Write what is new; True when the decision's verdicts stand in the object. Raises ClusterError."""
        now = self._wall()
        status: Status = {}
        turned = decision.verdicts != self._verdicts
        if turned:
            before = facts.written.conditions if self._conditions is None else self._conditions
            status["conditions"] = job_conditions(decision.verdicts, before, now, facts.generation)
        if decision.finish is not None:
            status["completionTime"] = written_instant(decision.finish.at)
        counts = report_status(report, graph=facts.kind == GRAPHS.kind) if report is not None else {}
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

    async def raise_term(self, facts: JobFacts, term: int, started: float) -> None:
        """Write the term of the next coordinator, unless the object is another than was seen. Raises ClusterError."""
        status = {"coordinatorGeneration": term, "startTime": written_instant(started)}
        await self._cluster.patch_status(resource_of(facts), facts.key, status, version=facts.version)

    async def let_in(self, facts: JobFacts, access: Status) -> None:
        """Write the way into the store for whoever asked. Raises ClusterError."""
        await self._cluster.patch_status(resource_of(facts), facts.key, {"access": access})

    async def delete(self, facts: JobFacts) -> None:
        """Delete the object; that of another run of the same name stays. Raises ClusterError."""
        await self._cluster.delete(resource_of(facts), facts.key, uid=facts.uid)

    def _note(self, decision: JobDecision, status: Status, counts: Status, receipt: Status, now: float) -> None:
        self._verdicts = decision.verdicts
        self._conditions = status.get("conditions", self._conditions)
        self._receipt = receipt
        if counts and counts.items() <= status.items():
            self._counts, self._counted = counts, now


def resource_of(facts: JobFacts) -> Resource:
    """Of which kind the object is."""
    return GRAPHS if facts.kind == GRAPHS.kind else JOBS
