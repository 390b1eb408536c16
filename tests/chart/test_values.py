"""Each value has the effect that its comment promises, and what is no value is refused by its name."""

from dataclasses import dataclass, field
from typing import Any

import pytest
import yaml

from tests.chart.charting import CHART, Chart, Rendered, nested
from tools.chart import read_values

IMAGE, ENVIRONMENT = "Deployment /spec/template/spec/containers/0/image", "environment "
DIGEST = "sha256:" + "a" * 64
POOL = {"name": "cpu", "namespace": "work", "default": True, "spec": {"targetSize": 3}}
DEFAULT_POOL = {"leasegrid.dev/is-default-pool": "true"}
PEER = {"podSelector": {"matchLabels": {"team": "render"}}}
SPREAD = [{"maxSkew": 2, "topologyKey": "zone", "whenUnsatisfiable": "DoNotSchedule"}]
TOLERATIONS = [{"operator": "Exists"}]
AFFINITY: dict[str, Any] = {"nodeAffinity": {}}
EGRESS = {"pool": "render", "cidrs": ["10.1.0.0/16"], "ports": [{"port": 443}]}
PASSED = [{"to": [{"ipBlock": {"cidr": "10.1.0.0/16"}}], "ports": [{"port": 443}]}]
SPEC, TEMPLATE = "Deployment /spec/template/spec/", "Deployment /spec/template/metadata/"
POLICIES = {"networkPolicies": {"enabled": True, "memberNamespaces": ["work"]}}
SERVICE_MONITOR = {"metrics": {"serviceMonitor": {"enabled": True}}}
POD_MONITOR = {"metrics": {"podMonitor": {"enabled": True}}}
ALERTS = {"metrics": {"alerts": {"enabled": True}}}
DASHBOARD = {"metrics": {"dashboard": {"enabled": True}}}
TLS: dict[str, Any] = {"tls": {"enabled": True}}
BY_SECRET: dict[str, Any] = {"tls": {"enabled": True, "mode": "Secret", "secretName": "one"}}
ISSUED: dict[str, Any] = {"tls": {"enabled": True, "mode": "CertManager", "issuerRef": {"name": "one"}}}
MOUNTED = "Deployment /spec/template/spec/volumes/0/secret/secretName"
ACCOUNT = {"serviceAccount": {"name": "mine"}}


@dataclass(frozen=True)
class Effect:
    """With this value (and those `beside`) stands `expected` where `look` says: `KIND[:END OF NAME] /path`, or
    `environment NAME`; None: there is no such thing. By default, or `without` it, something else stands there.
    """

    path: str
    value: object
    look: str
    expected: object
    beside: dict[str, Any] = field(default_factory=dict)
    without: dict[str, Any] | None = None


EFFECTS = (
    Effect("image.repository", "here/grid", IMAGE, "here/grid:0.1.0"),
    Effect("image.tag", "dev", ENVIRONMENT + "LEASEGRID_MEMBER_IMAGE", "ghcr.io/leasegrid/leasegrid:dev"),
    Effect("image.digest", DIGEST, IMAGE, f"ghcr.io/leasegrid/leasegrid@{DIGEST}"),
    Effect("image.pullPolicy", "Never", ENVIRONMENT + "LEASEGRID_MEMBER_PULL_POLICY", "Never"),
    Effect("image.pullSecrets", [{"name": "x"}], SPEC + "imagePullSecrets", [{"name": "x"}]),
    Effect("fullnameOverride", "grid", "Deployment /metadata/name", "grid-operator"),
    Effect("crds.enabled", False, "CustomResourceDefinition:leases.leasegrid.dev /kind", None),
    Effect("crds.keep", False, "CustomResourceDefinition:leases.leasegrid.dev /metadata/annotations", None),
    Effect("namespaces", ["work"], "Role:leasegrid-operator /metadata/namespace", "work"),
    Effect("operator.replicas", 3, "Deployment /spec/replicas", 3),
    Effect("operator.logLevel", "debug", ENVIRONMENT + "LEASEGRID_LOG_LEVEL", "debug"),
    Effect("operator.logFormat", "text", ENVIRONMENT + "LEASEGRID_LOG_FORMAT", "text"),
    Effect("operator.maxMembersPerLease", 2_000_000, ENVIRONMENT + "LEASEGRID_MAX_MEMBERS_PER_LEASE", "2000000"),
    Effect("operator.callerRequestsPerSecond", 7, ENVIRONMENT + "LEASEGRID_CALLER_REQUESTS_PER_SECOND", "7"),
    Effect("operator.resources", {"limits": {"cpu": "1"}}, SPEC + "containers/0/resources/limits/cpu", "1"),
    Effect("operator.priorityClassName", "first", SPEC + "priorityClassName", "first"),
    Effect("operator.nodeSelector", {"disk": "fast"}, SPEC + "nodeSelector", {"disk": "fast"}),
    Effect("operator.tolerations", TOLERATIONS, SPEC + "tolerations", TOLERATIONS),
    Effect("operator.affinity", AFFINITY, SPEC + "affinity", AFFINITY),
    Effect("operator.topologySpreadConstraints", SPREAD, SPEC + "topologySpreadConstraints", SPREAD),
    Effect("operator.podLabels", {"team": "grid"}, TEMPLATE + "labels/team", "grid"),
    Effect("operator.podAnnotations", {"team": "grid"}, TEMPLATE + "annotations/team", "grid"),
    Effect("operator.podDisruptionBudget.enabled", False, "PodDisruptionBudget /kind", None),
    Effect("serviceAccount.create", False, "ServiceAccount:mine /kind", None, ACCOUNT),
    Effect("serviceAccount.name", "mine", "ClusterRoleBinding /subjects/0/name", "mine"),
    Effect("serviceAccount.annotations", {"a": "b"}, "ServiceAccount:operator /metadata/annotations", {"a": "b"}),
    Effect("rbac.create", False, "ClusterRoleBinding /kind", None),
    Effect("rbac.userRoles", False, "ClusterRole:leasegrid-lease-user /kind", None),
    Effect(
        "rbac.aggregate",
        False,
        "ClusterRole:leasegrid-view /metadata/labels/rbac.authorization.k8s.io~1aggregate-to-view",
        None,
    ),
    Effect("members.priorityClassName", "low", ENVIRONMENT + "LEASEGRID_MEMBER_PRIORITY_CLASS", "low"),
    Effect(
        "members.provisionTemplate",
        {"resource": "CPU"},
        "ConfigMap:operator /data/provision.yaml/spec",
        {"resource": "CPU"},
    ),
    Effect("pools", [POOL], "ConfigMap:pools /data/pools.json/pools/0/metadata/annotations", DEFAULT_POOL),
    Effect("tls.enabled", True, ENVIRONMENT + "LEASEGRID_ADVERTISED_ADDRESS", "https://10.0.0.7:8080"),
    Effect("tls.mode", "Secret", ENVIRONMENT + "LEASEGRID_TLS", "files", BY_SECRET, TLS),
    Effect("tls.issuerRef", {"name": "two"}, "Certificate /spec/issuerRef/name", "two", ISSUED),
    Effect("tls.secretName", "two", MOUNTED, "two", BY_SECRET),
    Effect("tls.names", ["grid.example"], ENVIRONMENT + "LEASEGRID_TLS_NAMES", "grid.example", TLS),
    Effect("networkPolicies.enabled", True, "NetworkPolicy:members /metadata/namespace", "work", {"pools": [POOL]}),
    Effect("networkPolicies.memberNamespaces", ["a"], "NetworkPolicy:members /metadata/namespace", "a", POLICIES),
    Effect("networkPolicies.holders", [PEER], "NetworkPolicy:members /spec/ingress/0/from/2", PEER, POLICIES),
    Effect("networkPolicies.metrics", [PEER], "NetworkPolicy:operator /spec/ingress/1/from", [PEER], POLICIES),
    Effect("networkPolicies.memberEgress", [EGRESS], "NetworkPolicy:egress-0 /spec/egress", PASSED, POLICIES),
    Effect("metrics.serviceMonitor.enabled", True, "ServiceMonitor /spec/endpoints/0/port", "health"),
    Effect("metrics.serviceMonitor.interval", "5s", "ServiceMonitor /spec/endpoints/0/interval", "5s", SERVICE_MONITOR),
    Effect("metrics.serviceMonitor.labels", {"p": "x"}, "ServiceMonitor /metadata/labels/p", "x", SERVICE_MONITOR),
    Effect("metrics.podMonitor.enabled", True, "PodMonitor /spec/podMetricsEndpoints/0/port", "member"),
    Effect("metrics.podMonitor.interval", "5s", "PodMonitor /spec/podMetricsEndpoints/0/interval", "5s", POD_MONITOR),
    Effect("metrics.podMonitor.labels", {"p": "x"}, "PodMonitor /metadata/labels/p", "x", POD_MONITOR),
    Effect("metrics.alerts.enabled", True, "PrometheusRule /spec/groups/0/name", "leasegrid"),
    Effect("metrics.alerts.labels", {"p": "x"}, "PrometheusRule /metadata/labels/p", "x", ALERTS),
    Effect("metrics.dashboard.enabled", True, "ConfigMap:dashboard /data/leasegrid.json/title", "LeaseGrid"),
    Effect("metrics.dashboard.labels", {"d": "x"}, "ConfigMap:dashboard /metadata/labels/d", "x", DASHBOARD),
)


@pytest.mark.parametrize("effect", EFFECTS, ids=lambda effect: effect.path)
def test_a_value_has_its_effect(chart: Chart, effect: Effect) -> None:
    without = effect.without if effect.without is not None else effect.beside
    assert seen(chart.render(without), effect.look) != effect.expected, "so it is by default: this shows nothing"
    values = merged(effect.beside, nested(effect.path, effect.value))
    assert seen(chart.render(values), effect.look) == effect.expected


def test_every_value_is_in_the_table() -> None:
    values = read_values((CHART / "values.yaml").read_text(encoding="utf-8"))
    assert [one.path for one in values if not one.is_group] == [effect.path for effect in EFFECTS]


def seen(rendered: Rendered, look: str) -> object:
    """What stands there; None when nothing does."""
    where, _, path = look.partition(" ")
    if where == "environment":
        return rendered.environment.get(path)
    kind, _, name = where.partition(":")
    found = [one for one in rendered.all(kind) if one["metadata"]["name"].endswith(name)]
    place: Any = found[0] if found else None
    for step in path.strip("/").split("/"):
        if isinstance(place, str):
            place = yaml.safe_load(place)
        place = follow(place, step.replace("~1", "/"))
    return place


def follow(place: Any, step: str) -> Any:  # noqa: ANN401 - JSON of any kind
    if isinstance(place, list):
        return place[int(step)] if int(step) < len(place) else None
    return place.get(step) if isinstance(place, dict) else None


def merged(one: dict[str, Any], other: dict[str, Any]) -> dict[str, Any]:
    both = {name: merged(one[name], other[name]) for name in one.keys() & other.keys() if isinstance(one[name], dict)}
    return {**one, **other, **both}


MISTAKES: list[tuple[dict[str, Any], str]] = [
    ({"operator": {"replica": 3}}, "'/operator': additional properties 'replica' not allowed"),
    ({"replicas": 3}, "additional properties 'replicas' not allowed"),
    ({"operator": {"replicas": "3"}}, "'/operator/replicas'"),
    ({"operator": {"replicas": 0}}, "'/operator/replicas'"),
    ({"operator": {"logLevel": "loud"}}, "'/operator/logLevel'"),
    ({"image": {"pullPolicy": "Sometimes"}}, "'/image/pullPolicy'"),
    ({"image": {"digest": "sha256:12"}}, "'/image/digest'"),
    ({"namespaces": ["Work"]}, "'/namespaces/0'"),
    ({"namespaces": "work"}, "'/namespaces'"),
    ({"pools": [{"spec": {}}]}, "missing property 'name'"),
    ({"pools": [{"name": "cpu", "spec": {"targetSiz": 5}}]}, "'/pools/0/spec': additional properties 'targetSiz'"),
    ({"pools": [{"name": "cpu", "spec": {"template": {"nodeselector": {}}}}]}, "additional properties 'nodeselector'"),
    ({"pools": [{"name": "cpu", "spec": {"resource": "Cpu"}}]}, "'/pools/0/spec/resource'"),
    ({"members": {"provisionTemplate": {"resource": "GPU"}}}, "'/members/provisionTemplate/resource'"),
    ({"networkPolicies": {"memberEgress": [{"pool": "x"}]}}, "missing property 'cidrs'"),
    (
        {"tls": {"enabled": True, "mode": "Files"}},
        "'/tls/mode': value must be one of 'SelfMade', 'CertManager', 'Secret'",
    ),
    ({"tls": {"enabled": True, "mode": "CertManager"}}, "'/tls/issuerRef': missing property 'name'"),
    ({"tls": {"enabled": True, "issuerRef": {"name": "one"}}}, "'/tls/issuerRef': maxProperties: got 1, want 0"),
    ({"tls": {"enabled": True, "mode": "Secret"}}, "'/tls/secretName': minLength: got 0, want 1"),
    ({"tls": {"enabled": True, "secretName": "one"}}, "'/tls/secretName': value must be ''"),
    ({"tls": {"mode": "Secret", "secretName": "one"}}, "'/tls/enabled': value must be true"),
    ({"serviceAccount": {"create": False}}, "serviceAccount.name is needed where serviceAccount.create is false"),
]


@pytest.mark.unhappy("values of the chart with mistakes")
@pytest.mark.parametrize(("values", "words"), MISTAKES, ids=[words for _, words in MISTAKES])
def test_a_mistake_is_refused_and_named(chart: Chart, values: dict[str, Any], words: str) -> None:
    assert words in chart.refusal(values)
