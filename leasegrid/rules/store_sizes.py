"""How many bytes of objects a member of a store pool takes, and what it needs beside them. Pure."""

from leasegrid.api.enums import ResourceKind
from leasegrid.api.pool import InstancePoolSpec
from leasegrid.api.quantities import MEBI

INTERPRETER_BYTES = 256 * MEBI
"""What a member's own processes take before the rest is divided among its slots."""

LEAST_SCRATCH = 64 * MEBI


def store_quota(spec: InstancePoolSpec) -> int:
    """Bytes of objects that each member takes; 0 for members without a store.

    A memory pool that does not say has what its members' memory leaves.
    """
    if spec.storage is not None:
        return spec.storage.size
    if spec.resource is not ResourceKind.MEMORY:
        return 0
    memory = spec.resources.memory
    return max(memory // 2, memory - LEAST_SCRATCH - INTERPRETER_BYTES)
