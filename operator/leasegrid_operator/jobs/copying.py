"""The copy of a job's outputs into a claim, followed from its first pod to its end."""

import asyncio
from collections.abc import Callable
from contextlib import suppress

from leasegrid.rules.job_sights import CopySight, CopyState
from leasegrid_operator.cluster import Cluster, Object
from leasegrid_operator.errors import AlreadyExistsError, ClusterError, NotFoundError
from leasegrid_operator.jobs.copier_pods import CopierTemplate, copier_name, copier_pod, copier_secret, outline
from leasegrid_operator.jobs.letting_in import ACCESS_SECONDS, HeldStore, reading_grant
from leasegrid_operator.jobs.reading import JobFacts
from leasegrid_operator.pools.troubles import trouble_of
from leasegrid_operator.resources import CLAIMS, PODS, SECRETS, ObjectKey
from tasklet_runner.plan.types import Plan
from tasklet_runner.wire.jobs import CopyOrder

ATTEMPTS = 3
"""So many fail while the store stays where it is."""

MOST_PODS = 2 * ATTEMPTS
"""With those that failed because the store had moved."""

PAUSE_SECONDS = 2.0
"""Between two pods, times those that failed: that a store is lost, and where it is now, takes a while to show."""

LOOK_SECONDS = 0.5
"""How often one pod of one job is looked at; it is no member, and so not watched."""


Ordering = Callable[[], CopyOrder | None]
"""What a copier is told, by where the store is served at that moment; None while nobody serves it."""


class JobCopy:
    """Of one job. `sight` as `rules.job_control` wants it; `changed` is called when it may be another."""

    def __init__(self, cluster: Cluster, template: CopierTemplate, changed: Callable[[], None]) -> None:
        self._cluster = cluster
        self._template = template
        self._changed = changed
        self._task: asyncio.Task[None] | None = None
        self._told: set[str] = set()
        self.sight = CopySight()

    def left_behind(self) -> None:
        """An earlier operator has had the copy made: what is left of it is to be ended."""
        self.sight = CopySight(CopyState.DONE)

    def begin(self, facts: JobFacts, plan: Plan, ordering: Ordering) -> None:
        """Have it made; pods that an earlier operator made are found again. Each pod gets an order of its own."""
        if self.sight.state is CopyState.ABSENT:
            self._say(CopyState.RUNNING)
            self._task = asyncio.get_running_loop().create_task(self._run(facts, plan.output.claim, ordering))

    async def end(self, facts: JobFacts) -> None:
        """Delete the pods, and with them their Secrets. Raises ClusterError."""
        await self.close()
        for attempt in range(1, MOST_PODS + 1):
            with suppress(NotFoundError):
                await self._cluster.delete(PODS, _key(facts, attempt))
        self.sight = CopySight()

    async def close(self) -> None:
        """Follow it no longer; it stays as it is."""
        if self._task is not None:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)
            self._task = None

    def _say(self, state: CopyState, words: str = "") -> None:
        if self.sight != CopySight(state, words):
            self.sight = CopySight(state, words)
            self._changed()

    async def _run(self, facts: JobFacts, claim: str, ordering: Ordering) -> None:
        words, failed = "", 0
        for attempt in range(1, MOST_PODS + 1):
            await self._until_there(facts, claim)
            order = await self._until_served(ordering)
            pod = await self._until_ended(facts, claim, attempt, order)
            status = pod.get("status") or {}
            if status.get("phase") == "Succeeded":
                self._say(CopyState.DONE, f"its outputs are in the claim {claim}, in {facts.key.name}/")
                return
            trouble = trouble_of(status)
            words = trouble.message if trouble is not None else "it ended without a word"
            failed += _is_current(order, ordering())
            if failed == ATTEMPTS:
                break
            await asyncio.sleep(PAUSE_SECONDS * attempt)
        self._say(CopyState.FAILED, f"the copy into the claim {claim} failed {attempt} times: {words}")

    async def _until_served(self, ordering: Ordering) -> CopyOrder:
        while (order := ordering()) is None:
            self._say(CopyState.RUNNING, "its store is not served at the moment: another member takes it over")
            await asyncio.sleep(LOOK_SECONDS)
        return order

    async def _until_there(self, facts: JobFacts, claim: str) -> None:
        while True:
            try:
                await self._cluster.get(CLAIMS, ObjectKey(facts.key.namespace, claim))
            except NotFoundError:
                self._say(CopyState.RUNNING, f"there is no PersistentVolumeClaim {claim}: create it")
            except ClusterError as error:
                self._say(CopyState.RUNNING, error.cause)
            else:
                self._say(CopyState.RUNNING)
                return
            await asyncio.sleep(LOOK_SECONDS)

    async def _until_ended(self, facts: JobFacts, claim: str, attempt: int, order: CopyOrder) -> Object:
        while True:
            try:
                pod = await self._made(facts, claim, attempt, order)
            except ClusterError as error:
                self._say(CopyState.RUNNING, error.cause)
            else:
                status = pod.get("status") or {}
                if status.get("phase") in ("Succeeded", "Failed"):
                    return pod
                trouble = trouble_of(status)
                self._say(CopyState.RUNNING, trouble.message if trouble is not None else "")
            await asyncio.sleep(LOOK_SECONDS)

    async def _made(self, facts: JobFacts, claim: str, attempt: int, order: CopyOrder) -> Object:
        """The pod as it is now, with its Secret; both are made where they are not there. Raises ClusterError."""
        try:
            pod = await self._cluster.get(PODS, _key(facts, attempt))
        except NotFoundError:
            pod = await self._cluster.create(PODS, copier_pod(self._template, facts, claim, attempt))
        uid = pod["metadata"]["uid"]
        if uid not in self._told:
            # Of a pod that an earlier operator made nobody knows whether it has its Secret.
            with suppress(AlreadyExistsError):
                await self._cluster.create(SECRETS, copier_secret(facts, attempt, uid, order))
            self._told.add(uid)
        return pod


def copy_order(plan: Plan, held: HeldStore | None, now: float) -> CopyOrder | None:
    """What a copier is told; None while nobody serves the store. `now`: UNIX seconds."""
    if held is None:
        return None
    endpoint = held.view.members[0].endpoint
    return CopyOrder(plan=outline(plan), endpoint=endpoint, get=reading_grant(held, now + ACCESS_SECONDS))


def _is_current(given: CopyOrder, present: CopyOrder | None) -> bool:
    """True when the store was served all the while where the copier was told; else its failure proves nothing."""
    return present is not None and present.endpoint == given.endpoint


def _key(facts: JobFacts, attempt: int) -> ObjectKey:
    return ObjectKey(facts.key.namespace, copier_name(facts, attempt))
