"""The operator's rights are those that the chart gives: enough for all that it does, and none that it does not use."""

import asyncio
import base64
import json
from collections.abc import Iterator
from dataclasses import dataclass, replace
from itertools import count
from pathlib import Path
from typing import Any, NamedTuple

import pytest
import yaml
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from tasklet_runner.fabric.broker import ClusterFabric
from tasklet_runner.fabric.calls import BrokerAccess
from tasklet_runner.wire.leases import LeaseRequest
from tasklet_runner.wire.signed import public_text
from tests.chart.charting import NAMESPACE, Chart, Rendered
from tests.chart.test_pools import ISSUER
from tests.integration.control_plane import ControlPlane
from tests.integration.operator_rig import OperatorRig, operator_rig
from tests.integration.store_holding import BLOCK, CLASS, StoreLease, until_no_trace, volumes_of
from tests.support import wat
from tests.support.cluster.plane import accepted, account_token, storage_class, write_kubeconfig

SERVICE_ACCOUNT = "leasegrid-operator"
AUTHORITY = "leasegrid-ca"
HOLDER = Ed25519PrivateKey.generate()
USER = f"system:serviceaccount:{NAMESPACE}:{SERVICE_ACCOUNT}"


class Right(NamedTuple):
    """One verb on one kind; `where`: a namespace, `*` for all of them or for what has none."""

    group: str
    resource: str
    verb: str
    where: str


@dataclass(frozen=True)
class Trial:
    """An operator that runs with the chart's account in a namespace with real members."""

    rig: OperatorRig
    granted: set[Right]
    audit: Path
    begin: int
    settings: dict[str, Any]

    def start(self) -> None:
        """Start the operator, once more."""
        self.rig.start(own_namespace=NAMESPACE, **self.settings)

    def trusting(self, access: BrokerAccess) -> BrokerAccess:
        """With TLS: who trusts what the operator has published."""
        if "tls" not in self.settings:
            return access
        found: Any = self.rig.plane.api.ask("GET", f"/api/v1/namespaces/{NAMESPACE}/configmaps/{AUTHORITY}").body
        file = self.rig.directory / "ca.crt"
        file.write_text(found["data"]["ca.crt"], encoding="ascii")
        return replace(access, ca_file=file)

    def requests(self) -> Iterator[dict[str, Any]]:
        """What the API server noted of the operator's requests."""
        with self.audit.open(encoding="utf-8") as log:
            log.seek(self.begin)
            for line in log:
                event = json.loads(line)
                if event["user"]["username"] == USER:
                    yield event

    def refused(self) -> list[str]:
        """Requests for which there was no right."""
        return [f"{one['verb']} {one['requestURI']}" for one in self.requests() if one["responseStatus"]["code"] == 403]

    def used(self) -> set[Right]:
        """Rights without which a request would have been refused, by the narrowest reading."""
        return {right_of(one, self.granted) for one in self.requests() if "objectRef" in one}


def right_of(event: dict[str, Any], granted: set[Right]) -> Right:
    reference = event["objectRef"]
    resource = "/".join(filter(None, (reference["resource"], reference.get("subresource"))))
    here = Right(reference.get("apiGroup", ""), resource, event["verb"], reference.get("namespace", "*"))
    return here if here in granted else here._replace(where="*")


def rights(objects: list[dict[str, Any]]) -> set[Right]:
    """What these roles give: all of them are bound to the operator's account alone."""
    return {
        Right(group, resource, verb, one["metadata"].get("namespace", "*"))
        for one in objects
        for rule in one["rules"]
        for group in rule["apiGroups"]
        for resource in rule["resources"]
        for verb in rule["verbs"]
    }


@pytest.fixture(params=["all namespaces", "its own namespaces alone, by TLS"])
def trial(
    request: pytest.FixtureRequest, chart: Chart, installed: ControlPlane, audit: Path, tmp_path: Path
) -> Iterator[Trial]:
    """The chart's roles, and an operator that has no other rights."""
    storage_class(installed, CLASS)
    with operator_rig(installed, tmp_path, nodes=2, real=True) as rig:
        listed = [] if request.param == "all namespaces" else [rig.namespace]
        rendered = chart.render({"namespaces": listed, "tls": {"enabled": bool(listed)}})
        roles = given(installed, rendered)
        tls = {"tls": "self-made", "tls_config_map": AUTHORITY} if listed else {}
        forget_the_last_one(installed)
        token = account_token(installed, NAMESPACE, SERVICE_ACCOUNT, ISSUER)
        kubeconfig = write_kubeconfig(installed, tmp_path / "operator.kubeconfig", token)
        began = audit.stat().st_size if audit.exists() else 0
        settings = {"namespaces": ",".join(listed), "kubeconfig": str(kubeconfig), **tls}
        made = Trial(rig, rights(roles), audit, began, settings)
        made.start()
        yield made


def given(plane: ControlPlane, rendered: Rendered) -> list[dict[str, Any]]:
    """The operator's roles, which the account then has, in place of those that it had; and what it writes into."""
    found = rendered.all("ClusterRole") + rendered.all("Role")
    roles = [one for one in found if SERVICE_ACCOUNT in one["metadata"]["name"]]
    bindings = rendered.all("ClusterRoleBinding") + rendered.all("RoleBinding")
    published = [one for one in rendered.all("ConfigMap") if one["metadata"]["name"] == AUTHORITY]
    text = yaml.safe_dump_all(roles + bindings + published)
    plane.kubectl("apply", "--server-side", "--force-conflicts", "--filename", "-", given=text)
    return roles


def forget_the_last_one(plane: ControlPlane) -> None:
    """What an operator makes once for all later ones."""
    for name in ("leasegrid-operator-key", "leasegrid-operator-tls"):
        plane.api.ask("DELETE", f"/api/v1/namespaces/{NAMESPACE}/secrets/{name}")
    plane.api.ask("DELETE", f"/apis/coordination.k8s.io/v1/namespaces/{NAMESPACE}/leases/leasegrid-operator")


def test_the_operator_has_the_rights_that_it_uses_and_no_others(trial: Trial) -> None:
    rig = trial.rig
    rig.pool(2)
    rig.pool(1, "block", maxSize=2, **BLOCK)
    rig.until_members("cpu", ready=2)
    rig.until_members("block", ready=1)
    through_the_object_door(rig)
    through_the_broker(trial)
    jobs_that_come_and_go(rig)
    rig.replicas["a"].stop()
    trial.start()
    through_the_broker(trial)
    numbers = count(1)
    rig.wait(
        lambda: told_again(trial, next(numbers)),
        lambda told: told,
        "something is added to an event that was told before",
    )
    rig.replicas["a"].stop()

    assert trial.refused() == []
    assert trial.granted - trial.used() == set(), "rights that nothing here needed"


def jobs_that_come_and_go(rig: OperatorRig) -> None:
    """A Job and a TaskGraph that cannot be run here: they are told so, and deleted at once, as they ask for; one that
    waits for a ConfigMap and a Secret; and one with its code in a ConfigMap, whose output goes into a claim.
    """
    tasklet = {"module": {"upload": "nowhere"}}
    given = {"tasklet": tasklet, "input": {"count": 1}}
    rig.make("Job", "jobs", {"name": "short"}, {**given, "ttlSecondsAfterFinished": 0})
    tasks = [{"name": "only", **given}]
    rig.make("TaskGraph", "taskgraphs", {"name": "short"}, {"tasks": tasks, "ttlSecondsAfterFinished": 0})
    code = {"module": {"configMap": {"name": "nowhere", "key": "module"}}}
    wanting = {"tasklet": code, "input": {"count": 1}, "dataSecretRef": {"name": "nowhere"}}
    rig.make("Job", "jobs", {"name": "wanting"}, wanting)
    rig.wait(
        lambda: rig.condition("wanting", "Progressing", "jobs").get("message", ""),
        lambda said: "ConfigMap nowhere is not" in said and "Secret nowhere is not" in said,
        "it says what it waits for",
    )
    rig.delete("jobs", "wanting")
    copied_into_a_claim(rig)
    rig.until_gone("jobs")
    rig.until_gone("taskgraphs")


def copied_into_a_claim(rig: OperatorRig) -> None:
    """A Job that needs no file of anybody's machine, from its code to where its output goes."""
    code = {"binaryData": {"echo.wasm": base64.b64encode(wat.echo()).decode()}}
    wanted = {"requests": {"storage": "1Mi"}}
    claim = {"spec": {"accessModes": ["ReadWriteOnce"], "storageClassName": CLASS, "resources": wanted}}
    made: dict[str, dict[str, Any]] = {
        "configmaps": {"kind": "ConfigMap", **code},
        "persistentvolumeclaims": {"kind": "PersistentVolumeClaim", **claim},
    }
    for plural, content in made.items():
        body = {"apiVersion": "v1", "metadata": {"name": "mine"}, **content}
        accepted(rig.plane.api.ask("POST", f"/api/v1/namespaces/{rig.namespace}/{plural}", body))
    spec = {
        "tasklet": {"module": {"configMap": {"name": "mine", "key": "echo.wasm"}}, "memory": "64Mi"},
        "input": {"count": 1},
        "output": {"size": "2Mi", "copyTo": {"persistentVolumeClaim": {"claimName": "mine"}}},
    }
    rig.make("Job", "jobs", {"name": "copied"}, spec)
    rig.until_said("copied", "Complete", plural="jobs")
    rig.delete("jobs", "copied")


def through_the_object_door(rig: OperatorRig) -> None:
    """A worker and a store, each bound and given back."""
    rig.lease("worker")
    rig.until_bound("worker")
    rig.change("leases", "worker", {"revoke": {"graceSeconds": 0}})
    rig.until_said("worker", "Released")
    store = StoreLease(rig, "store").acquire("block")
    directory = volumes_of(rig)[store.member]
    rig.change("leases", "store", {"revoke": {"graceSeconds": 0}})
    assert store.released()["volumes"] == 1
    until_no_trace(rig, store.member, directory)


def through_the_broker(trial: Trial) -> None:
    """A lease by always the same request: where there is an object of an earlier one, it makes room."""

    async def story() -> None:
        async with ClusterFabric(access) as fabric:
            view = await fabric.acquire(request)
            assert len(view.members) == 1
            assert len((await fabric.release(view.uid)).members) == 1

    rig, key = trial.rig, public_text(HOLDER)
    access = trial.trusting(rig.access())
    request = LeaseRequest(request_id="again", holder_key=key, namespace=rig.namespace, on_empty="Queue")
    asyncio.run(story())
    rig.until_said("again", "Released")


def told_again(trial: Trial, number: int) -> bool:
    """After one more lease: whether an event that stood there was patched. A second's worth of them is told at once."""
    trial.rig.lease(f"told-{number}")
    trial.rig.until_bound(f"told-{number}")
    trial.rig.delete("leases", f"told-{number}")
    return any(one["verb"] == "patch" and one["objectRef"]["resource"] == "events" for one in trial.requests())
