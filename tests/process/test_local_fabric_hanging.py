"""A member that hangs costs its own lease some seconds, and nobody else anything."""

import asyncio
import os
import signal
from pathlib import Path

import pytest

from tests.process.local_fabric_rig import local_fabric, pid_of, request, until


@pytest.mark.unhappy("a member hangs: leases of others are acquired, renewed, given back and released meanwhile")
def test_nobody_else_waits_for_a_hanging_member(tmp_path: Path) -> None:
    async def story() -> None:
        async with local_fabric(tmp_path, workers=3) as fabric:
            await until(lambda: fabric.statistics().members.get("ready", 0) == 3)
            stuck = await fabric.acquire(request("stuck"))
            os.kill(pid_of(fabric, stuck), signal.SIGSTOP)
            reporting = asyncio.create_task(fabric.report_lost(stuck.uid, stuck.members[0].name, "no heartbeat"))
            await asyncio.sleep(0)
            view = await fabric.acquire(request("other", count=2, min_count=2, elastic=True))
            await fabric.renew(view.uid)
            await fabric.resize(view.uid, 1, (view.members[0].name,))
            assert (await fabric.release(view.uid)).unverified == ()
            # Its report is answered when the member has kept silent for three seconds; all this took less.
            assert not reporting.done()
            assert (await reporting).members == ()
            await until(lambda: fabric.statistics().members.get("ready", 0) == 3)

    asyncio.run(story())


@pytest.mark.unhappy("a leased member hangs when its lease is released: it is killed, and the receipt is verified")
def test_a_hanging_member_of_a_released_lease_is_killed_and_the_receipt_says_so(tmp_path: Path) -> None:
    async def story() -> None:
        async with local_fabric(tmp_path) as fabric:
            view = await fabric.acquire(request("a", count=2, min_count=2))
            os.kill(pid_of(fabric, view), signal.SIGSTOP)
            receipt = await fabric.release(view.uid)
            assert set(receipt.members) == {member.name for member in view.members}
            assert receipt.unverified == ()
            await until(lambda: fabric.statistics().members == {"ready": 2})

    asyncio.run(story())
