"""What the watches have shown, on every replica: a new leader begins from here, without asking the API server."""

import sys
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from typing import Any, Protocol

from leasegrid_operator.jobs.reading import JobFacts, read_job
from leasegrid_operator.leases.reading import LeaseFacts, read_lease
from leasegrid_operator.observing import Body
from leasegrid_operator.pools.naming import FABRIC_KEY_FLAG
from leasegrid_operator.pools.reading import fabric_key_of, read_pod

_POD_METADATA = frozenset(
    {"name", "namespace", "uid", "labels", "annotations", "ownerReferences", "creationTimestamp", "deletionTimestamp"}
    | {"deletionGracePeriodSeconds", "resourceVersion"}
)


class Sight(Protocol):
    """Told of what is seen in one namespace; `Reign` is one."""

    def pool_seen(self, namespace: str, body: Body, deleted: bool) -> None: ...  # noqa: D102 - as Observer's
    def lease_seen(self, namespace: str, facts: LeaseFacts) -> None: ...  # noqa: D102 - as Observer's
    def lease_gone(self, namespace: str, uid: str) -> None: ...  # noqa: D102 - as Observer's
    def job_seen(self, facts: JobFacts) -> None: ...  # noqa: D102 - as Observer's
    def job_gone(self, namespace: str, uid: str) -> None: ...  # noqa: D102 - as Observer's
    def pod_seen(self, namespace: str, body: Body, deleted: bool) -> None: ...  # noqa: D102 - as Observer's
    def claim_seen(self, namespace: str, body: Body, deleted: bool) -> None: ...  # noqa: D102 - as Observer's
    def node_seen(self, body: Body, deleted: bool) -> None: ...  # noqa: D102 - as Observer's


@dataclass
class World:
    """Implements `Observer`: keeps the latest of everything, slimmed, and passes it on while somebody leads here."""

    pools: dict[str, Body] = field(default_factory=dict)
    leases: dict[str, LeaseFacts] = field(default_factory=dict)
    jobs: dict[str, JobFacts] = field(default_factory=dict)
    pods: dict[str, Body] = field(default_factory=dict)
    claims: dict[str, Body] = field(default_factory=dict)
    nodes: dict[str, Body] = field(default_factory=dict)
    sight: Sight | None = None

    def pool_seen(self, namespace: str, body: Body, deleted: bool) -> None:
        """See `Observer`."""
        known = _note(self.pools, body, body, deleted)
        if self.sight is not None and known is not None:
            self.sight.pool_seen(namespace, known, deleted)

    def lease_seen(self, namespace: str, body: Body, deleted: bool) -> None:
        """See `Observer`."""
        uid = body["metadata"]["uid"]
        if deleted:
            self.leases.pop(uid, None)
            if self.sight is not None:
                self.sight.lease_gone(namespace, uid)
            return
        facts = self.leases[uid] = read_lease(body, self.leases.get(uid))
        if self.sight is not None:
            self.sight.lease_seen(namespace, facts)

    def job_seen(self, namespace: str, body: Body, deleted: bool) -> None:
        """See `Observer`."""
        uid = body["metadata"]["uid"]
        if deleted:
            self.jobs.pop(uid, None)
            if self.sight is not None:
                self.sight.job_gone(namespace, uid)
            return
        facts = self.jobs[uid] = read_job(body, self.jobs.get(uid))
        if self.sight is not None:
            self.sight.job_seen(facts)

    def pod_seen(self, namespace: str, body: Body, deleted: bool) -> None:
        """See `Observer`."""
        known = _note(self.pods, body, slim(body), deleted)
        if self.sight is not None and known is not None:
            self.sight.pod_seen(namespace, known, deleted)

    def claim_seen(self, namespace: str, body: Body, deleted: bool) -> None:
        """See `Observer`."""
        known = _note(self.claims, body, slim(body), deleted)
        if self.sight is not None and known is not None:
            self.sight.claim_seen(namespace, known, deleted)

    def node_seen(self, namespace: str, body: Body, deleted: bool) -> None:
        """See `Observer`."""
        del namespace
        known = _note(self.nodes, body, slim(body), deleted)
        if self.sight is not None and known is not None:
            self.sight.node_seen(known, deleted)

    def endpoints(self, namespace: str, names: Collection[str], port: int) -> dict[str, str]:
        """Where those members of a namespace that are there listen; an empty text for one without an address."""
        pods = [read_pod(body) for body in self.pods.values() if body["metadata"]["name"] in names]
        mine = [pod for pod in pods if pod is not None and pod.namespace == namespace and not pod.ended]
        return {pod.name: pod.endpoint(port) if pod.running else "" for pod in mine}

    def replay(self, sight: Sight) -> None:
        """Tell it of all that there is: nodes and pools first, as pods are seen by them."""
        for node in self.nodes.values():
            sight.node_seen(node, deleted=False)
        for bodies, tell in (
            (self.pools, sight.pool_seen),
            (self.claims, sight.claim_seen),
            (self.pods, sight.pod_seen),
        ):
            for body in bodies.values():
                tell(body["metadata"]["namespace"], body, deleted=False)
        for facts in self.leases.values():
            sight.lease_seen(facts.key.namespace, facts)
        for job in self.jobs.values():
            sight.job_seen(job)


def slim(body: Body) -> Body:
    """The parts of a pod, a claim or a node that anybody here reads: a twentieth of it."""
    metadata = {name: value for name, value in body["metadata"].items() if name in _POD_METADATA}
    spec: Mapping[str, Any] = body.get("spec") or {}
    kept = {name: spec[name] for name in ("nodeName", "volumeName", "volumes", "resources") if name in spec}
    if key := fabric_key_of(spec):
        kept["containers"] = [{"args": [FABRIC_KEY_FLAG, sys.intern(key)]}]
    return {"metadata": metadata, "spec": kept, "status": body.get("status") or {}}


def _note(table: dict[str, Body], body: Body, kept: Body, deleted: bool) -> Body | None:
    """The body to pass on. A deletion that was not seen itself comes with a name alone: its last body says more."""
    uid = body["metadata"]["uid"]
    if deleted:
        return table.pop(uid, None)
    table[uid] = kept
    return kept
