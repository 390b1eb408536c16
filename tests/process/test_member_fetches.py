"""Inputs that real members get themselves from real stores, and what becomes of a frame when that fails."""

import asyncio
import contextlib
import os
import signal
from pathlib import Path

import pytest

from tasklet_runner.client.members import MemberClient
from tasklet_runner.client.work import WorkConnection
from tasklet_runner.wire.faults import FaultKind
from tasklet_runner.wire.programs import Fetch, Mode, Task
from tasklet_runner.wire.work import Draining, Ended, NotRun, Prepared, Results, Run
from tests.support import wat
from tests.support.members import PATIENCE_SECONDS, expect
from tests.support.python_members import Script, prepare_script
from tests.support.running import wait_until
from tests.support.shuffles import fetch_of, prepare_module, run_one, send_fetching, shuffle_store, sluice, worker
from tests.support.store_members import HeldStore
from tests.support.stores import MEBIBYTE

LARGE = bytes(range(256)) * 4096 * 3  # 3 MiB


async def answers(connection: WorkConnection, count: int) -> list[tuple[int, str]]:
    """The next whole frames: number, and stdout or the fault's kind of their one task."""
    found: list[tuple[int, str]] = []
    while len(found) < count:
        message = await expect(connection, Results)
        assert isinstance(message, Results)
        for result in message.results:
            outcome = result.outcome
            found.append((message.frame, outcome.fault.kind if outcome.fault else outcome.stdout.decode()))
    return found


async def fill(store: HeldStore, **objects: bytes) -> None:
    for name, data in objects.items():
        await store.store.put(f"map/0/1/{name}", data)


def nothing_fetched(root: Path) -> bool:
    return list((root / "scratch" / "fetched").iterdir()) == []


def _size_of(path: Path) -> int:
    return path.stat().st_size if path.exists() else 0


async def until_fetched_is_empty(root: Path) -> None:
    await asyncio.to_thread(wait_until, lambda: nothing_fetched(root), PATIENCE_SECONDS, "the input to be deleted")


@pytest.mark.smoke
def test_stdin_is_the_objects_of_all_stores_in_their_order(tmp_path: Path) -> None:
    async def story() -> None:
        async with contextlib.AsyncExitStack() as stack:
            stores = [await stack.enter_async_context(shuffle_store(tmp_path, name)) for name in ("s0", "s1", "s2")]
            for number, store in enumerate(stores):
                await fill(store, a=b"%d-a\n" % number, b=b"", c=b"%d-c\n" % number * 5000)
            rig, connection = await stack.enter_async_context(worker(tmp_path, "reader"))
            await prepare_module(connection, wat.echo(), partitions=1)
            wanted = [fetch_of(store, "map/0/1/c", "map/0/1/b", "map/0/1/a") for store in (stores[2], *stores[:2])]
            result = await run_one(connection, Task(0, 1, "0-x", fetch=tuple(wanted)))
            expected = b"".join(b"%d-c\n" % number * 5000 + b"%d-a\n" % number for number in (2, 0, 1))
            assert result.outcome.fault is None
            held = rig.scratch / "held" / "0-1" / "part-0"
            assert held.read_bytes() == expected
            assert nothing_fetched(rig.root)

    asyncio.run(story())


def test_a_fetch_of_nothing_is_an_empty_stdin(tmp_path: Path) -> None:
    async def story() -> None:
        async with shuffle_store(tmp_path) as store, worker(tmp_path, "reader") as (_, connection):
            await prepare_module(connection, wat.echo())
            await fill(store, empty=b"")
            for fetch in (fetch_of(store), fetch_of(store, "map/0/1/empty")):
                outcome = (await run_one(connection, Task(0, 1, "0-x", fetch=(fetch,)))).outcome
                assert (outcome.fault, outcome.stdout) == (None, b"")

    asyncio.run(story())


@pytest.mark.unhappy("tasks with fetch beside others in a frame")
def test_a_fetch_travels_alone_or_its_task_is_refused(tmp_path: Path) -> None:
    async def story() -> None:
        async with shuffle_store(tmp_path) as store, worker(tmp_path, "reader") as (_, connection):
            await prepare_module(connection, wat.echo())
            await fill(store, a=b"data")
            tasks = (Task(0, 1, "0-x", b"plain"), Task(1, 1, "1-x", fetch=(fetch_of(store, "map/0/1/a"),)))
            await connection.send(Run(0, 1, 0, tasks))
            assert await answers(connection, 2) == [(1, "plain"), (1, FaultKind.UNSUPPORTED)]

    asyncio.run(story())


@pytest.mark.unhappy("a store that cannot give what is wanted")
def test_whatever_a_store_refuses_is_a_transient_fault_that_names_it_and_the_member_goes_on(tmp_path: Path) -> None:
    async def story() -> None:
        async with shuffle_store(tmp_path) as store, worker(tmp_path, "reader") as (rig, connection):
            await prepare_module(connection, wat.echo())
            await fill(store, a=b"data")
            nobody = f"unix://{tmp_path}/nobody.sock"
            refused = (
                ("term", fetch_of(store, "map/0/1/a", term=store.state.epoch - 1)),
                ("expired", fetch_of(store, "map/0/1/a", expires_at=1.0)),
                ("map/0/1/b", fetch_of(store, "map/0/1/b")),
                ("", fetch_of(store, "map/0/1/a", key_prefix="other")),
                ("", Fetch(store.rig.endpoint, "no.grant.atall", ("map/0/1/a",))),
                ("", fetch_of(store, "map/0/1/a", endpoint=nobody)),
                ("", fetch_of(store, "map/0/1/a", endpoint="http://[of nobody")),
                ("", fetch_of(store, "map/0/1/a", endpoint="gopher://of.old")),
            )
            for frame, (word, fetch) in enumerate(refused):
                both = (fetch_of(store, "map/0/1/a"), fetch)
                fault = (await run_one(connection, Task(0, frame, "0-x", fetch=both), frame)).outcome.fault
                assert fault is not None
                assert (fault.kind, fault.transient, bool(fault.remedy)) == (FaultKind.DISCONNECTED, True, True)
                assert fetch.endpoint in fault.message
                assert word in fault.message
                assert nothing_fetched(rig.root)
            good = await run_one(connection, Task(0, 9, "0-x", fetch=(fetch_of(store, "map/0/1/a"),)), 9)
            assert good.outcome.stdout == b"data"

    asyncio.run(story())


@pytest.mark.unhappy("a store that dies while it is read")
def test_a_store_that_dies_in_mid_fetch_is_a_transient_fault_and_nothing_is_run_on_a_part(tmp_path: Path) -> None:
    async def story() -> None:
        async with (
            shuffle_store(tmp_path) as store,
            sluice(store.rig.endpoint, MEBIBYTE, upward=False) as (way, endpoint),
            worker(tmp_path, "reader") as (rig, connection),
        ):
            await prepare_module(connection, wat.echo())
            await fill(store, a=LARGE)
            await send_fetching(connection, 1, 0, fetch_of(store, "map/0/1/a", endpoint=endpoint))
            async with asyncio.timeout(PATIENCE_SECONDS):
                await way.full.wait()
            assert store.rig.process is not None
            store.rig.process.kill()
            way.open()
            assert await answers(connection, 1) == [(1, FaultKind.DISCONNECTED)]
            assert nothing_fetched(rig.root)
            await connection.send(Run(0, 2, 0, (Task(1, 1, "1-x", b"on it goes"),)))
            assert await answers(connection, 1) == [(2, "on it goes")]

    asyncio.run(story())


def test_a_frame_waits_for_its_input_and_those_behind_it_keep_their_order(tmp_path: Path) -> None:
    async def story() -> None:
        async with (
            shuffle_store(tmp_path) as store,
            sluice(store.rig.endpoint, 0, upward=False) as (way, endpoint),
            worker(tmp_path, "reader") as (rig, connection),
        ):
            await prepare_module(connection, wat.echo())
            await fill(store, a=b"fetched", b=b"also")
            await send_fetching(connection, 1, 0, fetch_of(store, "map/0/1/a"))
            await send_fetching(connection, 2, 1, fetch_of(store, "map/0/1/b", endpoint=endpoint))
            await connection.send(Run(0, 3, 0, (Task(2, 1, "2-x", b"plain"),)))
            await send_fetching(connection, 4, 3, fetch_of(store, "map/0/1/a"))
            assert await answers(connection, 1) == [(1, "fetched")]
            async with asyncio.timeout(PATIENCE_SECONDS):
                await way.full.wait()
            way.open()
            assert await answers(connection, 3) == [(2, "also"), (3, "plain"), (4, "fetched")]
            assert nothing_fetched(rig.root)

    asyncio.run(story())


def test_an_input_is_fetched_while_the_frame_before_it_runs(tmp_path: Path) -> None:
    async def story() -> None:
        async with shuffle_store(tmp_path) as store, worker(tmp_path, "reader") as (rig, connection):
            await prepare_module(connection, wat.sleep(60_000))
            await fill(store, a=LARGE)
            await connection.send(Run(0, 1, 0, (Task(0, 1, "0-x"),)))
            await send_fetching(connection, 2, 1, fetch_of(store, "map/0/1/a"))
            fetched = rig.scratch / "fetched" / "0-2"
            await asyncio.to_thread(wait_until, lambda: _size_of(fetched) == len(LARGE), PATIENCE_SECONDS, "the input")
            os.kill(rig.slot_pids()[0], signal.SIGKILL)
            assert await answers(connection, 1) == [(1, FaultKind.DISCONNECTED)]
            assert await expect(connection, NotRun) == NotRun(0, 2, (1,))
            await until_fetched_is_empty(rig.root)

    asyncio.run(story())


@pytest.mark.unhappy("an input larger than scratch")
def test_an_input_that_does_not_fit_is_told_before_it_comes_and_smaller_ones_take_turns(tmp_path: Path) -> None:
    async def story() -> None:
        async with (
            shuffle_store(tmp_path) as store,
            worker(tmp_path, "reader", "--tmpfs", str(4 * MEBIBYTE)) as (rig, connection),
        ):
            await prepare_module(connection, wat.write_line("done"))
            await fill(store, a=LARGE, b=LARGE)
            both = fetch_of(store, "map/0/1/a", "map/0/1/b")
            fault = (await run_one(connection, Task(0, 1, "0-x", fetch=(both,)))).outcome.fault
            assert fault is not None
            assert (fault.kind, fault.transient) == (FaultKind.CAPACITY_EXCEEDED, False)
            assert "shuffle.partitions" in fault.remedy
            assert nothing_fetched(rig.root)
            for frame in range(2, 6):
                await send_fetching(connection, frame, frame, fetch_of(store, "map/0/1/a"))
            assert await answers(connection, 4) == [(frame, "done\n") for frame in range(2, 6)]
            assert nothing_fetched(rig.root)

    asyncio.run(story())


@pytest.mark.unhappy("the holder goes away while its member fetches")
def test_of_a_connection_that_ends_in_mid_fetch_nothing_is_left_and_another_works(tmp_path: Path) -> None:
    async def story() -> None:
        async with (
            shuffle_store(tmp_path) as store,
            sluice(store.rig.endpoint, MEBIBYTE, upward=False) as (way, endpoint),
            worker(tmp_path, "reader") as (rig, connection),
        ):
            await prepare_module(connection, wat.echo())
            await fill(store, a=LARGE)
            await send_fetching(connection, 1, 0, fetch_of(store, "map/0/1/a", endpoint=endpoint))
            async with asyncio.timeout(PATIENCE_SECONDS):
                await way.full.wait()
            await connection.close()
            await until_fetched_is_empty(rig.root)
            client = MemberClient(rig.endpoint)
            state = await client.state()
            await client.close()
            again = await rig.work(state, rig.signed(rig.capability(state)))
            try:
                await prepare_module(again, wat.echo())
                await again.send(Run(0, 1, 0, (Task(1, 1, "1-x", b"on it goes"),)))
                assert await answers(again, 1) == [(1, "on it goes")]
            finally:
                await again.close()

    asyncio.run(story())


@pytest.mark.unhappy("a member is told to end while it fetches")
def test_a_member_drained_in_mid_fetch_ends_in_order_and_leaves_nothing(tmp_path: Path) -> None:
    async def story() -> None:
        async with (
            shuffle_store(tmp_path) as store,
            sluice(store.rig.endpoint, MEBIBYTE, upward=False) as (way, endpoint),
            worker(tmp_path, "reader") as (rig, connection),
        ):
            await prepare_module(connection, wat.echo())
            await fill(store, a=LARGE)
            await send_fetching(connection, 1, 0, fetch_of(store, "map/0/1/a", endpoint=endpoint))
            async with asyncio.timeout(PATIENCE_SECONDS):
                await way.full.wait()
            assert rig.process is not None
            rig.process.terminate()
            assert isinstance(await expect(connection, Draining), Draining)
            assert isinstance(await expect(connection, Ended), Ended)
            assert await asyncio.to_thread(rig.process.wait, 30) == 0
            assert not list(rig.root.iterdir())

    asyncio.run(story())


ANSWERS = """
import json, sys
for line in sys.stdin:
    asked = json.loads(line)
    print(json.dumps({"id": asked["id"], "output": asked["input"].upper()}))
"""


@pytest.mark.usefixtures("compiled_python")
def test_a_loop_program_gets_a_fetched_input_in_its_line_and_its_replies_are_partitioned(tmp_path: Path) -> None:
    async def story() -> None:
        async with shuffle_store(tmp_path) as store, worker(tmp_path, "reader") as (rig, connection):
            script = Script(ANSWERS, mode=Mode.LOOP, partitions=1)
            assert isinstance(await prepare_script(connection, script), Prepared)
            await fill(store, a=b"a\tone\n", b=b"b\ttwo")
            for attempt in (1, 2):
                fetch = fetch_of(store, "map/0/1/a", "map/0/1/b")
                outcome = (await run_one(connection, Task(0, attempt, "0-x", fetch=(fetch,)), attempt)).outcome
                assert (outcome.fault, outcome.stdout, outcome.parts) == (None, b"", ((0, 12),))
                assert (rig.scratch / "held" / f"0-{attempt}" / "part-0").read_bytes() == b"A\tONE\nB\tTWO\n"
            assert nothing_fetched(rig.root)

    asyncio.run(story())


@pytest.mark.unhappy("an input too large for one line")
@pytest.mark.usefixtures("compiled_python")
def test_a_loop_program_is_not_given_more_than_fits_into_a_line(tmp_path: Path) -> None:
    async def story() -> None:
        async with shuffle_store(tmp_path) as store, worker(tmp_path, "reader") as (_, connection):
            assert isinstance(await prepare_script(connection, Script(ANSWERS, mode=Mode.LOOP)), Prepared)
            await fill(store, a=LARGE)
            fetch = fetch_of(store, *["map/0/1/a"] * 3)
            fault = (await run_one(connection, Task(0, 1, "0-x", fetch=(fetch,)))).outcome.fault
            assert fault is not None
            assert fault.kind is FaultKind.CAPACITY_EXCEEDED
            assert "mode: Fresh" in fault.remedy

    asyncio.run(story())
