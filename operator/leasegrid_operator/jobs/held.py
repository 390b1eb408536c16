"""A lease that a job needs, followed from its request to its end: its store, or its coordinator's member."""

import asyncio
from collections.abc import Callable
from contextlib import suppress

from leasegrid.rules.job_control import LeaseSight, LeaseState
from tasklet_runner.fabric.protocol import Fabric, LeaseRequest, LeaseView, Receipt
from tasklet_runner.wire.errors import (
    CapacityExceededError,
    LeaseEndedError,
    LeaseGridError,
    RefusedError,
    UnsupportedError,
)

AGAIN_SECONDS = 1.0


class JobLease:
    """One lease by its request id. `changed` is called whenever `sight` may be another; `words` of a request id say why
    it still waits.
    """

    def __init__(self, fabric: Fabric, changed: Callable[[], None], words: Callable[[str], str]) -> None:
        self._fabric = fabric
        self._changed = changed
        self._words = words
        self._request: LeaseRequest | None = None
        self._state = LeaseState.ABSENT
        self._said = ""
        self._task: asyncio.Task[None] | None = None
        self.view: LeaseView | None = None
        self.receipt: Receipt | None = None

    @property
    def sight(self) -> LeaseSight:
        """As `rules.job_control` wants it."""
        if self._state is LeaseState.WAITING and self._request is not None:
            return LeaseSight(self._state, self._words(self._request.request_id) or self._said)
        return LeaseSight(self._state, self._said)

    def acquire(self, request: LeaseRequest) -> None:
        """Want it; a lease that an earlier operator acquired for the same request is found again."""
        if self._state is LeaseState.ABSENT:
            self._request, self._state = request, LeaseState.WAITING
            self._task = asyncio.get_running_loop().create_task(self._live(request))

    def lost(self, words: str) -> None:
        """It is known to have ended, without having been followed."""
        self._state, self._said = LeaseState.ENDED, words

    async def release(self, reason: str) -> None:
        """Give it back; one that still waits is not wanted any more."""
        await self._stop()
        view = self.view
        if view is not None and self._state is LeaseState.BOUND:
            with suppress(LeaseEndedError):
                self.receipt = await self._fabric.release(view.uid, reason)
        self._end(reason)

    async def close(self) -> None:
        """Follow it no longer; it stays as it is."""
        await self._stop()

    async def _stop(self) -> None:
        if self._task is not None:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)
            self._task = None

    async def _live(self, request: LeaseRequest) -> None:
        try:
            view = await self._acquired(request)
            self.view, self._state, self._said = view, LeaseState.BOUND, ""
            self._changed()
            while not view.ended and view.members:
                view = await self._fabric.watch(view.uid, view.version)
                self.view = view
                self._changed()
            self._end(view.ended or "its member was lost")
        except UnsupportedError as error:
            self._refuse(error)
        except RefusedError as error:
            self._refuse(error)
        except LeaseEndedError as error:
            self._end(error.cause)

    async def _acquired(self, request: LeaseRequest) -> LeaseView:
        while True:
            try:
                return await self._fabric.acquire(request)
            except CapacityExceededError as error:
                # Its time in the queue is over; the job has more of it than one request may wait.
                self._said = str(error)
                self._changed()
                await asyncio.sleep(AGAIN_SECONDS)

    def _refuse(self, error: LeaseGridError) -> None:
        self._state, self._said = LeaseState.REFUSED, str(error)
        self._changed()

    def _end(self, reason: str) -> None:
        self._state, self._said = LeaseState.ENDED, reason
        self._changed()
