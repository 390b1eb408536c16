"""One lease at a time: acquired, followed, renewed, released. What is done with its members is another's affair."""

import asyncio
import secrets
import time
from collections.abc import Callable

from tasklet_runner.coordinator.surroundings import Surroundings
from tasklet_runner.fabric.protocol import LeaseRequest, LeaseView, Receipt
from tasklet_runner.plan.renewal import Renewal, RenewalAction
from tasklet_runner.wire.errors import CapacityExceededError, LeaseEndedError, LeaseGridError, UnreachableError

FIRST_PAUSE_SECONDS = 0.1
MAX_PAUSE_SECONDS = 2.0
CLOSE_SECONDS = 15.0
"""A fabric that does not answer a release by then leaves it to the lease's deadline."""


class LeaseKeeper:
    """Keeps a lease while `keep` runs, and can acquire another after it. `on_view` hears of every newer view.

    `receipts`: of every lease that was released. `noticed` hears, once, what a person may want to know.
    """

    def __init__(
        self,
        surroundings: Surroundings,
        renew_at_percent: int,
        on_view: Callable[[LeaseView], None],
        noticed: Callable[[str], None],
    ) -> None:
        self.view: LeaseView | None = None
        self.waiting_because = ""
        self.receipts: list[Receipt] = []
        self._surroundings = surroundings
        self._renew_at_percent = renew_at_percent
        self._on_view = on_view
        self._noticed = noticed
        self._pending: asyncio.Future[LeaseView] | None = None
        self._renewal: Renewal | None = None
        self._look = asyncio.Event()
        self._past: list[LeaseView] = []

    async def acquire(self, request: Callable[[str], LeaseRequest]) -> None:
        """Ask until there is a lease; `request` makes each request anew from the one identity of this acquisition.

        Raises UnsupportedError: no pool could ever satisfy it.
        """
        pause = FIRST_PAUSE_SECONDS
        identity = secrets.token_hex(8)
        while True:
            # Shielded: a lease that is bound while this task is cancelled must be known, to be released.
            self._pending = asyncio.ensure_future(self._surroundings.fabric.acquire(request(identity)))
            try:
                view = await asyncio.shield(self._pending)
            except (CapacityExceededError, UnreachableError) as error:
                self._pending = None
                self.waiting_because = str(error)
            except LeaseGridError:
                self._pending = None
                raise
            else:
                self._pending = None
                self.waiting_because = ""
                self.adopt(view)
                return
            await asyncio.sleep(pause)
            pause = min(pause * 2, MAX_PAUSE_SECONDS)

    def adopt(self, view: LeaseView) -> None:
        """Take over what the fabric says, unless something newer is known. Raises LeaseEndedError."""
        if view.ended:
            raise LeaseEndedError(f"the lease {view.name} has ended: {view.ended}")
        if self.view is not None and self.view.uid == view.uid and view.version < self.view.version:
            return
        first = self.view is None or self.view.uid != view.uid
        self.view = view
        if first:
            now = time.monotonic()
            self._renewal = Renewal.start(now, view.expires_in, self._renew_at_percent, self._surroundings.jitter())
        self.waiting_because = view.waiting_because
        self._on_view(view)

    async def keep(self) -> None:
        """Follow and renew the lease for ever. Raises, in a group, LeaseEndedError when it is over."""
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(self._watch())
            tasks.create_task(self._renew())

    def look(self) -> None:
        """Ask the fabric how the lease is, soon: somebody could not reach a member of it."""
        self._look.set()

    def let_go(self) -> LeaseView | None:
        """The lease, if there is one, is of no further use; `release_all` still asks for its receipt."""
        view, self.view = self.view, None
        if view is not None:
            self._past.append(view)
        return view

    async def await_pending(self) -> None:
        """A lease that is only just being acquired is waited for, to be released."""
        if self._pending is None:
            return
        try:
            async with asyncio.timeout(CLOSE_SECONDS):
                self.view = await self._pending
        except (LeaseGridError, TimeoutError):
            self.view = None

    async def release_all(self, reason: str) -> None:
        """Also leases that have ended: their receipts stand in the same place."""
        views, self._past = [*self._past, *([self.view] if self.view else [])], []
        self.view = None
        for view in views:
            await self._release(view, reason)

    async def _watch(self) -> None:
        while self.view is not None:
            try:
                self.adopt(await self._surroundings.fabric.watch(self.view.uid, self.view.version))
            except UnreachableError as error:
                self.waiting_because = str(error)
                await asyncio.sleep(MAX_PAUSE_SECONDS)

    async def _renew(self) -> None:
        while self.view is not None and self._renewal is not None:
            step = self._renewal.tick(time.monotonic())
            if step.action is RenewalAction.WAIT and not self._look.is_set():
                await self._rest(step.at - time.monotonic())
            elif step.action is RenewalAction.EXPIRED:
                raise LeaseEndedError(f"the lease {self.view.name} could not be renewed in time")
            else:
                self._look.clear()
                await self._renew_once(self.view.uid)

    async def _rest(self, seconds: float) -> None:
        try:
            async with asyncio.timeout(max(seconds, 0)):
                await self._look.wait()
        except TimeoutError:
            return

    async def _renew_once(self, uid: str) -> None:
        if self._renewal is None:
            return
        left = self._renewal.lost_at - time.monotonic()
        try:
            async with asyncio.timeout(max(min(left, 10.0), 0.05)):
                view = await self._surroundings.fabric.renew(uid)
        except (UnreachableError, TimeoutError):
            self._renewal = self._renewal.failed(time.monotonic())
            return
        self._renewal = self._renewal.renewed(time.monotonic(), view.expires_in)
        self.adopt(view)

    async def _release(self, view: LeaseView, reason: str) -> None:
        try:
            async with asyncio.timeout(CLOSE_SECONDS):
                self.receipts.append(await self._surroundings.fabric.release(view.uid, reason))
        except (LeaseGridError, TimeoutError) as error:
            self._noticed(f"the lease {view.name} was not released and ends at its deadline: {error}")


def first_of(group: BaseExceptionGroup[LeaseGridError]) -> LeaseGridError:
    """The first error of nested groups: the others follow from it, or will be met again."""
    first = group.exceptions[0]
    return first_of(first) if isinstance(first, BaseExceptionGroup) else first
