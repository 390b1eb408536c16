"""What is wrong with a definition as the server has it."""

from typing import Any

import pytest

from leasegrid_operator.resources import LEASES, NODES, PODS
from leasegrid_operator.startup import fault_of


def definition(version: str, *, served: bool = True, established: str = "True") -> dict[str, Any]:
    conditions = [{"type": "Established", "status": established}]
    return {"spec": {"versions": [{"name": version, "served": served}]}, "status": {"conditions": conditions}}


@pytest.mark.parametrize(
    ("found", "fault"),
    [
        pytest.param(definition("v1alpha1"), "", id="served and established"),
        pytest.param(
            definition("v1beta1"), "leases is not served in v1alpha1, but in: v1beta1", id="in another version only"
        ),
        pytest.param(
            definition("v1alpha1", served=False), "leases is not served in v1alpha1, but in: none", id="not served"
        ),
        pytest.param(definition("v1alpha1", established="False"), "leases is not established yet", id="just applied"),
    ],
)
def test_a_definition_that_is(found: dict[str, Any], fault: str) -> None:
    assert fault_of("leases", found) == fault


def test_objects_have_their_paths() -> None:
    assert PODS.path("n", "a", "status") == "/api/v1/namespaces/n/pods/a/status"
    assert LEASES.path() == "/apis/leasegrid.dev/v1alpha1/leases"
    assert NODES.path("ignored", "a") == "/api/v1/nodes/a"
