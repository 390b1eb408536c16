"""A fabric and holder in one process, made to be killed: a zygote, a leased member, tasklets that never end.

`python -m tests.support.doomed_holder DIRECTORY SECONDS` prints one line of JSON when the tasklets run, then waits.
"""

import asyncio
import json
import sys
import time
from pathlib import Path

from tasklet_runner.client.members import MemberClient
from tasklet_runner.client.work import WorkConnection
from tasklet_runner.wire.programs import Task
from tasklet_runner.wire.work import Prepared, Run
from tests.support import wat
from tests.support.members import Address, MemberRig, prepare
from tests.support.zygotes import ZygoteRig


async def main(root: Path, seconds: float) -> None:
    """Never returns."""
    zygote = ZygoteRig(root)
    zygote.spawn("m", slots=2)
    pid = int(str(zygote.reply()["pid"]))
    rig = MemberRig(zygote.root, name="m", fabric=zygote.fabric)
    endpoint = f"unix://{zygote.root}/m.sock"
    client = MemberClient(endpoint)
    state = await rig.claimed(client, seconds)
    capability = rig.signed(rig.capability(state, seconds))
    connection = await WorkConnection.open(Address("m", endpoint, state.incarnation), capability, rig.holder)
    assert isinstance(await prepare(connection, wat.loop(), fuel=10**15), Prepared)
    for slot in (0, 1):
        await connection.send(Run(slot, 1, 0, (Task(0, 1, "0-x"),)))
    await asyncio.sleep(0.5)
    deadline = rig.issued_at + seconds - time.time()
    print(json.dumps({"member": pid, "zygote": zygote.process.pid, "left": deadline}), flush=True)
    await asyncio.sleep(3600)


if __name__ == "__main__":
    asyncio.run(main(Path(sys.argv[1]), float(sys.argv[2])))
