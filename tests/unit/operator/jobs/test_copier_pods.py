"""The pod that copies outputs into a claim."""

import json
from typing import Any

import msgspec
import pytest

from leasegrid.api.pool import InstancePool, InstancePoolSpec
from leasegrid_operator.jobs.copier_pods import CopierTemplate, copier_pod, copier_secret, outline
from leasegrid_operator.jobs.reading import JobFacts, read_job
from leasegrid_operator.pools.templates import MemberSettings
from tasklet_runner.plan.types import Plan
from tasklet_runner.store.deliveries import deliveries
from tasklet_runner.wire.jobs import CopyOrder

SETTINGS = MemberSettings(image="leasegrid:1", fabric_key="k", notify="http://h/")


def provision(**template: object) -> InstancePoolSpec:
    spec = {"resources": {"cpu": "1", "memory": "1Gi"}, "template": template}
    body = {"apiVersion": "leasegrid.dev/v1alpha1", "kind": "InstancePool", "metadata": {"name": "p"}, "spec": spec}
    return InstancePool.model_validate(body).spec


def facts(name: str = "sums", **spec: object) -> JobFacts:
    items = [{"value": "x" * 1000} for _ in range(100)]
    usual = {"tasklet": {"python": {"source": {"inline": "print(1)"}}}, "input": {"items": items}}
    metadata = {"name": name, "namespace": "team", "uid": "0123456789ab", "creationTimestamp": "2026-01-01T00:00:00Z"}
    body: dict[str, Any] = {"apiVersion": "leasegrid.dev/v1alpha1", "kind": "Job", "metadata": metadata}
    return read_job({**body, "spec": {**usual, **spec}})


def test_the_pod_passes_level_restricted_and_has_no_credential() -> None:
    pod = copier_pod(CopierTemplate(SETTINGS, provision(nodeSelector={"disk": "fast"})), facts(), "results", 2)
    (container,) = pod["spec"]["containers"]

    assert pod["metadata"]["name"] == "sums-01234567-copy-2"
    assert pod["metadata"]["ownerReferences"][0]["uid"] == "0123456789ab"
    assert pod["spec"]["nodeSelector"] == {"disk": "fast"}
    assert pod["spec"]["automountServiceAccountToken"] is False
    assert pod["spec"]["securityContext"]["runAsNonRoot"] is True
    assert container["securityContext"]["capabilities"] == {"drop": ["ALL"]}
    assert (container["image"], container["args"]) == ("leasegrid:1", ["--into", "/target/sums"])
    assert pod["spec"]["volumes"] == [{"name": "target", "persistentVolumeClaim": {"claimName": "results"}}]


def test_the_secret_is_the_pods_and_the_pod_names_it() -> None:
    order = CopyOrder(plan="{}", endpoint="http://h", get="grant")
    secret = copier_secret(facts(), 1, "pod-uid", order)
    pod = copier_pod(CopierTemplate(SETTINGS, provision()), facts(), "results", 1)
    reference = pod["spec"]["containers"][0]["env"][0]["valueFrom"]["secretKeyRef"]

    assert [one["uid"] for one in secret["metadata"]["ownerReferences"]] == ["pod-uid"]
    assert reference["name"] == secret["metadata"]["name"]
    assert msgspec.json.decode(secret["stringData"][reference["key"]], type=CopyOrder) == order
    assert "grant" not in json.dumps(pod)


@pytest.mark.parametrize(
    "spec",
    [
        pytest.param({}, id="a job"),
        pytest.param({"aggregate": {"tasklet": {"python": {"source": {"inline": "2"}}}}}, id="one with an aggregate"),
    ],
)
def test_what_a_copier_is_told_says_what_is_delivered_and_nothing_of_the_input(spec: dict[str, Any]) -> None:
    plan = facts(**spec).plan
    assert plan is not None
    told = outline(plan)
    assert len(told) < 3000
    assert deliveries(msgspec.json.decode(told, type=Plan)) == deliveries(plan)


def test_a_long_name_leaves_room_for_the_number() -> None:
    pod = copier_pod(CopierTemplate(SETTINGS, provision()), facts("a" * 63), "results", 3)
    assert len(pod["metadata"]["name"]) <= 63
