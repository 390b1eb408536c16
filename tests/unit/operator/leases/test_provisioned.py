"""The shape of members that are made for one lease."""

from typing import Any

import pytest

from leasegrid.api.common import LeaseRequirements
from leasegrid.api.enums import ResourceKind, Reuse
from leasegrid.api.lease import LeaseSpec
from leasegrid.api.pool import InstancePoolSpec, MemberRequests, PoolStorage
from leasegrid.api.quantities import parse_bytes
from leasegrid_operator.estate import DEFAULT_VOLUME_BYTES, provisioned_spec

MEBI = 1 << 20
PLAIN = InstancePoolSpec(target_size=0)
FAST = InstancePoolSpec(
    target_size=0, resource=ResourceKind.BLOCK, storage=PoolStorage(size=4 * MEBI, storage_class_name="fast")
)


def made(base: InstancePoolSpec, named: InstancePoolSpec | None = None, **needs: Any) -> InstancePoolSpec:  # noqa: ANN401
    requirements = LeaseRequirements(**needs) if needs else None
    return provisioned_spec(base, LeaseSpec(count=3, requirements=requirements), named)


@pytest.mark.parametrize(
    ("base", "needs", "storage"),
    [
        pytest.param(PLAIN, {"resource": "CPU"}, None, id="a worker has no storage"),
        pytest.param(FAST, {"resource": "CPU"}, None, id="a worker has none, whatever the operator's template says"),
        pytest.param(FAST, {}, None, id="a lease that asks for nothing gets workers"),
        pytest.param(PLAIN, {"resource": "Memory"}, None, id="a memory store has what its memory leaves"),
        pytest.param(PLAIN, {"resource": "Memory", "size": MEBI}, (MEBI, None), id="or what is asked for"),
        pytest.param(PLAIN, {"resource": "Block"}, (DEFAULT_VOLUME_BYTES, None), id="a block store has a volume"),
        pytest.param(FAST, {"resource": "Block"}, (4 * MEBI, "fast"), id="as the operator's template has it"),
        pytest.param(FAST, {"resource": "Block", "size": MEBI}, (MEBI, "fast"), id="or of the size that is asked for"),
    ],
)
def test_storage(base: InstancePoolSpec, needs: dict[str, Any], storage: tuple[int, str | None] | None) -> None:
    spec = made(base, **needs)
    assert spec.resource == needs.get("resource", "CPU")
    assert (spec.storage and (spec.storage.size, spec.storage.storage_class_name)) == storage


@pytest.mark.parametrize(
    ("needs", "cpu", "memory"),
    [
        pytest.param({}, 2000, "2Gi", id="a lease that asks for nothing gets members of the operator's template"),
        pytest.param({"cpu": "1", "memory": "1Gi"}, 2000, "2Gi", id="and so does one that asks for less"),
        pytest.param({"cpu": "3", "memory": "3Gi"}, 3000, "3Gi", id="one that asks for more gets what it asks for"),
    ],
)
def test_size(needs: dict[str, Any], cpu: int, memory: str) -> None:
    resources = made(PLAIN, **needs).resources
    assert (resources.cpu, resources.memory, resources.slots) == (cpu, parse_bytes(memory), cpu // 1000)


def test_members_are_as_many_as_the_lease_may_have_and_used_once() -> None:
    spec = made(PLAIN)
    assert (spec.target_size, spec.min_size, spec.max_size, spec.reuse) == (0, 0, 3, Reuse.REPLACE)


def test_a_lease_that_names_a_pool_gets_members_like_those() -> None:
    named = FAST.model_copy(update={"requests": MemberRequests(cpu="50m")})
    spec = made(PLAIN, named)
    assert (spec.resource, spec.storage, spec.requests.cpu) == (ResourceKind.BLOCK, FAST.storage, 50)
