"""Leases of stores as their holders see them: objects put and read with the lease's own capability and key."""

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from tasklet_runner.client.members import MemberClient
from tasklet_runner.client.stores import StoreClient
from tasklet_runner.wire.errors import RefusedError
from tasklet_runner.wire.signed import public_text
from tests.integration.operator_rig import OperatorRig
from tests.support.cluster.beside import KubeletBeside

Answer = TypeVar("Answer")

CLASS = "deleting"
BLOCK = {"resource": "Block", "storage": {"size": "8Mi", "storageClassName": CLASS}}
MEMORY = {"resource": "Memory", "storage": {"size": "8Mi"}}


def block_template(directory: Path) -> Path:
    """A file with the operator's template for members that are made for a lease: their volumes are of CLASS."""
    path = directory / "provision.yaml"
    path.write_text(
        "apiVersion: leasegrid.dev/v1alpha1\nkind: InstancePool\nmetadata: {name: provision}\nspec:\n"
        "  resources: {cpu: '1', memory: 64Mi}\n  requests: {cpu: 10m, memory: 32Mi}\n  resource: Block\n"
        f"  storage: {{size: 1Mi, storageClassName: {CLASS}}}\n",
        encoding="utf-8",
    )
    return path


@dataclass
class StoreLease:
    """A lease of one store, its holder's key, and the member that it had first."""

    rig: OperatorRig
    name: str
    holder: Ed25519PrivateKey = field(default_factory=Ed25519PrivateKey.generate)
    member: str = ""

    def acquire(self, pool: str, **spec: Any) -> "StoreLease":  # noqa: ANN401 - fields of the lease's spec
        """Ask for it and wait until it has its member."""
        refs = {} if "requirements" in spec else {"poolRefs": [{"name": pool}]}
        self.rig.lease(self.name, holderKey=public_text(self.holder), **refs, **spec)
        bound = self.rig.wait(lambda: self.rig.epochs(self.name), lambda seen: seen, f"{self.name} is bound")
        (self.member,) = bound
        return self

    @property
    def uid(self) -> str:
        return str(self.rig.get("leases", self.name)["metadata"]["uid"])

    def until_member(self, name: str, epoch: int) -> None:
        """Wait until its status names this one at this epoch."""
        self.rig.wait(
            lambda: self.rig.epochs(self.name), lambda seen: seen == {name: epoch}, f"{self.name} has {name}@{epoch}"
        )

    def door(self) -> tuple[str, str]:
        """Endpoint and capability, as they stand in its status now."""
        status = self.rig.status("leases", self.name)
        return status["members"][0]["endpoint"], status["capabilities"][0]

    def use(self, work: Callable[[StoreClient], Awaitable[Answer]], **changes: Any) -> Answer:  # noqa: ANN401
        """Do something with its store; `door` and `holder` stand in for its own."""
        endpoint, capability = changes.get("door") or self.door()

        async def connected() -> Answer:
            async with StoreClient(endpoint, capability, changes.get("holder") or self.holder) as store:
                return await work(store)

        return asyncio.run(connected())

    def put(self, key: str, data: bytes) -> None:
        """Put one object."""
        self.use(lambda store: store.put(key, data))

    def objects(self) -> dict[str, bytes]:
        """All objects with their bytes."""

        async def read(store: StoreClient) -> dict[str, bytes]:
            keys = [info.key async for info in store.list_objects()]
            return {key: await store.get(key) for key in keys}

        return self.use(read)

    def refusal(self, **changes: Any) -> str:  # noqa: ANN401 - see `use`
        """The word with which a put is refused; empty when it is not."""
        try:
            self.use(lambda store: store.put("never", b"never"), **changes)
        except RefusedError as refused:
            return refused.reason
        return ""

    def fence(self, capability: str) -> str:
        """The word with which its member refuses an older capability; empty when it takes it."""
        try:
            self._ask(lambda member: member.renew(capability))
        except RefusedError as refused:
            return refused.reason
        return ""

    def seconds_left(self) -> float:
        """How long it lasts yet by its member's own word."""
        return self._ask(lambda member: member.state()).seconds_left

    def _ask(self, ask: Callable[[MemberClient], Awaitable[Answer]]) -> Answer:
        endpoint, _ = self.door()

        async def asked() -> Answer:
            client = MemberClient(endpoint)
            try:
                return await ask(client)
            finally:
                await client.close()

        return asyncio.run(asked())

    def owners(self, *names: str) -> set[str]:
        """The uids of all that own these pods and claims, pod and claim of the member unless names are given."""
        found = [self.rig.get(plural, name) for plural in KINDS for name in names or (self.member,)]
        references = [one["metadata"].get("ownerReferences", []) for one in found if one]
        assert all(len(owners) == 1 for owners in references), references
        return {owners[0]["uid"] for owners in references}

    def until_handed_over(self, *names: str) -> None:
        """Wait until pod and claim are the lease's alone."""
        self.rig.wait(lambda: self.owners(*names), lambda owners: owners == {self.uid}, f"{self.name} owns its store")

    def released(self) -> dict[str, Any]:
        """Wait until it is released; the receipt."""
        self.rig.until_said(self.name, "Released")
        receipt: dict[str, Any] = self.rig.status("leases", self.name)["receipt"]
        return receipt


KINDS = ("pods", "persistentvolumeclaims")


def kubelet_of(rig: OperatorRig) -> KubeletBeside:
    """What runs the rig's members, which are real."""
    assert rig.kubelet is not None
    return rig.kubelet


def volumes_of(rig: OperatorRig) -> dict[str, Path]:
    """The directory behind each volume that a claim of the namespace has, or had, by claim."""
    found: Any = rig.plane.api.ask("GET", "/api/v1/persistentvolumes").body["items"]
    mine = [one["spec"] for one in found if one["spec"].get("claimRef", {}).get("namespace") == rig.namespace]
    return {spec["claimRef"]["name"]: Path(spec["hostPath"]["path"]) for spec in mine}


def claims_of(rig: OperatorRig) -> dict[str, str]:
    """The phase of every claim, by name."""
    return {one["metadata"]["name"]: one["status"]["phase"] for one in rig.all("persistentvolumeclaims")}


def until_no_trace(rig: OperatorRig, store: str, directory: Path | None = None) -> None:
    """Wait until nothing is left of a store: its pods, its claim, its volume, its bytes."""

    def left() -> list[str]:
        pods = [one["metadata"]["name"] for one in rig.all("pods")]
        names = [*pods, *claims_of(rig), *volumes_of(rig)]
        traces = [name for name in names if name == store or name.startswith(f"{store}-s")]
        return traces + ([str(directory)] if directory is not None and directory.exists() else [])

    rig.wait(left, lambda traces: not traces, f"nothing is left of {store}")
