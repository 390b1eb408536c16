"""What a pod's body says, as few typed facts: a body has tens of kilobytes, the facts some hundred bytes."""

import sys
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from leasegrid.api.quantities import parse_bytes
from leasegrid_operator.pools.naming import (
    BOUND_LABEL,
    FABRIC_KEY_FLAG,
    MANAGED_BY,
    MANAGED_BY_LABEL,
    POOL_LABEL,
    TEMPLATE_ANNOTATION,
    TLS_ANNOTATION,
)
from leasegrid_operator.pools.troubles import Trouble, trouble_of
from tasklet_runner.wire.pins import UNPROVEN, pinned

Body = Mapping[str, Any]

ENDED_PHASES = frozenset({"Succeeded", "Failed"})


@dataclass(frozen=True, slots=True)
class PodFacts:
    """Instants in UNIX seconds. `pool`: what its label says, an index and no more; `owner_kind` and `owner_uid`: of
    its controller, empty for none; `ready`: since when its probe passes,
    None when it does not; `deleting`: when it ought to be gone, None when nobody deletes it; `fabric_key`: whose orders
    its member obeys.
    """

    name: str
    uid: str
    namespace: str
    pool: str
    owner_kind: str
    owner_uid: str
    phase: str
    address: str
    node: str
    template: str
    created: float
    ready: float | None
    deleting: float | None
    trouble: Trouble | None
    tls: bool = False
    fabric_key: str = ""

    def endpoint(self, port: int) -> str:
        """Where its member is reached; by TLS nothing is known yet of whose key it has to be."""
        host = f"[{self.address}]" if ":" in self.address else self.address
        return pinned(f"https://{host}:{port}", UNPROVEN) if self.tls else f"http://{host}:{port}"

    @property
    def ended(self) -> bool:
        """True when its process has ended; it will not run again."""
        return self.phase in ENDED_PHASES

    @property
    def running(self) -> bool:
        """True when its process can be asked."""
        return self.phase == "Running" and bool(self.address)


def read_pod(body: Body) -> PodFacts | None:
    """The facts; None for a pod that the operator never made: it has no managed-by label of ours."""
    metadata, status = body["metadata"], body.get("status") or {}
    labels = metadata.get("labels") or {}
    if labels.get(MANAGED_BY_LABEL) != MANAGED_BY:
        return None
    owner, annotations = controller_of(body), metadata.get("annotations") or {}
    return PodFacts(
        name=metadata["name"],
        uid=metadata["uid"],
        namespace=sys.intern(metadata["namespace"]),
        pool=sys.intern(labels.get(POOL_LABEL, "")),
        owner_kind=sys.intern(owner.get("kind", "")),
        owner_uid=sys.intern(owner.get("uid", "")),
        phase=sys.intern(status.get("phase", "Pending")),
        address=status.get("podIP", ""),
        node=sys.intern((body.get("spec") or {}).get("nodeName", "")),
        template=sys.intern(annotations.get(TEMPLATE_ANNOTATION, "")),
        created=instant(metadata["creationTimestamp"]),
        ready=_ready_since(status),
        deleting=instant(metadata["deletionTimestamp"]) if metadata.get("deletionTimestamp") else None,
        trouble=trouble_of(status),
        tls=TLS_ANNOTATION in annotations,
        fabric_key=sys.intern(fabric_key_of(body.get("spec") or {})),
    )


def fabric_key_of(spec: Mapping[str, Any]) -> str:
    """The key that a pod gives its member; empty where none stands."""
    for container in spec.get("containers") or ():
        words = container.get("args") or ()
        if FABRIC_KEY_FLAG in words[:-1]:
            return str(words[words.index(FABRIC_KEY_FLAG) + 1])
    return ""


def controller_of(body: Body) -> Mapping[str, Any]:
    """The ownerReference of an object's controller; empty for none."""
    for one in body["metadata"].get("ownerReferences") or ():
        if one.get("controller"):
            found: Mapping[str, Any] = one
            return found
    return {}


def instant(text: str) -> float:
    """RFC 3339 as UNIX seconds."""
    return datetime.fromisoformat(text).timestamp()


def _ready_since(status: Mapping[str, Any]) -> float | None:
    for one in status.get("conditions") or ():
        if one.get("type") == "Ready" and one.get("status") == "True":
            return instant(one["lastTransitionTime"])
    return None


@dataclass(frozen=True, slots=True)
class ClaimFacts:
    """A PersistentVolumeClaim; `pool`: what its label says; `volume` is empty until it is provisioned; `size` in bytes;
    `bound`: its member was bound to the lease that owns it.
    """

    name: str
    uid: str
    namespace: str
    pool: str
    owner_kind: str
    owner_uid: str
    created: float
    volume: str
    size: int
    deleting: bool
    bound: bool = False


def read_claim(body: Body) -> ClaimFacts | None:
    """The facts; None for a claim that the operator never made."""
    metadata, spec = body["metadata"], body.get("spec") or {}
    labels = metadata.get("labels") or {}
    if labels.get(MANAGED_BY_LABEL) != MANAGED_BY:
        return None
    owner = controller_of(body)
    return ClaimFacts(
        name=metadata["name"],
        uid=metadata["uid"],
        namespace=sys.intern(metadata["namespace"]),
        pool=sys.intern(labels.get(POOL_LABEL, "")),
        owner_kind=sys.intern(owner.get("kind", "")),
        owner_uid=sys.intern(owner.get("uid", "")),
        created=instant(metadata["creationTimestamp"]),
        volume=spec.get("volumeName", ""),
        size=_wanted_bytes(spec),
        deleting="deletionTimestamp" in metadata,
        bound=BOUND_LABEL in labels,
    )


def _wanted_bytes(spec: Mapping[str, Any]) -> int:
    wanted = (spec.get("resources") or {}).get("requests") or {}
    return parse_bytes(wanted["storage"]) if "storage" in wanted else 0


def no_pod(name: str, namespace: str) -> PodFacts:
    """A pod that is gone, of which only the name is known."""
    return PodFacts(
        name=name,
        uid="",
        namespace=namespace,
        pool="",
        owner_kind="",
        owner_uid="",
        phase="",
        address="",
        node="",
        template="",
        created=0.0,
        ready=None,
        deleting=None,
        trouble=None,
    )


def node_is_lost(body: Body) -> bool:
    """True for a node that its control plane does not hear of any more: nothing there can be asked, or seen to end."""
    conditions = (body.get("status") or {}).get("conditions") or ()
    return any(one.get("type") == "Ready" and one.get("status") == "Unknown" for one in conditions)
