"""Stores that programs lease through the broker, by resource and size: chosen from pools, or made for the lease."""

import asyncio
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from tasklet_runner.client.stores import StoreClient
from tasklet_runner.fabric.broker import ClusterFabric
from tasklet_runner.fabric.protocol import LeaseRequest, LeaseView
from tasklet_runner.wire.errors import UnsupportedError
from tasklet_runner.wire.signed import public_text
from tests.integration.control_plane import ControlPlane
from tests.integration.operator_rig import OperatorRig, operator_rig
from tests.integration.store_holding import CLASS, block_template
from tests.support.cluster.plane import storage_class

MEBIBYTE = 1 << 20
BYTES = b"0123456789abcdef" * 65536
HOLDER = Ed25519PrivateKey.generate()


def wanted(rig: OperatorRig, name: str, resource: str, size: int, **changes: object) -> LeaseRequest:
    fields: dict[str, object] = {"on_empty": "Queue", "queue_timeout_seconds": 300, "namespace": rig.namespace}
    fields |= {"holder_key": public_text(HOLDER), "resource": resource, "size": size} | changes
    return LeaseRequest(request_id=name, **fields)  # type: ignore[arg-type]  # of their types


async def put_and_read(view: LeaseView) -> None:
    async with StoreClient(view.members[0].endpoint, view.capabilities[0], HOLDER) as store:
        await store.put("a/b", BYTES)
        assert await store.get("a/b") == BYTES


def test_programs_lease_stores_by_resource_and_size(controlled: ControlPlane, tmp_path: Path) -> None:
    storage_class(controlled, CLASS)

    async def story(rig: OperatorRig) -> None:
        async with ClusterFabric(rig.access("a", holder=HOLDER)) as fabric:
            large = await fabric.acquire(wanted(rig, "large", "Memory", 16 * MEBIBYTE))
            assert large.members[0].pool == "roomy"
            await put_and_read(large)

            made = await fabric.acquire(
                wanted(rig, "made", "Block", 4 * MEBIBYTE, on_empty="Provision", parent="large")
            )
            await put_and_read(made)
            (claim,) = rig.all("persistentvolumeclaims")
            assert claim["spec"]["resources"]["requests"]["storage"] == "4Mi"

            with pytest.raises(UnsupportedError, match="the pool tight has stores of 4Mi"):
                await fabric.acquire(wanted(rig, "misfit", "Memory", 16 * MEBIBYTE, pools=("tight",)))

            receipt = await fabric.release(large.uid)
            assert receipt.scratch_bytes >= len(BYTES)
            ended = made
            while not ended.ended:
                ended = await fabric.watch(made.uid, ended.version)
            assert ended.ended == "ParentReleased"
            assert (await fabric.release(made.uid)).volumes == 1

    with operator_rig(controlled, tmp_path, real=True) as rig:
        rig.start(provision_template=str(block_template(tmp_path)))
        for name, size in (("tight", "4Mi"), ("roomy", "16Mi")):
            rig.pool(1, name, resource="Memory", storage={"size": size})
        asyncio.run(story(rig))
