"""Members that strangers hold, and that are told to end; nothing is said of speed."""

import asyncio
import contextlib
import fcntl
from pathlib import Path

import pytest

from tests.soak.overload import UPGRADE
from tests.soak.storms import fetched
from tests.support.storm import Storm, raging
from tests.support.tcp_members import tcp_member

LEAST_PIPE_BYTES = 4096
MANY = 200
ENDING_SECONDS = 60.0

HELD_OPEN = {
    "says nothing": "",
    "says half a head": "GET /v1/st",
    "says half a body": fetched("/v1/bind", "Content-Length: 9000", body="{", method="POST"),
    "waits for an answer and keeps the connection": fetched("/v1/state"),
    "upgrades and proves nothing": fetched("/v1/work", *UPGRADE),
}


@pytest.mark.timeout(200)
@pytest.mark.unhappy("strangers hold connections of every kind open when a member is told to end")
def test_a_member_that_is_told_to_end_ends_whatever_strangers_hold_open(tmp_path: Path) -> None:
    async def story() -> None:
        async with contextlib.AsyncExitStack() as stack:
            rig, client = await stack.enter_async_context(tcp_member(tmp_path))
            await rig.ready(client)
            assert rig.process is not None
            for said in HELD_OPEN.values():
                storm = await stack.enter_async_context(raging(Storm(rig.port, MANY, said=said, answered=False)))
                await storm.up()
            rig.process.terminate()
            assert await asyncio.to_thread(rig.process.wait, ENDING_SECONDS) == 0

    asyncio.run(story())


@pytest.mark.timeout(200)
@pytest.mark.unhappy("nobody reads a member's log while strangers upgrade and prove nothing")
def test_a_member_whose_log_nobody_reads_goes_on_and_ends(tmp_path: Path) -> None:
    async def story() -> None:
        async with tcp_member(tmp_path) as (rig, client):
            await rig.ready(client)
            assert rig.process is not None
            assert rig.process.stderr is not None
            fcntl.fcntl(rig.process.stderr, fcntl.F_SETPIPE_SZ, LEAST_PIPE_BYTES)
            said = fetched("/v1/work", *UPGRADE)
            async with raging(Storm(rig.port, MANY, said=said, answered=False)) as storm:
                await storm.up()
                assert await storm.closed(), "not everybody was cut off"
            await rig.claimed(client)
            rig.process.terminate()
            assert await asyncio.to_thread(rig.process.wait, ENDING_SECONDS) == 0
            assert rig.process.stderr.read() == b""

    asyncio.run(story())
