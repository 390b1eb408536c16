"""How many bytes of objects a member of a pool takes."""

import pytest

from leasegrid.api.quantities import GIBI, MEBI
from leasegrid.rules.store_sizes import store_quota
from tests.unit.rules.pool_examples import spec


@pytest.mark.parametrize(
    ("fields", "quota"),
    [
        pytest.param({"resource": "CPU"}, 0, id="a CPU member holds no objects"),
        pytest.param({"resource": "Block", "storage": {"size": "10Gi"}}, 10 * GIBI, id="a Block member what is asked"),
        pytest.param(
            {"resource": "Memory", "storage": {"size": "512Mi"}}, 512 * MEBI, id="a Memory member what is asked"
        ),
        pytest.param(
            {"resource": "Memory", "resources": {"cpu": "1", "memory": "2Gi"}},
            2 * GIBI - (64 + 256) * MEBI,
            id="or what its memory leaves beside interpreter and scratch",
        ),
        pytest.param(
            {"resource": "Memory", "resources": {"cpu": "1", "memory": "384Mi"}},
            192 * MEBI,
            id="but half of a small memory at least",
        ),
    ],
)
def test_a_member_takes(fields: dict[str, object], quota: int) -> None:
    assert store_quota(spec(**fields)) == quota
