"""The pools of one run: those of the file, capped by the machine, and the default pool with its larger siblings.

The default pool keeps one-core members, one per core, which share three quarters of the memory. A larger requirement
gets a pool of its own shape that keeps nothing warm; both draw on the same room, so that idle members of one make room
for the other.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from leasegrid.api.enums import ResourceKind, Reuse
from leasegrid.api.pool import InstancePool, InstancePoolSpec, MemberResources
from leasegrid.leasing.pools import Pool
from leasegrid.leasing.roster import Shape
from leasegrid.local.machine import Machine
from leasegrid.local.pool_specs import LOCAL_REFILL, WARMUP_SECONDS, capped
from leasegrid.local.store_pools import StoreSpace, declared_store, fitting_stores, store_on_demand
from leasegrid.rules.choosing import satisfies, unmet
from tasklet_runner.plan.types import Requirements
from tasklet_runner.wire.errors import UnsupportedError
from tasklet_runner.wire.member import Role

DEFAULT_POOL = "default"
MEBI = 1024**2
LEAST_MEMORY = 64 * MEBI
MOST_SCRATCH = 1024 * MEBI


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
    """All pools of the run, in the order of preference. `warnings`: where the machine gives less than was asked;
    `space`: reads what there is for stores now.
    """

    machine: Machine
    workers: int
    space: Callable[[], StoreSpace] = StoreSpace
    by_name: dict[str, Pool] = field(default_factory=dict)
    default: str = DEFAULT_POOL
    warnings: list[str] = field(default_factory=list)

    @classmethod
    def build(
        cls,
        machine: Machine,
        workers: int,
        declared: Sequence[InstancePool],
        space: Callable[[], StoreSpace] = StoreSpace,
    ) -> "Pools":
        """The pools of a file first; without a default one for CPU members among them, the machine's own."""
        pools = cls(machine, workers or machine.cores, space)
        free = pools.room()
        of_cpu = [pool for pool in declared if pool.spec.resource is ResourceKind.CPU]
        for pool in declared:
            if pool.spec.resource is not ResourceKind.CPU:
                pools._declare_store(pool)
        for pool in of_cpu:
            made = pools._declared(pool, free)
            pools.by_name[made.name] = made
            free.take(made.shape, made.spec.most)
            if pool.is_default:
                pools.default = made.name
        if DEFAULT_POOL in (pool.metadata.name for pool in declared if pool not in of_cpu):
            # Stores have the name, and jobs want CPU members; a file cannot name a pool so.
            pools.default = f"{DEFAULT_POOL}.cpu"
        if pools.default not in pools.by_name:
            own = pools._own(warm=not of_cpu)
            pools.by_name[own.name] = own
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

    def stores_for(self, role: Role, size: int, *, on_demand: bool, what: str) -> list[Pool]:
        """The pools whose stores are large enough, in bytes: those of the file, behind one that makes them for the
        lease where that is asked, or where there is no other. Raises UnsupportedError.
        """
        declared = fitting_stores(self.by_name.values(), role, size)
        if declared and not on_demand:
            return declared
        return [store_on_demand(self.by_name, role, size, self.space(), what), *declared]

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
        return Pool(self.default, spec, shape, shares_room=True)

    def _declare_store(self, pool: InstancePool) -> None:
        made, warnings = declared_store(pool, self.space())
        self.by_name[made.name] = made
        self.warnings += warnings

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
        return Pool(name, capped(spec, most), shape)


def _spec(shape: Shape, target: int, most: int) -> InstancePoolSpec:
    return InstancePoolSpec(
        # A shape has millicores, which the model would take for cores if it parsed them.
        resources=MemberResources().model_copy(update={"cpu": shape.cpu, "memory": shape.memory}),
        target_size=target,
        min_size=0,
        max_size=max(1, most),
        warmup_grace_seconds=WARMUP_SECONDS,
        ready_ttl_seconds=0,
        refill=LOCAL_REFILL,
    )
