"""What stands behind the broker's door (`broker.desk.Desk`): the leases of all namespaces, while this replica leads."""

from dataclasses import replace

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from leasegrid_operator.broker.desk import Below
from leasegrid_operator.jobs.rooms import owner_of
from leasegrid_operator.leadership import Leadership
from leasegrid_operator.reign import Reign
from leasegrid_operator.releasing import release_members
from leasegrid_operator.rooms import Premises
from leasegrid_operator.world import World
from tasklet_runner.fabric.protocol import Fabric, Receipt
from tasklet_runner.wire.errors import NotLeaderError
from tasklet_runner.wire.jobs import Instruction, JobReport
from tasklet_runner.wire.member import Hint
from tasklet_runner.wire.statements import Capability


class OperatorDesk:
    """Implements `Desk`; `reign` is there while this replica leads."""

    def __init__(self, leadership: Leadership, key: Ed25519PrivateKey, premises: Premises, world: World) -> None:
        self._world = world
        self._leadership = leadership
        self._key = key
        self.premises = premises
        self.reign: Reign | None = None

    @property
    def is_leader(self) -> bool:
        """See `Desk`."""
        return self.reign is not None and self.reign.keeps and self._leadership.is_leader

    @property
    def leader_address(self) -> str:
        """See `Desk`."""
        return self._leadership.leader_address

    @property
    def fabric_key(self) -> Ed25519PrivateKey:
        """See `Desk`."""
        return self._key

    def now(self) -> float:
        """See `Desk`."""
        return self.premises.clock.now()

    def fabric(self, namespace: str) -> Fabric:
        """See `Desk`."""
        return self._leading().room(namespace).desk

    async def release(self, namespace: str, capability: Capability, reason: str) -> Receipt:
        """See `Desk`."""
        names = {grant.member for grant in capability.members}
        endpoints = self._world.endpoints(namespace, names, self.premises.members.port)
        return await release_members(capability, endpoints, self.premises.signer, reason)

    def below(self, namespace: str, uid: str) -> Below:
        """See `Desk`."""
        room = self._leading().room(namespace)
        keeper = room.jobs.keeper_of(uid)
        return Below(replace(room.desk, owner=owner_of(keeper.facts)), keeper.allowance)

    def reported(self, namespace: str, uid: str, report: JobReport) -> Instruction:
        """See `Desk`."""
        return self._leading().room(namespace).jobs.reported(uid, report)

    def hinted(self, hint: Hint) -> None:
        """See `Desk`."""
        self.premises.office.metrics.hinted()
        if self.reign is not None:
            self.reign.hinted(hint)

    def _leading(self) -> Reign:
        if self.reign is None or not self.is_leader:
            raise NotLeaderError(self.leader_address)
        return self.reign
