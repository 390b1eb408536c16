"""Durable states of programs at real store members that are killed, stopped and followed; and of many workers."""

import asyncio
import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from leasegrid.sdk.codecs import BUFFER
from leasegrid.sdk.durable import Durable, LeasedStore, OnStoreLost, StoreLostError
from leasegrid.sdk.reading import Restored, read_state
from leasegrid.sdk.rules import Retries
from tasklet_runner.client.checkpoints import get_checkpoint, put_checkpoint
from tasklet_runner.client.granted import StoreConnections
from tasklet_runner.wire.errors import RefusedError, StoreFencedError
from tasklet_runner.wire.programs import Durable as DurableAt
from tasklet_runner.wire.signed import sign
from tasklet_runner.wire.statements import CheckpointGrant
from tests.process import cli_jobs
from tests.support.durable_worker import leased_words
from tests.support.members import LEASE
from tests.support.running import REPOSITORY, Place, run_leasegrid
from tests.support.store_members import HeldStore, held_store, store_member

PATIENCE = 250
"""Seconds of a lease: no test is about its end."""

QUICK = Retries(count=2, initial_seconds=0.01)


def leased(held: HeldStore) -> LeasedStore:
    capability = held.capability(PATIENCE, expires_at=held.rig.issued_at + PATIENCE)
    return LeasedStore(held.rig.endpoint, capability, held.rig.holder)


def killed(held: HeldStore) -> None:
    """The member's process is gone, and waited for."""
    assert held.rig.process is not None
    held.rig.process.kill()
    held.rig.process.wait(30)
    Path(held.rig.endpoint.removeprefix("unix://")).unlink(missing_ok=True)


@contextmanager
def worker(store: object, key: str, total: int, seconds: float = 0) -> Iterator["subprocess.Popen[str]"]:
    """A running `tests.support.durable_worker`; killed at the end of the block."""
    asked = json.dumps({"store": store, "key": key, "total": total, "seconds": seconds})
    process = subprocess.Popen(
        [sys.executable, "-m", "tests.support.durable_worker", asked],
        stdout=subprocess.PIPE,
        text=True,
        env={**os.environ, "PYTHONPATH": str(REPOSITORY)},
    )
    with process:
        try:
            yield process
        finally:
            process.send_signal(signal.SIGCONT)
            process.kill()


def said_until(process: "subprocess.Popen[str]", word: str) -> str:
    """The next line that begins with the word."""
    assert process.stdout is not None
    for line in process.stdout:
        if line.startswith(word):
            return line.strip()
    raise AssertionError(f"it ended without {word!r}")


@pytest.mark.parametrize("role", ["Memory", "Block"])
def test_a_state_at_a_leased_store_is_restored_by_the_next_program(role: str, tmp_path: Path) -> None:
    def program(store: LeasedStore) -> None:
        for begins, total in ((0, 5), (5, 9)):
            with Durable(bytearray(100_000), store, "walk", every_steps=1, codec=BUFFER) as durable:
                assert durable.step_count == begins
                for step in durable.steps(total):
                    durable.state[step * 10_000] = 1 + step
        found = read_state(store, "walk", bytearray(100_000), codec=BUFFER)
        assert found is not None
        assert [found.state[step * 10_000] for step in range(10)] == [1, 2, 3, 4, 5, 6, 7, 8, 9, 0]
        assert read_state(store, "another", [0]) is None

    async def story() -> None:
        async with held_store(tmp_path, role, seconds=PATIENCE) as held:
            await asyncio.to_thread(program, leased(held))

    asyncio.run(story())


@pytest.mark.unhappy("a store member that is killed, and onStoreLost: Abort")
def test_a_killed_store_ends_the_computation_in_words(tmp_path: Path) -> None:
    def program(held: HeldStore) -> None:
        with Durable([0], leased(held), "key", every_steps=1, retries=QUICK) as durable:
            durable.step()
            killed(held)
            with pytest.raises(StoreLostError, match="'key' did not do it in 3 tries"):
                durable.step()

    async def story() -> None:
        async with held_store(tmp_path, "Memory", seconds=PATIENCE) as held:
            await asyncio.to_thread(program, held)

    asyncio.run(story())


@dataclass
class Walk:
    """Adds up its steps at a store that is killed after some of them; then another one is there."""

    on_store_lost: OnStoreLost
    total: int
    killed_after: list[int]
    seen: list[int] = field(default_factory=list)
    kept: Restored[dict[str, int]] | None = None

    def run(self, held: HeldStore, other: HeldStore) -> None:
        durable = Durable(
            {"sum": 0},
            leased(held),
            "key",
            every_steps=1,
            on_store_lost=self.on_store_lost,
            new_target=lambda: leased(other),
            retries=QUICK,
        )
        with durable:
            for step in durable.steps(self.total):
                self.seen.append(step)
                durable.state["sum"] += step
                if self.seen == self.killed_after:
                    killed(held)
        self.kept = read_state(leased(other), "key", {"sum": 0})

    async def between_two_stores(self, root: Path) -> None:
        async with (
            held_store(_room(root, "one"), seconds=PATIENCE) as held,
            held_store(_room(root, "two"), seconds=PATIENCE) as other,
        ):
            await asyncio.to_thread(self.run, held, other)


@pytest.mark.unhappy("a store member that is killed, and onStoreLost: NewTarget")
def test_after_a_killed_store_it_goes_on_at_another_with_the_present_state(tmp_path: Path) -> None:
    walk = Walk(OnStoreLost.NEW_TARGET, total=8, killed_after=[0, 1, 2, 3, 4])
    asyncio.run(walk.between_two_stores(tmp_path))
    assert walk.seen == list(range(8))
    assert walk.kept is not None
    assert (walk.kept.state, walk.kept.step) == ({"sum": 28}, 8)


@pytest.mark.unhappy("a store member that is killed, and onStoreLost: Restart")
def test_after_a_killed_store_it_begins_again_at_another(tmp_path: Path) -> None:
    walk = Walk(OnStoreLost.RESTART, total=5, killed_after=[0, 1, 2])
    asyncio.run(walk.between_two_stores(tmp_path))
    assert walk.seen == [0, 1, 2, 0, 1, 2, 3, 4]
    assert walk.kept is not None
    assert (walk.kept.state, walk.kept.step) == ({"sum": 10}, 5)


@pytest.mark.unhappy("a process that was stopped, and goes on beside its successor")
def test_a_stopped_process_that_goes_on_is_fenced(tmp_path: Path) -> None:
    def program(store: LeasedStore) -> None:
        with worker(leased_words(store), "key", total=1_000_000) as older:
            said_until(older, "step 3")
            older.send_signal(signal.SIGSTOP)
            with Durable({"sum": 0}, store, "key", every_steps=1) as newer:
                assert newer.step_count >= 3
                newer.state["sum"] = -1
                newer.step()
                older.send_signal(signal.SIGCONT)
                assert said_until(older, "fenced")
                newer.step()
        found = read_state(store, "key", {"sum": 0})
        assert found is not None
        assert (found.state, found.step) == ({"sum": -1}, newer.step_count)

    async def story() -> None:
        async with held_store(tmp_path, "Block", seconds=PATIENCE) as held:
            await asyncio.to_thread(program, leased(held))

    asyncio.run(story())


@pytest.mark.unhappy("a worker of many that is killed")
def test_many_workers_keep_a_checkpoint_each_and_one_aggregate_reads_them_all(tmp_path: Path) -> None:
    keys = [f"worker-{number}" for number in range(4)]
    with ExitStack() as running:
        for process in [running.enter_context(worker(str(tmp_path), key, 10**9, 0.005)) for key in keys]:
            said_until(process, "step 10")
            process.kill()
            process.wait(30)
    done = [found.step for key in keys if (found := read_state(tmp_path, key, {"sum": 0})) is not None]
    assert len(done) == len(keys)
    assert min(done) >= 10
    total = max(done) + 10
    with ExitStack() as running:
        workers = [running.enter_context(worker(str(tmp_path), key, total)) for key in keys]
        for process, step in zip(workers, done, strict=True):
            assert said_until(process, "begin") == f"begin {step}"
            said_until(process, "done")
    states = [read_state(tmp_path, key, {"sum": 0}) for key in keys]
    assert sum(each.state["sum"] for each in states if each is not None) == 4 * sum(
        step * step for step in range(total)
    )


@pytest.mark.unhappy("a Block member that is followed by another on its volume")
def test_checkpoints_go_on_at_the_successor_and_older_grants_are_fenced(tmp_path: Path) -> None:
    async def story() -> None:
        async with held_store(tmp_path, "Block") as held, StoreConnections() as stores:

            def granted(term: int, epoch: int, key: str = "main/7", **changes: object) -> DurableAt:
                words = {"store": LEASE, "term": term, "key": key, "epoch": epoch, "max_bytes": 10**6}
                now = held.rig.issued_at
                grant = CheckpointGrant(**(words | {"expires_at": now + 60} | changes))  # type: ignore[arg-type]
                return DurableAt(held.rig.endpoint, sign(grant, held.rig.holder), "main/7")

            await put_checkpoint(stores, granted(1, 1), 1, b"one")
            for bad in (granted(1, 1, key="main/8"), granted(1, 1, store="another")):
                with pytest.raises(RefusedError) as caught:
                    await put_checkpoint(stores, bad, 2, b"two")
                assert caught.value.reason == "NotGranted"
            killed(held)
            async with store_member(tmp_path, "Block", after=held.rig) as (rig, client):
                await rig.claimed(client)
                with pytest.raises(StoreFencedError, match="of term 1, the store is at term 2"):
                    await put_checkpoint(stores, granted(1, 9), 2, b"late")
                assert await get_checkpoint(stores, granted(2, 2), tmp_path / "kept") == (1, 3)
                await put_checkpoint(stores, granted(2, 2), 2, b"two")
                with pytest.raises(StoreFencedError, match="under epoch 2, which is later than 1"):
                    await put_checkpoint(stores, granted(2, 1), 3, b"late")

    asyncio.run(story())


def test_nothing_of_a_memory_members_checkpoints_is_left_after_its_release(tmp_path: Path) -> None:
    async def story() -> None:
        async with held_store(tmp_path, "Memory") as held, StoreConnections() as stores:
            grant = CheckpointGrant(
                store=LEASE, term=1, key="k", epoch=1, max_bytes=10**6, expires_at=held.rig.issued_at + 60
            )
            at = DurableAt(held.rig.endpoint, sign(grant, held.rig.holder), "k")
            await put_checkpoint(stores, at, 1, bytes(100_000))
            assert (await held.member.release(held.capability())).scratch_bytes > 100_000

    asyncio.run(story())
    assert [path for path in (tmp_path / "volume").rglob("*") if path.is_file()] == []


_ESTIMATE = """\
apiVersion: leasegrid.dev/v1alpha1
kind: Job
metadata: {name: estimate}
spec:
  tasklet:
    python:
      source:
        inline: |
          import random, sys
          chance = random.Random(int(sys.stdin.read()))
          points = ((chance.random(), chance.random()) for _ in range(2000))
          print(repr(sum(x * x + y * y <= 1 for x, y in points) / 500 + chance.gauss(0, 1e-9)))
  input: {items: [{value: "11"}, {value: "22"}, {value: "33"}]}
  aggregate:
    tasklet: {python: {source: {inline: "import sys; print(repr(sum(map(float, sys.stdin)) / 3))"}}}
"""


@pytest.mark.usefixtures("shipped_python")
@pytest.mark.timeout(300)
def test_a_job_that_keeps_only_seeds_and_inputs_gives_the_same_digits_again(tmp_path: Path) -> None:
    place = Place(tmp_path)
    file = cli_jobs.write(place, _ESTIMATE)
    digits = []
    for number in range(2):
        ended = run_leasegrid(place, "run", file, "--results", str(tmp_path / f"out-{number}"))
        assert ended.code == 0, str(ended)
        results = (tmp_path / f"out-{number}").rglob("stdout")
        digits.append({str(path.relative_to(tmp_path / f"out-{number}")): path.read_text() for path in results})
    assert digits[0] == digits[1]
    assert any(2 < float(text) < 4 for text in digits[0].values())


def _room(root: Path, name: str) -> Path:
    room = root / name
    room.mkdir()
    return room
