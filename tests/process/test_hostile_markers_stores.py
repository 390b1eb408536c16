"""Nothing that one holder leaves in a store is ever read by another: not the next one, nor one beside it."""

import asyncio
from collections.abc import AsyncIterator, Iterable
from contextlib import aclosing, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest
from aiohttp import web
from aiohttp.test_utils import make_mocked_request
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from tasklet_runner.client.members import MemberClient
from tasklet_runner.member.settings import MemberSettings
from tasklet_runner.member.storing import assemble_store
from tasklet_runner.wire.errors import RefusedError
from tasklet_runner.wire.member import Role
from tasklet_runner.wire.signed import public_text
from tasklet_runner.wire.store import object_path
from tests.hostile.markers import MARKER, in_files
from tests.hostile.stored import WRITTEN, Asked, Seeker, changing, found_in, planting, reading
from tests.process.local_fabric_rig import local_fabric
from tests.support.local_stores import LeasedStore, leased_store
from tests.support.members import MemberRig
from tests.support.store_members import store_arguments
from tests.support.tcp_members import tcp_member

pytestmark = pytest.mark.timeout(300)


@dataclass(frozen=True)
class Tenant:
    """Somebody who holds a store: its door under the holder's session, and the capability."""

    seeker: Seeker
    capability: str


@asynccontextmanager
async def tenant(rig: MemberRig, client: MemberClient, lease: str) -> AsyncIterator[Tenant]:
    """Bound under this name and a key of its own."""
    key = Ed25519PrivateKey.generate()
    words = {"lease_uid": lease, "holder_key": public_text(key)}
    await client.bind(rig.signed(rig.bind(await rig.ready(client), 3600, **words)))
    capability = rig.signed(rig.capability(await client.state(), 3600, **words))
    async with aclosing(await Seeker.holder(rig.endpoint, capability, key)) as seeker:
        yield Tenant(seeker, capability)


@asynccontextmanager
async def seeker_of(store: LeasedStore) -> AsyncIterator[Seeker]:
    """The door of a store that is leased of a fabric."""
    async with aclosing(await Seeker.holder(store.member.endpoint, store.view.capabilities[0], store.holder)) as seeker:
        yield seeker


async def plant(seeker: Seeker) -> None:
    """Leave the marker in everything that a store keeps, and see that the hunt finds it where it may be seen."""
    for asked in planting():
        status, answer = await seeker.ask(asked)
        assert status in (200, 201), (asked, answer)
    shown = [asked for asked in reading() if found_in((await seeker.ask(asked))[1])]
    assert shown == [asked for asked in reading() if asked.shows]


async def found(seeker: Seeker, requests: Iterable[Asked]) -> list[Asked]:
    """Those whose answers hold the marker."""
    return [asked for asked in requests if found_in((await seeker.ask(asked))[1])]


async def at_home(seeker: Seeker) -> None:
    """See that whoever looked in vain was heard there: what it left itself is there."""
    status, answer = await seeker.ask(Asked("GET", object_path(WRITTEN)))
    assert (status, answer[-3:]) == (200, b"own")


def everything(paths: Iterable[str]) -> list[Asked]:
    return [*reading(), *changing(paths), *reading()]


async def said_and_ended(rig: MemberRig) -> bytes:
    """Wait until the member has ended; its log."""
    assert rig.process is not None
    assert rig.process.stderr is not None
    log = await asyncio.to_thread(rig.process.stderr.read)
    await asyncio.to_thread(rig.process.wait, 30)
    return log


def test_the_hunt_knows_every_request_that_a_store_takes(tmp_path: Path) -> None:
    class Nobody:
        def tell(self, _: object) -> None: ...

        async def leave(self) -> None: ...

    async def story() -> None:
        key = public_text(Ed25519PrivateKey.generate())
        settings = MemberSettings("m", "", key, tmp_path, role=Role.MEMORY, store=tmp_path)
        app = web.Application()
        app.add_routes(assemble_store(settings, Nobody()).routes)
        known = set()
        for asked in everything(()):
            match = await app.router.resolve(make_mocked_request(asked.method, asked.path))
            known.add((match.route.method, match.route.resource and match.route.resource.canonical))
        routes = {(route.method, route.resource and route.resource.canonical) for route in app.router.routes()}
        assert {route for route in routes - known if route[0] != "HEAD"} == set()

    asyncio.run(story())


@pytest.mark.unhappy("the next holder of a Memory store at the same place looks for what the last one left")
@pytest.mark.parametrize("killed", [False, True], ids=["after a release", "after SIGKILL of the first"])
def test_the_next_holder_of_a_memory_store_finds_nothing(killed: bool, tmp_path: Path) -> None:
    arguments = store_arguments(tmp_path, "Memory")

    async def story() -> None:
        async with tcp_member(tmp_path, *arguments) as (rig, client), tenant(rig, client, "planter") as planter:
            await plant(planter.seeker)
            files = in_files(tmp_path)
            assert files
            if killed:
                assert rig.process is not None
                rig.process.kill()
            else:
                assert (await client.release(planter.capability)).scratch_bytes > 0
            assert MARKER not in await said_and_ended(rig)
            assert killed or in_files(tmp_path) == []
        async with tcp_member(tmp_path, *arguments) as (rig, client), tenant(rig, client, "hunter") as hunter:
            assert in_files(tmp_path) == []
            assert await found(hunter.seeker, everything(files)) == []
            await at_home(hunter.seeker)

    asyncio.run(story())


@pytest.mark.unhappy("the next lease of the same machine looks for what the last one left, on the disk too")
@pytest.mark.parametrize("resource", ["Memory", "Block"])
def test_a_store_that_was_given_back_leaves_nothing_to_the_next_lease_nor_on_the_disk(
    resource: str, tmp_path: Path
) -> None:
    async def story() -> None:
        async with local_fabric(tmp_path, workers=1) as fabric:
            places = (tmp_path, fabric.runtime.path)
            async with leased_store(fabric, resource, name="planter") as store, seeker_of(store) as seeker:
                await plant(seeker)
                files = [file for place in places for file in in_files(place)]
                assert files
                receipt = await fabric.release(store.view.uid)
                assert receipt.unverified == ()
            assert [file for place in places for file in in_files(place)] == []
            async with leased_store(fabric, resource, name="hunter") as store, seeker_of(store) as seeker:
                assert await found(seeker, everything(files)) == []
                await at_home(seeker)

    asyncio.run(story())


@pytest.mark.unhappy("a holder of another store, at the same time, at both doors")
@pytest.mark.parametrize("role", ["Memory", "Block"])
def test_a_holder_of_a_store_finds_nothing_of_one_beside_it(role: str, tmp_path: Path) -> None:
    for name in ("theirs", "mine"):
        (tmp_path / name).mkdir()

    async def story() -> None:
        async with (
            tcp_member(tmp_path / "theirs", *store_arguments(tmp_path / "theirs", role)) as (their_rig, their_client),
            tcp_member(tmp_path / "mine", *store_arguments(tmp_path / "mine", role)) as (rig, client),
            tenant(their_rig, their_client, "planter") as planter,
            tenant(rig, client, "hunter") as hunter,
            aclosing(Seeker(their_rig.endpoint)) as stranger,
            aclosing(Seeker(their_rig.endpoint, hunter.seeker.session)) as intruder,
        ):
            await plant(planter.seeker)
            files = in_files(tmp_path / "theirs")
            for seeker in (hunter.seeker, stranger, intruder):
                assert await found(seeker, everything(files)) == []
            with pytest.raises(RefusedError, match="not signed by the expected key"):
                # The capability may stand openly in the lease's status: without its key it opens nothing.
                await Seeker.holder(their_rig.endpoint, planter.capability, Ed25519PrivateKey.generate())
            await at_home(hunter.seeker)
            assert in_files(tmp_path / "mine") == []
            assert await found(planter.seeker, reading()[:1]) == reading()[:1]

    asyncio.run(story())
