"""Several connections of one holder, successors, and holders that send what they should not or do not read."""

import asyncio
import contextlib
import os
from pathlib import Path

import aiohttp
import psutil
import pytest

from tasklet_runner.client.members import MemberClient
from tasklet_runner.client.work import WorkConnection
from tasklet_runner.wire.errors import ProtocolError
from tasklet_runner.wire.faults import FaultKind
from tasklet_runner.wire.programs import Language, Program, Task
from tasklet_runner.wire.work import (
    MAX_MESSAGE_BYTES,
    Blob,
    NotRun,
    Opened,
    Prepare,
    Prepared,
    PrepareFailed,
    Refused,
    Results,
    Run,
    encode,
)
from tests.support import wat
from tests.support.members import MemberRig, expect, leased, member, prepare, run


async def another(rig: MemberRig, client: MemberClient) -> WorkConnection:
    state = await client.state()
    return await rig.work(state, rig.signed(rig.capability(state)))


def test_two_connections_of_one_holder_work_side_by_side_and_one_may_leave(tmp_path: Path) -> None:
    async def story() -> None:
        async with leased(tmp_path, "--slots", "2") as (rig, client, first):
            second = await another(rig, client)
            assert isinstance(await prepare(first, wat.echo()), Prepared)
            assert isinstance(await prepare(second, wat.write_line("second")), Prepared)
            for _ in range(3):
                (ones, _), (others, _) = await asyncio.gather(run(first, 30, slot=0), run(second, 30, slot=0))
                assert {result.outcome.stdout for result in others} == {b"second\n"}
                assert ones[29].outcome.stdout == b"input 29\n"
            await second.close()
            results, missing = await run(first, 5, frame=9, slot=0)
            assert (len(results), missing) == (5, [])

    asyncio.run(story())


@pytest.mark.unhappy("a holder's process dies, its successor goes on under the same lease")
def test_what_a_lost_connection_was_running_stops_and_a_successor_has_the_slots(tmp_path: Path) -> None:
    async def story() -> None:
        async with leased(tmp_path) as (rig, client, first):
            assert isinstance(await prepare(first, wat.loop(), fuel=10**15), Prepared)
            await first.send(Run(0, 1, 0, tuple(Task(n, 1, f"{n}-x") for n in range(5))))
            await asyncio.sleep(0.4)
            before = rig.slot_pids()
            successor = await another(rig, client)
            await first.close()
            assert isinstance(await prepare(successor, wat.echo()), Prepared)
            results, missing = await run(successor, 3)
            assert (len(results), missing) == (3, [])
            assert before != rig.slot_pids()
            await successor.close()

    asyncio.run(story())


def test_frames_of_a_program_that_was_never_prepared_here_are_not_run(tmp_path: Path) -> None:
    async def story() -> None:
        async with leased(tmp_path) as (_, _client, connection):
            await connection.send(Run(0, 5, 3, (Task(8, 1, "8-x"), Task(9, 1, "9-x"))))
            assert await expect(connection, NotRun) == NotRun(0, 5, (8, 9))

    asyncio.run(story())


@pytest.mark.unhappy("a message that is none, a slot that is none, a second Open")
@pytest.mark.parametrize(
    "message",
    [b"no message at all", encode(Run(7, 1, 0, ())), encode(Opened(1.0)), b""],
    ids=["junk", "a slot that is not there", "a message of the other side", "an empty message"],
)
def test_what_breaks_the_protocol_is_told_and_ends_the_connection_alone(tmp_path: Path, message: bytes) -> None:
    async def story() -> None:
        async with leased(tmp_path) as (rig, client, connection):
            await connection.send_encoded(message)
            refused = await expect(connection, Refused)
            assert isinstance(refused, Refused)
            assert (refused.reason, bool(refused.remedy)) == ("BadRequest", True)
            assert await connection.receive() is None
            successor = await another(rig, client)
            assert isinstance(await prepare(successor, wat.echo()), Prepared)
            await successor.close()

    asyncio.run(story())


@pytest.mark.unhappy("a message larger than any may be")
def test_an_oversize_message_closes_its_connection_with_message_too_big_and_no_other(tmp_path: Path) -> None:
    async def story() -> None:
        async with leased(tmp_path) as (rig, _client, connection):
            with pytest.raises(ProtocolError, match="8,388,609 bytes"):
                await connection.send_encoded(bytes(MAX_MESSAGE_BYTES + 1))
            assert await _close_code_after(rig.root / "m.sock", bytes(MAX_MESSAGE_BYTES + 1)) == 1009
            assert isinstance(await prepare(connection, wat.echo()), Prepared)

    asyncio.run(story())


async def _close_code_after(path: Path, data: bytes) -> object:
    connector = aiohttp.UnixConnector(path=str(path))
    async with aiohttp.ClientSession(connector=connector) as session, session.ws_connect("http://m/v1/work") as socket:
        await socket.receive()  # Hello
        with contextlib.suppress(aiohttp.ClientError, OSError):
            await socket.send_bytes(data)
        async with asyncio.timeout(20):
            return (await socket.receive()).data


@pytest.mark.unhappy("a blob, an input or a mount that is named by a path instead of a digest")
def test_no_file_of_the_members_machine_can_be_named_as_a_blob(tmp_path: Path) -> None:
    async def story() -> None:
        secret = tmp_path / "secret"
        secret.write_bytes(b"not for tenants")
        names = (str(secret), f"../../{secret.name}", "m.sock", "x\0", "n" * 5000)
        async with leased(tmp_path) as (_, _client, connection):
            assert isinstance(await prepare(connection, wat.echo()), Prepared)
            for number, name in enumerate(names, start=1):
                await connection.send(Blob(name, 1, 0, b"x"))
                assert isinstance(await expect(connection, Refused), Refused)
                await connection.send(Prepare(number, Program(name="t", language=Language.WASM, source=name)))
                failed = await expect(connection, PrepareFailed)
                assert isinstance(failed, PrepareFailed)
                assert failed.fault.kind is FaultKind.IO_ERROR
                await connection.send(Run(0, number, 0, (Task(0, 1, "0-x", b"", "", name),)))
                answer = await expect(connection, Results)
                assert isinstance(answer, Results)
                fault = answer.results[0].outcome.fault
                assert fault is not None
                assert (fault.kind, bool(fault.remedy)) == (FaultKind.IO_ERROR, True)

    asyncio.run(story())


@pytest.mark.unhappy("a holder that sends and never reads")
def test_a_holder_that_never_reads_cannot_fill_the_member_and_leaves_nothing_to_the_next(tmp_path: Path) -> None:
    async def story() -> None:
        async with member(tmp_path) as (rig, client):
            state = await rig.claimed(client)
            connection = await rig.work(state, rig.signed(rig.capability(state)))
            assert isinstance(await prepare(connection, wat.echo()), Prepared)
            assert rig.process is not None
            before = memory_of(rig.process.pid)
            flood = asyncio.create_task(_flood(connection))
            await asyncio.sleep(4)
            grown = memory_of(rig.process.pid) - before
            assert not flood.done()
            # One queue, one message on its way in, and what the sockets hold.
            assert grown < 120 * 1024 * 1024, f"{grown >> 20} MiB"
            await client.release(rig.signed(rig.capability(state)))
            await rig.ready(client)
            state = await rig.claimed(client)
            second = await rig.work(state, rig.signed(rig.capability(state)))
            assert isinstance(await prepare(second, wat.write_line("second")), Prepared)
            results, missing = await run(second, 3)
            assert [result.outcome.stdout for result in results] == [b"second\n"] * 3
            assert not missing
            flood.cancel()
            await asyncio.gather(flood, return_exceptions=True)
            await second.close()
            await connection.close()

    asyncio.run(story())


async def _flood(connection: WorkConnection) -> None:
    data = os.urandom(60_000)
    for frame in range(1, 10_000):
        await connection.send(Run(0, frame, 0, tuple(Task(n, 1, f"{n}-x", data) for n in range(16))))


def memory_of(pid: int) -> int:
    """Resident bytes of the process and its children."""
    process = psutil.Process(pid)
    return sum(each.memory_info().rss for each in (process, *process.children()))
