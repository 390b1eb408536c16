"""A pool as it is kept, on whatever its members run."""

from dataclasses import dataclass

from leasegrid.api.enums import OperatingMode
from leasegrid.api.pool import InstancePoolSpec
from leasegrid.leasing.roster import Shape
from leasegrid.rules.claims import Supply
from leasegrid.rules.pool_state import NO_FAILURES, Bucket, FailureHistory, PoolCondition


@dataclass(eq=False)
class Pool:
    """`owner`: the uid of the only lease that may have its members, or empty.

    `shares_room`: its members come out of a room that it shares with others (one machine); `starved`: a newcomer waits
    for a member that the room does not hold yet. `bucket`, `failures` and `conditions` are what the sizing rule said
    last.
    """

    name: str
    spec: InstancePoolSpec
    shape: Shape
    owner: str = ""
    shares_room: bool = False
    starved: bool = False
    bucket: Bucket | None = None
    failures: FailureHistory = NO_FAILURES
    conditions: tuple[PoolCondition, ...] = ()

    @property
    def draining(self) -> bool:
        """True when it takes no claims any more."""
        return self.spec.operating_mode is OperatingMode.DRAINING

    def supply(self, ready: int) -> Supply:
        """What it offers to claims, with so many ready members."""
        return Supply(self.name, self.shape.requirements, ready, self.spec.most, self.draining, self.owner)
