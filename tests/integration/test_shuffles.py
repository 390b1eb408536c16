"""TaskGraphs with shuffles on a real cluster: a coordinator leases workers and stores through the broker."""

import asyncio
import time
from collections import Counter
from collections.abc import AsyncIterator, Callable, Coroutine, Iterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TypeVar

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from tasklet_runner.coordinator.code import CodeVault
from tasklet_runner.coordinator.engine import Coordinator
from tasklet_runner.coordinator.progress import RunReport
from tasklet_runner.coordinator.surroundings import Surroundings
from tasklet_runner.fabric.broker import ClusterFabric
from tasklet_runner.plan import types as plan
from tasklet_runner.plan.partition import partition
from tasklet_runner.store.disk import DiskStore
from tasklet_runner.store.protocol import all_commits
from tasklet_runner.store.server import serve
from tasklet_runner.wire.programs import Language
from tests.integration.control_plane import ControlPlane
from tests.integration.operator_rig import OperatorRig, operator_rig
from tests.integration.store_holding import CLASS, block_template, claims_of, kubelet_of, volumes_of
from tests.support import wat
from tests.support.cluster.kubelet import Kubelet
from tests.support.cluster.plane import storage_class

MEBIBYTE = 1 << 20
pytestmark = pytest.mark.timeout(300)  # members compile an interpreter

PATIENCE_SECONDS = 200.0
PARTITIONS = 8
TEXTS = ["schön war 雪 und 雪\nder the der\n" * 40, "the\tquick the \N{SNOWMAN}\n" * 60, "", "der letzte"]
LINES = ["".join(f"{word}\t{number}\n" for word in range(40)) for number in range(4)]
COUNT = b"""\
import sys
from collections import Counter
counts = Counter()
for line in sys.stdin.buffer:
    word, _, count = line.partition(b"\\t")
    counts[word] += int(count)
sys.stdout.buffer.write(b"".join(b"%b\\t%d\\n" % pair for pair in sorted(counts.items())))
"""
WORDS = b"""\
import sys
from collections import Counter
counts = Counter(sys.stdin.buffer.read().split())
sys.stdout.buffer.write(b"".join(b"%b\\t%d\\n" % pair for pair in counts.items()))
"""


@pytest.fixture(scope="module")
def cluster(controlled: ControlPlane, tmp_path_factory: pytest.TempPathFactory) -> Iterator[OperatorRig]:
    """One operator and one pool of two real workers; stores are made when they are leased."""
    storage_class(controlled, CLASS)
    directory = tmp_path_factory.mktemp("shuffles")
    with operator_rig(controlled, directory, real=True) as rig:
        rig.start("a", provision_template=str(block_template(directory)))
        rig.pool(2, resources={"cpu": "1", "memory": "1536Mi"})
        yield rig


Seen = TypeVar("Seen")
Beside = Callable[[Coordinator], Coroutine[None, None, None]]


@dataclass
class Holder:
    """A coordinator's world: a job's store of this process, and a key of its own."""

    rig: OperatorRig
    directory: Path
    store: DiskStore
    surroundings: Surroundings

    async def run(self, given: plan.Plan, beside: Beside) -> RunReport:
        """Run it to its end, with something else beside it that must come to its own."""
        coordinator = Coordinator(given, self.surroundings)
        async with asyncio.timeout(PATIENCE_SECONDS), asyncio.TaskGroup() as tasks:
            tasks.create_task(beside(coordinator))
            return await coordinator.run()

    def tasklet(self, name: str, program: bytes) -> plan.TaskletPlan:
        """A program for Python, or a module."""
        path = self.directory / name
        path.write_bytes(program)
        language = Language.WASM if program.startswith(b"\0asm") else Language.PYTHON
        return plan.TaskletPlan(name=name, language=language, source=plan.Source(uri=str(path)))

    async def outputs(self, stage: str) -> list[bytes]:
        """Every stdout of a stage, in order."""
        return [await self.store.read(commit.key()) async for commit in all_commits(self.store, stage)]


@asynccontextmanager
async def holder(rig: OperatorRig, directory: Path) -> AsyncIterator[Holder]:
    """A holder whose members reach its store."""
    key = Ed25519PrivateKey.generate()
    for needed in ("code", "scratch"):
        (directory / needed).mkdir()
    store = DiskStore.open(directory / "store", uid="job", quota_bytes=1 << 28, term=1)
    server = await serve(store, directory / "job.sock", key.public_key())
    try:
        async with ClusterFabric(rig.access("a", holder=key)) as fabric:
            code = CodeVault(directory / "code")
            around = Surroundings(fabric=fabric, store=store, holder=key, code=code, scratch=directory / "scratch")
            yield Holder(rig, directory, store, around)
    finally:
        await server.close()
        await store.close()


def graph(
    one: Holder, mapper: plan.TaskletPlan, reader: plan.TaskletPlan, texts: list[str], medium: plan.Medium
) -> plan.Plan:
    """Texts are mapped, divided by their keys, and read."""
    given = plan.ItemsInput(items=tuple(plan.Item(value=text) for text in texts))
    lease = plan.LeaseTerms(ttl_seconds=30)
    shuffle = plan.Shuffle(partitions=PARTITIONS, size=8 * MEBIBYTE, medium=medium)
    stages = (
        plan.Stage(name="map", tasklet=mapper, input=given, parallelism=2, lease=lease, shuffle=shuffle),
        plan.Stage(
            name="reduce",
            tasklet=reader,
            input=plan.StageInput(stages=("map",)),
            depends_on=("map",),
            parallelism=2,
            lease=lease,
        ),
    )
    return plan.Plan(namespace=one.rig.namespace, name="test", stages=stages, waves=(("map",), ("reduce",)))


def divided(texts: list[str], partitions: int) -> list[bytes]:
    """The lines of all texts by the partition of their keys, in order."""
    found = [b""] * partitions
    for line in (line for text in texts for line in text.encode().splitlines(keepends=True)):
        found[partition(line.partition(b"\t")[0], partitions)] += line
    return found


def counted(outputs: list[bytes]) -> Counter[str]:
    """The lines `word<TAB>count` of all outputs; no word stands in two."""
    pairs = [line.split("\t") for output in outputs for line in output.decode().splitlines()]
    found = Counter({word: int(count) for word, count in pairs})
    assert len(found) == len(pairs)
    return found


def stores_of(rig: OperatorRig) -> list[str]:
    """Pods of leased stores."""
    pods = [one["metadata"] for one in rig.all("pods")]
    return [pod["name"] for pod in pods if pod["labels"].get("leasegrid.dev/resource") in ("memory", "block")]


def until_nothing_left(rig: OperatorRig, directories: list[Path]) -> None:
    """Wait until all leases are over, and of stores no pod, claim, volume, process or byte is there."""

    def left() -> list[str]:
        held = [one["metadata"]["name"] for one in rig.all("leases") if not _is_released(one)]
        pods = {f"{rig.namespace}/{one['metadata']['name']}" for one in rig.all("pods")}
        processes = [name for name in kubelet_of(rig).do(Kubelet.pods) if name not in pods]
        bytes_ = [str(path) for path in directories if path.exists()]
        return held + stores_of(rig) + processes + [*claims_of(rig), *volumes_of(rig)] + bytes_

    rig.wait(left, lambda traces: not traces, "nothing is left of the graph")
    rig.until_members(ready=2)


def _is_released(lease: dict[str, object]) -> bool:
    status = lease.get("status")
    conditions = status.get("conditions", []) if isinstance(status, dict) else []
    return any(one["type"] == "Released" and one["status"] == "True" for one in conditions)


def test_words_are_counted_as_a_counter_does_and_nothing_is_left(cluster: OperatorRig, tmp_path: Path) -> None:
    cluster.until_members(ready=2)

    async def story() -> None:
        async with holder(cluster, tmp_path) as one:

            async def look(_: Coordinator) -> None:
                assert len(await until(lambda: stores_of(cluster))) == 1

            mapper, reader = one.tasklet("words.py", WORDS), one.tasklet("count.py", COUNT)
            report = await one.run(graph(one, mapper, reader, TEXTS, plan.Medium.MEMORY), look)
            assert report.complete, report.message
            assert counted(await one.outputs("reduce")) == Counter(word for text in TEXTS for word in text.split())

    asyncio.run(story())
    until_nothing_left(cluster, [])


def test_a_volume_that_holds_partitions_goes_with_its_lease(cluster: OperatorRig, tmp_path: Path) -> None:
    cluster.until_members(ready=2)
    seen: list[Path] = []

    async def story() -> None:
        async with holder(cluster, tmp_path) as one:

            async def look(_: Coordinator) -> None:
                (store,) = await until(lambda: stores_of(cluster))
                seen.append((await until(lambda: volumes_of(cluster)))[store])

            echo = one.tasklet("echo", wat.echo())
            report = await one.run(graph(one, echo, echo, LINES, plan.Medium.BLOCK), look)
            assert report.complete, report.message
            assert await one.outputs("reduce") == divided(LINES, PARTITIONS)

    asyncio.run(story())
    until_nothing_left(cluster, seen)


@pytest.mark.unhappy("a store's pod killed while readers read: its wave runs again into another, told in the progress")
def test_a_store_that_is_killed_costs_its_wave_alone(cluster: OperatorRig, tmp_path: Path) -> None:
    cluster.until_members(ready=2)

    async def story() -> None:
        async with holder(cluster, tmp_path) as one:
            slow = one.tasklet("slow", wat.slow_echo(1500))
            work = graph(one, one.tasklet("echo", wat.echo()), slow, LINES, plan.Medium.MEMORY)

            async def kill(coordinator: Coordinator) -> None:
                (store,) = await until(lambda: stores_of(cluster))
                await until(lambda: coordinator.progress().stages[1].running)
                kubelet_of(cluster).do(partial(Kubelet.kill, pod=store))

            report = await one.run(work, kill)
            assert report.complete, report.message
            assert b"".join(await one.outputs("reduce")) == b"".join(divided(LINES, PARTITIONS))
            assert any("its 4 chunks run again" in text for text in report.progress.notices), report.progress

    asyncio.run(story())
    until_nothing_left(cluster, [])


async def until(look: Callable[[], Seen]) -> Seen:
    """Look beside until there is something; what is there."""
    deadline = time.monotonic() + PATIENCE_SECONDS / 2
    while not (found := await asyncio.to_thread(look)):
        assert time.monotonic() < deadline, "it did not happen"
        await asyncio.sleep(0.05)
    return found
