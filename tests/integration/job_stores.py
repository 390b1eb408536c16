"""A job's store seen from outside: what is committed in it, what its outputs are, and what is left of the job after it.

Read with the job's own key, which follows from the installation's, past all that the project says of itself.
"""

import asyncio
import base64
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from functools import partial
from typing import Any, TypeVar

import psutil
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from leasegrid_operator.jobs.requests import JobKey
from leasegrid_operator.keys import ENTRY, NAME
from tasklet_runner.client.stores import StoreClient
from tasklet_runner.store.protocol import CommitRecord
from tests.integration.operator_rig import Object, OperatorRig
from tests.integration.store_holding import claims_of, volumes_of
from tests.support.cluster.kubelet import Kubelet
from tests.support.cluster.plane import accepted

Answer = TypeVar("Answer")


@dataclass(frozen=True)
class StoreDoor:
    """Where a job's store is served now, and what opens it there: needs no API server."""

    endpoint: str
    capability: str
    key: Ed25519PrivateKey

    def commits(self, stage: str) -> dict[int, CommitRecord]:
        """What is visible of each chunk of a stage; two records of one chunk fail."""

        async def read(store: StoreClient) -> list[CommitRecord]:
            return [record async for record in store.commits(stage)]

        records = self._use(read)
        found = {one.index: one for one in records}
        assert len(found) == len(records), f"chunks that were committed twice: {records}"
        return found

    def outputs(self, stage: str) -> dict[int, bytes]:
        """The stdout of every chunk of a stage that has not failed."""
        records = [one for one in self.commits(stage).values() if one.fault is None]

        async def read(store: StoreClient) -> list[bytes]:
            return [await store.get(one.key()) for one in records]

        return {one.index: data for one, data in zip(records, self._use(read), strict=True)}

    def keys(self) -> list[str]:
        """The keys of all objects, of attempts that nobody committed too."""

        async def read(store: StoreClient) -> list[str]:
            return [info.key async for info in store.list_objects()]

        return self._use(read)

    def _use(self, work: Callable[[StoreClient], Awaitable[Answer]]) -> Answer:
        async def connected() -> Answer:
            async with StoreClient(self.endpoint, self.capability, self.key) as store:
                return await work(store)

        return asyncio.run(connected())


@dataclass(frozen=True)
class JobStore:
    """The store of a job, by its object as it was made."""

    rig: OperatorRig
    job: Object

    @property
    def lease(self) -> str:
        """The name of its lease."""
        metadata = self.job["metadata"]
        return f"{metadata['name']}-{metadata['uid'][:8]}-store"

    @property
    def member(self) -> str:
        """The pod that serves it now; empty when there is none."""
        return next(iter(self.rig.epochs(self.lease)), "")

    def door(self) -> StoreDoor:
        """As it is now. Raises KeyError or IndexError while nobody serves it."""
        status = self.rig.status("leases", self.lease)
        key = JobKey.of(_installation(self.rig), self.job["metadata"]["uid"]).private
        return StoreDoor(status["members"][0]["endpoint"], status["capabilities"][0], key)

    def commits(self, stage: str) -> dict[int, CommitRecord]:
        """See `StoreDoor.commits`."""
        return self.door().commits(stage)

    def outputs(self, stage: str) -> dict[int, bytes]:
        """See `StoreDoor.outputs`."""
        return self.door().outputs(stage)

    def keys(self) -> list[str]:
        """See `StoreDoor.keys`."""
        return self.door().keys()


def _installation(rig: OperatorRig) -> Ed25519PrivateKey:
    body: Any = accepted(rig.plane.api.ask("GET", f"/api/v1/namespaces/{rig.namespace}/secrets/{NAME}"))
    return Ed25519PrivateKey.from_private_bytes(base64.b64decode(body["data"][ENTRY]))


def coordinators(rig: OperatorRig) -> dict[int, str]:
    """The processes that are coordinators now, each with its member: those that a member forked and that speak TCP."""
    return {child: pod for pod, children in _children(rig).items() for child in children if _speaks(child)}


def leftovers(rig: OperatorRig, members: int) -> list[str]:
    """What there is beside a pool `cpu` of so many members without work; for a rig in which nobody holds anything."""
    pods = [one["metadata"]["name"] for one in rig.all("pods")]
    children = _children(rig)
    return [
        *(f"lease {one['metadata']['name']}" for one in rig.all("leases")),
        *(f"claim {name}" for name in claims_of(rig)),
        *(f"volume of {name}" for name in volumes_of(rig)),
        *(f"pod {name}" for name in pods if not name.startswith("cpu-")),
        *(f"process {pid} of {pod}" for pod, found in children.items() for pid in found[1:]),
        *([f"{len(pods)} pods and not {members}"] if len(pods) != members else []),
        *([f"members {rig.members()}"] if rig.members() != {"ready": members} else []),
    ]


def _children(rig: OperatorRig) -> dict[str, list[int]]:
    """What the main process of each running pod has forked."""
    assert rig.kubelet is not None
    found: dict[str, list[int]] = {}
    for name in rig.kubelet.do(Kubelet.pods):
        try:
            main = rig.kubelet.do(partial(Kubelet.pid, pod=name))
            found[name.partition("/")[2]] = [child.pid for child in psutil.Process(main).children()]
        except (psutil.NoSuchProcess, AssertionError):
            continue  # it ended between two looks
    return found


def _speaks(pid: int) -> bool:
    try:
        return len(psutil.Process(pid).net_connections("tcp")) > 0
    except psutil.NoSuchProcess:
        return False
