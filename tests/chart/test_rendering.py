"""What helm makes of the chart, without a cluster."""

import json
import os
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml

from leasegrid_operator.broker.gate import USER_ROLE
from leasegrid_operator.metrics import MemberFigures, OperatorMetrics
from leasegrid_operator.settings import provision_spec, read_settings
from tasklet_runner.doors.crowd import Crowd
from tasklet_runner.member.checkpoints import CheckpointTally
from tasklet_runner.member.metrics import checkpoint_figures, door_figures, store_figures, tasklet_figures
from tasklet_runner.member.progress import Tally, Traffic
from tests.chart.charting import CHART, KUBERNETES, Chart, Rendered

SNAPSHOT = Path(__file__).with_name("default.yaml")
UPDATE = "UPDATE_SNAPSHOT"
POOLS = [{"name": "cpu", "namespace": "work"}, {"name": "more"}]


def test_helm_finds_nothing_to_complain_of(chart: Chart) -> None:
    said = chart.do("lint", str(CHART), "--strict", "--kube-version", KUBERNETES)
    assert "0 chart(s) failed" in said


def test_the_default_rendering_is_the_one_that_was_reviewed(chart: Chart) -> None:
    objects = [one for one in chart.render() if one["kind"] != "CustomResourceDefinition"]
    text = yaml.safe_dump_all(objects, sort_keys=True, width=120)
    if os.environ.get(UPDATE):
        SNAPSHOT.write_text(text, encoding="utf-8")
    assert SNAPSHOT.read_text(encoding="utf-8") == text, f"look at the difference, then: {UPDATE}=1 make chart-test"


def test_what_is_made_from_the_values_and_from_the_definitions_is_up_to_date() -> None:
    command = [sys.executable, "tools/chart.py", "--check"]
    ended = subprocess.run(command, cwd=CHART.parents[1], capture_output=True, text=True, check=False)
    assert (ended.returncode, ended.stdout) == (0, "")


def test_the_operator_takes_the_settings_that_its_pod_gives_it(chart: Chart) -> None:
    environment = chart.render({"namespaces": ["a", "b"], "image": {"tag": "dev"}}).environment
    settings = read_settings({}, environment)
    variables = {name for name in environment if name.startswith("LEASEGRID_")}
    assert variables <= {f"LEASEGRID_{name.upper()}" for name in vars(settings)}, "each is one that it knows"
    assert settings.namespaces == ("a", "b")
    assert (settings.identity, settings.own_namespace) == ("operator-a", "grid")
    assert settings.advertised_address == "http://10.0.0.7:8080"
    assert settings.hints_address == "http://leasegrid-operator.grid.svc:8080/v1/hints"
    assert settings.member_image == "ghcr.io/leasegrid/leasegrid:dev"


def test_the_operator_takes_the_template_of_provisioned_members(chart: Chart, tmp_path: Path) -> None:
    rendered = chart.render({"members": {"provisionTemplate": {"resources": {"cpu": "1"}}}})
    mounted = tmp_path / "provision.yaml"
    mounted.write_text(rendered.one("ConfigMap", "-operator")["data"]["provision.yaml"], encoding="utf-8")
    environment = rendered.environment
    assert environment["LEASEGRID_PROVISION_TEMPLATE"] == "/etc/leasegrid/provision.yaml"
    settings = read_settings({}, {**environment, "LEASEGRID_PROVISION_TEMPLATE": str(mounted)})
    assert provision_spec(settings).resources.cpu == 1000


def test_no_pod_of_the_chart_is_given_more_than_level_restricted_allows(chart: Chart) -> None:
    for spec in pod_specs(chart.render({"pools": POOLS})):
        assert spec["securityContext"]["runAsNonRoot"] is True
        assert spec["securityContext"]["seccompProfile"] == {"type": "RuntimeDefault"}
        assert spec["enableServiceLinks"] is False
        for container in spec["containers"]:
            security = container["securityContext"]
            assert security["allowPrivilegeEscalation"] is False
            assert security["readOnlyRootFilesystem"] is True
            assert security["capabilities"] == {"drop": ["ALL"]}
            assert container["resources"]["limits"]["memory"]


def pod_specs(rendered: Rendered) -> list[dict[str, Any]]:
    templates = [one["spec"]["template"]["spec"] for kind in ("Deployment", "Job") for one in rendered.all(kind)]
    return templates + [one["spec"] for one in rendered.all("Pod")]


def test_nobody_is_given_rights_on_everything(chart: Chart) -> None:
    for values in ({}, {"namespaces": ["work"]}, {"pools": POOLS}):
        rendered = chart.render(values)
        for role in rendered.all("ClusterRole") + rendered.all("Role"):
            words = [word for rule in role["rules"] for part in rule.values() for word in part]
            assert "*" not in words, role["metadata"]["name"]


def test_with_namespaces_the_operator_has_no_rights_elsewhere(chart: Chart) -> None:
    rendered = chart.render({"namespaces": ["work"]})
    cluster = {one for rule in rendered.one("ClusterRole", "-operator")["rules"] for one in rule["resources"]}
    assert cluster == {
        *("customresourcedefinitions", "nodes", "persistentvolumes", "storageclasses", "csidrivers"),
        *("tokenreviews", "subjectaccessreviews"),
    }
    assert {one["metadata"]["namespace"] for one in rendered.all("Role")} == {"grid", "work"}


def test_the_role_that_the_broker_names_to_those_without_rights_is_there(chart: Chart) -> None:
    assert chart.render().has("ClusterRole", USER_ROLE)
    assert chart.render(release="other").has("ClusterRole", USER_ROLE), "by that name, whatever the release is called"


def test_every_metric_of_dashboard_alerts_and_guide_is_one_that_is_shown(chart: Chart) -> None:
    rendered = chart.render({"metrics": {"dashboard": {"enabled": True}, "alerts": {"enabled": True}}})
    panels = json.loads(rendered.one("ConfigMap", "-dashboard")["data"]["leasegrid.json"])["panels"]
    assert panels[0]["title"] == "Members under lease"
    drawn = [target["expr"] for panel in panels for target in panel["targets"]]
    watched = [rule["expr"] for rule in alerts(rendered)]
    told = re.findall(r"`([^`]*leasegrid_[a-z_]+[^`]*)`", (CHART.parents[1] / "docs" / "operate.md").read_text())
    asked = {
        re.sub("_bucket$", "", name)
        for text in (*drawn, *watched, *told)
        for name in re.findall(r"leasegrid_\w+", text)
    }
    metrics = OperatorMetrics()
    metrics.look_at(MemberFigures)
    members = [
        *tasklet_figures(Tally(), Traffic()),
        *checkpoint_figures(CheckpointTally()),
        *store_figures(0, 1),
        *door_figures(Crowd(1)),
    ]
    shown = {family.name for family in [*metrics.registry.collect(), *members]}
    assert asked <= shown | {f"{name}_total" for name in shown}


def test_every_alert_says_what_it_means_and_is_in_the_guide(chart: Chart) -> None:
    guide = (CHART.parents[1] / "docs" / "operate.md").read_text(encoding="utf-8")
    for rule in alerts(chart.render({"metrics": {"alerts": {"enabled": True}}})):
        assert rule["labels"]["severity"] in ("critical", "warning")
        assert rule["annotations"]["summary"]
        assert f"`{rule['alert']}`" in guide


def alerts(rendered: Rendered) -> list[dict[str, Any]]:
    (group,) = rendered.one("PrometheusRule")["spec"]["groups"]
    return list(group["rules"])


@pytest.mark.parametrize("kind", ["ServiceMonitor", "PodMonitor"])
def test_a_monitor_reads_a_port_that_is_there(chart: Chart, kind: str) -> None:
    rendered = chart.render({"metrics": {"serviceMonitor": {"enabled": True}, "podMonitor": {"enabled": True}}})
    spec = rendered.one(kind)["spec"]
    if kind == "PodMonitor":
        assert spec["podMetricsEndpoints"][0]["port"] == "member"
        return
    service = rendered.one("Service")
    assert spec["selector"]["matchLabels"].items() <= service["metadata"]["labels"].items()
    assert spec["endpoints"][0]["port"] in {port["name"] for port in service["spec"]["ports"]}
