"""Everything that shares the machine during a run, each a process of its own.

etcd, kube-apiserver, kube-controller-manager, one operator (or two), stand-ins for all members, the load generator.
"""

import json
import os
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import msgspec

from benchmarks.claiming.counters import Counts, Sources
from benchmarks.claiming.outcomes import Outcome
from benchmarks.claiming.quiet import wait_until_calm
from tests.integration.control_plane import SERVER, ControlPlane, free_ports, running
from tests.support.cluster.beside import StandIns, stand_ins_beside
from tests.support.cluster.operators import OperatorProcess, start_operator
from tests.support.cluster.plane import account_token, account_user, grant, install_kinds, make_namespace, until

NAMESPACE, REAL, BARE = "load", "real", "bare"
"""Of the stand-ins, of the real members, and of nobody: the operator does not see the last one."""

WARM_SECONDS = 120.0
NEW_KIND_SECONDS = 6.0
CLOSE_SECONDS = 10.0
SETTINGS = {"caller-requests-per-second": "10000", "log-format": "json", "namespaces": f"{NAMESPACE},{REAL}"}
MERGE_PATCH = "application/merge-patch+json"


class Generator:
    """The load generator's process, for one namespace."""

    def __init__(self, plane: ControlPlane, namespace: str, broker: str) -> None:
        token = plane.directory / f"{namespace}.token"
        token.write_text(account_token(plane, namespace, "holder"), encoding="utf-8")
        grant(plane, namespace, account_user(namespace, "holder"))
        command = [sys.executable, "-m", "benchmarks.claiming.generator", "--kubeconfig", str(plane.kubeconfig)]
        options = ["--namespace", namespace, "--broker", broker, "--token-file", str(token)]
        self._process = subprocess.Popen([*command, *options], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        assert self._read().strip() == "ready"

    def run(self, load: str, **arguments: object) -> Outcome:
        """Have a load made; returns when it is over."""
        self.begin(load, **arguments)
        return self.result()

    def begin(self, load: str, **arguments: object) -> None:
        """Have a load made; `result` waits for its end."""
        assert self._process.stdin is not None
        print(json.dumps({"load": load, **arguments}), file=self._process.stdin, flush=True)

    def result(self) -> Outcome:
        """What the load that was begun came to."""
        return msgspec.json.decode(self._read(), type=Outcome)

    def close(self) -> None:
        """End the process."""
        assert self._process.stdin is not None
        self._process.stdin.close()
        try:
            self._process.wait(CLOSE_SECONDS)
        except subprocess.TimeoutExpired:  # a load was cut off in the middle
            self._process.kill()
            self._process.wait()

    def _read(self) -> str:
        assert self._process.stdout is not None
        line = self._process.stdout.readline()
        assert line, "the load generator has ended"
        return line


@dataclass
class Rig:
    """A running one. `ports`: of the operator's broker and health; they stay the same when it is started again.
    `calm_seconds`: so long it is waited at most, before a pool of another size is used, until the plane is calm.
    """

    plane: ControlPlane
    directory: Path
    stand_ins: StandIns
    ports: tuple[int, int]
    operator: OperatorProcess
    generator: Generator
    calm_seconds: float
    _bare: Outcome | None = None

    @property
    def bare(self) -> Outcome:
        """The API server alone, measured once, where the operator does not look."""
        if self._bare is None:
            generator = Generator(self.plane, BARE, self.operator.broker)
            self._bare = generator.run("bare", count=100, width=16)
            generator.close()
        return self._bare

    def load(self, load: str, **arguments: object) -> Outcome:
        """Have a load made."""
        return self.generator.run(load, **arguments)

    def measured(self, load: str, **arguments: object) -> tuple[Outcome, Counts]:
        """The same, and what it cost."""
        before = self.sources.read()
        outcome = self.load(load, **arguments)
        return outcome, self.sources.read().since(before)

    @property
    def sources(self) -> Sources:
        """Where the costs are read."""
        processes = self.plane.processes
        return Sources(
            self.operator.pid, processes.pid(SERVER), processes.pid("etcd"), self.operator.health, self.plane.store
        )

    def pool(self, size: int, *, reuse: str = "Reset", name: str = "cpu") -> float:
        """Have a pool of exactly so many ready members; returns the seconds until they were."""
        began = time.monotonic()
        make_pool(self.plane, NAMESPACE, size, reuse=reuse, name=name)
        until(lambda: ready_members(self.plane, NAMESPACE, name) == size, f"{size} members are ready", WARM_SECONDS)
        seconds = time.monotonic() - began
        wait_until_calm(self.sources.read, self.calm_seconds)
        return seconds

    def settle(self, size: int, name: str = "cpu") -> None:
        """Wait until all members are ready again."""
        until(lambda: ready_members(self.plane, NAMESPACE, name) == size, "all members are ready", WARM_SECONDS)

    def start(self, name: str, ports: tuple[int, int]) -> OperatorProcess:
        """Start a replica; it may be one that was killed, by its old name and at its old ports."""
        return start_operator(self.plane.kubeconfig, self.directory, name, ports, **SETTINGS)


@contextmanager
def rig(directory: Path, calm_seconds: float = 0.0) -> Iterator[Rig]:
    """All of it for the time of a with block; no pool yet."""
    assets = Path(os.environ["KUBEBUILDER_ASSETS"])
    broker, health = free_ports(2)
    with running(assets, controllers=True) as plane:
        install_kinds(plane)
        # While a kind is new the server still exchanges its store, and watches of it end or fall silent.
        time.sleep(NEW_KIND_SECONDS)
        for namespace in (NAMESPACE, REAL, BARE):
            make_namespace(plane, namespace)
        generator = Generator(plane, NAMESPACE, f"http://127.0.0.1:{broker}")
        with stand_ins_beside(plane.kubeconfig, directory / "records.jsonl", namespace=NAMESPACE) as stand_ins:
            operator = start_operator(plane.kubeconfig, directory, "operator-a", (broker, health), **SETTINGS)
            made = Rig(plane, directory, stand_ins, (broker, health), operator, generator, calm_seconds)
            try:
                yield made
            except BaseException:
                sys.stderr.write(f"the operator's last words:\n{made.operator.said()[-4000:]}\n")
                raise
            finally:
                generator.close()
                if made.operator.process.poll() is None:
                    made.operator.stop()


def make_pool(plane: ControlPlane, namespace: str, size: int, *, reuse: str, name: str) -> None:
    """A pool of members that take next to nothing."""
    body: dict[str, Any] = {
        "apiVersion": "leasegrid.dev/v1alpha1",
        "kind": "InstancePool",
        "metadata": {"name": name},
        "spec": {
            "targetSize": size,
            "minSize": 0,
            "maxSize": size,
            "reuse": reuse,
            "resources": {"cpu": "1", "memory": "512Mi"},
            "refill": {"maxPerSecond": 1000, "burst": 1000},
        },
    }
    plane.kubectl("apply", "--namespace", namespace, "--filename", "-", given=json.dumps(body))


def ready_members(plane: ControlPlane, namespace: str, name: str) -> int:
    """How many the pool's status counts; -1 while it counts any that is not ready."""
    path = f"/apis/leasegrid.dev/v1alpha1/namespaces/{namespace}/instancepools/{name}"
    status: Any = plane.api.ask("GET", path).body.get("status", {})
    members = status.get("members", {})
    ready = int(members.get("ready", 0))
    return ready if sum(members.values()) == ready else -1
