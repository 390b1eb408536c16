"""A real API server takes what the chart renders, in a namespace of level restricted, and releases come and go."""

import json
import re
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.chart.charting import CHART, NAMESPACE, RELEASE, Chart, Rendered
from tests.integration.control_plane import ControlPlane, running
from tests.support.cluster.plane import accepted, make, make_namespace, until

POOLS = [{"name": "cpu", "namespace": "work"}, {"name": "more"}]
ALL = {
    "pools": POOLS,
    "namespaces": ["work"],
    "operator": {"nodeSelector": {"disk": "fast"}, "tolerations": [{"operator": "Exists"}], "podLabels": {"a": "b"}},
    "tls": {"enabled": True, "names": ["grid.example"]},
    "image": {"pullSecrets": [{"name": "x"}]},
    "members": {"provisionTemplate": {"resources": {"cpu": "1"}}, "priorityClassName": "low"},
    "networkPolicies": {"enabled": True, "memberEgress": [{"cidrs": ["10.1.0.0/16"], "ports": [{"port": 443}]}]},
    "metrics": {"dashboard": {"enabled": True}},
}
CHOICES: dict[str, dict[str, Any]] = {"nothing chosen": {}, "everything chosen": ALL}
CRD = "/apis/apiextensions.k8s.io/v1/customresourcedefinitions"
COMMAND = re.compile(r"^(\d)\. ", re.MULTILINE)


@pytest.fixture
def fresh(plane: ControlPlane) -> Iterator[ControlPlane]:
    """A plane for one test, in which nothing is installed."""
    with running(plane.assets, controllers=True) as started:
        yield started


@pytest.mark.parametrize("values", CHOICES.values(), ids=CHOICES)
def test_every_object_is_accepted_as_it_stands(chart: Chart, installed: ControlPlane, values: dict[str, Any]) -> None:
    make(installed, "/api/v1/namespaces", "v1", "Namespace", {"metadata": {"name": "work"}})
    rendered = chart.render(values)
    make_accounts(installed, rendered)
    given = yaml.safe_dump_all(list(rendered))
    flags = ("--server-side", "--dry-run=server", "--validate=strict", "--force-conflicts", "--filename", "-")
    said = installed.kubectl("apply", *flags, given=given).splitlines()
    assert len(said) == len(list(rendered))


def make_accounts(plane: ControlPlane, rendered: Rendered) -> None:
    """Without its account no pod is admitted."""
    accounts = yaml.safe_dump_all(rendered.all("ServiceAccount"))
    plane.kubectl("apply", "--server-side", "--force-conflicts", "--filename", "-", given=accounts)


@pytest.mark.parametrize("values", CHOICES.values(), ids=CHOICES)
def test_every_pod_is_admitted_at_level_restricted(
    chart: Chart, installed: ControlPlane, values: dict[str, Any]
) -> None:
    rendered = chart.render(values)
    make_accounts(installed, rendered)
    for name, spec in pods(rendered):
        body = {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": name}, "spec": {**spec, **runnable(spec)}}
        answer = installed.api.ask("POST", f"/api/v1/namespaces/{NAMESPACE}/pods?dryRun=All", body)
        assert answer.accepted, answer.message


def pods(rendered: Rendered) -> list[tuple[str, dict[str, Any]]]:
    made = rendered.all("Deployment") + rendered.all("Job")
    found = [(one["metadata"]["name"], one["spec"]["template"]["spec"]) for one in made]
    return found + [(one["metadata"]["name"], one["spec"]) for one in rendered.all("Pod")]


def runnable(spec: dict[str, Any]) -> dict[str, Any]:
    """A PriorityClass that is not there would be refused for that alone."""
    return {"priorityClassName": ""} if "priorityClassName" in spec else {}


@pytest.mark.parametrize(("values", "second"), [({}, "Make a pool:"), ({"pools": POOLS}, "kubectl get lgpool cpu")])
def test_the_notes_name_three_commands(
    chart: Chart, installed: ControlPlane, values: dict[str, Any], second: str
) -> None:
    flags = ("--dry-run=server", "--values", "-", "--set", "crds.enabled=false", "--set", "rbac.userRoles=false")
    notes = chart.on(installed, "install", "second", str(CHART), *flags, values=values).partition("NOTES:")[2]
    assert COMMAND.findall(notes) == ["1", "2", "3"]
    assert second in notes


def test_an_upgrade_brings_the_definitions_with_it(chart: Chart, fresh: ControlPlane, tmp_path: Path) -> None:
    older = tmp_path / "older"
    shutil.copytree(CHART, older)
    template = older / "templates" / "crd-leases.yaml"
    template.write_text(template.read_text().replace("description: What is asked for.", "description: Older."))

    chart.on(fresh, "install", RELEASE, str(older), "--no-hooks", "--create-namespace")
    assert "Older." in definition(fresh)
    chart.on(fresh, "upgrade", RELEASE, str(CHART), "--no-hooks")
    assert "Older." not in definition(fresh)


@pytest.mark.unhappy("a release that is uninstalled while there are leases")
def test_definitions_and_objects_stay_when_a_release_goes_and_the_next_one_takes_them_over(
    chart: Chart, fresh: ControlPlane
) -> None:
    chart.on(fresh, "install", RELEASE, str(CHART), "--no-hooks", "--create-namespace")
    leases = f"/apis/leasegrid.dev/v1alpha1/namespaces/{NAMESPACE}/leases"
    until(lambda: fresh.api.ask("GET", leases).accepted, "leases are served")
    lease = {"metadata": {"name": "held"}, "spec": {"count": 1}}
    make(fresh, leases, "leasegrid.dev/v1alpha1", "Lease", lease)

    chart.on(fresh, "uninstall", RELEASE, "--no-hooks")
    assert fresh.api.ask("GET", f"{leases}/held").accepted
    chart.on(fresh, "install", RELEASE, str(CHART), "--no-hooks")
    assert fresh.api.ask("GET", f"{leases}/held").accepted

    chart.on(fresh, "upgrade", RELEASE, str(CHART), "--no-hooks", "--set", "crds.keep=false")
    chart.on(fresh, "uninstall", RELEASE, "--no-hooks")
    until(lambda: fresh.api.ask("GET", f"{CRD}/leases.leasegrid.dev").status == 404, "the definitions are gone")


@pytest.mark.unhappy("a chart on a cluster with definitions that were applied by hand")
def test_definitions_that_were_applied_by_hand_are_left_alone_or_taken_over(chart: Chart, fresh: ControlPlane) -> None:
    fresh.kubectl("apply", "--server-side", "--filename", str(CHART.parents[1] / "crds"))
    make_namespace(fresh, NAMESPACE)
    chart.on(fresh, "install", RELEASE, str(CHART), "--no-hooks", "--set", "crds.enabled=false")
    assert "meta.helm.sh" not in definition(fresh)

    chart.on(fresh, "upgrade", RELEASE, str(CHART), "--no-hooks", "--take-ownership", "--set", "crds.enabled=true")
    assert "meta.helm.sh/release-name" in definition(fresh)


def definition(plane: ControlPlane) -> str:
    return json.dumps(accepted(plane.api.ask("GET", f"{CRD}/leases.leasegrid.dev")))
