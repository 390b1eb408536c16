"""What shares the machine during a run: a control plane, one operator, members as processes, and this program."""

import os
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from itertools import count
from pathlib import Path
from typing import Any

from benchmarks.jobbing.sightings import Sighting, Sightings, sightings
from benchmarks.jobbing.sizes import Sizes
from tests.integration.control_plane import PlaneOptions, running
from tests.integration.job_rig import module_server
from tests.integration.operator_rig import OperatorRig, operator_rig
from tests.support import wat
from tests.support.cluster.plane import install_kinds, storage_class, until_pods_can_be_made

Object = dict[str, Any]

WORKERS, STORES, VOLUMES = "cpu", "stores", "volumes"
CLASS = "bench"
MEMBER = {"resources": {"cpu": "1", "memory": "1Gi"}, "requests": {"cpu": "10m", "memory": "32Mi"}}
SHELF = {"resource": "Memory", "storage": {"size": "256Mi"}, "refill": {"maxPerSecond": 100, "burst": 100}}
DISK = {**SHELF, "resource": "Block", "storage": {"size": "256Mi", "storageClassName": CLASS}}
INLINE = {"store": "None", "size": "200Mi"}
"""Outputs stand in the object itself; until its end they are in a Memory store, of the pool."""

KEPT = {"store": "Block", "size": "200Mi", "retainSeconds": 0}
"""Outputs on a volume, which is given back with the job's end, as it is when they were fetched."""

CALM_SECONDS = 1.0


@dataclass
class Bench:
    """A running rig with a pool of workers and one of stores; all members are ready when a part begins."""

    rig: OperatorRig
    seen: Sightings
    url: str
    sizes: Sizes
    _numbers: "count[int]" = field(default_factory=lambda: count(1))
    _pools: dict[str, int] = field(default_factory=dict)

    @property
    def operator(self) -> int:
        """The operator's process."""
        return self.rig.replicas["a"].pid

    @property
    def health(self) -> str:
        """Where the operator's metrics are: a URL that ends before `/metrics`."""
        return self.rig.replicas["a"].health

    def name(self) -> str:
        """A new one."""
        return f"bench-{next(self._numbers)}"

    def tasklet(self, module: str) -> Object:
        """One that uses this module."""
        return {"module": {"url": f"{self.url}/{module}"}, "memory": "16Mi"}

    def job(self, module: str = "line", chunks: int = 1, **spec: object) -> tuple[str, float]:
        """Make a Job; its name, and the instant before that."""
        name = self.name()
        usual = {"tasklet": self.tasklet(module), "input": {"count": chunks}, "output": INLINE}
        return name, self.seen.make("jobs", _object("Job", name, {**usual, **spec}))

    def graph(self, tasks: list[Object], **spec: object) -> tuple[str, float]:
        """The same for a TaskGraph."""
        name = self.name()
        usual = {"tasks": tasks, "output": INLINE}
        return name, self.seen.make("taskgraphs", _object("TaskGraph", name, {**usual, **spec}))

    def complete(self, name: str) -> Sighting:
        """Wait until the object says that it ended. Raises AssertionError: not Complete, or not in time."""
        end = self.seen.until(lambda one: one.name == name and one.is_true("Complete", "Failed"), f"{name} has ended")
        assert end.is_true("Complete"), end.status["conditions"]
        return end

    def pools(self, workers: int, *, stores: int = 0, volumes: int = 0) -> None:
        """Have exactly so many members of each, ready."""
        for name, size, spec in ((WORKERS, workers, {}), (STORES, stores, SHELF), (VOLUMES, volumes, DISK)):
            bounds = {"targetSize": size, "minSize": 0, "maxSize": size}
            if name in self._pools and self._pools[name] != size:
                self.rig.change("instancepools", name, bounds)
            elif name not in self._pools and size:
                self.rig.pool(size, name, **{**MEMBER, **spec, **bounds})
            if name in self._pools or size:
                self._pools[name] = size
        self.settle()

    def settle(self) -> None:
        """Wait until all members are ready, and the machine has a moment to breathe; forget what is over."""
        for name, size in self._pools.items():
            self.rig.until_members(name, **({"ready": size} if size else {}))
        time.sleep(CALM_SECONDS)
        self.seen.forget()

    def clear(self, *names: str) -> None:
        """Delete these objects, and wait until their leases are gone and all members are ready again."""
        for name in names:
            for plural in ("jobs", "taskgraphs"):
                if any(one.name == name and one.plural == plural for one in self.seen.log):
                    self.seen.delete(plural, name)
        self.rig.until_gone("leases")
        self.settle()


def _object(kind: str, name: str, spec: Object) -> Object:
    return {"apiVersion": "leasegrid.dev/v1alpha1", "kind": kind, "metadata": {"name": name}, "spec": spec}


@contextmanager
def bench(directory: Path, sizes: Sizes) -> Iterator[Bench]:
    """All of it for the time of a with block; no pool yet."""
    assets = Path(os.environ["KUBEBUILDER_ASSETS"])
    modules = {"/line": wat.write_line("done"), "/echo": wat.echo(), "/sleep": wat.slow_echo(sizes.sleep_milliseconds)}
    options = PlaneOptions(controllers=True, prepare=install_kinds)
    with running(assets, options=options) as plane:
        until_pods_can_be_made(plane)
        storage_class(plane, CLASS)
        with operator_rig(plane, directory, real=True) as rig, module_server(modules) as url:
            rig.start("a", log_format="json")
            with sightings(plane.kubeconfig, rig.path) as seen:
                try:
                    yield Bench(rig, seen, url, sizes)
                except BaseException:
                    sys.stderr.write(f"the operator's last words:\n{rig.said()}\n")
                    raise
