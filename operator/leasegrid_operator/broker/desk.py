"""What stands behind the broker: the namespaces' fabrics, who leads, and the key that signs."""

from dataclasses import dataclass
from typing import Protocol

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from tasklet_runner.fabric.protocol import Fabric, Receipt
from tasklet_runner.wire.jobs import Instruction, JobReport
from tasklet_runner.wire.member import Hint
from tasklet_runner.wire.statements import Capability


@dataclass(frozen=True)
class Below:
    """The leases that belong to a job, as its coordinator may acquire them: each of `most` members at most."""

    fabric: Fabric
    most: int


class Desk(Protocol):
    """Leases of all namespaces, as this replica sees them. Lease objects are its business, not the broker's."""

    @property
    def is_leader(self) -> bool:
        """True while this replica decides claims."""
        ...

    @property
    def leader_address(self) -> str:
        """The URL of the broker that does, empty when none is known."""
        ...

    @property
    def fabric_key(self) -> Ed25519PrivateKey:
        """The fabric's key: judges capabilities and renews them."""
        ...

    def now(self) -> float:
        """UNIX seconds of the fabric's clock, the one that its binds and capabilities go by."""
        ...

    def fabric(self, namespace: str) -> Fabric:
        """The leases of a namespace. Its calls see no lease of another one: LeaseEndedError, as for one that is not
        there. They may raise NotLeaderError, when leadership went in between.
        """
        ...

    async def release(self, namespace: str, capability: Capability, reason: str) -> Receipt:
        """Free the members that a capability lists, where this replica does not lead. Raises LeaseEndedError."""
        ...

    def below(self, namespace: str, uid: str) -> Below:
        """What may be acquired below that lease. Raises RefusedError (Forbidden), NotLeaderError."""
        ...

    def reported(self, namespace: str, uid: str, report: JobReport) -> Instruction:
        """What the coordinator whose lease that is says of its job. Raises LeaseEndedError, NotLeaderError."""
        ...

    def hinted(self, hint: Hint) -> None:
        """A member said something of itself. Anybody may have said it: only its own `/v1/state` decides."""
        ...
