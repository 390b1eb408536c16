"""What is read of a Lease's body, and what is not read twice."""

from typing import Any

from leasegrid_operator.leases.reading import read_lease


def body(generation: int, priority: int, status: dict[str, Any]) -> dict[str, Any]:
    """A Lease as an API server sends it."""
    return {
        "apiVersion": "leasegrid.dev/v1alpha1",
        "kind": "Lease",
        "metadata": {
            "name": "one",
            "namespace": "default",
            "uid": "uid-1",
            "generation": generation,
            "creationTimestamp": "2030-01-01T00:00:00Z",
        },
        "spec": {"priority": priority},
        "status": status,
    }


def test_a_spec_of_the_same_generation_is_not_judged_again_but_the_status_is_read() -> None:
    first = read_lease(body(1, 5, {}))
    second = read_lease(body(1, 5, {"members": [{"name": "m", "epoch": 3}]}), first)
    assert second.spec is first.spec
    assert second.written.epochs == {"m": 3}


def test_a_spec_of_another_generation_is_read_anew() -> None:
    second = read_lease(body(2, 6, {}), read_lease(body(1, 5, {})))
    assert second.spec is not None
    assert second.spec.priority == 6
    assert second.generation == 2


def test_of_endpoints_those_are_kept_that_name_a_key() -> None:
    known = {"name": "a", "epoch": 1, "endpoint": f"https://10.0.0.7:8080#{'5' * 32}"}
    plain = {"name": "b", "epoch": 1, "endpoint": "http://10.0.0.8:8080"}

    assert read_lease(body(1, 5, {"members": [known, plain]})).written.pinned == {"a": known["endpoint"]}
