"""Somebody with a command line, and a rig of real members in whose namespace their jobs run."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from tests.integration.cli_cluster import Desk
from tests.integration.control_plane import ControlPlane
from tests.integration.job_rig import REAL, JobHouse
from tests.integration.operator_rig import operator_rig
from tests.integration.store_holding import CLASS, block_template
from tests.support.cluster.plane import storage_class
from tests.support.running import Place

Raw = dict[str, Any]


@dataclass(frozen=True)
class JobDesk:
    """`home`: the directory of their files; `template`: the operator's, of members that are made for one lease."""

    house: JobHouse
    desk: Desk
    home: Path
    template: Path

    def replace_operator(self) -> None:
        """Kill the operator, and start another."""
        operator = self.house.rig.replicas["a"].process
        operator.kill()
        operator.wait()
        self.house.rig.start("a", provision_template=str(self.template))

    def write(self, name: str, content: bytes | str) -> Path:
        """A file of theirs."""
        path = self.home / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content if isinstance(content, bytes) else content.encode())
        return path

    def job(self, name: str, **spec: object) -> str:
        """The YAML of a Job with the module `echo.wasm` beside it; returns its path."""
        usual = {"tasklet": {"module": {"path": "echo.wasm"}}, "parallelism": 2, "output": {"size": "32Mi"}}
        return self.yaml(name, "Job", {**usual, **spec})

    def yaml(self, name: str, kind: str, spec: Raw) -> str:
        """The YAML of an object; returns its path."""
        body = {"apiVersion": "leasegrid.dev/v1alpha1", "kind": kind, "metadata": {"name": name}, "spec": spec}
        return str(self.write(f"{name}.yaml", yaml.safe_dump(body)))

    def stores(self) -> list[str]:
        """The leases of jobs' stores that have not ended."""
        found = self.house.rig.all("leases")
        live = [one for one in found if not any(_released(said) for said in one["status"].get("conditions", ()))]
        return [one["metadata"]["name"] for one in live if one["metadata"]["name"].endswith("-store")]


def _released(condition: Raw) -> bool:
    return (condition["type"], condition["status"]) == ("Released", "True")


@contextmanager
def job_desk(plane: ControlPlane, directory: Path, members: int = 3, *, pretends: bool = False) -> Iterator[JobDesk]:
    """An operator, a pool of so many members (real ones, or stand-ins that pretend to work), and a user in its
    namespace.
    """
    with operator_rig(plane, directory, real=not pretends, pretends=pretends) as rig:
        storage_class(plane, CLASS)
        template = block_template(directory)
        rig.start("a", provision_template=str(template))
        if members:
            rig.pool(members, resources=REAL)
        config = yaml.safe_load(plane.kubeconfig.read_text(encoding="utf-8"))
        config["contexts"][0]["context"]["namespace"] = rig.namespace
        kubeconfig = directory / "kubeconfig"
        kubeconfig.write_text(yaml.safe_dump(config), encoding="utf-8")
        desk = Desk(plane, Place(directory / "user", {"KUBECONFIG": str(kubeconfig)}), rig.namespace)
        yield JobDesk(JobHouse(rig, ""), desk, directory / "user" / "home", template)
