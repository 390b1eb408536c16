"""The programs of the chart's hooks: pools follow the values, and a release can be tried."""

import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from importlib import util
from pathlib import Path
from types import ModuleType
from typing import Any
from uuid import uuid4

import pytest
import yaml

from tests.chart.charting import CHART, NAMESPACE, Chart
from tests.integration.control_plane import ControlPlane
from tests.support.cluster.plane import accepted, account_token, make_namespace

ISSUER = "https://kubernetes.default.svc"
ACCOUNT = "leasegrid-pools"


def program(name: str) -> ModuleType:
    """A file of the chart as a module."""
    specification = util.spec_from_file_location(name, CHART / "files" / f"{name}.py")
    assert specification is not None
    assert specification.loader is not None
    module = util.module_from_spec(specification)
    specification.loader.exec_module(module)
    return module


APPLY, TRY = program("apply_pools"), program("try_release")


@dataclass(frozen=True)
class Hooks:
    """The hooks of a release at work, with their own account's rights."""

    chart: Chart
    plane: ControlPlane
    directory: Path
    namespace: str

    def run(self, act: Callable[[Any, dict[str, Any]], None], *pools: dict[str, Any]) -> None:
        """What the Job does with these pools in the values."""
        rendered = self.chart.render({"pools": [{"namespace": self.namespace, **pool} for pool in pools]})
        rights = [one for kind in ("ServiceAccount", "Role", "RoleBinding") for one in rendered.all(kind)]
        given = yaml.safe_dump_all([one for one in rights if one["metadata"]["name"] == ACCOUNT])
        self.plane.kubectl("apply", "--server-side", "--force-conflicts", "--filename", "-", given=given)
        mounted = rendered.one("ConfigMap", "-pools")["data"]
        assert mounted["apply_pools.py"] == (CHART / "files" / "apply_pools.py").read_text(encoding="utf-8")
        act(APPLY.asker(self.plane.api.address, self.account()), json.loads(mounted["pools.json"]))

    def account(self) -> Path:
        """The folder that a pod has of its account."""
        self.directory.mkdir(exist_ok=True)
        (self.directory / "token").write_text(account_token(self.plane, NAMESPACE, ACCOUNT, ISSUER))
        (self.directory / "ca.crt").write_bytes(self.plane.api.certificate.read_bytes())
        return self.directory

    def pools(self) -> dict[str, dict[str, Any]]:
        """The namespace's pools by name."""
        path = f"/apis/leasegrid.dev/v1alpha1/namespaces/{self.namespace}/instancepools"
        found: Any = accepted(self.plane.api.ask("GET", path))["items"]
        return {one["metadata"]["name"]: one for one in found}


@pytest.fixture
def hooks(chart: Chart, installed: ControlPlane, tmp_path: Path) -> Iterator[Hooks]:
    made = Hooks(chart, installed, tmp_path / "account", make_namespace(installed, f"pools-{uuid4().hex[:8]}"))
    yield made
    installed.kubectl("delete", "lgpool", "--all", "--namespace", made.namespace)


def test_pools_are_made_changed_and_deleted_as_the_values_say(hooks: Hooks) -> None:
    hooks.run(APPLY.apply, {"name": "cpu", "default": True, "spec": {"targetSize": 3}}, {"name": "more"})
    made = hooks.pools()
    assert made["cpu"]["spec"]["targetSize"] == 3
    assert made["cpu"]["metadata"]["annotations"]["leasegrid.dev/is-default-pool"] == "true"
    assert set(made) == {"cpu", "more"}

    hooks.run(APPLY.apply, {"name": "cpu", "spec": {"targetSize": 4}})
    changed = hooks.pools()
    assert set(changed) == {"cpu"}
    assert changed["cpu"]["spec"]["targetSize"] == 4
    assert changed["cpu"]["metadata"]["uid"] == made["cpu"]["metadata"]["uid"], "the very same pool"
    assert "annotations" not in changed["cpu"]["metadata"], "what is taken out of the values goes"

    hooks.run(APPLY.delete, {"name": "cpu"})
    assert hooks.pools() == {}


def test_what_others_made_or_set_stays(hooks: Hooks) -> None:
    hooks.run(APPLY.apply, {"name": "cpu", "spec": {"maxSize": 20}})
    api, path = hooks.plane.api, f"/apis/leasegrid.dev/v1alpha1/namespaces/{hooks.namespace}/instancepools"
    accepted(api.ask("PATCH", f"{path}/cpu/scale", {"spec": {"replicas": 7}}, "application/merge-patch+json"))
    body = {"apiVersion": "leasegrid.dev/v1alpha1", "kind": "InstancePool", "metadata": {"name": "by-hand"}}
    accepted(api.ask("POST", path, {**body, "spec": {}}))

    hooks.run(APPLY.apply, {"name": "cpu", "spec": {"maxSize": 30}})
    assert hooks.pools()["cpu"]["spec"]["targetSize"] == 7
    hooks.run(APPLY.delete, {"name": "cpu"})
    assert set(hooks.pools()) == {"by-hand"}


@pytest.mark.unhappy("a pool in the chart's values that the API server refuses")
def test_a_pool_that_is_refused_fails_the_release_with_the_servers_words(hooks: Hooks) -> None:
    with pytest.raises(SystemExit, match="storage") as refused:
        hooks.run(APPLY.apply, {"name": "disk", "spec": {"resource": "Block"}})
    assert "instancepools/disk" in str(refused.value)


def test_a_release_is_tried_without_any_rights(hooks: Hooks) -> None:
    hooks.run(APPLY.apply, {"name": "cpu"})
    assert TRY.kinds_served(hooks.plane.api.address, hooks.account()) == TRY.KINDS
