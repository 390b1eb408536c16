"""The time in which this replica leads: every namespace has a room, made from what the watches have shown."""

import asyncio

from leasegrid.api.enums import ResourceKind
from leasegrid_operator.jobs.reading import JobFacts
from leasegrid_operator.leases.reading import LeaseFacts
from leasegrid_operator.metrics import MemberFigures
from leasegrid_operator.observing import Body
from leasegrid_operator.rooms import Premises, Room
from leasegrid_operator.world import World
from tasklet_runner.wire.member import Hint


class Reign:
    """Implements `Sight`. `begin` once, `close` at the end; nothing of it is used after that."""

    def __init__(self, premises: Premises) -> None:
        self._premises = premises
        self._begun = self._keeps = False
        self._nodes: dict[str, tuple[Body, bool]] = {}
        self._starting: set[asyncio.Task[None]] = set()
        self.rooms: dict[str, Room] = {}
        self.closing = asyncio.Event()

    @property
    def keeps(self) -> bool:
        """True once all that was there is taken over: before that nobody knows which leases there are."""
        return self._keeps and not self.closing.is_set()

    async def begin(self, world: World) -> None:
        """Take over what there is; returns when every namespace is kept."""
        world.replay(self)
        world.sight = self
        self._begun = True
        await asyncio.gather(*(room.take_over() for room in list(self.rooms.values())))
        self._keeps = True

    async def close(self) -> None:
        """Decide and write nothing more."""
        self.closing.set()
        for task in list(self._starting):
            task.cancel()
        await asyncio.gather(*self._starting, return_exceptions=True)
        await asyncio.gather(*(room.close() for room in self.rooms.values()))

    def figures(self) -> MemberFigures:
        """The members of all namespaces, as their pools count them."""
        figures = MemberFigures()
        for room in self.rooms.values():
            for member in room.engine.parts.roster.all():
                if member.lease:
                    figures.active[ResourceKind(member.shape.role.value)] += 1
                if member.lease or not member.retiring:
                    figures.states[member.observed.state] += 1
        return figures

    def room(self, namespace: str) -> Room:
        """The namespace's room; one that was not needed before is opened."""
        room = self.rooms.get(namespace)
        if room is None:
            room = self.rooms[namespace] = Room(namespace, self._premises, self.closing)
            for body, deleted in self._nodes.values():
                room.pools.node_seen(body, deleted)
            if self._begun:
                task = asyncio.get_running_loop().create_task(room.take_over())
                self._starting.add(task)
                task.add_done_callback(self._starting.discard)
        return room

    def hinted(self, hint: Hint) -> None:
        """A member said something; only its own namespace knows its name."""
        for room in self.rooms.values():
            if room.engine.parts.roster.find(hint.member) is not None:
                room.engine.keeper.hinted(hint)

    def pool_seen(self, namespace: str, body: Body, deleted: bool) -> None:
        """See `Sight`."""
        self.room(namespace).pools.pool_seen(body, deleted)

    def lease_seen(self, namespace: str, facts: LeaseFacts) -> None:
        """See `Sight`."""
        self.room(namespace).leases.seen(facts)

    def lease_gone(self, namespace: str, uid: str) -> None:
        """See `Sight`."""
        self.room(namespace).leases.removed(uid)

    def job_seen(self, facts: JobFacts) -> None:
        """See `Sight`."""
        self.room(facts.key.namespace).jobs.seen(facts)

    def job_gone(self, namespace: str, uid: str) -> None:
        """See `Sight`."""
        self.room(namespace).jobs.gone(uid)

    def pod_seen(self, namespace: str, body: Body, deleted: bool) -> None:
        """See `Sight`."""
        self.room(namespace).pools.pod_seen(body, deleted)

    def claim_seen(self, namespace: str, body: Body, deleted: bool) -> None:
        """See `Sight`."""
        self.room(namespace).pools.claim_seen(body, deleted)

    def node_seen(self, body: Body, deleted: bool) -> None:
        """See `Sight`."""
        self._nodes[body["metadata"]["name"]] = (body, deleted)
        for room in self.rooms.values():
            room.pools.node_seen(body, deleted)
