import pytest

from leasegrid.api.pool import InstancePool
from leasegrid.local.machine import Machine
from leasegrid.local.pools import Pools
from tasklet_runner.plan.types import Requirements
from tasklet_runner.wire.errors import UnsupportedError

GIBI = 1024**3
MACHINE = Machine(cores=4, memory=16 * GIBI, cpu_features=frozenset({"avx2"}))


def declared(name: str, *, default: bool = False, **spec: object) -> InstancePool:
    annotations = {"leasegrid.dev/is-default-pool": "true"} if default else {}
    return InstancePool.model_validate(
        {
            "apiVersion": "leasegrid.dev/v1alpha1",
            "kind": "InstancePool",
            "metadata": {"name": name, "annotations": annotations},
            "spec": spec,
        }
    )


def test_the_default_pool_keeps_a_member_per_core_and_shares_three_quarters_of_the_memory() -> None:
    pool = Pools.build(MACHINE, 0, []).by_name["default"]
    assert (pool.spec.target_size, pool.spec.most, pool.shape.slots, pool.shape.memory) == (4, 4, 1, 3 * GIBI)


def test_workers_say_how_many_members_the_default_pool_keeps() -> None:
    pool = Pools.build(MACHINE, 6, []).by_name["default"]
    assert (pool.spec.target_size, pool.shape.memory) == (6, 2 * GIBI)


def test_a_requirement_that_a_default_member_satisfies_makes_no_other_pool() -> None:
    pools = Pools.build(MACHINE, 0, [])
    assert pools.pool_for(Requirements(1, GIBI, ("avx2",)), "job").name == "default"
    assert list(pools.by_name) == ["default"]


def test_a_larger_requirement_gets_a_pool_of_its_shape_that_keeps_nothing_warm() -> None:
    pools = Pools.build(MACHINE, 0, [])
    pool = pools.pool_for(Requirements(2, 5 * GIBI), "job")
    assert (pool.shape.slots, pool.shape.memory, pool.spec.target_size, pool.spec.most) == (2, 5 * GIBI, 0, 2)
    assert pools.pool_for(Requirements(2, 5 * GIBI), "job") is pool


@pytest.mark.parametrize(
    ("needs", "words"),
    [
        pytest.param(Requirements(5), "5 slots", id="more slots than the machine has"),
        pytest.param(Requirements(1, 13 * GIBI), "bytes of memory", id="more memory than members may have"),
        pytest.param(Requirements(1, 0, ("sve",)), "sve", id="a CPU feature that the machine lacks"),
    ],
)
def test_what_the_machine_can_never_have_is_unsupported(needs: Requirements, words: str) -> None:
    with pytest.raises(UnsupportedError, match=words) as refused:
        Pools.build(MACHINE, 0, []).pool_for(needs, "the job fractal")
    assert str(refused.value).startswith("the job fractal asks for")
    assert "4 cores and 16384 MiB" in str(refused.value)


def test_pools_of_the_file_that_fit_are_taken_as_they_are() -> None:
    pools = Pools.build(MACHINE, 0, [declared("cpu", resources={"cpu": "1", "memory": "1Gi"}, targetSize=3, maxSize=4)])
    assert pools.warnings == []
    assert pools.by_name["cpu"].spec.target_size == 3
    assert pools.by_name["default"].spec.target_size == 0


def test_pools_of_the_file_share_the_machine_in_their_order_with_a_warning() -> None:
    both = [declared(name, resources={"cpu": "1", "memory": "1Gi"}, targetSize=3, maxSize=3) for name in ("a", "b")]
    pools = Pools.build(MACHINE, 0, both)
    assert (pools.by_name["a"].spec.most, pools.by_name["b"].spec.most) == (3, 1)
    assert [warning for warning in pools.warnings if "b asks for 3 members" in warning]


def test_a_default_pool_of_the_file_takes_the_place_of_the_machines_own() -> None:
    pools = Pools.build(MACHINE, 0, [declared("mine", default=True, resources={"cpu": "2", "memory": "2Gi"})])
    assert pools.pool_for(Requirements(1), "job").name == "mine"
    assert list(pools.by_name) == ["mine"]
    with pytest.raises(UnsupportedError, match="3 slots"):
        pools.pool_for(Requirements(3), "job")


def test_members_larger_than_the_machine_are_made_smaller_with_a_warning() -> None:
    pools = Pools.build(MACHINE, 0, [declared("huge", resources={"cpu": "64", "memory": "512Gi"}, targetSize=1)])
    assert (pools.by_name["huge"].shape.slots, pools.by_name["huge"].shape.memory) == (4, 12 * GIBI)
    assert any("huge asks for members of 64 slots" in warning for warning in pools.warnings)
