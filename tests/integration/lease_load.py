"""Leases that come and go through both doors, made by holders who forget some, while whatever else happens happens."""

import asyncio
import random
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

from tasklet_runner.fabric.broker import ClusterFabric
from tasklet_runner.fabric.protocol import LeaseRequest, LeaseView
from tasklet_runner.wire.errors import CapacityExceededError, LeaseEndedError, PoolEmptyError, UnreachableError
from tasklet_runner.wire.signed import public_text
from tests.integration.operator_rig import OperatorRig
from tests.support.cluster.api import MERGE, KubeApi

TTL_SECONDS = 3
QUEUE_SECONDS = 5
LOOKS = 120

Object = dict[str, Any]
_NORMAL = (UnreachableError, LeaseEndedError, CapacityExceededError, PoolEmptyError)
"""What happens to a holder whose operator dies: nobody answers, or the lease has ended meanwhile."""


@dataclass
class Load:
    """`outcomes` counts how leases went, by door."""

    rig: OperatorRig
    seed: int
    outcomes: Counter[str] = field(default_factory=Counter)

    @asynccontextmanager
    async def running(self, users: int) -> AsyncIterator[None]:
        """So many users at each door for the time of a with block; what they hold at its end, they forget."""
        access = self.rig.access(patience=6)
        async with (
            KubeApi(self.rig.plane.kubeconfig) as api,
            ClusterFabric(access) as fabric,
            asyncio.TaskGroup() as all_,
        ):
            tasks = [
                *(all_.create_task(self._by_object(api, number)) for number in range(users)),
                *(all_.create_task(self._by_broker(fabric, public_text(access.holder), n)) for n in range(users)),
            ]
            yield
            for task in tasks:
                task.cancel()

    async def _by_object(self, api: KubeApi, user: int) -> None:
        chance, turn = random.Random(f"object {self.seed} {user}"), 0
        while True:
            turn += 1
            path = self.rig.path("leases", f"object-{user}-{turn}")
            spec = {"count": chance.randint(1, 3), "ttlSeconds": TTL_SECONDS, "onEmpty": "Queue"}
            body = {
                "apiVersion": "leasegrid.dev/v1alpha1",
                "kind": "Lease",
                "metadata": {"name": path.rpartition("/")[2]},
                "spec": {**spec, "queueTimeoutSeconds": QUEUE_SECONDS},
            }
            await api.ask("POST", self.rig.path("leases"), body)
            # Some are deleted before anybody has bound them.
            bound = await self._settled(api, path) if chance.random() < 0.8 else "not waited for"
            self.outcomes[f"object {bound}"] += 1
            await asyncio.sleep(chance.random() * 0.3)
            end = chance.choice(("delete", "delete", "revoke", "forget"))
            if end == "delete":
                await api.ask("DELETE", path)
            elif end == "revoke":
                await api.ask("PATCH", path, {"spec": {"revoke": {"graceSeconds": 0}}}, MERGE)

    async def _settled(self, api: KubeApi, path: str) -> str:
        for _ in range(LOOKS):
            status = (await api.ask("GET", path)).body.get("status") or {}
            said = {one["type"]: one["status"] for one in status.get("conditions", [])}
            if said.get("Bound") == "True" or said.get("Released") == "True":
                return "bound" if said["Bound"] == "True" else "released"
            await asyncio.sleep(0.05)
        return "waited long"

    async def _by_broker(self, fabric: ClusterFabric, holder: str, user: int) -> None:
        chance, turn = random.Random(f"broker {self.seed} {user}"), 0
        while True:
            turn += 1
            members = chance.randint(1, 3)
            request = LeaseRequest(
                request_id=f"broker-{user}-{turn}",
                holder_key=holder,
                namespace=self.rig.namespace,
                count=members,
                min_count=members,
                ttl_seconds=TTL_SECONDS,
                on_empty="Queue",
                queue_timeout_seconds=QUEUE_SECONDS,
            )
            try:
                view = await fabric.acquire(request)
                self.outcomes["broker bound"] += 1
                await self._held(fabric, view, chance)
            except _NORMAL as error:
                self.outcomes[f"broker {error.code}"] += 1
                await asyncio.sleep(0.1)

    async def _held(self, fabric: ClusterFabric, view: LeaseView, chance: random.Random) -> None:
        for _ in range(chance.randint(0, 3)):
            await asyncio.sleep(chance.random() * 0.3)
            await fabric.renew(view.uid)
        if chance.random() < 0.8:
            await fabric.release(view.uid)
