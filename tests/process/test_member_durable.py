"""A real member and the /durable of its tasks: what it refuses, what it restores, what it shows and what it leaves."""

import asyncio
import os
import signal
import struct
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest

from tasklet_runner.client.checkpoints import put_checkpoint
from tasklet_runner.client.stores import StoreConnections
from tasklet_runner.client.work import WorkConnection
from tasklet_runner.store.disk import DiskStore
from tasklet_runner.wire.faults import FaultKind
from tasklet_runner.wire.programs import Durable, Language, Limits, Outcome, Program, Task
from tasklet_runner.wire.signed import sign
from tasklet_runner.wire.statements import CheckpointGrant
from tasklet_runner.wire.work import Checkpointed, Prepare, Prepared, Results, Run
from tests.process.test_member_sharing import _get as http_get
from tests.support import wat
from tests.support.members import PATIENCE_SECONDS, expect, leased, send_blob
from tests.support.served_stores import KEY, NOW, served

COUNTED = struct.Struct("<II")


@dataclass
class Keeping:
    """A store that keeps checkpoints, and leave to use it."""

    store: DiskStore

    def durable(self, key: str = "main/0", epoch: int = 1, **changes: object) -> Durable:
        words = {"store": self.store.uid, "term": 1, "epoch": epoch, "max_bytes": 1 << 24, "expires_at": NOW + 1}
        grant = CheckpointGrant(key=key, **(words | changes))  # type: ignore[arg-type]  # of the fields' types
        return Durable(self.store.endpoint, sign(grant, KEY), key)


@asynccontextmanager
async def keeping(root: Path) -> AsyncIterator[Keeping]:
    root.mkdir(exist_ok=True)
    async with served(root) as (store, _):
        yield Keeping(store)


async def prepare_durable(connection: WorkConnection, module: bytes, number: int = 0) -> None:
    digest = await send_blob(connection, module)
    program = Program(name="counter", language=Language.WASM, source=digest, limits=Limits(), durable=True)
    await connection.send(Prepare(number, program))
    await expect(connection, Prepared)


async def outcomes(connection: WorkConnection, count: int) -> list[Outcome]:
    """The next outcomes; news of checkpoints are passed over."""
    found: list[Outcome] = []
    async with asyncio.timeout(PATIENCE_SECONDS):
        while len(found) < count:
            message = await connection.receive()
            if isinstance(message, Results):
                found += [result.outcome for result in message.results]
    return found


async def run_durable(connection: WorkConnection, durable: Durable, frame: int = 1) -> Outcome:
    await connection.send(Run(0, frame, 0, (Task(0, 1, "0-x", durable=durable),)))
    (outcome,) = await outcomes(connection, 1)
    return outcome


async def checkpoint(connection: WorkConnection) -> Checkpointed:
    """The next news of one, which is kept."""
    message = await expect(connection, Checkpointed)
    assert isinstance(message, Checkpointed)
    assert message.fault is None
    return message


@pytest.mark.unhappy("a durable task without a word on where its checkpoints are, or with others in a frame")
def test_a_task_that_nobody_keeps_is_refused(tmp_path: Path) -> None:
    async def story() -> None:
        async with leased(tmp_path) as (_, _client, connection), keeping(tmp_path / "kept") as kept:
            await prepare_durable(connection, wat.count_durably(2, 1))
            await connection.send(Run(0, 1, 0, (Task(0, 1, "0-x"),)))
            two = tuple(Task(index, 1, f"{index}-x", durable=kept.durable(f"main/{index}")) for index in range(2))
            await connection.send(Run(0, 2, 0, two))
            faults = [outcome.fault for outcome in await outcomes(connection, 3)]
            assert [fault.kind for fault in faults if fault] == [FaultKind.UNSUPPORTED] * 3
            assert COUNTED.unpack((await run_durable(connection, kept.durable(), 3)).stdout) == (0, 2)

    asyncio.run(story())


def test_tasks_behind_each_other_have_a_durable_each(tmp_path: Path) -> None:
    async def story() -> None:
        async with leased(tmp_path) as (rig, _client, connection), keeping(tmp_path / "kept") as kept:
            await prepare_durable(connection, wat.count_durably(20, 2))
            for index in range(5):
                task = Task(index, 1, f"{index}-x", durable=kept.durable(f"main/{index}"))
                await connection.send(Run(0, index, 0, (task,)))
            found = [COUNTED.unpack(outcome.stdout) for outcome in await outcomes(connection, 5)]
            assert found == [(0, 20)] * 5
            assert not list((rig.scratch / "checkpoints").iterdir())
            assert not (rig.scratch / "durable" / "0").exists()

    asyncio.run(story())


@pytest.mark.unhappy("a store that cannot give a checkpoint: none is passed over in silence")
def test_a_task_that_cannot_have_its_checkpoint_does_not_begin_at_nothing(tmp_path: Path) -> None:
    async def story() -> None:
        async with leased(tmp_path) as (_, _client, connection), keeping(tmp_path / "kept") as kept:
            await prepare_durable(connection, wat.count_durably(2, 1))
            other = kept.durable()
            nobody = Durable(f"unix://{tmp_path}/nobody.sock", other.grant, other.key)
            async with StoreConnections() as stores:
                await put_checkpoint(stores, kept.durable("main/9"), 1, b"not an archive" * 100)
                await put_checkpoint(stores, kept.durable("main/8", epoch=8), 1, bytes(1024))
            refused = (
                (nobody, FaultKind.DISCONNECTED),
                (kept.durable(expires_at=1.0), FaultKind.LEASE_EXPIRED),
                (kept.durable(term=0), FaultKind.FENCED),
                (kept.durable("main/8", epoch=7), FaultKind.FENCED),
                (kept.durable("main/9", epoch=9), FaultKind.CAPACITY_EXCEEDED),
            )
            for frame, (durable, kind) in enumerate(refused):
                fault = (await run_durable(connection, durable, frame)).fault
                assert fault is not None
                assert (fault.kind, bool(fault.remedy)) == (kind, True), fault.message
                assert durable.endpoint in fault.message
            assert COUNTED.unpack((await run_durable(connection, kept.durable(), 9)).stdout) == (0, 2)

    asyncio.run(story())


@pytest.mark.unhappy("both checkpoints of a chunk damaged on disk")
def test_a_damaged_checkpoint_is_said_to_be_damaged(tmp_path: Path) -> None:
    async def story() -> None:
        async with leased(tmp_path) as (_, _client, connection):
            async with keeping(tmp_path / "kept") as kept, StoreConnections() as stores:
                for generation in (1, 2):
                    await put_checkpoint(stores, kept.durable(), generation, bytes(5000))
            for letter in "ab":
                slot = tmp_path / "kept" / "store" / "checkpoints" / f"main%2F0.{letter}"
                slot.write_bytes(slot.read_bytes()[:-1] + b"\1")
            async with keeping(tmp_path / "kept") as kept:
                await prepare_durable(connection, wat.count_durably(2, 1))
                fault = (await run_durable(connection, kept.durable())).fault
            assert fault is not None
            assert fault.kind is FaultKind.UNSUPPORTED
            assert "main/0" in fault.message

    asyncio.run(story())


def test_a_member_counts_and_shows_its_checkpoints_and_hands_the_counts_over(tmp_path: Path) -> None:
    async def story() -> None:
        async with leased(tmp_path) as (rig, client, connection), keeping(tmp_path / "kept") as kept:
            await prepare_durable(connection, wat.count_durably(0, 5))
            await connection.send(Run(0, 1, 0, (Task(0, 1, "0-x", durable=kept.durable()),)))
            first = await checkpoint(connection)
            assert (first.generation, first.byte_count > 500) == (1, True)
            # The slot was forked first; beside it stands, at times, the child that takes a checkpoint.
            os.kill(rig.slot_pids()[0], signal.SIGKILL)
            assert (await outcomes(connection, 1))[0].fault is not None
            resumed = await run_durable(connection, kept.durable(epoch=2), 2)
            assert resumed.fault is None, resumed.fault
            began, ended = COUNTED.unpack(resumed.stdout)
            assert began == ended > 0
            text = await asyncio.to_thread(http_get, rig.root / "m.sock", "/metrics")
            shown = dict(line.split() for line in text.splitlines() if line.startswith("leasegrid_"))
            assert float(shown["leasegrid_checkpoint_success_total"]) >= 1
            assert float(shown["leasegrid_checkpoint_bytes_written_total"]) >= first.byte_count
            assert float(shown["leasegrid_checkpoint_duration_ms_count"]) >= 1
            assert float(shown["leasegrid_checkpoint_fail_total"]) == 0
            assert float(shown["leasegrid_resume_count_total"]) == 1
            counters = (await client.release(rig.signed(rig.capability(await client.state())))).counters
            assert (counters.checkpoints >= 1, counters.resumed, counters.checkpoints_failed) == (True, 1, 0)

    asyncio.run(story())


@pytest.mark.unhappy("a release while a durable task runs")
def test_nothing_of_a_durable_is_left_for_the_next_holder(tmp_path: Path) -> None:
    async def story() -> None:
        async with leased(tmp_path) as (rig, client, connection), keeping(tmp_path / "kept") as kept:
            await prepare_durable(connection, wat.count_durably(0, 5))
            for frame in (1, 2):
                task = Task(frame, 1, f"{frame}-x", durable=kept.durable(f"main/{frame}"))
                await connection.send(Run(0, frame, 0, (task,)))
            await checkpoint(connection)
            assert rig.files_with(b"count")
            reply = await client.release(rig.signed(rig.capability(await client.state())))
            assert reply.counters.checkpoints >= 1
            assert not rig.files_with(b"count")
            state = await rig.claimed(client)
            again = await rig.work(state, rig.signed(rig.capability(state)))
            await prepare_durable(again, wat.count_durably(3, 1))
            assert COUNTED.unpack((await run_durable(again, kept.durable("main/3"))).stdout) == (0, 3)
            await again.close()

    asyncio.run(story())
