"""Pools of stores on one machine: those of the file, capped by what there is, and those that are made for a lease.

A store's size is a bound and not a reservation: its objects take memory, or disk, as they come. Memory stores may have
half of the machine's memory together, and no more than the runtime directory has room for; a Block store may be as
large as the disk of the state directory has room for.
"""

import os
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path

from leasegrid.api.enums import ResourceKind, Reuse
from leasegrid.api.pool import InstancePool, InstancePoolSpec, PoolStorage
from leasegrid.api.quantities import GIBI, MEBI, format_bytes
from leasegrid.leasing.pools import Pool
from leasegrid.leasing.roster import Shape
from leasegrid.local.pool_specs import LOCAL_REFILL, WARMUP_SECONDS, capped
from leasegrid.rules.shuffle_room import never_fitting
from leasegrid.rules.store_sizes import store_quota
from tasklet_runner.plan.types import Plan
from tasklet_runner.wire.errors import UnsupportedError
from tasklet_runner.wire.member import Role

DEFAULT_BYTES = GIBI
"""Of a store whose lease does not say how large it must be, where there is so much."""

MOST_BLOCK_MEMBERS = 1000


@dataclass(frozen=True)
class StoreSpace:
    """Bytes for all memory stores together, and for one block store as the disk is now."""

    memory: int = 0
    disk: int = 0

    def most(self, role: Role) -> int:
        """Bytes that the largest store of this role may have."""
        return self.memory if role is Role.MEMORY else self.disk

    def describe(self) -> str:
        """The space in words, for messages."""
        return (
            f"{self.memory // MEBI} MiB of memory for stores and {self.disk // MEBI} MiB free where its state is kept"
        )


def space_reader(memory: int, runtime: Path, state: Path) -> Callable[[], StoreSpace]:
    """Reads the space on a machine with so much memory, whose runtime and state directories these are.

    What memory stores may have is read once: their own objects take of what is free.
    """
    for_memory = min(memory // 2, _free(runtime))
    return lambda: StoreSpace(memory=for_memory, disk=_free(state))


def declared_store(pool: InstancePool, space: StoreSpace) -> tuple[Pool, list[str]]:
    """A pool of the file, its members and their sizes capped by the space, with the warnings that say so."""
    spec, name, warnings = pool.spec, pool.metadata.name, []
    role = Role(spec.resource.value)
    wanted = store_quota(spec)
    quota = max(MEBI, min(wanted, space.most(role)))
    if quota < wanted:
        warnings.append(
            f"the pool {name} asks for stores of {format_bytes(wanted)}; this machine gives them {quota // MEBI} MiB"
        )
    most = min(spec.most, max(1, _members(role, quota, space)))
    if most < spec.target_size:
        warnings.append(
            f"the pool {name} asks for {spec.target_size} members; this machine has {space.describe()}, so it keeps "
            f"{most}"
        )
    return Pool(name, capped(spec, most), store_shape(role, quota)), warnings


def store_on_demand(pools: dict[str, Pool], role: Role, size: int, space: StoreSpace, what: str) -> Pool:
    """The pool that makes stores of this size (bytes; 0: of the default one) for leases that wait, and keeps none warm.

    Raises UnsupportedError, which says what there is, when the machine can never have such a store.
    """
    most = space.most(role)
    if size > most or most < MEBI:
        raise UnsupportedError(
            f"{what} asks for a {role.value} store of {format_bytes(size)}; this machine has {space.describe()}",
            remedy=_remedy(role),
        )
    mebis = max(1, -(-(size or min(DEFAULT_BYTES, most)) // MEBI))
    # No pool of a file has such a name: a dot is not allowed there.
    name = f"{role.value.lower()}.{mebis}mi"
    if name not in pools:
        quota = mebis * MEBI
        spec = _spec(role, quota, max(1, _members(role, quota, space)))
        pools[name] = Pool(name, spec, store_shape(role, quota))
    return pools[name]


def fitting_stores(pools: Iterable[Pool], role: Role, size: int) -> list[Pool]:
    """The pools of the file whose stores are large enough, smallest first."""
    found = [pool for pool in pools if pool.shape.role is role and pool.shape.quota >= size and "." not in pool.name]
    return sorted(found, key=lambda pool: pool.shape.quota)


def check_shuffles(plan: Plan, space: StoreSpace) -> None:
    """Raises UnsupportedError for a plan of which a stage would wait for ever for memory that other stages hold."""
    names = never_fitting(plan, space.memory)
    if len(names) > 1:  # one alone is refused, or served, like every other lease
        total = sum(shuffle.size for name in names if (shuffle := plan.stage(name).shuffle) is not None)
        raise UnsupportedError(
            f"{plan.name} needs the partitions of {', '.join(names)} at the same time, {format_bytes(total)} in Memory;"
            f" this machine has {space.describe()}",
            remedy="lower their shuffle.size, use medium: Block for some, or run it on a larger machine",
        )


def store_shape(role: Role, quota: int) -> Shape:
    """What one store has; as the rules know it, one slot."""
    return Shape(slots=1, memory=0, tmpfs=0, cpu=0, reuse=Reuse.REPLACE.value, role=role, quota=quota)


def _members(role: Role, quota: int, space: StoreSpace) -> int:
    return space.memory // quota if role is Role.MEMORY else MOST_BLOCK_MEMBERS


def _spec(role: Role, quota: int, most: int) -> InstancePoolSpec:
    return InstancePoolSpec(
        resource=ResourceKind(role.value),
        storage=PoolStorage(size=quota),
        target_size=0,
        min_size=0,
        max_size=most,
        warmup_grace_seconds=WARMUP_SECONDS,
        ready_ttl_seconds=0,
        refill=LOCAL_REFILL,
    )


def _remedy(role: Role) -> str:
    if role is Role.MEMORY:
        return "lower its size, use Block in place of Memory, or run it on a larger machine"
    return "lower its size, free some of the disk, or set XDG_STATE_HOME to a directory on a larger one"


def _free(directory: Path) -> int:
    room = os.statvfs(directory)
    return room.f_bavail * room.f_frsize
