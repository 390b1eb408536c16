"""When the store of a job is gone on with, and when it begins anew."""

import asyncio
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from pathlib import Path

import msgspec
import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from leasegrid.cli.stores import (
    FINISHED,
    JobStoreHold,
    discard,
    drop_store,
    keep_store,
    open_job_store,
    refuse_changed,
)
from leasegrid.local.runtime import RuntimeDirectory, create_runtime_directory
from leasegrid.local.state import StateDirectory
from tasklet_runner.plan.types import CountInput, Plan, Source, Stage, TaskletPlan
from tasklet_runner.wire.errors import JobChangedError, StateDirectoryError
from tasklet_runner.wire.programs import Language
from tests.support.stores import commit, output

TASKLET = TaskletPlan(name="x", language=Language.WASM, source=Source(inline="module"))


def plan(count: int = 3) -> Plan:
    stage = Stage(name="main", tasklet=TASKLET, input=CountInput(count=count))
    return Plan(namespace="default", name="pi", stages=(stage,), waves=(("main",),))


class Machine:
    """A state and a runtime directory."""

    def __init__(self, state: StateDirectory, runtime: RuntimeDirectory) -> None:
        self.state = state
        self.runtime = runtime

    @asynccontextmanager
    async def opened(self, given: Plan) -> AsyncIterator[JobStoreHold]:
        hold = await open_job_store(self.state, self.runtime, given, Ed25519PrivateKey.generate().public_key(), 0)
        try:
            yield hold
        finally:
            await hold.close()
            if hold.volume is not None:
                hold.volume.release()

    async def left(self, *, finished: bool = False, until: float | None = None, delivered: bool = True) -> None:
        """A run that has done one chunk, and was kept like this."""
        async with self.opened(plan()) as hold:
            await hold.store.write([output(0, b"x")], [commit(0)])
            if finished:
                await hold.store.put_value(FINISHED, b"{}")
            await keep_store(self.state, hold, until, delivered=delivered)

    async def next_run(self, given: Plan) -> tuple[int, int]:
        """How often it was resumed by then, and how many chunks it finds done."""
        async with self.opened(given) as hold:
            return hold.resumes, len(await hold.store.commits("main"))


@pytest.fixture
def machine(tmp_path: Path) -> Iterator[Machine]:
    state = StateDirectory(tmp_path / "state")
    runtime = create_runtime_directory({"TMPDIR": str(tmp_path)})
    yield Machine(state, runtime)
    runtime.remove()
    state.close()


LATER = time.time() + 3600


@pytest.mark.parametrize(
    ("left", "found"),
    [
        pytest.param({}, (1, 1), id="an interrupted run is gone on with"),
        pytest.param({"finished": True}, (1, 1), id="one that died before it handed over, too"),
        pytest.param({"finished": True, "until": LATER}, (0, 0), id="one that finished and was kept begins anew"),
        pytest.param(
            {"finished": True, "until": LATER, "delivered": False}, (1, 1), id="one that could not hand over does so"
        ),
        pytest.param({"until": LATER}, (1, 1), id="one that ran out of its time goes on with more of it"),
    ],
)
def test_the_next_run_of_the_job(left: dict[str, object], found: tuple[int, int], machine: Machine) -> None:
    async def story() -> None:
        await machine.left(**left)  # type: ignore[arg-type]
        assert await machine.next_run(plan()) == found

    asyncio.run(story())


def test_every_run_that_goes_on_is_counted(machine: Machine) -> None:
    async def story() -> None:
        await machine.left()
        assert [(await machine.next_run(plan()))[0] for _ in range(3)] == [1, 2, 3]

    asyncio.run(story())


@pytest.mark.unhappy("resume of an unfinished job with changed YAML: refused, and nothing of it is touched")
def test_a_changed_job_is_refused_and_its_store_stays(machine: Machine) -> None:
    async def story() -> None:
        await machine.left()
        with pytest.raises(JobChangedError, match=r"1 chunk done.*spec\.input\.count: was 3, is 4"):
            refuse_changed(machine.state, plan(4))
        with pytest.raises(JobChangedError, match=r"1 chunk done.*spec\.input\.count: was 3, is 4"):
            await machine.next_run(plan(4))
        assert await machine.next_run(plan()) == (1, 1)

    asyncio.run(story())


@pytest.mark.unhappy("a job that runs is started once more from another file: who runs it is said, not what changed")
def test_a_job_that_runs_is_in_use_whatever_was_changed(machine: Machine) -> None:
    async def story() -> None:
        await machine.left()
        async with machine.opened(plan()):
            refuse_changed(machine.state, plan(4))
            with pytest.raises(StateDirectoryError, match="is in use by process"):
                await machine.next_run(plan(4))
            with pytest.raises(StateDirectoryError, match="is in use by process"):
                discard(machine.state, plan())

    asyncio.run(story())


def test_a_changed_job_that_has_done_nothing_begins_anew(machine: Machine) -> None:
    async def story() -> None:
        assert await machine.next_run(plan()) == (0, 0)
        refuse_changed(machine.state, plan(4))
        assert await machine.next_run(plan(4)) == (0, 0)

    asyncio.run(story())


@pytest.mark.unhappy("a chunk that has checkpoints and no outcome yet: its job is not thrown away for a change")
def test_checkpoints_are_work_too(machine: Machine) -> None:
    async def story() -> None:
        async with machine.opened(plan()) as hold:
            checkpoints = hold.directory / "checkpoints"
        checkpoints.mkdir(exist_ok=True)
        (checkpoints / "key").write_bytes(b"hours of work")
        with pytest.raises(JobChangedError, match="0 chunks done"):
            refuse_changed(machine.state, plan(4))

    asyncio.run(story())


def test_what_another_release_has_begun_is_refused_and_not_thrown_away(machine: Machine) -> None:
    async def story() -> None:
        await machine.left()
        async with machine.opened(plan()) as hold:
            await hold.store.put_value("origin", b"a digest")
        with pytest.raises(JobChangedError, match="another release of leasegrid began it"):
            await machine.next_run(plan())

    asyncio.run(story())


def test_what_is_discarded_is_said_and_gone(machine: Machine) -> None:
    async def story() -> None:
        assert discard(machine.state, plan()) == ""
        await machine.left()
        assert discard(machine.state, plan()).startswith("1 chunk, ")
        assert machine.state.kept() == []
        assert await machine.next_run(plan()) == (0, 0)

    asyncio.run(story())


def test_a_dropped_store_leaves_nothing(machine: Machine) -> None:
    async def story() -> None:
        async with machine.opened(plan()) as hold:
            await drop_store(machine.state, hold)
        assert machine.state.kept() == []
        assert not (machine.state.root / "jobs" / "default" / "pi").exists()

    asyncio.run(story())


def test_a_job_without_a_store_leaves_nothing_and_has_no_run_before(machine: Machine) -> None:
    given = msgspec.structs.replace(plan(), output=msgspec.structs.replace(plan().output, store="None"))

    async def story() -> None:
        for _ in range(2):
            async with machine.opened(given) as hold:
                assert (hold.volume, hold.resumes) == (None, 0)
                await hold.store.write([output(0, b"x")], [commit(0)])
                assert await keep_store(machine.state, hold, None) is None
        assert machine.state.kept() == []

    asyncio.run(story())
