from collections.abc import Callable

import pytest

from leasegrid.local.machine import Machine
from leasegrid.local.pools import Pools
from leasegrid.local.requests import serving_pools
from leasegrid.local.store_pools import StoreSpace
from tasklet_runner.plan.types import Requirements
from tasklet_runner.wire.errors import UnsupportedError
from tasklet_runner.wire.leases import LeaseRequest
from tasklet_runner.wire.member import Role
from tests.support.local_stores import store_pool

GIBI = 1024**3
MEBI = 1024**2
MACHINE = Machine(cores=4, memory=16 * GIBI)
SPACE = StoreSpace(memory=8 * GIBI, disk=100 * GIBI)


def pools(*declared: tuple[str, str, str], space: Callable[[], StoreSpace] = lambda: SPACE) -> Pools:
    made = [store_pool(name, resource, size, targetSize=1, maxSize=4) for name, resource, size in declared]
    return Pools.build(MACHINE, 0, made, space)


def names(known: Pools, **fields: object) -> list[str]:
    request = LeaseRequest(request_id="a", holder_key="k", **fields)  # type: ignore[arg-type]
    return [pool.name for pool in serving_pools(request, known)]


FILE = (("small", "Memory", "64Mi"), ("large", "Memory", "1Gi"), ("disk", "Block", "1Gi"))


@pytest.mark.parametrize(
    ("fields", "expected"),
    [
        pytest.param({"resource": "Memory", "size": MEBI}, ["small", "large"], id="the smallest that fits is first"),
        pytest.param({"resource": "Memory", "size": GIBI}, ["large"], id="stores that are too small are left out"),
        pytest.param({"resource": "Memory", "size": 2 * GIBI}, ["memory.2048mi"], id="where none fits one is made"),
        pytest.param({"resource": "Block"}, ["disk"], id="a lease of another kind goes to its own pools"),
        pytest.param(
            {"resource": "Memory", "size": GIBI, "on_empty": "Provision"},
            ["memory.1024mi", "large"],
            id="Provision has one made, unless a warm one is ready",
        ),
        pytest.param({"pools": ("disk",)}, ["disk"], id="what a lease is of may stand in the pool that it names"),
        pytest.param({"pools": ("disk",), "on_empty": "Provision"}, ["block.1024mi", "disk"],
                     id="Provision makes stores like those of the pool that is named"),
        pytest.param({"resource": "Memory", "size": 1}, ["small", "large"], id="a byte is a small store"),
        pytest.param({}, ["default"], id="a lease of CPU members is not served by stores"),
    ],
)  # fmt: skip
def test_which_pools_serve_a_request(fields: dict[str, object], expected: list[str]) -> None:
    assert names(pools(*FILE), **fields) == expected


def test_a_store_on_demand_has_whole_mebibytes_and_as_many_siblings_as_there_is_memory() -> None:
    known = pools()
    (pool,) = known.stores_for(Role.MEMORY, 3 * GIBI - 5, on_demand=True, what="it")
    assert (pool.name, pool.shape.quota, pool.spec.most, pool.spec.target_size) == ("memory.3072mi", 3 * GIBI, 2, 0)
    assert known.stores_for(Role.MEMORY, 3 * GIBI, on_demand=True, what="it") == [pool]


def test_a_lease_that_does_not_say_how_large_gets_a_gibibyte_or_what_there_is() -> None:
    little = pools(space=lambda: StoreSpace(memory=100 * MEBI, disk=100 * GIBI))
    assert names(little, resource="Memory") == ["memory.100mi"]
    assert names(little, resource="Block") == ["block.1024mi"]


@pytest.mark.unhappy("a store that is larger than the machine, in memory or on disk")
@pytest.mark.parametrize(
    ("resource", "remedy"),
    [pytest.param("Memory", "use Block", id="memory"), pytest.param("Block", "free some of the disk", id="disk")],
)
def test_a_store_that_the_machine_can_never_have_is_unsupported(resource: str, remedy: str) -> None:
    with pytest.raises(UnsupportedError, match="8192 MiB of memory for stores and 102400 MiB free") as refused:
        names(pools(), resource=resource, size=200 * GIBI, purpose="the shuffle of map")
    assert str(refused.value).startswith(f"the shuffle of map asks for a {resource} store of 200Gi")
    assert remedy in refused.value.remedy


@pytest.mark.unhappy("a lease names a pool of other members than it asks for")
@pytest.mark.parametrize(
    "fields",
    [
        pytest.param({"resource": "Block", "pools": ("small",)}, id="of another resource"),
        pytest.param({"resource": "Memory", "size": GIBI, "pools": ("small",)}, id="whose stores are too small"),
        pytest.param({"resource": "Memory", "pools": ("default",)}, id="of CPU members"),
        pytest.param({"resource": "Memory", "pools": ("none",)}, id="that is not there"),
    ],
)
def test_a_pool_that_cannot_serve_is_refused(fields: dict[str, object]) -> None:
    with pytest.raises(UnsupportedError):
        names(pools(*FILE), **fields)


def test_pools_of_stores_are_capped_by_the_machine_with_warnings() -> None:
    known = pools(("huge", "Memory", "20Gi"), ("many", "Memory", "3Gi"))
    assert (known.by_name["huge"].shape.quota, known.by_name["huge"].spec.most) == (8 * GIBI, 1)
    assert known.by_name["many"].spec.most == 2
    assert [warning for warning in known.warnings if "huge asks for stores of 20Gi" in warning]


def test_jobs_have_their_own_warm_members_beside_pools_of_stores() -> None:
    known = pools(*FILE)
    assert known.by_name["default"].spec.target_size == 4


def test_a_pool_of_stores_that_is_called_default_is_none_for_jobs() -> None:
    known = pools(("default", "Memory", "64Mi"))
    assert known.pool_for(Requirements(1), "job").shape.role is Role.CPU
