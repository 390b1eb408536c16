"""A recipe on a cluster: submitted from its YAML, and looked for afterwards by whoever does not believe its receipt."""

import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from tests.e2e.kind_rig import Object
from tests.e2e.rooms import Room

VOLUMES = "/var/local-path-provisioner"
"""Where the storage class of kind keeps the bytes of volumes, on each node."""


@dataclass(frozen=True)
class Recipe:
    """A user in a namespace; `outputs`: a directory for what comes back."""

    room: Room
    outputs: Path

    def submit(self, *files: Path) -> list[Object]:
        """Run the files' jobs to their end, with outputs and picture; each as the command's document has it."""
        picture = self.outputs / "leases.svg"
        words = (*map(str, files), "--results", str(self.outputs / "out"), "--timeline", str(picture), "--json")
        jobs: list[Object] = json.loads(self.room.leasegrid("submit", *words))["jobs"]
        assert picture.read_text(encoding="utf-8").startswith("<svg")
        return jobs

    def check_ended(self, job: Object, kind: str) -> None:
        """It is complete, it can be drawn, and its receipt says that nothing of it is left."""
        name = job["name"]
        assert job["complete"], job
        assert (job["timeline"][-1][1], job["receipt"]["unverified"]) == (0, []), job
        drawn = self.outputs / f"{name}.html"
        self.room.leasegrid("timeline", name, "-o", str(drawn))
        assert "<svg" in drawn.read_text(encoding="utf-8")
        self.room.until_said(kind, name, "Complete")
        receipt = self.room.cluster.wait(
            lambda: self.room.status(kind, name).get("receipt", {}),
            lambda seen: seen.get("volumes") == 1,
            f"the receipt of {name} has its store",
        )
        assert receipt["unverified"] == []

    def check_nothing_left(self, **pools: int) -> None:
        """By kubectl and by the nodes' disks: no lease is bound, no pod is there but the pools' own ready ones, no
        claim, no volume, no byte of one; and once the objects are deleted, no lease at all.
        """
        for pool, size in pools.items():
            self.room.until_members(pool, ready=size)
        self.room.until_gone("persistentvolumeclaims")
        found = self.room.cluster.wait(
            lambda: [*self._bound(), *self._strange_pods(pools), *self._volumes(), *self._bytes()],
            lambda seen: not seen,
            "nothing of the job is left",
        )
        assert found == []
        for kind in ("lgjob", "lggraph"):
            self.room.kubectl("delete", kind, "--all", "--wait=false")
            self.room.until_gone(kind)
        self.room.until_gone("lglease")

    def _bound(self) -> Iterator[str]:
        for one in self.room.all("lglease"):
            said = {condition["type"]: condition["status"] for condition in one["status"].get("conditions", ())}
            if said.get("Bound") == "True" or said.get("Released") != "True":
                yield f"lease {one['metadata']['name']}"

    def _strange_pods(self, pools: dict[str, int]) -> Iterator[str]:
        for one in self.room.all("pods"):
            owners = [owner["name"] for owner in one["metadata"].get("ownerReferences", ()) if owner["name"] in pools]
            if not owners:
                yield f"pod {one['metadata']['name']}"

    def _volumes(self) -> Iterator[str]:
        for one in self.room.cluster.objects("persistentvolumes"):
            if one["spec"].get("claimRef", {}).get("namespace") == self.room.namespace:
                yield f"volume {one['metadata']['name']}"

    def _bytes(self) -> Iterator[str]:
        for node in self.room.cluster.workers:
            listed = self.room.cluster.run("docker", "exec", node, "sh", "-c", f"ls {VOLUMES} 2>/dev/null || true")
            yield from (f"{node}: {name}" for name in listed.split() if f"_{self.room.namespace}_" in name)
