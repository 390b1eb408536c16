"""The definitions on a real API server, as kubectl's users see them."""

import json
from collections.abc import Iterator
from typing import Any

import pytest
import yaml

from leasegrid.api.definitions import KINDS, Kind
from tests.integration.conftest import CRDS, DEFINITIONS, documents, objects
from tests.integration.control_plane import ControlPlane
from tests.integration.rule_cases import graph, job
from tests.integration.test_rules import written

SPECS: dict[str, dict[str, object]] = {"InstancePool": {}, "Lease": {}, "Job": job(), "TaskGraph": graph()}
TIME = "2026-01-01T00:00:00Z"
STATUSES: dict[str, dict[str, object]] = {
    "InstancePool": {"effectiveTarget": 5, "members": {"ready": 4, "claimed": 3}},
    "Lease": {"expireTime": TIME},
    "Job": {"workers": 7, "chunks": {"total": 9, "succeeded": 8}},
    "TaskGraph": {"workers": 7, "chunks": {"total": 9, "succeeded": 8}, "tasks": [{"name": "a", "state": "Running"}]},
}
SHOWN = {
    "InstancePool": ("Ready", "RESOURCE TARGET WARM CLAIMED READY REASON AGE", "CPU 5 4 3 True Because"),
    "Lease": ("Bound", "COUNT BOUND REASON HOLDER EXPIRES AGE", f"1 True Because alice {TIME}"),
    "Job": ("Progressing", "COMPLETE FAILED REASON DONE TOTAL WORKERS AGE", "Because 8 9 7"),
    "TaskGraph": ("Progressing", "COMPLETE FAILED REASON DONE TOTAL WORKERS AGE", "Because 8 9 7"),
}

every_kind = pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.name)


@pytest.fixture
def made(cluster: ControlPlane, kind: Kind) -> Iterator[dict[str, Any]]:
    """An object of the kind as the server keeps it, with as little said as can be."""
    holder = {"holderIdentity": "alice"} if kind.name == "Lease" else {}
    path = objects(kind.plural)
    answer = cluster.api.ask("POST", path, written(kind.name, "made", {**SPECS[kind.name], **holder}))
    assert answer.accepted, answer.message
    yield answer.body
    cluster.api.ask("DELETE", f"{path}/made")


@every_kind
def test_each_definition_is_established_and_structural(cluster: ControlPlane, kind: Kind) -> None:
    answer = cluster.api.ask("GET", f"{DEFINITIONS}/{kind.plural}.leasegrid.dev")
    definition: dict[str, Any] = answer.body

    conditions = {one["type"]: one["status"] for one in definition["status"]["conditions"]}
    assert conditions == {"NamesAccepted": "True", "Established": "True"}


@every_kind
def test_the_server_keeps_a_schema_as_it_is_written(cluster: ControlPlane, kind: Kind) -> None:
    (given,) = documents(CRDS / kind.file_name)
    kept: dict[str, Any] = cluster.api.ask("GET", f"{DEFINITIONS}/{kind.plural}.leasegrid.dev").body

    assert kept["spec"]["versions"][0]["schema"] == yaml.safe_load(json.dumps(given))["spec"]["versions"][0]["schema"]


@pytest.mark.parametrize(
    ("field", "words"),
    [
        ("lgpool.spec.targetSize", "Members to keep unclaimed and warm; HPA and KEDA write it too."),
        ("lglease.spec.holderKey", "Ed25519 public key of the holder, 32 raw bytes in base64url."),
        ("lgjob.spec.tasklet.wallSeconds", "Time of a chunk, or of a line in Loop mode."),
        ("lggraph.spec.tasks.input.from", "Tasks whose outputs are the inputs"),
        ("lgjob.status.conditions.reason", "Why, as one word in CamelCase."),
    ],
)
def test_kubectl_explains_a_field(cluster: ControlPlane, field: str, words: str) -> None:
    said = cluster.kubectl("explain", field)

    assert words in " ".join(said.split())


@every_kind
def test_kubectl_knows_a_kind_by_its_short_name_and_the_category(
    cluster: ControlPlane, kind: Kind, made: dict[str, Any]
) -> None:
    name = f"{kind.name.lower()}.leasegrid.dev/{made['metadata']['name']}"

    assert cluster.kubectl("get", kind.short_name, "--output=name").split() == [name]
    assert name in cluster.kubectl("get", "leasegrid", "--output=name").split()


@every_kind
def test_kubectl_shows_the_columns_and_waits_for_a_condition(
    cluster: ControlPlane, kind: Kind, made: dict[str, Any]
) -> None:
    condition, head, row = SHOWN[kind.name]
    status = {**STATUSES[kind.name], "conditions": [true(condition)]}
    path = f"{objects(kind.plural, 'made')}/status?fieldValidation=Strict"
    answer = cluster.api.ask("PATCH", path, {"status": status}, "application/merge-patch+json")
    assert answer.accepted, answer.message

    lines = [line.split() for line in cluster.kubectl("get", kind.short_name).splitlines()]

    assert lines[0] == ["NAME", *head.split()]
    assert " ".join(lines[1][:-1]) == f"made {row}"
    cluster.kubectl("wait", kind.short_name, "made", f"--for=condition={condition}", "--timeout=5s")


def true(name: str) -> dict[str, str]:
    """A condition that holds."""
    return {"type": name, "status": "True", "reason": "Because", "message": "As it is.", "lastTransitionTime": TIME}


@every_kind
def test_what_is_not_said_has_its_default(kind: Kind, made: dict[str, Any]) -> None:
    spec = made["spec"]

    assert "status" not in made
    if kind.name == "InstancePool":
        assert (spec["resources"], spec["targetSize"]) == ({"cpu": "2", "memory": "2Gi"}, 5)
        assert spec["claimDefaults"] == {"ttlSeconds": 120, "maxLifetimeSeconds": 86400}
    elif kind.name == "Lease":
        assert (spec["count"], spec["onEmpty"], "revoke" in spec) == (1, "Fail", False)
    else:
        tasklet = spec["tasks"][0]["tasklet"] if kind.name == "TaskGraph" else spec["tasklet"]
        assert (spec["parallelism"], spec["retry"]["maxRetries"], spec["output"]["size"]) == (50, 3, "1Gi")
        assert (tasklet["memory"], tasklet["maxOutput"], tasklet["wallSeconds"]) == ("256Mi", "16Mi", 60)


@every_kind
def test_a_status_is_written_through_its_subresource_alone(
    cluster: ControlPlane, kind: Kind, made: dict[str, Any]
) -> None:
    status, path = STATUSES[kind.name], objects(kind.plural, "made")
    content = "application/merge-patch+json"

    assert "status" not in cluster.api.ask("PATCH", path, {"status": status}, content).body
    written_both = cluster.api.ask("PATCH", f"{path}/status", {"status": status, "spec": {"priority": 9}}, content)
    assert written_both.body["status"] == status
    assert written_both.body["spec"] == made["spec"]


@every_kind
def test_a_field_that_there_is_not_is_refused_when_strict_and_dropped_otherwise(
    cluster: ControlPlane, kind: Kind
) -> None:
    given = written(kind.name, "strict", {**SPECS[kind.name], "colour": "red"})
    path = f"{objects(kind.plural)}?dryRun=All"

    strict = cluster.api.ask("POST", f"{path}&fieldValidation=Strict", given)
    assert (strict.status, 'unknown field "spec.colour"' in strict.message) == (400, True)
    kept: dict[str, Any] = cluster.api.ask("POST", f"{path}&fieldValidation=Ignore", given).body
    assert "colour" not in kept["spec"]


def test_a_pool_is_scaled_by_its_subresource(cluster: ControlPlane) -> None:
    path = objects("instancepools")
    assert cluster.api.ask("POST", path, written("InstancePool", "scaled", {})).accepted
    status = {"status": {"replicas": 5, "selector": "leasegrid.dev/pool=scaled"}}
    cluster.api.ask("PATCH", f"{path}/scaled/status", status, "application/merge-patch+json")

    cluster.kubectl("scale", "lgpool", "scaled", "--replicas=7")

    scale: dict[str, Any] = cluster.api.ask("GET", f"{path}/scaled/scale").body
    assert scale["spec"] == {"replicas": 7}
    assert scale["status"] == {"replicas": 5, "selector": "leasegrid.dev/pool=scaled"}
    assert cluster.api.ask("GET", f"{path}/scaled").body["spec"]["targetSize"] == 7  # type: ignore[index]  # JSON
    cluster.api.ask("DELETE", f"{path}/scaled")
