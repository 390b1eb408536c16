"""From this machine into the cluster: ports of pods, the broker with a workload's token, stores with a holder's key."""

import asyncio
import re
import secrets
import subprocess
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TypeVar

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from tasklet_runner.client.stores import StoreClient
from tasklet_runner.fabric.broker import ClusterFabric
from tasklet_runner.fabric.calls import BrokerAccess
from tasklet_runner.wire.signed import public_text
from tests.e2e.kind_rig import SYSTEM, Kind, wait
from tests.e2e.rooms import Room

Answer = TypeVar("Answer")

PORT = 8080
"""Of members and of the operator's broker."""
_FORWARDED = re.compile(rf"^Forwarding from 127\.0\.0\.1:(\d+) -> {PORT}$", re.MULTILINE)


@contextmanager
def forwarded(cluster: Kind, namespace: str, pod: str) -> Iterator[str]:
    """The URL of the pod's port on this machine, by `kubectl port-forward`, for the time of the block."""
    log = cluster.directory / f"port-forward-{secrets.token_hex(4)}"
    command = ["kubectl", "port-forward", f"--namespace={namespace}", f"pod/{pod}", f":{PORT}"]
    with (
        log.open("wb") as said,
        subprocess.Popen(command, env=cluster.environment, stdout=said, stderr=subprocess.STDOUT) as process,
    ):
        try:
            found = wait(lambda: _port(process, log), bool, f"a port of {pod} is forwarded", log.read_text)
            yield f"http://127.0.0.1:{found}"
        finally:
            process.terminate()


def _port(process: "subprocess.Popen[bytes]", log: Path) -> str:
    assert process.poll() is None, log.read_text()
    found = _FORWARDED.search(log.read_text())
    return found[1] if found else ""


@contextmanager
def broker(room: Room, holder: Ed25519PrivateKey) -> Iterator[BrokerAccess]:
    """How a program of the room's default account reaches the operator that decides; it may use leases."""
    room.kubectl(
        "create",
        "rolebinding",
        "holds",
        "--clusterrole=leasegrid-lease-user",
        f"--serviceaccount={room.namespace}:default",
    )
    token = room.cluster.directory / f"token-{room.namespace}"
    token.write_text(room.kubectl("create", "token", "default", "--audience=leasegrid"), encoding="utf-8")
    with forwarded(room.cluster, SYSTEM, room.cluster.leader) as url:
        yield BrokerAccess((url,), token, holder, room.namespace)


def with_broker(room: Room, holder: Ed25519PrivateKey, work: Callable[[ClusterFabric], Awaitable[Answer]]) -> Answer:
    """Do something as a program that holds leases through the broker."""

    async def connected(access: BrokerAccess) -> Answer:
        async with ClusterFabric(access) as fabric:
            return await work(fabric)

    with broker(room, holder) as access:
        return asyncio.run(connected(access))


@dataclass(frozen=True)
class StoreLease:
    """A lease of one store in a room, used by its holder from this machine."""

    room: Room
    name: str
    holder: Ed25519PrivateKey = field(default_factory=Ed25519PrivateKey.generate)

    def acquire(self, pool: str) -> str:
        """Apply it, and wait until it is bound; the member."""
        self.room.lease(self.name, poolRefs=[{"name": pool}], holderKey=public_text(self.holder))
        (member,) = self.room.until_bound(self.name)
        return member

    def put(self, key: str, data: bytes) -> None:
        """Put one object."""
        self._use(lambda store: store.put(key, data))

    def get(self, key: str) -> bytes:
        """The bytes of one object."""
        return self._use(lambda store: store.get(key))

    def _use(self, work: Callable[[StoreClient], Awaitable[Answer]]) -> Answer:
        status = self.room.status("lglease", self.name)
        capability = status["capabilities"][0]

        async def connected(url: str) -> Answer:
            async with StoreClient(url, capability, self.holder) as store:
                return await work(store)

        with forwarded(self.room.cluster, self.room.namespace, status["members"][0]["name"]) as url:
            return asyncio.run(connected(url))
