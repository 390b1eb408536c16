"""Memory stores of the local fabric: real members, on demand and from pools, and nothing of them afterwards."""

import asyncio
import os
import signal
from pathlib import Path

import pytest

from leasegrid.local.books import Resource
from leasegrid.local.state import StateDirectory
from tasklet_runner.wire.errors import UnsupportedError
from tests.process.local_fabric_rig import TWO_CORES, local_fabric, members_of, request, until
from tests.support.local_stores import leased_store, store_pool

BYTES = b"0123456789abcdef" * 65536


@pytest.mark.smoke
def test_a_memory_store_is_made_on_demand_serves_and_leaves_nothing(tmp_path: Path) -> None:
    async def story() -> None:
        async with local_fabric(tmp_path, workers=1) as fabric, leased_store(fabric) as store:
            assert (store.member.slots, store.member.epoch) == (0, 1)
            await store.client.put("a/b", BYTES)
            assert await store.client.get("a/b") == BYTES
            objects = list((fabric.runtime.path / "o").iterdir())
            receipt = await fabric.release(store.view.uid)
            assert receipt.scratch_bytes >= len(BYTES)
            assert (receipt.members, receipt.unverified) == ((store.member.name,), ())
            assert len(objects) == 1
            assert not objects[0].exists()
            assert not Path(store.member.endpoint.removeprefix("unix://")).exists()

    asyncio.run(story())


def test_warm_memory_stores_of_a_pool_are_replaced_after_one_lease(tmp_path: Path) -> None:
    async def story() -> None:
        pools = [store_pool("shuffles", "Memory", targetSize=1, maxSize=2)]
        async with local_fabric(tmp_path, workers=1, pools=pools) as fabric:
            async with leased_store(fabric, on_empty="Queue") as first:
                await fabric.release(first.view.uid)
            async with leased_store(fabric, name="again", on_empty="Queue") as second:
                assert second.member.pool == first.member.pool == "shuffles"
                assert second.member.name != first.member.name
                assert [info async for info in second.client.list_objects()] == []

    asyncio.run(story())


def test_the_books_say_that_it_is_a_memory_lease(tmp_path: Path) -> None:
    async def story() -> None:
        async with local_fabric(tmp_path, workers=1) as fabric, leased_store(fabric):
            state = StateDirectory(tmp_path / "state")
            assert [row.resource for row in state.books.live()] == [Resource.MEMORY]
            state.close()

    asyncio.run(story())


@pytest.mark.unhappy("a memory store that is larger than the machine's memory for stores")
def test_a_store_larger_than_the_machine_is_refused_in_words_that_say_what_there_is(tmp_path: Path) -> None:
    async def story() -> None:
        async with local_fabric(tmp_path, workers=1) as fabric:
            with pytest.raises(UnsupportedError, match="MiB of memory for stores") as refused:
                async with leased_store(fabric, size=TWO_CORES.memory, purpose="the shuffle of map"):
                    pass
            assert str(refused.value).startswith("the shuffle of map asks for a Memory store of 8Gi")
            assert "Block" in refused.value.remedy

    asyncio.run(story())


@pytest.mark.unhappy("memory for stores is all taken: the next one waits until one is given back")
def test_memory_stores_together_never_have_more_than_the_machine_gives_them(tmp_path: Path) -> None:
    async def story() -> None:
        async with local_fabric(tmp_path, workers=1) as fabric:
            size = TWO_CORES.memory * 2 // 5
            async with leased_store(fabric, size=size) as first:
                second = asyncio.create_task(fabric.acquire(request("two", resource="Memory", size=size)))
                await asyncio.sleep(0.5)
                assert not second.done()
                await fabric.release(first.view.uid)
                view = await second
                assert len(view.members) == 1

    asyncio.run(story())


@pytest.mark.unhappy("SIGKILL of a leased memory store: its lease has lost it at once, and its bytes are gone")
def test_a_killed_memory_store_leaves_its_lease_at_once_and_no_bytes(tmp_path: Path) -> None:
    async def story() -> None:
        async with local_fabric(tmp_path, workers=1) as fabric, leased_store(fabric) as store:
            await store.client.put("a", BYTES)
            number = Path(store.member.endpoint).name
            objects = fabric.runtime.path / "o" / number
            (pid,) = [one.pid for one in members_of(fabric.runtime.path) if _serves(one.pid, objects)]
            os.kill(pid, signal.SIGKILL)
            view = await fabric.watch(store.view.uid, store.view.version)
            assert (view.members, view.wanted, view.ended) == ((), 1, "")
            await until(lambda: not objects.exists())
            assert (await fabric.release(view.uid)).unverified == ()

    asyncio.run(story())


def test_a_lease_is_released_with_its_parent(tmp_path: Path) -> None:
    async def story() -> None:
        async with local_fabric(tmp_path, workers=1) as fabric:
            parent = await fabric.acquire(request("parent"))
            async with leased_store(fabric, parent="parent") as child:
                await fabric.release(parent.uid)
                view = await fabric.watch(child.view.uid, child.view.version)
                assert view.ended == "ParentReleased"
                assert (await fabric.release(child.view.uid)).reason == "ParentReleased"

    asyncio.run(story())


def _serves(pid: int, directory: Path) -> bool:
    return any(str(target).startswith(str(directory)) for target in _open_files(pid))


def _open_files(pid: int) -> list[Path]:
    return [link.readlink() for link in Path(f"/proc/{pid}/fd").iterdir()]
