"""Runs plans on scripted members with a real store on disk."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path

import msgspec
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from tasklet_runner.coordinator.code import CodeVault
from tasklet_runner.coordinator.engine import Coordinator
from tasklet_runner.coordinator.progress import RunReport
from tasklet_runner.coordinator.surroundings import Surroundings
from tasklet_runner.plan.types import CountInput, Input, Plan, Source, Stage, TaskletPlan
from tasklet_runner.store.disk import DiskStore
from tasklet_runner.store.protocol import CommitRecord, all_commits
from tasklet_runner.wire.programs import Language
from tests.support.memory_fabric import MemoryFabric
from tests.support.scripted_member import Script, ScriptedMember

Meanwhile = Callable[[Coordinator], Awaitable[None]]
"""Something that goes on beside a run."""

TASKLET = TaskletPlan(name="echo", language=Language.WASM, source=Source(inline="module"))


def stage(given: Input, **changes: object) -> Stage:
    """A stage named `main` of the echo tasklet, with some fields changed."""
    plain = Stage(name="main", tasklet=TASKLET, input=given, parallelism=4)
    return msgspec.structs.replace(plain, **changes)


def plan(*stages: Stage, **changes: object) -> Plan:
    """A plan that runs the stages one after another."""
    given = stages or (stage(CountInput(count=3)),)
    plain = Plan(namespace="default", name="test", stages=given, waves=tuple((one.name,) for one in given))
    return msgspec.structs.replace(plain, **changes)


@dataclass
class Rig:
    """A directory, members of one script, a fabric, a store, and what becomes the coordinator's surroundings."""

    directory: Path
    fabric: MemoryFabric
    members: list[ScriptedMember]
    surroundings: Surroundings
    store: DiskStore
    report: RunReport | None = None
    commits: dict[str, list[CommitRecord]] = field(default_factory=dict)

    async def run(self, given: Plan, meanwhile: Meanwhile | None = None) -> RunReport:
        """Run the plan to its end, with something else beside it, and read what the store then holds."""
        coordinator = Coordinator(given, self.surroundings)
        beside = asyncio.create_task(_run_beside(meanwhile, coordinator))
        async with asyncio.timeout(30):
            self.report = await coordinator.run()
        await beside
        self.commits = {
            one.name: [commit async for commit in all_commits(self.store, one.name)] for one in given.stages
        }
        return self.report

    async def output(self, index: int, stage_name: str = "main", suffix: str = "stdout") -> bytes:
        """A visible object of a chunk."""
        commit = next(one for one in self.commits[stage_name] if one.index == index)
        return await self.store.read(commit.key(suffix))

    async def outputs(self, stage_name: str = "main") -> list[bytes]:
        """Every stdout in index order."""
        return [await self.store.read(one.key()) for one in self.commits[stage_name] if one.fault is None]


async def _run_beside(meanwhile: Meanwhile | None, coordinator: Coordinator) -> None:
    if meanwhile is not None:
        await meanwhile(coordinator)


@asynccontextmanager
async def rig(directory: Path, script: Script | None = None, *, members: int = 2, slots: int = 1) -> AsyncIterator[Rig]:
    """Everything that a run needs, and its end."""
    sockets = directory / "sockets"
    for needed in (sockets, directory / "code", directory / "scratch"):
        needed.mkdir()
    made = [ScriptedMember(f"member-{number}", sockets, script or Script(), slots=slots) for number in range(members)]
    for member in made:
        await member.start()
    store = DiskStore.open(directory / "store", uid="store", quota_bytes=1 << 30, term=1)
    fabric = MemoryFabric(made)
    surroundings = Surroundings(
        fabric=fabric,
        store=store,
        holder=Ed25519PrivateKey.generate(),
        code=CodeVault(directory / "code"),
        scratch=directory / "scratch",
        jitter=lambda: 0.5,
        show=fabric.show,
    )
    try:
        yield Rig(directory, fabric, made, surroundings, store)
    finally:
        for member in made:
            await member.stop()
        await store.close()
