"""A lease that a job needs, followed from its request to its end: its store, or its coordinator's member."""

import asyncio
from collections.abc import Callable
from typing import Protocol

from leasegrid.rules.job_control import LeaseSight, LeaseState
from leasegrid.rules.reasons import LeaseReason
from leasegrid_operator.errors import ClusterError
from tasklet_runner.fabric.protocol import Fabric, LeasedMember, LeaseRequest, LeaseView
from tasklet_runner.wire.errors import (
    CapacityExceededError,
    LeaseEndedError,
    LeaseGridError,
    NotLeaderError,
    RefusedError,
    UnsupportedError,
)

AGAIN_SECONDS = 1.0

LOST = "its member was lost"
FOLLOWED = f"{LOST}; another one comes to its volume"
FORGOTTEN = f"{LOST}, and all that was in its memory; where that must not be, set spec.output.store to Block"


class JobFabric(Fabric, Protocol):
    """The fabric of a namespace, for its jobs."""

    async def withdraw(self, request: LeaseRequest, reason: str) -> None:
        """End the lease of that request, wherever it is: still waiting, or made and not yet known. Raises ClusterError
        when it may be there and cannot be ended: try again.
        """
        ...


class JobLease:
    """One lease by its request id. `changed` is called whenever `sight` may be another; `words` of a request id say why
    it still waits.
    """

    def __init__(self, fabric: JobFabric, changed: Callable[[], None], words: Callable[[str], str]) -> None:
        self._fabric = fabric
        self._changed = changed
        self._words = words
        self._request: LeaseRequest | None = None
        self._state = LeaseState.ABSENT
        self._said = ""
        self._task: asyncio.Task[None] | None = None
        self._needed: LeasedMember | None = None
        self.view: LeaseView | None = None

    @property
    def sight(self) -> LeaseSight:
        """As `rules.job_control` wants it."""
        if self._state is LeaseState.WAITING and self._request is not None:
            return LeaseSight(self._state, self._words(self._request.request_id) or self._said)
        return LeaseSight(self._state, self._said)

    @property
    def member(self) -> LeasedMember | None:
        """The member that is needed, or the only one."""
        members = self.view.members if self.view is not None else ()
        return self._needed or (members[0] if len(members) == 1 else None)

    def acquire(self, request: LeaseRequest) -> None:
        """Want it; a lease that an earlier operator acquired for the same request is found again."""
        if self._state is LeaseState.ABSENT:
            self._request, self._state = request, LeaseState.WAITING
            self._follow(request)

    def need(self, member: LeasedMember) -> None:
        """Without this very member, as it is bound now, the lease is of no use."""
        self._needed = member

    def lost(self, words: str) -> None:
        """It is known to have ended, without having been followed."""
        self._state, self._said = LeaseState.ENDED, words

    async def release(self, reason: str) -> None:
        """Give it back; one that still waits is not wanted any more. Raises ClusterError: it is as it was."""
        await self._stop()
        request = self._request
        if request is not None and self._state in (LeaseState.WAITING, LeaseState.BOUND):
            try:
                await self._fabric.withdraw(request, reason)
            except ClusterError:
                self._follow(request)
                raise
        self._end(reason)

    async def close(self) -> None:
        """Follow it no longer; it stays as it is."""
        await self._stop()

    def _follow(self, request: LeaseRequest) -> None:
        self._task = asyncio.get_running_loop().create_task(self._live(request))

    async def _stop(self) -> None:
        if self._task is not None:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)
            self._task = None

    async def _live(self, request: LeaseRequest) -> None:
        try:
            self._learn(await self._acquired(request))
            while (view := self.view) is not None and not view.ended and not self._is_useless(request, view):
                self._learn(await self._fabric.watch(view.uid, view.version))
                await self._renewed(request)
            if view is not None and not view.ended:
                # Or it would get another member, and nobody would be there to use it.
                await self._fabric.release(view.uid, LeaseReason.MEMBERS_LOST)
            lost = FORGOTTEN if request.resource == "Memory" else LOST
            self._end((view.ended if view is not None else "") or lost)
        except (UnsupportedError, RefusedError) as error:
            self._refuse(error)
        except LeaseEndedError as error:
            self._end(error.cause)
        except NotLeaderError:
            return  # the next leader goes on with it

    async def _renewed(self, request: LeaseRequest) -> None:
        """While nobody is there who would do it: what else the job needs may take its time."""
        view = self.view
        due = view is not None and not view.ended and view.expires_in < request.ttl_seconds / 2
        if view is not None and due and self._needed is None:
            self._learn(await self._fabric.renew(view.uid))

    async def _acquired(self, request: LeaseRequest) -> LeaseView:
        while True:
            try:
                return await self._fabric.acquire(request)
            except (CapacityExceededError, ClusterError) as error:
                # Its time in the queue is over, of which the job has more; or the API server could not be asked.
                self._said = str(error)
                self._changed()
                await asyncio.sleep(AGAIN_SECONDS)

    def _learn(self, view: LeaseView) -> None:
        self.view = view
        if view.members:
            self._state, self._said = LeaseState.BOUND, ""
        elif not view.ended:
            self._state, self._said = LeaseState.WAITING, FOLLOWED
        self._changed()

    def _is_useless(self, request: LeaseRequest, view: LeaseView) -> bool:
        if request.resource == "Block":
            return False  # what is on its volume is served again
        needed = self._needed
        there = {(one.name, one.epoch) for one in view.members}
        return not there or (needed is not None and (needed.name, needed.epoch) not in there)

    def _refuse(self, error: LeaseGridError) -> None:
        self._state, self._said = LeaseState.REFUSED, str(error)
        self._changed()

    def _end(self, reason: str) -> None:
        self._state, self._said = LeaseState.ENDED, reason
        self._changed()
