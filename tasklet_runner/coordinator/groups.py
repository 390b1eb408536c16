"""Members of one kind under one elastic lease: acquired, watched, renewed, resized, given back.

A group outlives its lease: when the lease ends and work remains, it takes another.
"""

import asyncio
from dataclasses import dataclass
from typing import Protocol

from tasklet_runner.coordinator.capabilities import capabilities_by_member
from tasklet_runner.coordinator.connections import Connections, MemberEvents
from tasklet_runner.coordinator.handles import Handle
from tasklet_runner.coordinator.keeping import MAX_PAUSE_SECONDS, LeaseKeeper, first_of
from tasklet_runner.coordinator.sizing import surplus
from tasklet_runner.coordinator.surroundings import Surroundings
from tasklet_runner.fabric.protocol import LeaseRequest, LeaseView, Receipt
from tasklet_runner.plan.types import LeaseTerms, Requirements
from tasklet_runner.wire.errors import LeaseEndedError, LeaseGridError, UnreachableError, UnsupportedError
from tasklet_runner.wire.signed import public_text


@dataclass(frozen=True)
class GroupKey:
    """What the members of a group have in common: two stages with the same key share them."""

    terms: LeaseTerms
    requirements: Requirements


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
        self.impossible: LeaseGridError | None = None
        self.minimum = 1
        self._surroundings = surroundings
        self._events = events
        self._namespace, self._purpose = label
        self._wanted = 0
        self._asked = 0
        self._want_some = asyncio.Event()
        self._changed = asyncio.Event()
        self._give_back: dict[str, int] = {}
        self._lost: dict[str, str] = {}
        self._connections = Connections(self, surroundings, events, self._report)
        self._lease = LeaseKeeper(surroundings, key.terms.renew_at_percent, self._follow, events.noticed)
        self._supervisor = asyncio.get_running_loop().create_task(self._supervise())
        self._supervisor.add_done_callback(self._supervisor_ended)

    @property
    def view(self) -> LeaseView | None:
        """The lease as it was last heard of; None while there is none."""
        return self._lease.view

    @property
    def waiting_because(self) -> str:
        """Why it has fewer members than it wants, if the fabric said so."""
        return self._lease.waiting_because

    @property
    def receipts(self) -> list[Receipt]:
        """Of all leases that were released."""
        return self._lease.receipts

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

    @property
    def wanted(self) -> int:
        """Members that were wanted last."""
        return self._wanted

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
            self._give_back[handle.member.name] = handle.member.epoch
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
        await self._lease.await_pending()
        self._connections.drop_all(reason)
        await self._lease.release_all(reason)
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
        home = self._surroundings.home
        idle = [handle for handle in self.handles.values() if handle.idle and handle.member.name != home]
        return idle[: surplus(len(self.handles), count, len(idle))]

    async def _supervise(self) -> None:
        while self.impossible is None:
            await self._want_some.wait()
            try:
                await self._lease.acquire(self._request)
                async with asyncio.TaskGroup() as tasks:
                    tasks.create_task(self._lease.keep())
                    tasks.create_task(self._resize())
            except* LeaseEndedError as ended:
                self._lease_ended(str(first_of(ended)))
            except* UnsupportedError as error:
                self.impossible = first_of(error)
                self._events.impossible(self, self.impossible)

    def _lease_ended(self, why: str) -> None:
        self._connections.drop_all(why)
        view = self._lease.let_go()
        if view is not None:
            self._events.noticed(f"the lease {view.name} has ended: {why}")
        self._give_back.clear()
        self._lost.clear()

    def _request(self, identity: str) -> LeaseRequest:
        self._asked = max(self._wanted, 1)
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

    def _follow(self, view: LeaseView) -> None:
        if view.wanted < self._asked:
            # The fabric began anew since it was told: what a lease has grown to stands nowhere but here.
            self._asked = view.wanted
            self._changed.set()
        self._connections.follow(view.members, capabilities_by_member(view.capabilities))

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
            self._lease.adopt(view)
        if self._give_back or self._wanted != self._asked:
            give_back, wanted = dict(self._give_back), self._wanted
            view = await fabric.resize(uid, wanted, tuple(sorted(give_back)))
            # One that came back meanwhile, and is given back once more, is another: the fabric has to be told again.
            self._give_back = {name: epoch for name, epoch in self._give_back.items() if give_back.get(name) != epoch}
            self._asked = wanted
            self._lease.adopt(view)
