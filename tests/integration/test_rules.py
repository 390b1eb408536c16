"""Every rule in CEL on a real API server: one object that it accepts, and one that it refuses with field and remedy."""

import json
from collections.abc import Iterator
from itertools import count

import pytest

from leasegrid.api.cel import OBJECT_RULE
from leasegrid.api.definitions import KINDS
from leasegrid.api.loading import load_documents
from tests.integration.api_client import Answer
from tests.integration.conftest import objects
from tests.integration.control_plane import ControlPlane
from tests.integration.rule_cases import ALL_RULES, CASES, Case, job

PLURALS = {kind.name: kind.plural for kind in KINDS}
_NUMBERS = count(1)


def written(kind: str, name: str, spec: object) -> dict[str, object]:
    return {"apiVersion": "leasegrid.dev/v1alpha1", "kind": kind, "metadata": {"name": name}, "spec": spec}


def created(cluster: ControlPlane, kind: str, spec: object, name: str = "x") -> Answer:
    """What the server says to a new object, which it does not keep."""
    path = f"{objects(PLURALS[kind])}?dryRun=All&fieldValidation=Strict"
    return cluster.api.ask("POST", path, written(kind, name, spec))


def test_every_rule_has_its_case() -> None:
    assert {(case.model, case.rule) for case in CASES} == ALL_RULES


@pytest.mark.parametrize("case", [one for one in CASES if one.before is None], ids=str)
def test_of_a_new_object_the_server_judges(cluster: ControlPlane, case: Case) -> None:
    accepted, refused = (created(cluster, case.kind, spec) for spec in (case.accepted, case.refused))

    assert accepted.accepted, accepted.message
    assert refused.status == 422
    assert told(refused, case)


@pytest.mark.parametrize("case", [one for one in CASES if one.before is None], ids=str)
def test_the_models_agree_with_the_server(case: Case) -> None:
    for spec, right in ((case.accepted, True), (case.refused, False)):
        assert (load_documents(json.dumps(written(case.kind, "x", spec)), "x").faults == ()) is right


@pytest.fixture
def changed(cluster: ControlPlane, case: Case) -> Iterator[tuple[Answer, Answer]]:
    """What the server says to the accepted and to the refused change of an object that is there."""
    name = f"changed-{next(_NUMBERS)}"
    path = objects(PLURALS[case.kind], name)
    made = cluster.api.ask("POST", objects(PLURALS[case.kind]), written(case.kind, name, case.before))
    assert made.accepted, made.message
    metadata = made.body["metadata"]
    answers = [
        cluster.api.ask("PUT", f"{path}?dryRun=All", {**written(case.kind, name, spec), "metadata": metadata})
        for spec in (case.accepted, case.refused)
    ]
    yield answers[0], answers[1]
    cluster.api.ask("DELETE", path)


@pytest.mark.parametrize("case", [one for one in CASES if one.before is not None], ids=str)
def test_of_a_change_the_server_judges(changed: tuple[Answer, Answer], case: Case) -> None:
    accepted, refused = changed

    assert accepted.accepted, accepted.message
    assert refused.status == 422
    assert told(refused, case)


def told(refused: Answer, case: Case) -> bool:
    """True when the refusal names the rule's field and says its message; raises with what it says instead."""
    field = f"{case.path}.{case.rule.field}" if case.rule.field else case.path
    words = f"{field}: Invalid value"
    assert words in refused.message, refused.message
    assert case.rule.message in refused.message, refused.message
    return True


@pytest.mark.parametrize("name", ["a.b", "a" * 64], ids=["a dot", "64 characters"])
def test_a_name_that_is_no_label_is_refused_with_what_would_be_right(cluster: ControlPlane, name: str) -> None:
    refused = created(cluster, "Job", job(), name)

    assert refused.status == 422
    assert OBJECT_RULE.message in refused.message
    assert created(cluster, "Job", job(), "a" * 63).accepted


@pytest.mark.parametrize(
    ("kind", "spec", "words"),
    [
        pytest.param(
            "InstancePool",
            {"resources": {"memory": "1Mi"}},
            'spec.resources.memory: Invalid value: "": must be at least 64Mi and at most 1Ti: write a quantity',
            id="memory of a member",
        ),
        pytest.param(
            "Job",
            job({"module": {"path": "a"}, "memory": "5Gi"}),
            'spec.tasklet.memory: Invalid value: "": must be at least 64Ki and at most 4Gi: write a quantity',
            id="memory of a tasklet",
        ),
        pytest.param("Job", job(output={"size": 0}), "spec.output.size: Invalid value", id="a store without room"),
        pytest.param(
            "Lease", {"requirements": {"cpu": "-1"}}, "spec.requirements.cpu: Invalid value", id="a negative quantity"
        ),
        pytest.param("Lease", {"count": 0}, "spec.count: Invalid value", id="a lease of nothing"),
        pytest.param("Lease", {"count": 1.5}, "spec.count", id="half a member"),
        pytest.param("Lease", {"holderKey": "short"}, "spec.holderKey: Invalid value", id="a key that is none"),
        pytest.param(
            "Lease",
            {"poolRefs": [{"name": "a"}, {"name": "a"}]},
            "spec.poolRefs[1]: Duplicate value",
            id="a pool twice",
        ),
        pytest.param("Lease", {"onEmpty": "Wait"}, "Queue", id="a word that is none"),
        pytest.param("Job", {"input": {"count": 1}}, "spec.tasklet: Required value", id="a job without a program"),
    ],
)
def test_a_value_out_of_bounds_is_refused_at_its_path(
    cluster: ControlPlane, kind: str, spec: object, words: str
) -> None:
    refused = created(cluster, kind, spec)

    assert not refused.accepted
    assert words in refused.message
