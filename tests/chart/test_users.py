"""People with the chart's roles can do by the command what their role is for, and no more."""

import json
import secrets
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.integration.cli_cluster import Desk
from tests.integration.control_plane import ControlPlane
from tests.integration.operator_rig import OperatorRig, operator_rig
from tests.support import wat
from tests.support.cluster.plane import accepted, account_token, make, until, write_kubeconfig
from tests.support.running import Place

ISSUER = "https://kubernetes.default.svc"
RBAC = "rbac.authorization.k8s.io"


@dataclass(frozen=True)
class Town:
    """A namespace with an operator and a pool of two warm members."""

    rig: OperatorRig
    directory: Path

    def citizen(self, role: str) -> Desk:
        """Somebody who has this ClusterRole in the namespace and nothing else."""
        name = f"{role}-{secrets.token_hex(2)}"
        token = account_token(self.rig.plane, self.rig.namespace, name, ISSUER)
        subject = {"kind": "ServiceAccount", "name": name, "namespace": self.rig.namespace}
        bound = {"roleRef": {"apiGroup": RBAC, "kind": "ClusterRole", "name": role}, "subjects": [subject]}
        path = f"/apis/{RBAC}/v1/namespaces/{self.rig.namespace}/rolebindings"
        make(self.rig.plane, path, f"{RBAC}/v1", "RoleBinding", {"metadata": {"name": name}, **bound})
        home = self.directory / name
        home.mkdir()
        config = write_kubeconfig(self.rig.plane, home / "kubeconfig", token, self.rig.namespace)
        return Desk(self.rig.plane, Place(home, {"KUBECONFIG": str(config)}), self.rig.namespace)


@pytest.fixture
def town(installed: ControlPlane, tmp_path: Path) -> Iterator[Town]:
    with operator_rig(installed, tmp_path, real=True) as rig:
        rig.start()
        rig.pool(2, resources={"cpu": "1", "memory": "1Gi"})
        rig.until_members(ready=2)
        yield Town(rig, tmp_path)


@pytest.mark.timeout(360)  # twenty commands, each a process
def test_each_role_is_enough_for_what_it_is_for(town: Town, tmp_path: Path) -> None:
    user, looker, keeper = map(town.citizen, ("leasegrid-lease-user", "leasegrid-view", "leasegrid-pool-admin"))
    module = tmp_path / "echo.wasm"
    module.write_bytes(wat.echo())

    claimed = user.run("claim", "work", "--pool", "cpu")
    assert "lease work: bound 1 member" in claimed.out, claimed
    ran = user.feed(b"hello", "exec", "work", str(module))
    assert ran.stdout == b"hello", ran.stderr
    assert "renewed" in user.run("renew", "work").out
    for who in (user, looker, keeper):
        listed = json.loads(who.run("leases", "--json", "--context", "plane").out)["leases"]
        assert [one["name"] for one in listed] == ["work"]
        assert "cpu" in who.run("pools").out
        assert "work" in who.run("top").out
    assert "released 1 member" in user.run("release", "work", "--context", "plane").out

    assert "drained" in keeper.run("drain", "cpu", "--wait").out
    assert keeper.run("drain", "cpu", "--undo").code == 0
    refused = {"drain": user.run("drain", "cpu"), "claim": looker.run("claim", "--pool", "cpu")}
    assert {what: ended.code for what, ended in refused.items()} == {"drain": 4, "claim": 4}
    assert "leasegrid-lease-user" in refused["claim"].error


AGGREGATED = [
    ("view", "list", "leases", True),
    ("view", "create", "leases", False),
    ("edit", "create", "leases", True),
    ("edit", "create", "jobs", True),
    ("edit", "patch", "instancepools", False),
    ("admin", "patch", "instancepools", True),
]


@pytest.mark.parametrize(
    ("role", "verb", "resource", "may"),
    AGGREGATED,
    ids=[f"{role} {'may' if may else 'may not'} {verb} {resource}" for role, verb, resource, may in AGGREGATED],
)
def test_the_clusters_own_roles_have_a_share(
    installed: ControlPlane, role: str, verb: str, resource: str, may: bool
) -> None:
    def rights() -> set[tuple[str, str]]:
        rules = accepted(installed.api.ask("GET", f"/apis/{RBAC}/v1/clusterroles/{role}"))["rules"]
        assert isinstance(rules, list)
        ours = [rule for rule in rules if "leasegrid.dev" in rule.get("apiGroups", ())]
        return {(verb, resource) for rule in ours for verb in rule["verbs"] for resource in rule["resources"]}

    # Of several roles it is put together one after the other.
    until(lambda: (verb, resource) in rights() if may else rights(), f"{role} has its share")
    assert ((verb, resource) in rights()) is may
