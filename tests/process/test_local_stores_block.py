"""Block stores of the local fabric: volumes in the state directory, served by one member after another."""

import asyncio
import os
import signal
from pathlib import Path

import psutil
import pytest

from leasegrid.local.books import Resource
from leasegrid.local.engine import LocalSettings
from leasegrid.local.fabric import LocalFabric
from leasegrid.local.locks import holder
from leasegrid.local.standing import read_moment
from leasegrid.local.state import StateDirectory
from leasegrid.rules.expiry import Moment
from tasklet_runner.fabric.protocol import LeaseView
from tasklet_runner.wire.errors import LeaseGridError, StateDirectoryError, StoreError, UnsupportedError
from tests.process.local_fabric_rig import TWO_CORES, local_fabric, until
from tests.support.local_stores import doomed_run, leased_store, store_pool

BYTES = b"0123456789abcdef" * 65536


def volumes_of(directory: Path) -> list[Path]:
    return sorted((directory / "state" / "stores").glob("*"))


def server_pid(volume: Path) -> int:
    return holder(volume / "store" / "lock")


async def until_served_again(fabric: LocalFabric, lost: LeaseView) -> LeaseView:
    view = lost
    while not view.members or view.members[0].incarnation == lost.members[0].incarnation:
        view = await fabric.watch(view.uid, view.version)
    return view


@pytest.mark.smoke
def test_a_block_store_is_made_on_demand_serves_and_leaves_nothing(tmp_path: Path) -> None:
    async def story() -> None:
        async with local_fabric(tmp_path, workers=1) as fabric, leased_store(fabric, "Block") as store:
            await store.client.put("a/b", BYTES)
            (volume,) = volumes_of(tmp_path)
            state = StateDirectory(tmp_path / "state")
            (row,) = state.books.live()
            state.close()
            assert (row.resource, row.directories) == (Resource.BLOCK, (f"stores/{volume.name}",))
            receipt = await fabric.release(store.view.uid)
            assert (receipt.volumes, receipt.unverified) == (1, ())
            assert receipt.volume_bytes >= len(BYTES)
            assert volumes_of(tmp_path) == []

    asyncio.run(story())


def test_a_fabric_that_ends_leaves_no_volume_behind(tmp_path: Path) -> None:
    async def story() -> None:
        async with local_fabric(tmp_path, workers=1) as fabric, leased_store(fabric, "Block") as store:
            await store.client.put("a", BYTES)
        assert volumes_of(tmp_path) == []
        state = StateDirectory(tmp_path / "state")
        assert state.books.live() == []
        state.close()

    asyncio.run(story())


@pytest.mark.unhappy("SIGKILL of a leased block store: a successor serves the same volume at the next epoch")
def test_a_killed_block_store_gets_a_successor_which_has_the_objects(tmp_path: Path) -> None:
    async def story() -> None:
        async with local_fabric(tmp_path, workers=1) as fabric, leased_store(fabric, "Block") as store:
            await store.client.put("kept", BYTES)
            view = store.view
            (volume,) = volumes_of(tmp_path)
            for epoch in (2, 3):
                os.kill(server_pid(volume), signal.SIGKILL)
                view = await until_served_again(fabric, view)
                assert view.members[0].epoch == epoch
                async with store.client_of(view) as client:
                    assert await client.get("kept") == BYTES
            receipt = await fabric.release(view.uid)
            assert (receipt.volumes, len(receipt.members), receipt.unverified) == (1, 3, ())
            assert volumes_of(tmp_path) == []

    asyncio.run(story())


@pytest.mark.unhappy("a block lease that its holder does not renew: it ends, and its volume is deleted")
def test_a_lease_that_is_not_renewed_ends_with_its_volume(tmp_path: Path) -> None:
    async def story() -> None:
        async with local_fabric(tmp_path, workers=1) as fabric, leased_store(fabric, "Block", ttl_seconds=8) as store:
            await store.client.put("a", BYTES)
            view = store.view
            while not view.ended:
                view = await fabric.watch(view.uid, view.version)
            assert view.ended == "Expired"
            receipt = await fabric.release(view.uid)
            assert (receipt.volumes, receipt.unverified) == (1, ())
            assert receipt.volume_bytes >= len(BYTES)
            assert volumes_of(tmp_path) == []

    asyncio.run(story())


@pytest.mark.unhappy("the zygote is killed with a leased block store: another member serves the volume")
def test_a_block_store_survives_the_end_of_its_zygote(tmp_path: Path) -> None:
    async def story() -> None:
        async with local_fabric(tmp_path, workers=1) as fabric, leased_store(fabric, "Block") as store:
            await store.client.put("kept", BYTES)
            (volume,) = volumes_of(tmp_path)
            os.kill(psutil.Process(server_pid(volume)).ppid(), signal.SIGKILL)
            view = await until_served_again(fabric, store.view)
            async with store.client_of(view) as client:
                assert await client.get("kept") == BYTES
            assert (await fabric.release(view.uid)).volumes == 1

    asyncio.run(story())


@pytest.mark.unhappy("a block store is told to end: its successor serves the volume")
def test_a_block_store_that_is_told_to_end_gets_a_successor(tmp_path: Path) -> None:
    async def story() -> None:
        async with local_fabric(tmp_path, workers=1) as fabric, leased_store(fabric, "Block") as store:
            await store.client.put("kept", BYTES)
            (volume,) = volumes_of(tmp_path)
            os.kill(server_pid(volume), signal.SIGTERM)
            view = await until_served_again(fabric, store.view)
            assert view.members[0].epoch == 2
            async with store.client_of(view) as client:
                assert await client.get("kept") == BYTES

    asyncio.run(story())


@pytest.mark.unhappy("a volume of a killed run is damaged: who wants it is told, and it is kept")
def test_a_volume_that_cannot_be_served_is_said_and_kept(tmp_path: Path) -> None:
    async def story() -> None:
        run = await asyncio.to_thread(doomed_run, tmp_path, ttl_seconds=600)
        run.kill()
        run.wait()
        (volume,) = volumes_of(tmp_path)
        os.kill(server_pid(volume), signal.SIGKILL)
        await until(lambda: server_pid(volume) == 0)
        for file in (volume / "store").glob("index.db*"):
            file.write_bytes(b"no database at all, but long enough to be one" * 50)
        async with local_fabric(tmp_path, workers=1) as fabric:
            with pytest.raises(StoreError, match="cannot be served"):
                async with leased_store(fabric, "Block", name="data"):
                    pass
        assert volumes_of(tmp_path) == [volume]
        state = StateDirectory(tmp_path / "state")
        assert [row.name for row in state.books.live()] == ["data"]
        state.close()

    asyncio.run(story())


@pytest.mark.unhappy("a block store that was released serves nobody")
def test_after_its_release_nothing_is_readable(tmp_path: Path) -> None:
    async def story() -> None:
        async with local_fabric(tmp_path, workers=1) as fabric, leased_store(fabric, "Block") as store:
            await store.client.put("secret", BYTES)
            await fabric.release(store.view.uid)
            with pytest.raises(LeaseGridError):
                await store.client.get("secret")
            async with leased_store(fabric, "Block", name="another") as other:
                assert [info async for info in other.client.list_objects()] == []

    asyncio.run(story())


@pytest.mark.unhappy("a block store that is larger than the disk")
def test_a_volume_larger_than_the_disk_is_refused_in_words_that_say_what_there_is(tmp_path: Path) -> None:
    async def story() -> None:
        async with local_fabric(tmp_path, workers=1) as fabric:
            with pytest.raises(UnsupportedError, match="MiB free where its state is kept") as refused:
                async with leased_store(fabric, "Block", size=2**50):
                    pass
            assert "XDG_STATE_HOME" in refused.value.remedy

    asyncio.run(story())


def test_volumes_of_a_warm_pool_that_nobody_took_go_with_the_run(tmp_path: Path) -> None:
    async def story() -> None:
        pools = [store_pool("volumes", "Block", targetSize=2)]
        async with (
            local_fabric(tmp_path, workers=1, pools=pools) as fabric,
            leased_store(fabric, "Block", on_empty="Queue") as store,
        ):
            assert store.member.pool == "volumes"
            await until(lambda: len(volumes_of(tmp_path)) == 3)
        assert volumes_of(tmp_path) == []

    asyncio.run(story())


def test_a_lease_of_several_volumes_gives_one_back_and_keeps_the_others(tmp_path: Path) -> None:
    async def story() -> None:
        async with (
            local_fabric(tmp_path, workers=1) as fabric,
            leased_store(fabric, "Block", count=3, min_count=3) as store,
        ):
            given, *left = (member.name for member in store.view.members)
            view = await fabric.resize(store.view.uid, 2, (given,))
            assert [member.name for member in view.members] == left
            await until(lambda: len(volumes_of(tmp_path)) == 2)
            assert (await fabric.release(view.uid)).volumes == 3
            assert volumes_of(tmp_path) == []

    asyncio.run(story())


@pytest.mark.unhappy("two runs want the same block lease: the second hears which process has it")
def test_a_block_lease_that_another_run_holds_is_refused(tmp_path: Path) -> None:
    async def story() -> None:
        async with local_fabric(tmp_path, workers=1) as fabric, leased_store(fabric, "Block", name="data") as store:
            await store.client.put("a", BYTES)
            async with local_fabric(tmp_path, workers=1) as other:
                with pytest.raises(StateDirectoryError, match=f"default/data is in use by process {os.getpid()}"):
                    async with leased_store(other, "Block", name="data"):
                        pass
            assert await store.client.get("a") == BYTES

    asyncio.run(story())


@pytest.mark.unhappy("SIGKILL of a run with a block lease: the next run that wants it goes on with its objects")
def test_a_block_lease_of_a_killed_run_is_taken_over_with_its_objects(tmp_path: Path) -> None:
    async def story() -> None:
        run = await asyncio.to_thread(doomed_run, tmp_path, ttl_seconds=300)
        (volume,) = volumes_of(tmp_path)
        orphan = server_pid(volume)
        run.kill()
        run.wait()
        async with local_fabric(tmp_path, workers=1) as fabric, leased_store(fabric, "Block", name="data") as store:
            assert store.member.epoch == 2
            assert server_pid(volume) not in (0, orphan)
            assert await store.client.get("kept") == b"by the first run"
            await fabric.release(store.view.uid)
        assert volumes_of(tmp_path) == []

    asyncio.run(story())


@pytest.mark.unhappy("SIGKILL of a run with a block lease: its data are kept for one TTL after a command has seen it")
def test_the_data_of_a_killed_run_are_reaped_when_a_command_has_seen_them_for_one_ttl(tmp_path: Path) -> None:
    async def story() -> None:
        run = await asyncio.to_thread(doomed_run, tmp_path, ttl_seconds=12)
        (volume,) = volumes_of(tmp_path)
        run.kill()
        run.wait()
        later = 0.0

        def clock() -> Moment:
            now = read_moment()
            return Moment(now.wall + later, now.boot, now.since_boot + later)

        state = StateDirectory(tmp_path / "state", clock)
        assert state.reap() == []
        await until(lambda: server_pid(volume) == 0)
        later = 20.0
        assert state.reap() == [], "its holder had no command with which to renew it"
        later = 31.0
        assert state.reap() == []
        assert volume.exists()
        later = 90.0
        (receipt,) = state.reap()
        assert (receipt.reason, receipt.volumes) == ("Expired", 1)
        assert volumes_of(tmp_path) == []
        state.close()

    asyncio.run(story())


@pytest.mark.unhappy("a power cut, a longer time without power than the TTL, and the database of leases is lost")
def test_a_block_lease_survives_a_reboot_and_the_loss_of_the_books(tmp_path: Path) -> None:
    async def story() -> None:
        run = await asyncio.to_thread(doomed_run, tmp_path, ttl_seconds=20)
        (volume,) = volumes_of(tmp_path)
        run.kill()
        run.wait()
        os.kill(server_pid(volume), signal.SIGKILL)
        for file in (tmp_path / "state").glob("leases.db*"):
            file.unlink()
        off = 86400.0

        def clock() -> Moment:
            now = read_moment()
            return Moment(now.wall + off, "another boot", now.since_boot)

        state = StateDirectory(tmp_path / "state", clock)
        await until(lambda: server_pid(volume) == 0)
        assert state.reap() == []
        settings = LocalSettings(workers=1, machine=TWO_CORES)
        async with LocalFabric(state, settings) as fabric, leased_store(fabric, "Block", name="data") as store:
            assert await store.client.get("kept") == b"by the first run"
            await fabric.release(store.view.uid)
        state.close()
        assert volumes_of(tmp_path) == []

    asyncio.run(story())
