"""`python -m tests.support.doomed_run DIRECTORY CHANGES`: holds a Block lease, renews nothing, waits for its end."""

import asyncio
import json
import sys
from pathlib import Path

from tests.process.local_fabric_rig import local_fabric
from tests.support.local_stores import leased_store


async def _hold(directory: Path, changes: dict[str, object]) -> None:
    async with (
        local_fabric(directory, workers=1) as fabric,
        leased_store(fabric, "Block", name="data", **changes) as store,
    ):
        await store.client.put("kept", b"by the first run")
        sys.stdout.write("held\n")
        sys.stdout.flush()
        await asyncio.Event().wait()


if __name__ == "__main__":
    asyncio.run(_hold(Path(sys.argv[1]), json.loads(sys.argv[2])))
