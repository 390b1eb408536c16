"""Outputs of jobs copied into PersistentVolumeClaims, with real members and a pod that has the claim mounted."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from tests.integration.control_plane import ControlPlane
from tests.integration.job_rig import REAL, JobHouse, module_server
from tests.integration.operator_rig import Object, operator_rig
from tests.integration.store_holding import CLASS, block_template
from tests.support import wat
from tests.support.cluster.plane import accepted, storage_class


@dataclass(frozen=True)
class Warehouse:
    """A house whose jobs have volumes to be copied into. `template`: of members that are made for one lease."""

    house: JobHouse
    template: Path

    def start(self) -> None:
        """Start the operator, once more."""
        self.house.rig.start("a", provision_template=str(self.template))

    def claim(self, name: str) -> Path:
        """Make a claim; the directory of its volume once it has one."""
        rig = self.house.rig
        spec = {
            "accessModes": ["ReadWriteOnce"],
            "storageClassName": CLASS,
            "resources": {"requests": {"storage": "16Mi"}},
        }
        body = {"apiVersion": "v1", "kind": "PersistentVolumeClaim", "metadata": {"name": name}, "spec": spec}
        accepted(rig.plane.api.ask("POST", rig.path("persistentvolumeclaims"), body))
        return self.volume(name)

    def volume(self, name: str) -> Path:
        """The directory of a claim's volume, once there is one: at the latest when a pod wants it."""
        rig = self.house.rig
        bound = rig.wait(
            lambda: rig.get("persistentvolumeclaims", name)["spec"].get("volumeName", ""), bool, f"{name} is bound"
        )
        found: Any = accepted(rig.plane.api.ask("GET", f"/api/v1/persistentvolumes/{bound}"))
        return Path(found["spec"]["hostPath"]["path"])

    def job(self, name: str, claim: str) -> None:
        """A job of three chunks that is copied into a claim."""
        output = {"size": "16Mi", "copyTo": {"persistentVolumeClaim": {"claimName": claim}}}
        self.house.job(name, output=output)

    def until_copying(self, name: str, words: str) -> None:
        """Wait until it says so of its copy."""
        rig = self.house.rig
        rig.wait(
            lambda: rig.condition(name, "Progressing", "jobs").get("message", ""),
            lambda said: "being copied" in said and words in said,
            f"{name} says {words!r}",
        )

    def traces(self) -> list[str]:
        """Pods and Secrets of copies."""
        rig = self.house.rig
        secrets: Object = accepted(rig.plane.api.ask("GET", f"/api/v1/namespaces/{rig.namespace}/secrets"))
        names = [one["metadata"]["name"] for one in (*rig.all("pods"), *secrets["items"])]
        return [name for name in names if "-copy-" in name]


@pytest.fixture(scope="module")
def warehouse(controlled: ControlPlane, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Warehouse]:
    """One operator and one pool of two real members for all tests of this file."""
    directory = tmp_path_factory.mktemp("copies")
    storage_class(controlled, CLASS)
    with operator_rig(controlled, directory, real=True) as rig, module_server({"/echo": wat.echo()}) as url:
        made = Warehouse(JobHouse(rig, url), block_template(directory))
        made.start()
        rig.pool(2, resources=REAL)
        yield made


@pytest.mark.unhappy("a claim that is missing when the outputs are to be copied; an operator killed meanwhile")
def test_outputs_are_copied_into_a_claim_once_it_is_there(warehouse: Warehouse) -> None:
    rig = warehouse.house.rig
    warehouse.job("delivered", "results")
    warehouse.until_copying("delivered", "there is no PersistentVolumeClaim results: create it")
    rig.replicas["a"].process.kill()
    rig.replicas["a"].process.wait()
    warehouse.start()
    volume = warehouse.claim("results")
    status = warehouse.house.until("delivered", "Complete")

    assert (status["resultLocation"], status["coordinatorGeneration"]) == ("persistentVolumeClaim/results", 1)
    copied = {str(path.relative_to(volume)) for path in volume.rglob("*") if path.is_file()}
    assert copied == {"delivered/_SUCCESS", *(f"delivered/{number}/stdout" for number in range(3))}
    assert (volume / "delivered" / "2" / "stdout").read_text() == "2"
    rig.wait(warehouse.traces, lambda seen: not seen, "whoever copied is gone, with its Secret")
    rig.wait(lambda: rig.status("jobs", "delivered").get("receipt", {}).get("volumes"), bool, "its store is gone, too")


@pytest.mark.unhappy("a volume that cannot be written")
def test_a_copy_that_fails_keeps_the_store_and_says_why(warehouse: Warehouse) -> None:
    rig = warehouse.house.rig
    (warehouse.claim("blocked") / "stuck").write_text("a file in the way")
    warehouse.job("stuck", "blocked")
    status = warehouse.house.until("stuck", "Failed")
    said = rig.condition("stuck", "Failed", "jobs")

    assert said["reason"] == "CopyFailed", said
    assert "failed 3 times" in said["message"], said
    assert "stuck" in said["message"], said
    assert "resultLocation" not in status
    rig.wait(warehouse.traces, lambda seen: not seen, "whoever copied is gone, with its Secret")
    stores = [one for one in rig.all("leases") if one["metadata"]["name"].startswith("stuck-")]
    live = [one["metadata"]["name"] for one in stores if rig.condition(one["metadata"]["name"], "Released") == {}]
    assert any(name.endswith("-store") for name in live), "its outputs can still be fetched"
