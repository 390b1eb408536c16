"""Which pools of one machine may serve a request: those that it names, or those whose members will do."""

from leasegrid.leasing.pools import Pool
from leasegrid.local.pools import Pools
from tasklet_runner.plan.types import Requirements
from tasklet_runner.wire.errors import UnsupportedError
from tasklet_runner.wire.leases import LeaseRequest
from tasklet_runner.wire.member import Role


def serving_pools(request: LeaseRequest, pools: Pools) -> list[Pool]:
    """The pools in order of preference; members that are made for the lease come of the first.

    Raises UnsupportedError, which says what there is, when the machine can never have such a member, or when a pool
    that is named is not there or has other members.
    """
    named = [_named(name, request, pools) for name in request.pools]
    if named and request.on_empty != "Provision":
        return named
    role = _role(request, named)
    if role is Role.CPU:
        made = [pools.pool_for(Requirements(request.slots, request.memory, request.cpu_features), _what(request))]
    else:
        size = request.size or (named[0].shape.quota if named else 0)
        on_demand = request.on_empty == "Provision"
        made = pools.stores_for(role, size, on_demand=on_demand, what=_what(request))
    return list(dict.fromkeys((made[0], *named) if named else made))


def _named(name: str, request: LeaseRequest, pools: Pools) -> Pool:
    pool = pools.by_name.get(name)
    if pool is None:
        raise UnsupportedError(
            f"{_what(request)} names the pool {name}, which this run does not have",
            remedy="add the InstancePool to the file, or leave poolRefs away for the default pool",
        )
    role, asked = pool.shape.role, Role(request.resource)
    if asked is not Role.CPU and (role is not asked or pool.shape.quota < request.size):
        has = f"stores of {pool.shape.quota} bytes in {role.value}" if role is not Role.CPU else "CPU members"
        raise UnsupportedError(
            f"{_what(request)} asks for {request.size} bytes of {asked.value}, and the pool {name} has {has}",
            remedy="name a pool that has such stores, or none",
        )
    return pool


def _role(request: LeaseRequest, named: list[Pool]) -> Role:
    """What a lease of a pool that is named is of stands in the pool."""
    asked = Role(request.resource)
    return named[0].shape.role if asked is Role.CPU and named else asked


def _what(request: LeaseRequest) -> str:
    return request.purpose or "the lease"
