"""How many members a pool has: which are made, which are ended, and what is said about it."""

from leasegrid.api.pool import InstancePoolSpec
from leasegrid.rules.pool_state import Observed, PoolDecision


def size_pool(spec: InstancePoolSpec, observed: Observed, now: float) -> PoolDecision:
    """The decision for this instant. Applied and run again, it decides nothing; never more live members than
    maxSize.
    """
    raise NotImplementedError
