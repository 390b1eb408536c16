"""Claims of one namespace while another one floods the same operator: real API server, tokens, members' stand-ins."""

import asyncio
from collections import Counter
from pathlib import Path
from uuid import uuid4

import pytest

from tasklet_runner.fabric.broker import ClusterFabric
from tasklet_runner.fabric.protocol import LeaseRequest
from tasklet_runner.wire.errors import LeaseGridError
from tasklet_runner.wire.signed import public_text
from tests.integration.control_plane import ControlPlane
from tests.integration.operator_rig import OperatorRig, beside, operator_rig
from tests.support.cluster.plane import make_namespace

AT_ONCE = 64
POLITE_CLAIMS = 15
REFUSED = {"PoolEmpty", "CapacityExceeded", "TooManyRequests"}


async def flood(rig: OperatorRig, outcomes: Counter[str]) -> None:
    """Claims without end, so many at once; each end is counted."""
    access = await beside(lambda: rig.access("a"))

    async def claim(fabric: ClusterFabric) -> None:
        while True:
            request = LeaseRequest(
                request_id=uuid4().hex, holder_key=public_text(access.holder), namespace=rig.namespace
            )
            try:
                await fabric.acquire(request)
                outcomes["bound"] += 1
            except LeaseGridError as error:
                outcomes[error.code] += 1

    async with ClusterFabric(access) as fabric, asyncio.TaskGroup() as all_:
        for _ in range(AT_ONCE):
            all_.create_task(claim(fabric))


async def claim_politely(rig: OperatorRig, outcomes: Counter[str]) -> None:
    """One claim after the other, each after another of the flood's."""
    access = await beside(lambda: rig.access("a"))
    async with ClusterFabric(access) as fabric:
        for turn in range(POLITE_CLAIMS):
            async with asyncio.timeout(60):
                while outcomes.total() <= turn:  # noqa: ASYNC110 - the broker tells no test
                    await asyncio.sleep(0.01)
                request = LeaseRequest(
                    request_id=f"polite-{turn}",
                    holder_key=public_text(access.holder),
                    namespace=rig.namespace,
                    on_empty="Queue",
                )
                view = await fabric.acquire(request)
                assert len(view.members) == 1
                await fabric.release(view.uid)


@pytest.mark.unhappy("a namespace claims without pause what its pool has not got, in many objects a second")
def test_claims_are_served_while_another_namespace_makes_leases_without_pause(
    controlled: ControlPlane, tmp_path: Path
) -> None:
    flooded = OperatorRig(controlled, make_namespace(controlled, f"flood-{uuid4().hex[:8]}"), tmp_path)

    async def story(rig: OperatorRig) -> None:
        outcomes = Counter[str]()
        flooding = asyncio.create_task(flood(flooded, outcomes))
        try:
            await claim_politely(rig, outcomes)
        finally:
            flooding.cancel()
        assert set(outcomes) <= REFUSED, outcomes

    with operator_rig(controlled, tmp_path) as rig:
        flooded.replicas["a"] = rig.start("a", namespaces=f"{rig.namespace},{flooded.namespace}")
        rig.until_leads("a")
        flooded.pool(0, maxSize=1)
        rig.pool(2)
        rig.until_members(ready=2)
        asyncio.run(story(rig))
        rig.check_none_bound_twice()
        for one in flooded.all("leases"):
            flooded.delete("leases", one["metadata"]["name"])
