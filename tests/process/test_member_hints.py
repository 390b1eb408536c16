"""A member tells its fabric over HTTP too what the fabric did not do itself, and minds nobody who does not listen."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import msgspec
import pytest
from aiohttp import web

from tasklet_runner.wire.member import Hint, MemberState
from tests.support.members import member


@asynccontextmanager
async def listener() -> AsyncIterator[tuple[str, "asyncio.Queue[Hint]"]]:
    """An HTTP server that takes hints; its URL, and the hints as they come."""
    heard: asyncio.Queue[Hint] = asyncio.Queue()

    async def hear(request: web.Request) -> web.Response:
        await heard.put(msgspec.json.decode(await request.read(), type=Hint))
        return web.Response()

    application = web.Application()
    application.router.add_post("/hints", hear)
    runner = web.AppRunner(application, access_log=None)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    try:
        yield f"http://127.0.0.1:{runner.addresses[0][1]}/hints", heard
    finally:
        await runner.cleanup()


async def until(heard: "asyncio.Queue[Hint]", state: MemberState, epoch: int) -> Hint:
    """The hint of this state; hints that were overtaken may be missing, so others are passed over."""
    async with asyncio.timeout(20):
        while True:
            hint = await heard.get()
            if (hint.state, hint.epoch) == (state, epoch):
                return hint


def test_hints_are_posted_at_transitions_of_its_own_and_name_member_incarnation_and_epoch(tmp_path: Path) -> None:
    async def story() -> None:
        async with listener() as (url, heard), member(tmp_path, "--notify", url) as (rig, client):
            ready = await until(heard, MemberState.READY, 0)
            state = await rig.claimed(client)
            assert (ready.member, ready.incarnation) == (state.member, state.incarnation)
            await client.release(rig.signed(rig.capability(state)))
            await until(heard, MemberState.RESETTING, 1)
            assert (await until(heard, MemberState.READY, 1)).incarnation == state.incarnation

    asyncio.run(story())


@pytest.mark.unhappy("nobody listens where hints go")
@pytest.mark.parametrize("target", ["http://127.0.0.1:9/hints", "unix:///no/such/socket"])
def test_a_member_works_though_nobody_hears_its_hints(tmp_path: Path, target: str) -> None:
    async def story() -> None:
        async with member(tmp_path, "--notify", target) as (rig, client):
            for _ in range(2):
                state = await rig.claimed(client)
                await client.release(rig.signed(rig.capability(state)))
            await rig.ready(client)
        assert rig.process is not None
        assert rig.process.returncode == 0

    asyncio.run(story())


@pytest.mark.unhappy("a --notify that is no address")
def test_a_target_for_hints_that_is_no_address_is_one_clear_line_and_exit_code_4(tmp_path: Path) -> None:
    async def story() -> None:
        async with member(tmp_path, "--notify", "nonsense") as (rig, _client):
            assert rig.process is not None
            assert rig.process.stderr is not None
            assert await asyncio.to_thread(rig.process.wait, 20) == 4
            words = rig.process.stderr.read().decode()
            assert "--notify 'nonsense'" in words
            assert len(words.splitlines()) == 1

    asyncio.run(story())
