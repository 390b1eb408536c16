"""A Lease of a file is held for as long as its run lasts, not for one time to live."""

import asyncio
from pathlib import Path

from leasegrid.cli.holding import HeldLeases
from tests.process.local_fabric_rig import local_fabric, request

TTL_SECONDS = 3


def test_members_of_a_held_lease_stay_claimed_past_their_first_deadline(tmp_path: Path) -> None:
    async def story() -> None:
        told: list[str] = []
        async with local_fabric(tmp_path) as fabric:
            leases = HeldLeases(fabric, told.append)
            await leases.acquire([request("mine", count=2, min_count=2, ttl_seconds=TTL_SECONDS)])

            await asyncio.sleep(TTL_SECONDS + 2)

            assert fabric.statistics().members == {"claimed": 2}
            (receipt,) = await leases.release()
            assert receipt.reason == "Finished"
            assert len(receipt.members) == 2
            assert len(told) == 1, "that it was acquired, and nothing about an end"

    asyncio.run(story())
