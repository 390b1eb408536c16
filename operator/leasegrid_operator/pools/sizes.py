"""How the memory of a pod is divided: scratch, store, interpreter, and what tasklets share."""

from dataclasses import dataclass

from leasegrid.api.enums import ResourceKind
from leasegrid.api.pool import InstancePoolSpec
from leasegrid.api.quantities import MEBI

INTERPRETER_BYTES = 256 * MEBI
"""What a member's own processes take before the rest is divided among its slots."""

LEAST_SCRATCH = 64 * MEBI
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
    memory, quota = spec.resources.memory, _quota(spec)
    scratch = LEAST_SCRATCH if quota else max(LEAST_SCRATCH, min(MOST_SCRATCH, memory // 4))
    if spec.resource is ResourceKind.MEMORY:
        memory = max(memory, quota + scratch + INTERPRETER_BYTES)
    return MemberSizes(spec.resources.slots, spec.resources.cpu, memory, scratch, quota)


def _quota(spec: InstancePoolSpec) -> int:
    if spec.storage is not None:
        return spec.storage.size
    if spec.resource is not ResourceKind.MEMORY:
        return 0
    memory = spec.resources.memory
    return max(memory // 2, memory - LEAST_SCRATCH - INTERPRETER_BYTES)
