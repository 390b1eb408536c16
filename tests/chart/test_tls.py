"""TLS by the chart: the operator runs with what is rendered of it, and clients are told whom to trust."""

import asyncio
import os
import re
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from leasegrid_operator.authority import Authority
from leasegrid_operator.pools.naming import TLS_ANNOTATION
from leasegrid_operator.settings import read_settings
from tasklet_runner.fabric.broker import ClusterFabric
from tasklet_runner.wire.leases import LeaseRequest
from tasklet_runner.wire.signed import public_text
from tests.chart.charting import NAMESPACE, Chart, Rendered
from tests.chart.test_pools import ISSUER, TRY
from tests.chart.test_rights import AUTHORITY, HOLDER, SERVICE_ACCOUNT, given
from tests.integration.control_plane import ControlPlane
from tests.integration.operator_rig import OperatorRig, metric, operator_rig
from tests.process.test_broker_tls import write
from tests.support.cluster.addresses import AddressSpace
from tests.support.cluster.operators import OperatorProcess
from tests.support.cluster.plane import accepted, account_token, write_kubeconfig
from tests.support.cluster.running import ROOT

NAME = "grid.example"
MODES: dict[str, dict[str, Any]] = {
    "an authority of its own": {"enabled": True, "names": [NAME]},
    "a Secret that was there": {"enabled": True, "mode": "Secret", "secretName": "mine", "names": [NAME]},
}


@dataclass(frozen=True)
class House:
    """An operator with the environment, the mounts and the rights that the chart renders."""

    rig: OperatorRig

    @property
    def operator(self) -> OperatorProcess:
        """Its process."""
        return self.rig.replicas["a"]

    def authority(self) -> Path:
        """What the chart's ConfigMap tells clients, as a file."""
        found: Any = accepted(self.rig.plane.api.ask("GET", f"/api/v1/namespaces/{NAMESPACE}/configmaps/{AUTHORITY}"))
        file = self.rig.directory / "published.crt"
        file.write_text(found["data"]["ca.crt"], encoding="ascii")
        return file


@pytest.fixture(params=list(MODES.values()), ids=list(MODES))
def house(request: pytest.FixtureRequest, chart: Chart, installed: ControlPlane, tmp_path: Path) -> Iterator[House]:
    with operator_rig(installed, tmp_path, real=True) as rig:
        rendered = chart.render({"namespaces": [rig.namespace], "tls": request.param})
        given(installed, rendered)
        space = AddressSpace()
        try:
            rig.replicas["a"] = start(rig, rendered, mounted(tmp_path), space.take())
            rig.until_leads("a")
            yield House(rig)
        finally:
            rig.end()
            space.close()


def mounted(directory: Path) -> Path:
    """The Secret as a kubelet mounts it."""
    now = datetime.now(UTC)
    authority = Authority.make(now)
    write(directory, authority.issue((NAME,), now), authority)
    return directory


def start(rig: OperatorRig, rendered: Rendered, secret: Path, address: str) -> OperatorProcess:
    """The container's process; the pod's address is one of loopback, and nothing here resolves a Service's name."""
    environment = {name: told.replace("10.0.0.7", address) for name, told in rendered.environment.items()}
    mounts = {one["mountPath"] for one in rendered.container.get("volumeMounts", ())}
    for name, told in environment.items():
        if Path(told).is_absolute():
            assert str(Path(told).parent) in mounts, name
            environment[name] = str(secret / Path(told).name)
    token = account_token(rig.plane, NAMESPACE, SERVICE_ACCOUNT, ISSUER)
    flags = {
        "kubeconfig": str(write_kubeconfig(rig.plane, rig.directory / "operator.kubeconfig", token)),
        "service-address": environment["LEASEGRID_ADVERTISED_ADDRESS"],
        "broker-host": address,
        "health-host": address,
    }
    log = rig.directory / "a.log"
    with log.open("wb") as output:
        process = subprocess.Popen(
            [
                sys.executable,
                *rendered.container["command"][1:],
                *(f"--{name}={value}" for name, value in flags.items()),
            ],
            env={**os.environ, "PYTHONPATH": f"{ROOT}:{ROOT / 'operator'}", **environment},
            cwd=rig.directory,
            stdout=output,
            stderr=output,
        )
    broker, health = environment["LEASEGRID_ADVERTISED_ADDRESS"], f"http://{address}:8081"
    return OperatorProcess(process, broker, health, log)


def test_a_program_that_trusts_what_the_chart_publishes_gets_members_with_keys_of_their_own(house: House) -> None:
    rig = house.rig
    rig.pool(1)
    rig.until_members(ready=1)
    access = replace(rig.access("a", holder=HOLDER), ca_file=house.authority(), tls_name=NAME)
    wanted = LeaseRequest(request_id="one", holder_key=public_text(HOLDER), namespace=rig.namespace)

    async def story() -> None:
        async with ClusterFabric(access) as fabric:
            view = await fabric.acquire(wanted)
            (member,) = view.members
            assert member.endpoint.startswith("https://")
            assert len((await fabric.release(view.uid)).members) == 1

    asyncio.run(story())
    rig.wait(lambda: metric(house.operator, "leasegrid_hints_total"), lambda told: told > 0, "members' hints arrive")
    assert TRY.broker_routes(house.operator.broker, str(house.authority()), NAME), "helm test says so too"


def test_who_vouches_is_named_in_the_notes_and_nothing_secret_is_published(
    chart: Chart, installed: ControlPlane
) -> None:
    flags = ("--dry-run=server", "--values", "-", "--set", "crds.enabled=false", "--set", "rbac.userRoles=false")
    values = {"tls": {"enabled": True}, "fullnameOverride": "other"}
    notes = chart.on(installed, "install", "second", "charts/leasegrid", *flags, values=values).partition("NOTES:")[2]
    assert "kubectl get configmap other-ca --namespace grid" in notes
    assert "data" not in chart.render(values).one("ConfigMap", "-ca"), "the operator writes it, so no release undoes it"


@pytest.mark.parametrize("mode", ["SelfMade", "CertManager", "Secret"])
def test_the_operator_may_read_its_own_authority_only_where_it_makes_one(chart: Chart, mode: str) -> None:
    needed: dict[str, dict[str, Any]] = {
        "CertManager": {"issuerRef": {"name": "one"}},
        "Secret": {"secretName": "one"},
    }
    tls = {"enabled": True, "mode": mode, **needed.get(mode, {})}
    rules = chart.render({"tls": tls}).one("Role", "-own")["rules"]
    readable = [name for rule in rules if rule["verbs"] == ["get"] for name in rule["resourceNames"]]
    assert readable == ["leasegrid-operator-key", *(["leasegrid-operator-tls"] if mode == "SelfMade" else [])]


def test_a_certificate_is_asked_of_cert_manager_for_the_name_that_members_look_for(chart: Chart) -> None:
    asked = {"enabled": True, "mode": "CertManager", "issuerRef": {"name": "one", "kind": "ClusterIssuer"}}
    rendered = chart.render({"tls": {**asked, "names": [NAME]}})
    certificate = rendered.one("Certificate")["spec"]
    settings = read_settings({}, rendered.environment)
    assert certificate["issuerRef"] == {"name": "one", "kind": "ClusterIssuer"}
    assert certificate["dnsNames"] == [settings.broker_name, NAME]
    (volume,) = rendered.pod["spec"]["volumes"]
    assert volume["secret"]["secretName"] == certificate["secretName"]
    assert not chart.render({"tls": {"enabled": True}}).has("Certificate")


def test_members_of_before_and_after_a_change_are_read_by_what_each_speaks(chart: Chart) -> None:
    (endpoint,) = chart.render({"metrics": {"podMonitor": {"enabled": True}}}).one("PodMonitor")["spec"][
        "podMetricsEndpoints"
    ]
    (relabeling,) = endpoint["relabelings"]
    label = re.sub(r"[^a-z]", "_", TLS_ANNOTATION)
    assert relabeling["sourceLabels"] == [f"__meta_kubernetes_pod_annotation_{label}"]
    assert (relabeling["targetLabel"], relabeling["replacement"]) == ("__scheme__", "https")
