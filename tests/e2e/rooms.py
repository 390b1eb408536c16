"""A namespace in which a test has pools and leases, made, changed and looked at through kubectl."""

import json
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from tests.e2e.kind_rig import Kind, Object

SMALL: Object = {
    "resources": {"cpu": "1", "memory": "1Gi"},
    "requests": {"cpu": "50m", "memory": "64Mi"},
    "minSize": 0,
}
"""Members of which many stand on one node."""


@dataclass(frozen=True)
class Room:
    """A namespace of the cluster."""

    cluster: Kind
    namespace: str

    def kubectl(self, *words: str, given: str = "") -> str:
        """kubectl in this namespace."""
        return self.cluster.kubectl("--namespace", self.namespace, *words, given=given)

    def leasegrid(self, verb: str, *words: str, given: str = "") -> str:
        """The command in this namespace."""
        return self.cluster.leasegrid(verb, "--namespace", self.namespace, *words, given=given)

    def pool(self, name: str, size: int, **spec: Any) -> None:  # noqa: ANN401 - fields of the pool's spec
        """Apply a pool of so many small members in all."""
        sizes = {"targetSize": size, "maxSize": size}
        self.apply("InstancePool", name, {**SMALL, **sizes, **spec})

    def lease(self, name: str, **spec: Any) -> None:  # noqa: ANN401 - fields of the lease's spec
        """Apply a lease that waits for its members, unless said otherwise."""
        self.apply("Lease", name, {"onEmpty": "Queue", "queueTimeoutSeconds": 300, "ttlSeconds": 120, **spec})

    def apply(self, kind: str, name: str, spec: Object) -> None:
        """Apply one of our objects."""
        metadata = {"name": name, "namespace": self.namespace}
        self.cluster.apply({"apiVersion": "leasegrid.dev/v1alpha1", "kind": kind, "metadata": metadata, "spec": spec})

    def change(self, kind: str, name: str, spec: Object) -> None:
        """Change fields of a spec."""
        self.kubectl("patch", kind, name, "--type=merge", f"--patch={json.dumps({'spec': spec})}")

    def delete(self, kind: str, *names: str) -> None:
        """Delete objects, without waiting for their end."""
        self.kubectl("delete", kind, *names, "--wait=false", "--ignore-not-found")

    def all(self, kind: str, *words: str) -> list[Object]:
        """Objects of a kind; `words` choose them, as for `kubectl get`."""
        return self.cluster.objects(kind, "--namespace", self.namespace, *words)

    def get(self, kind: str, name: str) -> Object:
        """One object; empty when there is none."""
        found = self.all(kind, f"--field-selector=metadata.name={name}")
        return found[0] if found else {}

    def status(self, kind: str, name: str) -> Object:
        return self.get(kind, name).get("status") or {}

    def condition(self, kind: str, name: str, condition: str) -> Object:
        """A condition of an object; empty while it is not said."""
        said = self.status(kind, name).get("conditions", [])
        return next((one for one in said if one["type"] == condition), {})

    def members(self, pool: str) -> Object:
        """How many members a pool says that it has, by state; states without any are left out."""
        counts: Object = self.status("lgpool", pool).get("members", {})
        return {state: count for state, count in counts.items() if count}

    def held(self, lease: str) -> dict[str, int]:
        """The members in a lease's status, with their epochs."""
        return {one["name"]: one["epoch"] for one in self.status("lglease", lease).get("members") or ()}

    def until_members(self, pool: str, **counts: int) -> None:
        """Wait until a pool has so many members of these states, and none of others."""
        self.cluster.wait(lambda: self.members(pool), lambda seen: seen == counts, f"{pool} has the members {counts}")

    def until_said(self, kind: str, name: str, condition: str, reason: str = "") -> str:
        """Wait until a condition is True, with that reason if one is given; returns its message."""
        said = self.cluster.wait(
            lambda: self.condition(kind, name, condition),
            lambda one: one.get("status") == "True" and reason in ("", one["reason"]),
            f"{kind} {name} is {condition} {reason}",
        )
        return str(said.get("message", ""))

    def until_bound(self, name: str) -> dict[str, int]:
        """Wait until a lease is bound; its members with their epochs."""
        self.kubectl("wait", "--for=condition=Bound", f"lglease/{name}", "--timeout=180s")
        return self.held(name)

    def released(self, name: str) -> Object:
        """Wait until a lease is released; its receipt."""
        self.until_said("lglease", name, "Released")
        receipt: Object = self.status("lglease", name)["receipt"]
        return receipt

    def until_gone(self, kind: str, *names: str) -> None:
        """Wait until these objects are gone; without names, until there is none of the kind."""

        def left() -> list[str]:
            found = [one["metadata"]["name"] for one in self.all(kind)]
            return [name for name in found if name in names or not names]

        self.cluster.wait(left, lambda seen: not seen, f"{kind} {' '.join(names)} are gone")

    def until_empty(self) -> None:
        """Delete all leases and pools, and wait until nothing of them is left."""
        for kind in ("lglease", "lgpool"):
            self.kubectl("delete", kind, "--all", "--wait=false")
        for kind in ("lglease", "lgpool", "pods", "persistentvolumeclaims"):
            self.until_gone(kind)


def instant(time: str) -> float:
    """UNIX seconds of a time as it stands in objects."""
    return datetime.fromisoformat(time).timestamp()


@contextmanager
def room(cluster: Kind, name: str) -> Iterator[Room]:
    """A namespace of Pod Security level `restricted`, which is emptied at the end, and is gone soon after."""
    labels = {"pod-security.kubernetes.io/enforce": "restricted"}
    cluster.apply({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name, "labels": labels}})
    made = Room(cluster, name)
    made.cluster.wait(lambda: made.get("serviceaccounts", "default"), bool, f"{name} has its default account")
    yield made
    made.until_empty()
    cluster.kubectl("delete", "namespace", name, "--wait=false")
