"""The kubelet's nodes: their objects, what room they have, and whether they speak."""

import asyncio
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

from leasegrid.api.quantities import parse_millicores
from tests.support.cluster.api import STRATEGIC, KubeApi

Object = dict[str, Any]

HEARTBEAT_SECONDS = 10.0
_LEASES = "/apis/coordination.k8s.io/v1/namespaces/kube-node-lease/leases"


def now_text() -> str:
    """The time as Kubernetes writes it."""
    return datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


@dataclass
class Node:
    """One node. `speaks` is clear while it is cut off: then nothing of it is reported."""

    name: str
    millicores: int
    used: dict[str, int] = field(default_factory=dict)
    speaks: asyncio.Event = field(default_factory=asyncio.Event)

    @property
    def free(self) -> int:
        """Millicores that no pod has reserved."""
        return self.millicores - sum(self.used.values())


class Nodes:
    """All nodes of one kubelet, in the cluster's own objects, with heartbeats as the node controller expects them."""

    def __init__(self, api: KubeApi, names: tuple[str, ...], cpu: str) -> None:
        self._api = api
        self._cpu = cpu
        self._all = {name: Node(name, parse_millicores(cpu)) for name in names}
        self._beating: asyncio.Task[None]

    def __getitem__(self, name: str) -> Node:
        return self._all[name]

    def __contains__(self, name: object) -> bool:
        return name in self._all

    async def register(self) -> None:
        """Make the objects and keep them alive. The one that exists already is taken over."""
        for node in self._all.values():
            labels = {"kubernetes.io/hostname": node.name, "kubernetes.io/os": "linux"}
            body = {"apiVersion": "v1", "kind": "Node", "metadata": {"name": node.name, "labels": labels}}
            await self._api.ask("POST", "/api/v1/nodes", body)
            await self._say(node, "True", "KubeletReady", "the kubelet of the tests speaks")
            node.speaks.set()
        self._beating = asyncio.create_task(self._beat())

    async def close(self) -> None:
        """No more heartbeats."""
        self._beating.cancel()
        await asyncio.gather(self._beating, return_exceptions=True)

    def place(self, millicores: int, uid: str, bound_to: str = "") -> tuple[str, str]:
        """A node with room, which it then takes, and why there is none if there is none: one of them is empty."""
        if bound_to:
            self._all[bound_to].used[uid] = millicores
            return bound_to, ""
        speaking = [node for node in self._all.values() if node.speaks.is_set()]
        roomy = [node for node in speaking if node.free >= millicores]
        if not roomy:
            short = f"{len(speaking)} Insufficient cpu" if speaking else "node(s) had untolerated taint(s)"
            return "", f"0/{len(self._all)} nodes are available: {short}."
        # The emptiest, so that pods spread; the first of equals.
        chosen = max(roomy, key=lambda node: node.free)
        chosen.used[uid] = millicores
        return chosen.name, ""

    def leave(self, uid: str) -> None:
        """The pod's room is free again."""
        for node in self._all.values():
            node.used.pop(uid, None)

    async def cut_off(self, name: str) -> None:
        """The node says nothing any more, and the cluster knows it at once, in place of after a minute."""
        self._all[name].speaks.clear()
        await self._say(self._all[name], "Unknown", "NodeStatusUnknown", "Kubelet stopped posting node status.")

    async def reconnect(self, name: str) -> None:
        """The node speaks again."""
        await self._say(self._all[name], "True", "KubeletReady", "the kubelet of the tests speaks")
        self._all[name].speaks.set()

    async def _say(self, node: Node, ready: str, reason: str, message: str) -> None:
        now = now_text()
        words = {"reason": reason, "message": message, "lastHeartbeatTime": now, "lastTransitionTime": now}
        room = {"cpu": self._cpu, "memory": "1Ti", "pods": "10000", "ephemeral-storage": "1Ti"}
        condition = {"type": "Ready", "status": ready, **words}
        status = {"conditions": [condition], "capacity": room, "allocatable": room}
        await self._api.ask("PATCH", f"/api/v1/nodes/{node.name}/status", {"status": status}, STRATEGIC)

    async def _beat(self) -> None:
        while True:
            for node in self._all.values():
                if node.speaks.is_set():
                    await self._renew(node.name)
            await asyncio.sleep(HEARTBEAT_SECONDS)

    async def _renew(self, name: str) -> None:
        now = datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")
        spec = {"holderIdentity": name, "leaseDurationSeconds": 40, "renewTime": now}
        patched = await self._api.ask("PATCH", f"{_LEASES}/{name}", {"spec": spec}, STRATEGIC)
        if patched.status == 404:
            kind = {"apiVersion": "coordination.k8s.io/v1", "kind": "Lease", "metadata": {"name": name}}
            await self._api.ask("POST", _LEASES, {**kind, "spec": spec})
