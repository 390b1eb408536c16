"""The pools of one run: those of the file, capped by the machine, and the default pool with its larger siblings.

The default pool keeps one-core members, one per core, which share three quarters of the memory. A larger requirement
gets a pool of its own shape that keeps nothing warm; both draw on the same room, so that idle members of one make room
for the other.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field

from leasegrid.api.enums import Reuse
from leasegrid.api.pool import InstancePool, InstancePoolSpec, MemberResources, Refill
from leasegrid.leasing.pools import Pool
from leasegrid.leasing.roster import Shape
from leasegrid.local.machine import Machine
from leasegrid.rules.choosing import satisfies, unmet
from tasklet_runner.plan.types import Requirements
from tasklet_runner.wire.errors import UnsupportedError

DEFAULT_POOL = "default"
MEBI = 1024**2
LEAST_MEMORY = 64 * MEBI
MOST_SCRATCH = 1024 * MEBI
WARMUP_SECONDS = 60
"""A local member is ready after some milliseconds; one that takes this long hangs."""

LOCAL_REFILL = Refill(max_per_second=1000, burst=1000)


@dataclass
class Room:
    """So many slots and bytes for members."""

    slots: int
    memory: int

    def fits(self, shape: Shape) -> int:
        """How many members of this shape have room."""
        return max(0, min(self.slots // shape.slots, self.memory // max(1, shape.memory)))

    def take(self, shape: Shape, count: int = 1) -> None:
        """So many members stand in it; it may end up with less than nothing, which fits nobody."""
        self.slots -= shape.slots * count
        self.memory -= shape.memory * count


@dataclass
class Pools:
    """All pools of the run, in the order of preference. `warnings`: where the machine gives less than was asked."""

    machine: Machine
    workers: int
    by_name: dict[str, Pool] = field(default_factory=dict)
    default: str = DEFAULT_POOL
    warnings: list[str] = field(default_factory=list)

    @classmethod
    def build(cls, machine: Machine, workers: int, declared: Sequence[InstancePool]) -> "Pools":
        """The pools of a file first; without a default one among them, the machine's own."""
        pools = cls(machine, workers or machine.cores)
        free = pools.room()
        for pool in declared:
            made = pools._declared(pool, free)
            pools.by_name[made.name] = made
            free.take(made.shape, made.spec.most)
            if pool.is_default:
                pools.default = made.name
        if pools.default == DEFAULT_POOL and DEFAULT_POOL not in pools.by_name:
            pools.by_name[DEFAULT_POOL] = pools._own(warm=not declared)
        return pools

    def room(self) -> Room:
        """What members may have together: a slot per worker, three quarters of the memory."""
        return Room(self.workers, self.machine.memory * 3 // 4)

    def pool_for(self, needs: Requirements, name: str) -> Pool:
        """The pool of members that will do for a request without pools: the default one, or one of its own shape.

        Raises UnsupportedError when this machine can never have such a member.
        """
        default = self.by_name[self.default]
        if satisfies(default.shape.requirements, needs):
            return default
        shape = self._shape(max(needs.slots, 1), max(needs.memory, default.shape.memory), needs.slots * 1000)
        if not default.shares_room or self.room().fits(shape) == 0 or unmet(shape.requirements, needs):
            raise self._unsupported(needs, default, name)
        sized = f"{self.default}-{shape.slots}x{shape.memory // MEBI}"
        if sized not in self.by_name:
            spec = _spec(shape, target=0, most=self.room().fits(shape))
            self.by_name[sized] = Pool(sized, spec, shape, shares_room=True)
        return self.by_name[sized]

    def _unsupported(self, needs: Requirements, default: Pool, name: str) -> UnsupportedError:
        room = self.room()
        largest = Requirements(room.slots, room.memory, default.shape.cpu_features)
        lacking = unmet(largest if default.shares_room else default.shape.requirements, needs)
        return UnsupportedError(
            f"{name} asks for a member with {', '.join(lacking)}; this machine has {self.machine.describe()}, of which "
            f"members may have {room.slots} slots and {room.memory // MEBI} MiB together",
            remedy="lower its requirements (cpu, memory, cpuFeatures), raise --workers, or run it on a larger machine",
        )

    def _shape(self, slots: int, memory: int, cpu: int, reuse: str = "Reset") -> Shape:
        scratch = max(LEAST_MEMORY, min(MOST_SCRATCH, memory // 4))
        return Shape(slots, memory, scratch, cpu, tuple(sorted(self.machine.cpu_features)), reuse)

    def _own(self, *, warm: bool) -> Pool:
        room = self.room()
        shape = self._shape(1, max(LEAST_MEMORY, room.memory // self.workers), 1000)
        spec = _spec(shape, target=self.workers if warm else 0, most=self.workers)
        return Pool(DEFAULT_POOL, spec, shape, shares_room=True)

    def _declared(self, pool: InstancePool, free: Room) -> Pool:
        spec, name = pool.spec, pool.metadata.name
        room = self.room()
        slots, memory = min(spec.resources.slots, room.slots), min(spec.resources.memory, room.memory)
        if (slots, memory) != (spec.resources.slots, spec.resources.memory):
            self.warnings.append(
                f"the pool {name} asks for members of {spec.resources.slots} slots and "
                f"{spec.resources.memory // MEBI} MiB; this machine gives them {slots} slots and {memory // MEBI} MiB"
            )
        reuse = (Reuse.RESET if spec.reused else Reuse.REPLACE).value
        shape = self._shape(slots, memory, min(spec.resources.cpu, room.slots * 1000), reuse)
        most = max(1, min(spec.most, free.fits(shape)))
        if most < spec.target_size:
            self.warnings.append(
                f"the pool {name} asks for {spec.target_size} members; this machine has {self.machine.describe()}, "
                f"so it keeps {most}"
            )
        return Pool(name, _capped(spec, most), shape)


def _spec(shape: Shape, target: int, most: int) -> InstancePoolSpec:
    return InstancePoolSpec(
        resources=MemberResources(cpu=shape.cpu, memory=shape.memory),
        target_size=target,
        min_size=0,
        max_size=max(1, most),
        warmup_grace_seconds=WARMUP_SECONDS,
        ready_ttl_seconds=0,
        refill=LOCAL_REFILL,
    )


def _capped(spec: InstancePoolSpec, most: int) -> InstancePoolSpec:
    return spec.model_copy(
        update={
            "target_size": min(spec.target_size, most),
            "min_size": min(spec.least, most),
            "max_size": min(spec.most, most),
        }
    )
