"""One job: looked at, decided about, and what was decided done, until its object is gone.

Level-triggered: a step that failed is decided again at the next look, and a second look without news does nothing.
"""

import asyncio
import logging
from dataclasses import replace

import msgspec

from leasegrid.rules.job_control import Ended, JobDecision, JobSight, LeaseState, Step, control_job
from leasegrid.rules.uploads import ACCESS
from leasegrid_operator.errors import ClusterError
from leasegrid_operator.jobs.copying import JobCopy, copy_order
from leasegrid_operator.jobs.letting_in import HeldStore, access_status, held_store
from leasegrid_operator.jobs.office import JobOffice
from leasegrid_operator.jobs.ordering import Commission, ask_coordinator
from leasegrid_operator.jobs.reading import JobFacts
from leasegrid_operator.jobs.references import JobReferences
from leasegrid_operator.jobs.requests import coordinator_name, coordinator_request, store_name, store_request
from leasegrid_operator.jobs.status import queued_chunks
from leasegrid_operator.jobs.supplying import LackingError
from leasegrid_operator.jobs.timeline import JobTimeline
from leasegrid_operator.jobs.writing import JobPen
from leasegrid_operator.logs import Action, log
from tasklet_runner.fabric.protocol import LeaseView, Receipt
from tasklet_runner.plan.types import Plan, Stage
from tasklet_runner.wire.errors import LeaseGridError, ProtocolError
from tasklet_runner.wire.jobs import CoordinatorState, Instruction, JobReport, Order

logger = logging.getLogger(__name__)

SILENT_SECONDS = 3.0
"""A coordinator that reports nothing for so long is asked whether it lives."""

AGAIN_SECONDS = 0.5

_RELEASES = frozenset({Step.RELEASE_COORDINATOR, Step.RELEASE_STORE})

LONG_LIFE_SECONDS = 600.0
"""A coordinator that lived for so long was not ended by what it did: chunks may take longer than their members live."""

_BESIDE = frozenset({Step.LOOK_AT_REFERENCES, Step.COPY, Step.END_COPY})


class JobKeeper:
    """Keeps one job; `seen` with each newer body, `reported` with each report of its coordinator."""

    def __init__(self, facts: JobFacts, office: JobOffice) -> None:
        self.facts = facts
        self._office = office
        self._key = office.key(facts.uid)
        self._news = asyncio.Event()
        self._pen = JobPen(office.cluster, office.wall)
        self._store = office.leases.follow(facts, self._news.set)
        self._coordinator = office.leases.follow(facts, self._news.set)
        self._term = facts.written.term
        self._started = facts.written.started
        self._references = JobReferences(office.cluster, office.wall)
        self._copy = JobCopy(office.cluster, office.copier, self._news.set)
        self._inherited = self._counted = False
        self._found(office)
        self._ordered = False
        self._answered = ""
        self._report: JobReport | None = None
        first = _now() - (office.wall() - self._started) if self._started else None
        self._timeline = JobTimeline(facts.written.timeline, facts.written.began, first)
        self._heard = self._ordered_at = 0.0
        self._fruitless, self._best, self._ended_at = 0, 0, 0.0
        self._finished = facts.written.finished
        self._task = asyncio.get_running_loop().create_task(self._keep(), name=f"keep {facts.kind} {facts.key}")

    @property
    def allowance(self) -> int:
        """Members that its coordinator may have, in all."""
        return sum(stage.parallelism + (stage.shuffle is not None) for stage in self._stages())

    def coordinates(self, lease: str) -> bool:
        """True for the uid of its present coordinator's lease."""
        view = self._coordinator.view
        return view is not None and view.uid == lease

    @property
    def looks(self) -> bool:
        """True while a coordinator that an earlier operator ordered may be there, and its lease is not yet found."""
        return self._inherited and self._coordinator.sight.state is LeaseState.WAITING

    def seen(self, facts: JobFacts) -> None:
        """The object as it is now."""
        self.facts = facts
        self._news.set()

    def reported(self, report: JobReport) -> Instruction:
        """What the coordinator of some term says, and what it is to do."""
        if report.term != self._term or self._coordinator.sight.state is LeaseState.ENDED:
            return Instruction(order=Order.FENCED, why=f"the job is at term {self._term}")
        newer = self._report is None or report.sequence > self._report.sequence
        if newer:
            whole = self._timeline.whole(report.timeline)
            self._report, self._heard = msgspec.structs.replace(report, timeline=whole), _now()
            self._news.set()
        over = self._finished is not None
        stop = over or self.facts.wish.suspended
        why = "suspended" if self.facts.wish.suspended else "the job has ended" if over else ""
        return Instruction(order=Order.STOP if stop else Order.GO_ON, why=why, recorded=over)

    async def close(self) -> None:
        """Decide and write nothing more; the job's leases stay as they are."""
        self._task.cancel()
        await asyncio.gather(self._task, return_exceptions=True)
        await self._store.close()
        await self._coordinator.close()
        await self._copy.close()

    def _found(self, office: JobOffice) -> None:
        """What an earlier operator has left: leases that are gone ended without anybody here seeing it. The others are
        followed, also where nobody would ask for them any more: they are still to be read, or to be released.
        """
        facts, plan, held = self.facts, self.facts.plan, coordinator_name(self.facts, self._term)
        if plan is not None and office.leases.lives(store_name(facts)):
            self._store.acquire(store_request(facts, plan, self._key))
        elif self._term:
            self._store.lost("it was deleted, or ended while no operator was there")
        if self._term and plan is not None and office.leases.lives(held):
            self._inherited = office.leases.is_bound(held)
            self._coordinator.acquire(coordinator_request(facts, plan, self._key, self._term))
        elif self._term:
            self._coordinator.lost("it ended while no operator was there")
        if plan is not None and plan.output.claim and facts.written.finished is not None:
            self._copy.left_behind()

    async def _keep(self) -> None:
        while True:
            self._news.clear()
            self._note_end()
            decision = control_job(self.facts.wish, self._sight(), self._office.wall())
            try:
                await self._apply(decision)
            except (ClusterError, LeaseGridError) as error:
                # Decided again at the next look: nothing that was done is undone.
                log(logger, logging.WARNING, Action.JOB_STEP_FAILED, str(error), job=str(self.facts.key))
                await asyncio.sleep(AGAIN_SECONDS)
                continue
            await self._something(decision)

    def _sight(self) -> JobSight:
        report, ending = self._report, self._report.ending if self._report is not None else None
        now = self._office.wall()
        return JobSight(
            term=self._term,
            started=self._started,
            store=self._store.sight,
            coordinator=self._coordinator.sight,
            ordered=self._ordered,
            phase=report.phase if report is not None else "",
            waiting_because=report.waiting_because if report is not None else "",
            ending=Ended(ending.complete, ending.reason, ending.message, now) if ending is not None else None,
            fruitless=self._fruitless,
            ended_at=self._ended_at,
            finished=self._current_end(),
            workers=report.workers if report is not None else 0,
            most_workers=max((one.parallelism for one in self._stages()), default=0),
            queued=queued_chunks(report) if report is not None else 0,
            references=self._references.sight(self.facts),
            copy=self._copy.sight,
        )

    def _stages(self) -> tuple[Stage, ...]:
        return self.facts.plan.stages if self.facts.plan is not None else ()

    def _current_end(self) -> Ended | None:
        if self._finished is None:
            return None
        written = self.facts.written.finished
        return replace(self._finished, fetched=written is not None and written.fetched)

    async def _apply(self, decision: JobDecision) -> None:
        # Nothing of one release is needed by another, and each waits for members and volumes.
        releases = [self._do(step, decision) for step in decision.steps if step in _RELEASES]
        await asyncio.gather(*releases)
        for step in decision.steps:
            if step not in _RELEASES:
                await self._do(step, decision)
        await self._let_in()
        wrote = await self._pen.write(self.facts, decision, self._report, self._receipts(), self._timeline.began)
        if wrote and decision.finish is not None:
            self._finished = decision.finish
            self._news.set()

    async def _let_in(self) -> None:
        """Answer whoever asks for a way into the store, once it is there."""
        asked, held = self.facts.annotations.get(ACCESS, ""), self._held_store()
        bound = self._store.sight.state is LeaseState.BOUND
        if asked in ("", self._answered, self.facts.written.access) or held is None or not bound:
            return
        try:
            said = access_status(asked, held, self._office.wall())
        except ProtocolError as error:
            log(logger, logging.WARNING, Action.JOB_STEP_FAILED, str(error), job=str(self.facts.key))
        else:
            await self._pen.let_in(self.facts, said)
        self._answered = asked

    async def _do(self, step: Step, decision: JobDecision) -> None:
        facts, plan = self.facts, self.facts.plan
        if step in _BESIDE:
            await self._do_beside(step)
        elif step is Step.RELEASE_COORDINATOR:
            self._counted = True  # its end is none of its own
            await self._coordinator.release("Finished" if self._finished is not None else "Suspended")
        elif step is Step.RELEASE_STORE:
            await self._store.release("Finished")
        elif step is Step.DELETE:
            await self._pen.delete(facts)
        elif plan is None:
            return
        elif step is Step.ACQUIRE_STORE:
            self._store.acquire(store_request(facts, plan, self._key))
        elif step is Step.RAISE_TERM:
            await self._raise_term(decision)
        elif step is Step.ACQUIRE_COORDINATOR:
            self._coordinator.acquire(coordinator_request(facts, plan, self._key, self._term))
        else:
            await self._order(plan)

    async def _do_beside(self, step: Step) -> None:
        """What concerns no lease."""
        plan = self.facts.plan
        if step is Step.LOOK_AT_REFERENCES:
            await self._references.look(self.facts)
            self._news.set()
        elif step is Step.END_COPY:
            await self._copy.end(self.facts)
        elif plan is not None:
            self._copy.begin(self.facts, plan, lambda: copy_order(plan, self._held_store(), self._office.wall()))

    def _held_store(self) -> HeldStore | None:
        """The job's store where it is served now; None while nobody serves it."""
        return held_store(self._store.view, self.facts.plan, self._key, self._term)

    async def _raise_term(self, decision: JobDecision) -> None:
        started = self._started or self._office.wall()
        await self._pen.raise_term(self.facts, decision, self._term + 1, started)
        self._term, self._started = self._term + 1, started
        self._ordered = self._inherited = self._counted = False
        self._timeline.over()
        self._report = None
        await self._coordinator.close()
        self._coordinator = self._office.leases.follow(self.facts, self._news.set)

    async def _order(self, plan: Plan) -> None:
        lease, store = self._coordinator.view, self._store.view
        if lease is None or store is None or not (lease.members and store.members):
            return
        if self._inherited:
            await self._know_again(lease)
            return
        try:
            supplies = await self._references.fetch(self.facts)
        except LackingError:
            self._counted = True  # it was never begun
            await self._coordinator.release("what the job names is not there any more")
            return
        self._coordinator.need(lease.members[0])
        await self._office.order(Commission(self.facts, plan, self._key, self._term, lease, store, supplies))
        self._ordered, self._heard, self._ordered_at = True, _now(), _now()
        self._timeline.begun(_now())

    async def _know_again(self, lease: LeaseView) -> None:
        """Which member of a lease that was bound by an earlier operator runs the coordinator, they say themselves. None
        of them does: nobody knows whether one did that cannot be reached, and the next term shuts it out.
        """
        for member in lease.members:
            said = await ask_coordinator(member)
            if said.state is not CoordinatorState.NONE and said.term == self._term:
                self._coordinator.need(member)
                self._ordered, self._inherited = True, False
                self._heard = self._ordered_at = _now()
                return
        await self._coordinator.release("no member of it runs the coordinator")

    def _receipts(self) -> tuple[Receipt, ...]:
        return self._office.leases.receipts(self._key.public) if self._finished is not None else ()

    async def _something(self, decision: JobDecision) -> None:
        """Wait for news, for the time that was decided, or for the next look at a coordinator that is silent."""
        instants = [at for at in (decision.look_at, self._pen.due) if at is not None]
        looks = [max(0.0, at - self._office.wall()) for at in instants]
        if self._ordered and self._finished is None:
            looks.append(max(0.0, self._heard + SILENT_SECONDS - _now()))
        try:
            async with asyncio.timeout(min(looks, default=None)):
                await self._news.wait()
        except TimeoutError:
            await self._look_at_coordinator()

    async def _look_at_coordinator(self) -> None:
        """A coordinator that died on a living member ends its lease; one on a dead member has lost it."""
        member = self._coordinator.member
        silent = self._ordered and self._finished is None and _now() >= self._heard + SILENT_SECONDS
        if not silent or member is None or self._coordinator.sight.state is not LeaseState.BOUND:
            return
        self._heard = _now()
        try:
            said = await ask_coordinator(member)
        except LeaseGridError:
            return  # the fabric looks at its members, too
        if said.state is not CoordinatorState.RUNNING or said.term != self._term:
            await self._coordinator.release(f"its process ended: {said.words or said.state.value}")

    def _note_end(self) -> None:
        """Count a coordinator that has ended by itself, once: with a step forward, or without."""
        if self._counted or not self._ordered or self._coordinator.sight.state is not LeaseState.ENDED:
            return
        self._counted = True
        done = sum(one.succeeded + one.failed for one in self._report.stages) if self._report is not None else 0
        lived = _now() - self._ordered_at >= LONG_LIFE_SECONDS
        self._fruitless = 0 if done > self._best or lived else self._fruitless + 1
        self._best, self._ended_at = max(done, self._best), self._office.wall()


def _now() -> float:
    return asyncio.get_running_loop().time()
