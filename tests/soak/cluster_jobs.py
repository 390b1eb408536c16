"""Jobs on a real control plane with real members, while operator, coordinators, workers and stores are killed."""

import os
import random
import signal
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

from leasegrid.rules.planning import MAIN_STAGE
from tasklet_runner.store.protocol import CommitRecord
from tasklet_runner.wire.errors import LeaseGridError
from tests.integration.control_plane import ControlPlane, PlaneOptions, running
from tests.integration.job_rig import JobHouse, module_server
from tests.integration.job_stores import JobStore, coordinators, leftovers
from tests.integration.operator_rig import OperatorRig, operator_rig
from tests.integration.store_holding import CLASS, block_template
from tests.soak.tally import Findings, Tally, doubled, lost, wrong
from tests.support import wat
from tests.support.cluster.kubelet import Kubelet
from tests.support.cluster.plane import install_kinds, storage_class, until, until_pods_can_be_made

MEMBERS = 4
CHUNKS = 30
PARTITIONS = 3
WORK_MILLISECONDS = 100
LARGE_BYTES = 80_000
"""Of every tenth output: more than travels in a frame, so the member puts it into the store under a grant."""

KILLS_OF_A_ROUND = 5
SECONDS_BETWEEN = (0.3, 2.0)
LONGEST_SECONDS = 120.0

WORDS = [f"{number % 7}\t{number}\n" for number in range(CHUNKS)]
_AWAY = (LeaseGridError, KeyError, IndexError, OSError)
"""What a store that is not served now, or not yet, raises."""

MEMBER = {"cpu": "1", "memory": "1Gi"}


def campaign(root: Path, kills: int, seed: int, tally: Tally) -> None:
    """So many kills on a control plane of their own. Raises AssertionError where there are no binaries for one."""
    assets = os.environ.get("KUBEBUILDER_ASSETS", "")
    assert assets, "KUBEBUILDER_ASSETS is not set: it names the folder of kube-apiserver and etcd"
    with running(Path(assets), options=PlaneOptions(controllers=True, prepare=install_kinds)) as plane:
        until_pods_can_be_made(plane)
        suffer(plane, root, random.Random(seed), kills, tally)


def suffer(plane: ControlPlane, root: Path, chance: random.Random, kills: int, tally: Tally) -> None:
    """So many kills, in rounds of two jobs at once that are brought to their end and judged each time."""
    modules = {"/slow": wat.slow_echo(WORK_MILLISECONDS), "/echo": wat.echo()}
    storage_class(plane, CLASS)
    with operator_rig(plane, root, real=True) as rig, module_server(modules) as url:
        killer = Killer(rig, chance, str(block_template(root)))
        killer.start_operator()
        rig.pool(MEMBERS, resources=MEMBER)
        rig.until_members(ready=MEMBERS)
        number = 0
        while tally.faults < kills:
            number += 1
            most = min(KILLS_OF_A_ROUND, kills - tally.faults)
            _round(JobHouse(rig, url), killer, number, most, tally)


def _round(house: JobHouse, killer: "Killer", number: int, most: int, tally: Tally) -> None:
    jobs = [_lines(house, f"lines-{number}"), _words(house, f"words-{number}")]
    before, findings = len(killer.said), Findings()
    for _ in range(most):
        killer.pause()
        if all(job.ended for job in jobs):
            break
        for job in jobs:
            findings += job.look()
        killer.kill()
    with suppress(AssertionError):
        until(lambda: all(job.ended for job in jobs), "both jobs have ended", LONGEST_SECONDS)
    for job in jobs:
        findings += job.judge()
    done = killer.said[before:]
    tally.judge(f"round {number} ({', '.join(done)})", findings + _cleared(house.rig), len(done))


def _cleared(rig: OperatorRig) -> Findings:
    """Nothing is left when the objects are deleted."""
    for plural in ("jobs", "taskgraphs"):
        for one in rig.all(plural):
            rig.delete(plural, one["metadata"]["name"])
    with suppress(AssertionError):
        until(lambda: not leftovers(rig, MEMBERS), "nothing is left", LONGEST_SECONDS)
    return wrong(leftovers(rig, MEMBERS))


@dataclass
class Killer:
    """Kills by chance. `said`: whom, in order."""

    rig: OperatorRig
    chance: random.Random
    template: str
    said: list[str] = field(default_factory=list)

    def start_operator(self, *, ready: bool = True) -> None:
        """Start it, as its Deployment would."""
        self.rig.start("a", ready=ready, provision_template=self.template)

    def pause(self) -> None:
        """Let the jobs work a while."""
        time.sleep(self.chance.uniform(*SECONDS_BETWEEN))

    def kill(self) -> None:
        """One of them, or all at once."""
        acts: dict[str, Callable[[], bool]] = {
            "operator": self._kill_operator,
            "coordinator": self._kill_coordinator,
            "worker": partial(self._kill_pod, lambda name: name.startswith("cpu-")),
            "store": partial(self._kill_pod, lambda name: not name.startswith("cpu-")),
            "everything": self._kill_everything,
        }
        words = sorted(acts)
        self.chance.shuffle(words)
        # Where there is none of a kind now, another is killed.
        self.said.append(next(word for word in words if acts[word]()))

    def _kill_operator(self) -> bool:
        self.rig.replicas["a"].kill()
        self.start_operator(ready=False)
        return True

    def _kill_coordinator(self) -> bool:
        found = sorted(coordinators(self.rig))
        with suppress(ProcessLookupError, IndexError):
            os.kill(self.chance.choice(found), signal.SIGKILL)
            return True
        return False

    def _kill_pod(self, wanted: Callable[[str], bool]) -> bool:
        found = [name for name in self._pods() if wanted(name.partition("/")[2])]
        return bool(found) and self._kill_one(self.chance.choice(found))

    def _kill_everything(self) -> bool:
        self.rig.replicas["a"].kill()
        for name in self._pods():
            self._kill_one(name)
        self.start_operator(ready=False)
        return True

    def _pods(self) -> list[str]:
        assert self.rig.kubelet is not None
        return self.rig.kubelet.do(Kubelet.pods)

    def _kill_one(self, name: str) -> bool:
        assert self.rig.kubelet is not None
        with suppress(AssertionError):  # it has just ended
            self.rig.kubelet.do(partial(Kubelet.kill, pod=name))
            return True
        return False


@dataclass
class KnownRun:
    """A job with the results that it must have. `stage`: its last one, whose outputs `check` looks at, by index;
    `chunks`: how many it has in all, and how many of them are of that stage.
    """

    rig: OperatorRig
    plural: str
    job: dict[str, Any]
    stage: str
    chunks: tuple[int, int]
    check: Callable[[dict[int, bytes]], Findings]
    seen: dict[int, CommitRecord] = field(default_factory=dict)

    @property
    def name(self) -> str:
        return str(self.job["metadata"]["name"])

    @property
    def ended(self) -> bool:
        """True once it says so."""
        return any(self._is(kind) for kind in ("Complete", "Failed"))

    def look(self) -> Findings:
        """What is committed now: all that was before, as it was."""
        try:
            now = self._store.commits(self.stage)
        except _AWAY:
            return Findings()  # its store is not there yet, or is being followed by another
        gone = [f"{self.name}: the commit of {chunk}" for chunk in self.seen if chunk not in now]
        other = [f"{self.name}: {chunk} anew" for chunk, one in self.seen.items() if now.get(chunk, one) != one]
        self.seen = now
        return lost(gone) + doubled(other)

    def judge(self) -> Findings:
        """How it ended."""
        status = self.rig.status(self.plural, self.name)
        if not self._is("Complete"):
            return lost([f"{self.name} has not been completed: {status.get('conditions')}\n{self.rig.said()}"])
        with suppress(AssertionError):
            until(self._is_served, "its store is served", LONGEST_SECONDS)
        if not self._is_served():
            return lost(
                [f"{self.name}: its store is gone: {self.rig.status('leases', self._store.lease)}\n{self.rig.said()}"]
            )
        counts, (total, last) = status["chunks"], self.chunks
        findings = self.look()
        if (counts["total"], counts["succeeded"], counts["failed"]) != (total, total, 0):
            findings += wrong([f"{self.name}: {counts}"])
        if len(self.seen) != last:
            findings += lost([f"{self.name}: {len(self.seen)} of {last} chunks are committed"])
        return findings + self.check(self._store.outputs(self.stage))

    @property
    def _store(self) -> JobStore:
        return JobStore(self.rig, self.job)

    def _is_served(self) -> bool:
        try:
            self._store.keys()
        except _AWAY:
            return False
        return True

    def _is(self, kind: str) -> bool:
        return bool(self.rig.condition(self.name, kind, self.plural).get("status") == "True")


def _lines(house: JobHouse, name: str) -> KnownRun:
    """Chunks that are slow, every tenth of them large."""
    values = [f"{number}" + "x" * (LARGE_BYTES * (number % 10 == 0)) for number in range(CHUNKS)]
    items = {"items": [{"value": value} for value in values]}
    job = house.job(name, "slow", input=items, parallelism=3, output={"size": "16Mi"})

    def check(found: dict[int, bytes]) -> Findings:
        missing = [f"{name}: output {index}" for index, one in enumerate(values) if found.get(index) != one.encode()]
        return lost(missing) + doubled(f"{name}: output {index}" for index in found if index >= CHUNKS)

    return KnownRun(house.rig, "jobs", job, MAIN_STAGE, (CHUNKS, CHUNKS), check)


def _words(house: JobHouse, name: str) -> KnownRun:
    """Lines that are divided by key, and read by partition."""
    tasks = [
        {
            "name": "map",
            "tasklet": house.module("slow"),
            "input": {"items": [{"value": line} for line in WORDS]},
            "shuffle": {"partitions": PARTITIONS, "size": "8Mi"},
        },
        {"name": "reduce", "tasklet": house.module("echo"), "dependsOn": ["map"], "input": {"from": ["map"]}},
    ]
    graph = house.graph(name, tasks, output={"size": "16Mi"})

    def check(found: dict[int, bytes]) -> Findings:
        told = [line for data in found.values() for line in data.decode().splitlines(keepends=True)]
        missing = [f"{name}: {line!r}" for line in WORDS if line not in told]
        return lost(missing) + doubled(f"{name}: {line!r}" for line in set(told) if told.count(line) > 1)

    return KnownRun(house.rig, "taskgraphs", graph, "reduce", (CHUNKS + PARTITIONS, PARTITIONS), check)
