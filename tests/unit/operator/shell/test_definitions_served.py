"""What is wrong with a definition as the server has it."""

import copy
from typing import Any

import pytest

from leasegrid.api.definitions import KINDS, definition_of
from leasegrid_operator.resources import LEASES, NODES, PODS
from leasegrid_operator.startup import age_of, fault_of

LEASE = next(kind for kind in KINDS if kind.name == "Lease")


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


def served(*without: str) -> dict[str, Any]:
    """The definition of leases, but for fields of its spec."""
    found: dict[str, Any] = copy.deepcopy(definition_of(LEASE))
    fields = found["spec"]["versions"][0]["schema"]["openAPIV3Schema"]["properties"]["spec"]["properties"]
    for name in without:
        del fields[name]
    return found


@pytest.mark.parametrize(
    ("found", "fault"),
    [
        pytest.param(served(), "", id="ours"),
        pytest.param(
            served("purpose"), "leases is older than this operator: it lacks spec.purpose", id="one field short"
        ),
        pytest.param(
            served("purpose", "count", "elastic", "priority"), "spec.purpose and 1 more", id="many fields short"
        ),
    ],
)
def test_a_definition_that_lacks_fields_is_older(found: dict[str, Any], fault: str) -> None:
    said = age_of("leases", found, definition_of(LEASE))
    assert fault in said
    assert bool(said) is bool(fault)


def test_a_definition_with_more_fields_will_do() -> None:
    assert age_of("leases", definition_of(LEASE), served("purpose")) == ""


def test_objects_have_their_paths() -> None:
    assert PODS.path("n", "a", "status") == "/api/v1/namespaces/n/pods/a/status"
    assert LEASES.path() == "/apis/leasegrid.dev/v1alpha1/leases"
    assert NODES.path("ignored", "a") == "/api/v1/nodes/a"
