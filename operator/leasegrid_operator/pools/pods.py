"""A member's pod, and the claim of its volume, as bodies for the API server; both pass PodSecurity level `restricted`.

https://kubernetes.io/docs/concepts/security/pod-security-standards/
"""

from dataclasses import dataclass, field
from typing import Any

from leasegrid.api.common import API_VERSION
from leasegrid.api.enums import ResourceKind
from leasegrid.api.pool import InstancePoolSpec
from leasegrid.api.quantities import format_bytes, format_millicores
from leasegrid_operator.pools.naming import (
    FABRIC_KEY_FLAG,
    LEASE_UID_LABEL,
    MANAGED_BY,
    MANAGED_BY_LABEL,
    POOL_LABEL,
    RESOURCE_LABEL,
    TEMPLATE_ANNOTATION,
    TLS_ANNOTATION,
    member_name,
)
from leasegrid_operator.pools.sizes import MemberSizes, member_sizes
from leasegrid_operator.pools.templates import MemberSettings, as_written, reuse_of, template_hash

Body = dict[str, Any]

CONTAINER = "member"
NOTIFY_CA_VARIABLE = "LEASEGRID_NOTIFY_CA"
"""As the member's command reads it; a certificate is public, and members mount no Secret."""

SCRATCH, STORE = "/scratch", "/store"
USER = 65532
"""An id that no image gives to somebody else; the group of the volumes, too."""

ANY_ADDRESS = "0.0.0.0"  # noqa: S104 - of the pod's own network
POOL_KIND, LEASE_KIND = "InstancePool", "Lease"


@dataclass(frozen=True)
class Owner:
    """What pods are made for: a pool, or a lease that provisions its own."""

    kind: str
    name: str
    uid: str
    namespace: str

    @property
    def reference(self) -> Body:
        """Its controlling ownerReference, and a sole one: what it owns is collected with it."""
        return {
            "apiVersion": API_VERSION,
            "kind": self.kind,
            "name": self.name,
            "uid": self.uid,
            "controller": True,
            "blockOwnerDeletion": False,
        }

    @property
    def label(self) -> dict[str, str]:
        """The label by which its pods are found."""
        return {POOL_LABEL: self.name} if self.kind == POOL_KIND else {LEASE_UID_LABEL: self.uid}


@dataclass(frozen=True)
class MemberTemplate:
    """All that the pods of one owner share; made once for each change of the spec, as it costs more than a pod.

    `access_mode` of Block volumes: ReadWriteOncePod where the class has a driver that knows it.
    """

    owner: Owner
    spec: InstancePoolSpec
    settings: MemberSettings
    access_mode: str = "ReadWriteOnce"
    sizes: MemberSizes = field(init=False)
    hash: str = field(init=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "sizes", member_sizes(self.spec))
        object.__setattr__(self, "hash", template_hash(self.spec, self.settings))

    def pod(self, number: int) -> Body:
        """The pod of a new member."""
        name = member_name(self.owner.name, self.owner.uid, number)
        return self._pod(name, claim=name)

    def successor(self, name: str, claim: str, owner: Owner) -> Body:
        """A pod of another name that serves a claim which was there before, for the lease that owns it."""
        body = self._pod(name, claim=claim)
        body["metadata"]["ownerReferences"] = [owner.reference]
        return body

    def claim(self, number: int) -> Body | None:
        """The claim of a Block member's volume; None for other kinds. It is to be made before its pod."""
        storage = self.spec.storage
        if self.spec.resource is not ResourceKind.BLOCK or storage is None:
            return None
        wanted: Body = {
            "accessModes": [self.access_mode],
            "volumeMode": "Filesystem",
            "resources": {"requests": {"storage": format_bytes(storage.size)}},
        }
        if storage.storage_class_name is not None:
            wanted["storageClassName"] = storage.storage_class_name
        name = member_name(self.owner.name, self.owner.uid, number)
        return {
            "apiVersion": "v1",
            "kind": "PersistentVolumeClaim",
            "metadata": self._metadata(name, self._labels(), {}),
            "spec": wanted,
        }

    def _pod(self, name: str, claim: str) -> Body:
        template = self.spec.template
        labels = {**template.labels, **self._labels()}
        annotations = {**template.annotations, TEMPLATE_ANNOTATION: self.hash}
        if self.settings.tls:
            annotations[TLS_ANNOTATION] = "own-key"
        return {
            "apiVersion": "v1",
            "kind": "Pod",
            "metadata": self._metadata(name, labels, annotations),
            "spec": {
                **placement(self.spec, self.settings),
                "restartPolicy": "Never",
                "automountServiceAccountToken": False,
                "enableServiceLinks": False,
                "securityContext": POD_SECURITY,
                "containers": [self._container()],
                "volumes": self._volumes(claim),
            },
        }

    def _metadata(self, name: str, labels: dict[str, str], annotations: dict[str, str]) -> Body:
        return {
            "name": name,
            "namespace": self.owner.namespace,
            "labels": labels,
            "annotations": annotations,
            "ownerReferences": [self.owner.reference],
        }

    def _labels(self) -> dict[str, str]:
        return {
            MANAGED_BY_LABEL: MANAGED_BY,
            **self.owner.label,
            RESOURCE_LABEL: self.spec.resource.value.lower(),
        }

    def _container(self) -> Body:
        settings = self.settings
        return {
            "name": CONTAINER,
            "image": settings.image,
            "imagePullPolicy": settings.image_pull_policy,
            "command": list(settings.command),
            "args": self._arguments(),
            "env": [
                {"name": "POD_IP", "valueFrom": {"fieldRef": {"fieldPath": "status.podIP"}}},
                {"name": "POD_NAME", "valueFrom": {"fieldRef": {"fieldPath": "metadata.name"}}},
                *([{"name": NOTIFY_CA_VARIABLE, "value": settings.notify_ca}] if settings.notify_ca else []),
            ],
            "ports": [{"name": "member", "containerPort": settings.port}],
            "readinessProbe": {"httpGet": _health(settings), "periodSeconds": 5},
            "resources": _resources(self.spec, self.sizes),
            "securityContext": CONTAINER_SECURITY,
            # Why a member could not start is read from its status; its log goes with the pod.
            "terminationMessagePolicy": "FallbackToLogsOnError",
            "volumeMounts": [
                {"name": "scratch", "mountPath": SCRATCH},
                *([{"name": "store", "mountPath": STORE}] if self.sizes.quota else []),
            ],
        }

    def _arguments(self) -> list[str]:
        settings, sizes = self.settings, self.sizes
        flags = {
            # Not at the pod's address alone: a port-forward comes by loopback.
            "--listen": f"{ANY_ADDRESS}:{settings.port}",
            "--name": "$(POD_NAME)",
            FABRIC_KEY_FLAG: settings.fabric_key,
            "--scratch": SCRATCH,
            "--slots": str(sizes.slots),
            "--memory": str(sizes.memory),
            "--tmpfs": str(sizes.scratch),
            "--notify": settings.notify,
            "--reuse": reuse_of(self.spec).value,
        }
        if sizes.quota:
            flags |= {"--role": self.spec.resource.value, "--store": STORE, "--quota": str(sizes.quota)}
        if settings.notify_name:
            flags["--notify-name"] = settings.notify_name
        return [word for flag in flags.items() for word in flag] + (["--tls"] if settings.tls else [])

    def _volumes(self, claim: str) -> list[Body]:
        volumes = [_tmpfs("scratch", self.sizes.scratch)]
        if self.spec.resource is ResourceKind.MEMORY:
            volumes.append(_tmpfs("store", self.sizes.quota))
        elif self.spec.resource is ResourceKind.BLOCK:
            volumes.append({"name": "store", "persistentVolumeClaim": {"claimName": claim}})
        return volumes


POD_SECURITY: Body = {
    "runAsNonRoot": True,
    "runAsUser": USER,
    "runAsGroup": USER,
    "fsGroup": USER,
    "fsGroupChangePolicy": "OnRootMismatch",
    "seccompProfile": {"type": "RuntimeDefault"},
}
CONTAINER_SECURITY: Body = {
    "allowPrivilegeEscalation": False,
    "readOnlyRootFilesystem": True,
    "capabilities": {"drop": ["ALL"]},
}
"""Of every pod that the operator makes, with the one above: level `restricted`."""


def placement(spec: InstancePoolSpec, settings: MemberSettings) -> Body:
    """What of the pool's template stands in a pod's spec by the same name."""
    default = {"priorityClassName": settings.priority_class} if settings.priority_class else {}
    written = default | as_written(spec.template)
    return {name: value for name, value in written.items() if name not in {"labels", "annotations"}}


def _health(settings: MemberSettings) -> Body:
    # A kubelet asks no authority: it is content with any certificate.
    return {"path": "/healthz", "port": "member", **({"scheme": "HTTPS"} if settings.tls else {})}


def _resources(spec: InstancePoolSpec, sizes: MemberSizes) -> Body:
    cpu = sizes.cpu if spec.requests.cpu is None else spec.requests.cpu
    memory = sizes.memory if spec.requests.memory is None else spec.requests.memory
    return {"limits": _quantities(sizes.cpu, sizes.memory), "requests": _quantities(cpu, memory)}


def _quantities(cpu: int, memory: int) -> dict[str, str]:
    return {"cpu": format_millicores(cpu), "memory": format_bytes(memory)}


def _tmpfs(name: str, size: int) -> Body:
    return {"name": name, "emptyDir": {"medium": "Memory", "sizeLimit": format_bytes(size)}}
