"""The connections to the members of one lease: opened as members come, followed until they go."""

import asyncio
from collections.abc import Callable, Iterable, Mapping
from typing import TYPE_CHECKING, Protocol

from tasklet_runner.coordinator.handles import Handle
from tasklet_runner.coordinator.surroundings import Surroundings
from tasklet_runner.fabric.protocol import LeasedMember
from tasklet_runner.wire.errors import LeaseGridError
from tasklet_runner.wire.work import Renew, ToHolder

if TYPE_CHECKING:
    from tasklet_runner.coordinator.groups import LeaseGroup


class MemberEvents(Protocol):
    """What is heard of members."""

    def joined(self, handle: Handle) -> None:
        """A member can be given work."""

    def received(self, handle: Handle, message: ToHolder) -> None:
        """A member said something. Raises ProtocolError when it does not fit."""

    def left(self, handle: Handle, reason: str, *, died: bool) -> None:
        """A member is gone; `died`: without being drained or given back."""

    def broken(self, error: BaseException) -> None:
        """A task failed in a way that nobody expected: the run cannot go on."""


class Connections:
    """One connection per member. `on_lost` hears the name and reason of a member that cannot be used any more."""

    def __init__(
        self, group: "LeaseGroup", surroundings: Surroundings, events: MemberEvents, on_lost: Callable[[str, str], None]
    ) -> None:
        self.handles: dict[str, Handle] = {}
        self._group = group
        self._surroundings = surroundings
        self._events = events
        self._on_lost = on_lost
        self._capabilities: Mapping[str, str] = {}
        self._unusable: set[tuple[str, str, int]] = set()
        self._tasks: dict[tuple[str, str, int], asyncio.Task[None]] = {}

    def follow(self, members: Iterable[LeasedMember], capabilities: Mapping[str, str]) -> None:
        """Connect to new members, drop those that are gone, deliver renewed capabilities to the others."""
        self._capabilities = capabilities
        listed = {_identity(member): member for member in members}
        for handle in list(self.handles.values()):
            if _identity(handle.member) in listed:
                self._deliver(handle)
            else:
                self.drop(handle, "the fabric took it away", died=not handle.draining)
        for identity, member in listed.items():
            if identity not in self._tasks and identity not in self._unusable:
                self._tasks[identity] = asyncio.get_running_loop().create_task(self._serve(member))
                self._tasks[identity].add_done_callback(self._ended)

    def drop(self, handle: Handle, reason: str, *, died: bool) -> None:
        """The member is not used any more; its connection closes soon."""
        if handle.closed:
            return
        handle.closed = True
        self._unusable.add(_identity(handle.member))
        self.handles.pop(handle.member.name, None)
        self._events.left(handle, reason, died=died)
        if handle.task is not None and handle.task is not asyncio.current_task():
            handle.task.cancel()

    def drop_all(self, reason: str) -> None:
        """No member is used any more."""
        for handle in list(self.handles.values()):
            self.drop(handle, reason, died=False)

    async def close(self) -> None:
        """Wait until every connection is closed."""
        self.drop_all("the run is over")
        tasks = list(self._tasks.values())
        for task in tasks:
            task.cancel()
        if tasks:
            await asyncio.wait(tasks)

    def _ended(self, task: asyncio.Task[None]) -> None:
        if not task.cancelled() and (error := task.exception()) is not None:
            self._events.broken(error)

    def _deliver(self, handle: Handle) -> None:
        capability = self._capabilities.get(handle.member.name, "")
        if capability and capability != handle.capability:
            handle.capability = capability
            handle.post(Renew(capability))

    async def _serve(self, member: LeasedMember) -> None:
        """The life of one connection."""
        try:
            handle = await self._open(member)
            await self._listen(handle)
        except LeaseGridError as error:
            self._unusable.add(_identity(member))
            self._on_lost(member.name, str(error))
        finally:
            self._tasks.pop(_identity(member), None)

    async def _open(self, member: LeasedMember) -> Handle:
        capability = self._capabilities.get(member.name, "")
        connection = await self._surroundings.connect(member, capability, self._surroundings.holder)
        handle = Handle(member, self._group, connection, capability)
        handle.task = asyncio.current_task()
        self.handles[member.name] = handle
        # The lease may have been renewed while the connection was being opened.
        self._deliver(handle)
        return handle

    async def _listen(self, handle: Handle) -> None:
        sender = asyncio.get_running_loop().create_task(handle.send_posted())
        reason = "it closed the connection"
        try:
            self._events.joined(handle)
            async for message in handle.connection:
                self._events.received(handle, message)
        except LeaseGridError as error:
            reason = str(error)
        finally:
            sender.cancel()
            if not handle.closed:
                self._on_lost(handle.member.name, reason)
                self.drop(handle, reason, died=not handle.draining)
            await handle.connection.close()


def _identity(member: LeasedMember) -> tuple[str, str, int]:
    return member.name, member.incarnation, member.epoch
