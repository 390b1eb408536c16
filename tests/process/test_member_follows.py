"""Members that follow queues of real stores: what they have before a task asks for it, and what they do without."""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass
from pathlib import Path

import pytest

from tasklet_runner.client.work import WorkConnection
from tasklet_runner.wire.programs import Fetch, Task
from tasklet_runner.wire.queues import Message
from tasklet_runner.wire.signed import sign
from tasklet_runner.wire.statements import GetGrant
from tasklet_runner.wire.work import Follow
from tests.support import wat
from tests.support.members import LEASE, PATIENCE_SECONDS, MemberRig, send_blob
from tests.support.running import wait_until
from tests.support.scrapes import counted
from tests.support.shuffles import fetch_of, prepare_module, run_one, shuffle_store, sluice, worker
from tests.support.store_members import HeldStore
from tests.support.stores import MEBIBYTE

AHEAD = "leasegrid_artifact_bytes_fetched_ahead_total"
FETCHED = "leasegrid_artifact_bytes_fetched_total"
EXPIRED = 1.0


@dataclass
class Shuffle:
    """A store with parts, and a member that reads them."""

    store: HeldStore
    rig: MemberRig
    connection: WorkConnection

    async def put(self, mapper: int, **parts: bytes) -> None:
        """A mapper's parts, and the word of them in the queues of their names."""
        for name, data in parts.items():
            await self.store.store.put(f"map/{mapper}/1/{name}", data)
            await self.store.store.queue(f"map/{name}").push([Message(f"{mapper}", f"map/{mapper}/1/{name}".encode())])

    async def follow(self, *names: str, endpoint: str = "", expires_at: float = 4e9) -> None:
        """Tell the member to follow the queues of these names."""
        where = endpoint or self.store.rig.endpoint
        statement = GetGrant(store=LEASE, term=self.store.state.epoch, key_prefix="map", expires_at=expires_at)
        grant = sign(statement, self.store.rig.holder)
        await self.connection.send(Follow(where, grant, tuple(f"map/{name}" for name in names)))

    def fetch(self, name: str, *mappers: int, expires_at: float = 4e9) -> Fetch:
        """Parts of these mappers."""
        keys = (f"map/{mapper}/1/{name}" for mapper in mappers)
        return fetch_of(self.store, *keys, expires_at=expires_at)

    async def read(self, frame: int, *fetches: Fetch) -> bytes:
        """What a task with these gets on stdin."""
        outcome = (await run_one(self.connection, Task(frame, 1, f"{frame}-x", fetch=fetches), frame)).outcome
        assert outcome.fault is None, outcome.fault
        return outcome.stdout

    def counted(self, name: str) -> int:
        """A figure of the member."""
        return counted(self.rig.root / "m.sock", name)

    async def until_ahead(self, size: int) -> None:
        """Wait until the member has fetched so much that nobody asked for."""
        await wait(lambda: self.counted(AHEAD) >= size, f"{size} bytes ahead")

    def files(self) -> list[Path]:
        """What stands in scratch of inputs."""
        return list((self.rig.scratch / "fetched").iterdir())


async def wait(condition: Callable[[], object], what: str) -> None:
    await asyncio.to_thread(wait_until, condition, PATIENCE_SECONDS, what)


@contextlib.asynccontextmanager
async def shuffle(root: Path, *arguments: str) -> AsyncIterator[Shuffle]:
    async with shuffle_store(root) as store, worker(root, "reader", *arguments) as (rig, connection):
        await prepare_module(connection, wat.echo())
        yield Shuffle(store, rig, connection)


@pytest.mark.smoke
def test_a_task_finds_what_was_fetched_and_asks_its_store_for_nothing(tmp_path: Path) -> None:
    async def story() -> None:
        async with shuffle(tmp_path) as one:
            await one.put(0, a=b"0a;", b=b"0b;")
            await one.follow("a", "b")
            await one.put(2, a=b"2a;" * 1000, b=b"2b;")
            await one.put(1, a=b"1a;", b=b"")
            await one.until_ahead(3 + 3 + 3000 + 3 + 3)
            # With a grant that is over nothing could be fetched.
            assert await one.read(1, one.fetch("a", 0, 1, 2, expires_at=EXPIRED)) == b"0a;1a;" + b"2a;" * 1000
            assert await one.read(2, one.fetch("b", 0, 1, 2, expires_at=EXPIRED)) == b"0b;2b;"
            assert one.counted(FETCHED) == 0
            assert one.files() == []

    asyncio.run(story())


def test_what_is_missing_is_fetched_and_put_in_its_place(tmp_path: Path) -> None:
    async def story() -> None:
        async with shuffle(tmp_path) as one:
            await one.follow("a")
            for mapper in (1, 3, 4, 8):
                await one.put(mapper, a=b"%d" % mapper)
            await one.until_ahead(4)
            for mapper in (0, 2, 5, 6, 7, 9):
                await one.store.store.put(f"map/{mapper}/1/a", b"%d" % mapper)
            assert await one.read(1, one.fetch("a", *range(10))) == b"0123456789"
            assert one.counted(FETCHED) == 6
            # What was used is not there any more.
            assert await one.read(2, one.fetch("a", 8, 1)) == b"81"
            assert one.counted(FETCHED) == 8

    asyncio.run(story())


def test_several_fetches_of_one_input_share_what_was_fetched_for_it(tmp_path: Path) -> None:
    async def story() -> None:
        async with shuffle(tmp_path) as one:
            await one.follow("a")
            for mapper in range(4):
                await one.put(mapper, a=b"%d" % mapper)
            await one.until_ahead(4)
            first, second = one.fetch("a", 0, 1, expires_at=EXPIRED), one.fetch("a", 2, 3, expires_at=EXPIRED)
            assert await one.read(1, first, second) == b"0123"

    asyncio.run(story())


def test_what_is_not_followed_any_more_is_deleted_and_a_closed_queue_ends_it(tmp_path: Path) -> None:
    async def story() -> None:
        async with shuffle(tmp_path) as one:
            await one.put(0, a=b"0a;", b=b"0b;")
            await one.follow("a", "b")
            await one.until_ahead(6)
            await one.follow("b")
            await wait(lambda: len(one.files()) == 1, "the parts of a to be deleted")
            await one.store.store.queue("map/b").close()
            await one.follow()
            await wait(lambda: one.files() == [], "all parts to be deleted")
            assert await one.read(1, one.fetch("a", 0)) == b"0a;"

    asyncio.run(story())


@pytest.mark.unhappy("a follower that comes when all is over")
def test_a_late_follower_gets_what_is_left_or_nothing_and_the_task_its_input(tmp_path: Path) -> None:
    async def story() -> None:
        async with shuffle(tmp_path) as one:
            await one.put(0, a=b"0a;")
            await one.store.store.queue("map/a").close()
            await one.follow("a")
            await one.until_ahead(3)
            assert await one.read(1, one.fetch("a", 0, expires_at=EXPIRED)) == b"0a;"
            await one.follow("a", "b")
            assert await one.read(2, one.fetch("a", 0)) == b"0a;"
            assert one.counted(AHEAD) == 3

    asyncio.run(story())


@pytest.mark.unhappy("a grant to follow that is over, one of an older term, and words that are no keys of objects")
def test_whatever_a_store_refuses_ends_the_following_and_a_good_grant_begins_it_anew(tmp_path: Path) -> None:
    async def story() -> None:
        async with shuffle(tmp_path) as one:
            await one.put(0, a=b"0a;")
            await one.follow("a", expires_at=EXPIRED)
            assert await one.read(1, one.fetch("a", 0)) == b"0a;"
            for nobody in (f"unix://{tmp_path}/nobody.sock", "http://[of nobody", "gopher://of.old"):
                await one.follow("a", endpoint=nobody)
            await one.store.store.queue("map/b").push([Message("1", b"map/none\n\xff\n\n/"), Message("2", b"")])
            await one.follow("b")
            assert await one.read(2, one.fetch("a", 0)) == b"0a;"
            await one.follow("a")
            await one.until_ahead(3)
            assert await one.read(3, one.fetch("a", 0, expires_at=EXPIRED)) == b"0a;"

    asyncio.run(story())


@pytest.mark.unhappy("scratch that is too small for what could be fetched ahead")
def test_what_was_fetched_ahead_makes_way_for_inputs_and_blobs(tmp_path: Path) -> None:
    half = bytes(range(256)) * 4096  # 1 MiB

    async def story() -> None:
        async with shuffle(tmp_path, "--tmpfs", str(4 * MEBIBYTE)) as one:
            for mapper in range(3):
                await one.put(mapper, a=half, b=half)
            await one.follow("a", "b")
            await one.until_ahead(MEBIBYTE)
            # An input of nearly all of scratch, of which some is there; then a blob, then the other input.
            read = fetch_of(one.store, *(f"map/{mapper}/1/a" for mapper in range(3)))
            await prepare_module(one.connection, wat.write_line("done"), 7)
            result = await run_one(one.connection, Task(1, 1, "1-x", fetch=(read,)), 1, 7)
            assert result.outcome.stdout == b"done\n"
            await send_blob(one.connection, bytes(3 * MEBIBYTE + 1000))
            result = await run_one(one.connection, Task(2, 1, "2-x", b"alive"), 2, 0)
            assert result.outcome.stdout == b"alive"

    asyncio.run(story())


@pytest.mark.unhappy("a store that dies in the middle of what is fetched ahead")
def test_of_a_part_that_was_cut_off_nothing_is_used(tmp_path: Path) -> None:
    async def story() -> None:
        async with (
            shuffle(tmp_path) as one,
            sluice(one.store.rig.endpoint, MEBIBYTE, upward=False) as (way, endpoint),
        ):
            await one.put(0, a=b"0a;")
            await one.put(1, a=bytes(2 * MEBIBYTE))
            await one.follow("a", endpoint=endpoint)
            async with asyncio.timeout(PATIENCE_SECONDS):
                await way.full.wait()
            way.cut()
            await one.connection.send(Follow(endpoint, "", ()))
            await wait(lambda: one.files() == [], "the parts to be deleted")
            assert await one.read(1, one.fetch("a", 0)) == b"0a;"

    asyncio.run(story())


@pytest.mark.parametrize("changed", [False, True], ids=["as it was told", "told to follow others too"])
def test_a_task_that_comes_while_its_parts_are_under_way_gets_them_whole(tmp_path: Path, changed: bool) -> None:
    large = bytes(range(256)) * 8192  # 2 MiB

    async def story() -> None:
        async with (
            shuffle(tmp_path) as one,
            sluice(one.store.rig.endpoint, MEBIBYTE, upward=False) as (way, endpoint),
        ):
            await prepare_module(one.connection, wat.echo(), 1, partitions=1)
            await one.put(0, a=b"0a\n")
            await one.follow("a", endpoint=endpoint)
            await one.until_ahead(3)
            await one.put(1, a=large)
            async with asyncio.timeout(PATIENCE_SECONDS):
                await way.full.wait()
            if changed:
                await one.put(2, b=b"2b\n")
                await one.follow("a", "b", endpoint=endpoint)
                await one.until_ahead(6)
            keys = ("map/1/1/a", "map/0/1/a")
            task = Task(5, 1, "5-x", fetch=(fetch_of(one.store, *keys, endpoint=endpoint),))
            running = asyncio.create_task(run_one(one.connection, task, 1, 1))
            await wait(lambda: any(path.name.startswith("0-") for path in one.files()), "the input to begin")
            way.open()
            outcome = (await running).outcome
            assert outcome.fault is None, outcome.fault
            held = one.rig.scratch / "held" / "5-1" / "part-0"
            assert held.read_bytes() == large + b"0a\n"
            await one.follow(endpoint=endpoint)
            await wait(lambda: one.files() == [], "the parts to be deleted")

    asyncio.run(story())


@pytest.mark.unhappy("the holder goes away while its member follows")
def test_of_a_connection_that_ends_nothing_that_was_fetched_is_left(tmp_path: Path) -> None:
    async def story() -> None:
        async with shuffle(tmp_path) as one:
            await one.put(0, a=b"0a;")
            await one.follow("a")
            await one.until_ahead(3)
            assert len(one.files()) == 1
            await one.connection.close()
            await wait(lambda: one.files() == [], "the parts to be deleted")

    asyncio.run(story())


@pytest.mark.unhappy("a lease that ends while its member follows")
def test_a_member_that_follows_is_released_at_once_and_clean(tmp_path: Path) -> None:
    async def story() -> None:
        async with shuffle(tmp_path) as one:
            await one.put(0, a=b"0a;")
            await one.follow("a")
            await one.until_ahead(3)
            assert one.rig.process is not None
            one.rig.process.terminate()
            assert await asyncio.to_thread(one.rig.process.wait, 30) == 0
            assert not list(one.rig.root.iterdir())

    asyncio.run(story())
