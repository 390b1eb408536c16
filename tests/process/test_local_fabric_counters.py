"""What was done under a lease stands in its receipt, however the lease ended."""

import asyncio
from pathlib import Path

import pytest

from leasegrid.local.fabric import LocalFabric
from tasklet_runner.client.work import WorkConnection
from tasklet_runner.fabric.protocol import LeaseView
from tasklet_runner.wire.work import Prepared
from tests.process.local_fabric_rig import HOLDER, local_fabric, request
from tests.support import wat
from tests.support.members import prepare, run


async def worked(fabric: LocalFabric, ttl_seconds: int) -> LeaseView:
    """A lease of two members which have run three tasklets each."""
    view = await fabric.acquire(request("a", count=2, min_count=2, ttl_seconds=ttl_seconds))
    for member in view.members:
        connection = await WorkConnection.open(member, view.capabilities[0], HOLDER)
        assert isinstance(await prepare(connection, wat.echo()), Prepared)
        results, _ = await run(connection, 3)
        assert len(results) == 3
        await connection.close()
    return view


def test_a_released_lease_says_what_was_done_under_it(tmp_path: Path) -> None:
    async def story() -> None:
        async with local_fabric(tmp_path) as fabric:
            view = await worked(fabric, 60)
            receipt = await fabric.release(view.uid)
            assert (receipt.reason, receipt.tasklets, receipt.counters.tasklets) == ("Finished", 6, 6)

    asyncio.run(story())


@pytest.mark.unhappy("a lease expires: its receipt has the counters of members that freed themselves")
def test_an_expired_lease_says_what_was_done_under_it(tmp_path: Path) -> None:
    async def story() -> None:
        async with local_fabric(tmp_path) as fabric:
            view = await worked(fabric, 5)
            while not view.ended:
                view = await fabric.watch(view.uid, view.version)
            receipt = await fabric.release(view.uid)
            assert (receipt.reason, receipt.tasklets, receipt.counters.tasklets) == ("Expired", 6, 6)
            assert receipt.unverified == ()

    asyncio.run(story())


def test_members_that_are_being_given_back_as_the_lease_ends_stand_in_the_receipt_too(tmp_path: Path) -> None:
    async def story() -> None:
        async with local_fabric(tmp_path) as fabric:
            view = await worked(fabric, 60)
            leaving = asyncio.create_task(fabric.resize(view.uid, 0, tuple(member.name for member in view.members)))
            await asyncio.sleep(0)
            receipt = await fabric.release(view.uid)
            await leaving
            assert (receipt.tasklets, len(receipt.members)) == (6, 2)

    asyncio.run(story())
