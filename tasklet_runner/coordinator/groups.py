"""Members of one kind under one elastic lease: acquired, watched, renewed, resized, given back.

A group outlives its lease: when the lease ends and work remains, it takes another.
"""

import asyncio
import secrets
import time
from dataclasses import dataclass
from typing import Protocol

from tasklet_runner.coordinator.capabilities import capabilities_by_member
from tasklet_runner.coordinator.connections import Connections, MemberEvents
from tasklet_runner.coordinator.handles import Handle
from tasklet_runner.coordinator.sizing import surplus
from tasklet_runner.coordinator.surroundings import Surroundings
from tasklet_runner.fabric.protocol import LeaseRequest, LeaseView, Receipt
from tasklet_runner.plan.renewal import Renewal, RenewalAction
from tasklet_runner.plan.types import LeaseTerms, Requirements
from tasklet_runner.wire.errors import (
    CapacityExceededError,
    LeaseEndedError,
    LeaseGridError,
    UnreachableError,
    UnsupportedError,
)
from tasklet_runner.wire.signed import public_text

FIRST_PAUSE_SECONDS = 0.1
MAX_PAUSE_SECONDS = 2.0
CLOSE_SECONDS = 15.0
"""A fabric that does not answer a release by then leaves it to the lease's deadline."""


@dataclass(frozen=True)
class GroupKey:
    """What the members of a group have in common: two stages with the same key share them."""

    terms: LeaseTerms
    requirements: Requirements

    @classmethod
    def of(cls, terms: LeaseTerms, requirements: Requirements) -> "GroupKey":
        """The key for chunks with these requirements under these terms."""
        return cls(terms, requirements)


class GroupEvents(MemberEvents, Protocol):
    """What is heard of a group and its members."""

    def impossible(self, group: "LeaseGroup", error: LeaseGridError) -> None:
        """No pool could ever satisfy this group."""

    def noticed(self, text: str) -> None:
        """Something that a person may want to know."""


class LeaseGroup:
    """One elastic lease at a time. `label` says for what, for people; `minimum` members are taken at once or none."""

    def __init__(self, key: GroupKey, surroundings: Surroundings, events: GroupEvents, label: tuple[str, str]) -> None:
        self.key = key
        self.view: LeaseView | None = None
        self.waiting_because = ""
        self.impossible: LeaseGridError | None = None
        self.minimum = 1
        self.receipts: list[Receipt] = []
        self._surroundings = surroundings
        self._events = events
        self._namespace, self._purpose = label
        self._wanted = 0
        self._asked = 0
        self._want_some = asyncio.Event()
        self._changed = asyncio.Event()
        self._give_back: set[str] = set()
        self._lost: dict[str, str] = {}
        self._connections = Connections(self, surroundings, events, self._report)
        self._pending: asyncio.Future[LeaseView] | None = None
        self._renewal: Renewal | None = None
        self._past: list[LeaseView] = []
        self._supervisor = asyncio.get_running_loop().create_task(self._supervise())
        self._supervisor.add_done_callback(self._supervisor_ended)

    @property
    def handles(self) -> dict[str, Handle]:
        """The members that are connected, by name."""
        return self._connections.handles

    @property
    def leased(self) -> int:
        """Members under lease."""
        return len(self.view.members) if self.view is not None else 0

    @property
    def member_slots(self) -> int:
        """Slots of one member, 0 when none is known yet."""
        members = self.view.members if self.view is not None else ()
        return max((member.slots for member in members), default=0)

    def want(self, count: int) -> None:
        """Want so many members from now on; idle ones above that are given back."""
        count_changed = count != self._wanted
        self._wanted = count
        if count > 0:
            self._want_some.set()
        else:
            self._want_some.clear()
        excess = self._surplus(count)
        for handle in excess:
            self._give_back.add(handle.member.name)
            self._connections.drop(handle, "given back", died=False)
        if excess or (count_changed and self.view is not None):
            self._changed.set()

    def end(self, handle: Handle, reason: str, *, died: bool) -> None:
        """A member is of no further use: the fabric is told, and replaces it."""
        if handle.closed:
            return
        self._report(handle.member.name, reason)
        self._connections.drop(handle, reason, died=died)

    async def close(self, reason: str) -> None:
        """Release everything; also a lease that is only just being acquired."""
        self._wanted = 0
        self._supervisor.cancel()
        await asyncio.wait({self._supervisor})
        await self._await_pending()
        self._connections.drop_all(reason)
        await self._release_all(reason)
        await self._connections.close()

    def _report(self, member: str, reason: str) -> None:
        self._lost[member] = reason
        self._changed.set()

    def _supervisor_ended(self, task: asyncio.Task[None]) -> None:
        if not task.cancelled() and (error := task.exception()) is not None:
            self._events.broken(error)

    def _surplus(self, count: int) -> list[Handle]:
        if len(self.handles) <= count:
            return []
        idle = [handle for handle in self.handles.values() if handle.idle]
        return idle[: surplus(len(self.handles), count, len(idle))]

    async def _supervise(self) -> None:
        while self.impossible is None:
            await self._want_some.wait()
            try:
                self._adopt(await self._acquire())
                async with asyncio.TaskGroup() as tasks:
                    tasks.create_task(self._watch())
                    tasks.create_task(self._renew())
                    tasks.create_task(self._resize())
            except* LeaseEndedError as ended:
                self._lease_ended(str(ended.exceptions[0]))
            except* UnsupportedError as error:
                self.impossible = _first(error)
                self._events.impossible(self, self.impossible)

    def _lease_ended(self, why: str) -> None:
        self._connections.drop_all(why)
        view, self.view = self.view, None
        if view is not None:
            self._past.append(view)
            self._events.noticed(f"the lease {view.name} has ended: {why}")
        self._give_back.clear()
        self._lost.clear()

    async def _acquire(self) -> LeaseView:
        pause = FIRST_PAUSE_SECONDS
        identity = secrets.token_hex(8)
        while True:
            self._asked = max(self._wanted, 1)
            # Shielded: a lease that is bound while this task is cancelled must be known, to be released.
            self._pending = asyncio.ensure_future(self._surroundings.fabric.acquire(self._request(identity)))
            try:
                view = await asyncio.shield(self._pending)
                self._pending = None
                self.waiting_because = ""
                return view
            except (CapacityExceededError, UnreachableError) as error:
                self._pending = None
                self.waiting_because = str(error)
            await asyncio.sleep(pause)
            pause = min(pause * 2, MAX_PAUSE_SECONDS)

    def _request(self, identity: str) -> LeaseRequest:
        terms = self.key.terms
        return LeaseRequest(
            request_id=identity,
            holder_key=public_text(self._surroundings.holder),
            namespace=self._namespace,
            count=self._asked,
            min_count=min(self.minimum, self._asked),
            elastic=True,
            pools=terms.pools,
            slots=self.key.requirements.slots,
            memory=self.key.requirements.memory,
            cpu_features=self.key.requirements.cpu_features,
            ttl_seconds=terms.ttl_seconds,
            max_lifetime_seconds=terms.max_lifetime_seconds,
            holder_identity=self._surroundings.holder_identity,
            purpose=self._purpose,
            parent=self._surroundings.parent,
            priority=terms.priority,
        )

    def _adopt(self, view: LeaseView) -> None:
        """Take over what the fabric says, unless something newer is known."""
        if view.ended:
            raise LeaseEndedError(f"the lease {view.name} has ended: {view.ended}")
        if self.view is not None and self.view.uid == view.uid and view.version < self.view.version:
            return
        first = self.view is None or self.view.uid != view.uid
        self.view = view
        if first:
            now = time.monotonic()
            self._renewal = Renewal.start(
                now, view.expires_in, self.key.terms.renew_at_percent, self._surroundings.jitter()
            )
        self.waiting_because = view.waiting_because
        self._connections.follow(view.members, capabilities_by_member(view.capabilities))

    async def _watch(self) -> None:
        while self.view is not None:
            try:
                self._adopt(await self._surroundings.fabric.watch(self.view.uid, self.view.version))
            except UnreachableError as error:
                self.waiting_because = str(error)
                await asyncio.sleep(MAX_PAUSE_SECONDS)

    async def _renew(self) -> None:
        while self.view is not None and self._renewal is not None:
            step = self._renewal.tick(time.monotonic())
            if step.action is RenewalAction.WAIT:
                await asyncio.sleep(max(step.at - time.monotonic(), 0))
            elif step.action is RenewalAction.EXPIRED:
                raise LeaseEndedError(f"the lease {self.view.name} could not be renewed in time")
            else:
                await self._renew_once(self.view.uid)

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
        self._adopt(view)

    async def _resize(self) -> None:
        while self.view is not None:
            await self._changed.wait()
            self._changed.clear()
            try:
                await self._tell(self.view.uid)
            except UnreachableError:
                self._changed.set()
                await asyncio.sleep(MAX_PAUSE_SECONDS)

    async def _tell(self, uid: str) -> None:
        fabric = self._surroundings.fabric
        while self._lost:
            name, reason = next(iter(self._lost.items()))
            view = await fabric.report_lost(uid, name, reason)
            self._lost.pop(name, None)
            self._adopt(view)
        if self._give_back or self._wanted != self._asked:
            give_back, wanted = tuple(sorted(self._give_back)), self._wanted
            view = await fabric.resize(uid, wanted, give_back)
            self._give_back.difference_update(give_back)
            self._asked = wanted
            self._adopt(view)

    async def _await_pending(self) -> None:
        if self._pending is None:
            return
        try:
            async with asyncio.timeout(CLOSE_SECONDS):
                self.view = await self._pending
        except (LeaseGridError, TimeoutError):
            self.view = None

    async def _release_all(self, reason: str) -> None:
        """Also leases that have ended: their receipts stand in the same place."""
        views, self._past = [*self._past, *([self.view] if self.view else [])], []
        self.view = None
        for view in views:
            await self._release(view, reason)

    async def _release(self, view: LeaseView, reason: str) -> None:
        try:
            async with asyncio.timeout(CLOSE_SECONDS):
                self.receipts.append(await self._surroundings.fabric.release(view.uid, reason))
        except (LeaseGridError, TimeoutError) as error:
            self._events.noticed(f"the lease {view.name} was not released and ends at its deadline: {error}")


def _first(group: BaseExceptionGroup[UnsupportedError]) -> LeaseGridError:
    for error in group.exceptions:
        if isinstance(error, UnsupportedError):
            return error
    raise ValueError("an empty group of errors")
