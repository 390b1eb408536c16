"""How the memory of a pod is divided: scratch, store, interpreter, and what tasklets share."""

from dataclasses import dataclass

from leasegrid.api.enums import ResourceKind
from leasegrid.api.pool import InstancePoolSpec
from leasegrid.api.quantities import MEBI
from leasegrid.rules.store_sizes import INTERPRETER_BYTES, LEAST_SCRATCH, store_quota

MOST_SCRATCH = 1024 * MEBI


@dataclass(frozen=True)
class MemberSizes:
    """All in bytes, and `cpu` in millicores. `memory` is the limit of the container: a tmpfs counts towards it.

    `quota`: what a store holds (0: no store); `tasklets`: what all tasklets together may use.
    """

    slots: int
    cpu: int
    memory: int
    scratch: int
    quota: int = 0

    @property
    def tasklets(self) -> int:
        """Memory that is left for tasklets, as the member itself reckons it."""
        return max(0, self.memory - self.scratch - INTERPRETER_BYTES)


def member_sizes(spec: InstancePoolSpec) -> MemberSizes:
    """The division for this spec.

    A memory member's store is a tmpfs, which its limit must hold beside the process that serves it: where
    resources.memory is too small for both, the limit is raised.
    """
    memory, quota = spec.resources.memory, store_quota(spec)
    scratch = LEAST_SCRATCH if quota else max(LEAST_SCRATCH, min(MOST_SCRATCH, memory // 4))
    if spec.resource is ResourceKind.MEMORY:
        memory = max(memory, quota + scratch + INTERPRETER_BYTES)
    return MemberSizes(spec.resources.slots, spec.resources.cpu, memory, scratch, quota)
