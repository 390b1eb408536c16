"""The whole operator at work in a namespace of its own: real API server, members, and replicas as processes.

with operator_rig(plane, directory) as rig:      # members are stand-ins; `real=True`: processes with sandboxes
    rig.start("a")
    rig.pool(3)
    rig.lease("mine", count=2)
    rig.until_bound("mine")
"""

import asyncio
import signal
import subprocess
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar
from uuid import uuid4

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from tasklet_runner.fabric.broker import ClusterFabric
from tasklet_runner.fabric.calls import BrokerAccess
from tests.integration.control_plane import ControlPlane, free_ports
from tests.integration.looking import WAIT_SECONDS, wait
from tests.support.cluster.beside import KubeletBeside, StandIns, kubelet_beside, stand_ins_beside
from tests.support.cluster.kubelet import KubeletSettings
from tests.support.cluster.operators import OperatorProcess, start_operator
from tests.support.cluster.plane import accepted, account_token, account_user, grant, make_namespace
from tests.support.cluster.records import Record, holders, violations

Object = dict[str, Any]
Seen = TypeVar("Seen")

LAST_WORDS = 12
SMALL = {"resources": {"cpu": "1", "memory": "512Mi"}, "requests": {"cpu": "10m", "memory": "32Mi"}}


@dataclass
class OperatorRig:
    """What tests touch. One of `stand_ins` and `kubelet` is there; `replicas`: all that were started, by name."""

    plane: ControlPlane
    namespace: str
    directory: Path
    stand_ins: StandIns | None = None
    kubelet: KubeletBeside | None = None
    replicas: dict[str, OperatorProcess] = field(default_factory=dict)
    _ports: dict[str, tuple[int, int]] = field(default_factory=dict)

    def start(self, name: str = "a", *, ready: bool = True, **settings: str) -> OperatorProcess:
        """Start a replica, at the addresses that it had before if it had any; `ready`: return when it is."""
        if name not in self._ports:
            broker, health = free_ports(2)
            self._ports[name] = (broker, health)
        own = {"own_namespace": self.namespace, "namespaces": self.namespace, **settings}
        kubeconfig = Path(own.pop("kubeconfig", self.plane.kubeconfig))
        replica = start_operator(kubeconfig, self.directory, name, self._ports[name], **own)
        self.replicas[name] = replica
        if ready:
            self.wait(lambda: replica_answer(replica, "/readyz"), lambda said: said == "ok", f"{name} is ready")
        return replica

    def until_leads(self, name: str) -> None:
        """Wait until this replica keeps the leases."""
        replica = self.replicas[name]
        self.wait(lambda: metric(replica, "leasegrid_leader"), lambda leads: leads == 1.0, f"{name} leads")

    def pool(self, size: int, name: str = "cpu", **spec: object) -> Object:
        """Make a pool of so many small members in all; the namespace's default one if its name is `cpu`."""
        annotations = {"leasegrid.dev/is-default-pool": "true"} if name == "cpu" else {}
        body = {**SMALL, "targetSize": size, "minSize": 0, "maxSize": size, **spec}
        return self.make("InstancePool", "instancepools", {"name": name, "annotations": annotations}, body)

    def lease(self, name: str, **spec: object) -> Object:
        """Make a lease of one member of the default pool for two minutes, which it waits for, unless said otherwise."""
        usual = {"count": 1, "ttlSeconds": 120, "onEmpty": "Queue"}
        return self.make("Lease", "leases", {"name": name}, {**usual, **spec})

    def make(self, kind: str, plural: str, metadata: Object, spec: Object) -> Object:
        """Make one of our objects."""
        body = {"apiVersion": "leasegrid.dev/v1alpha1", "kind": kind, "metadata": metadata, "spec": spec}
        return accepted(self.plane.api.ask("POST", self.path(plural), body))

    def change(self, plural: str, name: str, spec: Object) -> Object:
        """Change fields of a spec."""
        patch, content = {"spec": spec}, "application/merge-patch+json"
        return accepted(self.plane.api.ask("PATCH", self.path(plural, name), patch, content))

    def delete(self, plural: str, name: str) -> None:
        """Delete an object; one that is gone already is no matter."""
        answer = self.plane.api.ask("DELETE", self.path(plural, name))
        assert answer.accepted or answer.status == 404, answer.message

    def get(self, plural: str, name: str) -> Object:
        """One object; empty when there is none."""
        answer = self.plane.api.ask("GET", self.path(plural, name))
        return answer.body if answer.accepted else {}

    def all(self, plural: str) -> list[Object]:
        """All objects of a kind in the namespace."""
        found: Any = accepted(self.plane.api.ask("GET", self.path(plural)))["items"]
        return list(found)

    def path(self, plural: str, name: str = "") -> str:
        """Where objects of a kind are in this namespace: pods, claims and events too."""
        core = plural in ("pods", "persistentvolumeclaims", "events")
        group = "/api/v1" if core else "/apis/leasegrid.dev/v1alpha1"
        return f"{group}/namespaces/{self.namespace}/{plural}" + (f"/{name}" if name else "")

    def status(self, plural: str, name: str) -> Object:
        """An object's status."""
        return self.get(plural, name).get("status") or {}

    def condition(self, name: str, kind: str, plural: str = "leases") -> Object:
        """A condition of a lease (or of another object); empty while it is not said."""
        said = self.status(plural, name).get("conditions", [])
        return next((one for one in said if one["type"] == kind), {})

    def epochs(self, name: str) -> dict[str, int]:
        """The members in a lease's status."""
        return {one["name"]: one["epoch"] for one in self.status("leases", name).get("members") or ()}

    def members(self, name: str = "cpu") -> Object:
        """How many members a pool says that it has, by state; states without any are left out."""
        counts: Object = self.status("instancepools", name).get("members", {})
        return {state: count for state, count in counts.items() if count}

    def records(self) -> list[Record]:
        """What the stand-ins went through."""
        assert self.stand_ins is not None, "members of this rig are real: they keep no records"
        return self.stand_ins.records()

    def wait(self, look: Callable[[], Seen], holds: Callable[[Seen], object], what: str) -> Seen:
        """See `looking.wait`; a failure says what the replicas have said last, too."""
        return wait(look, holds, what, self.said)

    def said(self) -> str:
        """The last lines of every replica's log."""
        lines = {name: replica.said().splitlines()[-LAST_WORDS:] for name, replica in self.replicas.items()}
        return "\n".join(f"--- {name}\n" + "\n".join(last) for name, last in lines.items())

    def until_said(self, name: str, kind: str, reason: str = "", plural: str = "leases") -> str:
        """Wait until a condition is True, with that reason if one is given; returns its message."""
        said = self.wait(
            lambda: self.condition(name, kind, plural),
            lambda one: one.get("status") == "True" and reason in ("", one["reason"]),
            f"{name} is {kind} {reason}",
        )
        return str(said["message"])

    def until_bound(self, *names: str) -> dict[str, int]:
        """Wait until these leases are bound; returns the epochs of all their members."""
        for name in names:
            self.until_said(name, "Bound")
        return {member: epoch for name in names for member, epoch in self.epochs(name).items()}

    def until_members(self, name: str = "cpu", **counts: int) -> None:
        """Wait until a pool has so many members of these states, and none of others."""
        self.wait(lambda: self.members(name), lambda seen: seen == counts, f"{name} has the members {counts}")

    def until_free(self) -> None:
        """Wait until no member is under any lease, by the members' own records."""
        self.wait(lambda: holders(self.records()), lambda seen: not seen, "every member is free")

    def until_gone(self, plural: str, *names: str) -> None:
        """Wait until these objects are gone; without names, until there is none of the kind."""

        def left() -> list[str]:
            found = [one["metadata"]["name"] for one in self.all(plural)]
            return [name for name in found if name in names or not names]

        self.wait(left, lambda seen: not seen, f"{plural} {' '.join(names)} are gone")

    def until_nothing_left(self) -> None:
        """Delete all pools and leases, and wait until no pod and no volume claim is there any more either."""
        for plural in ("leases", "instancepools"):
            for one in self.all(plural):
                self.delete(plural, one["metadata"]["name"])
        for plural in ("leases", "instancepools", "pods", "persistentvolumeclaims"):
            self.until_gone(plural)

    def check_none_bound_twice(self) -> None:
        """By the members' own records."""
        assert violations(self.records()) == []

    def versions(self, *plurals: str) -> dict[str, str]:
        """The resourceVersion of every object of these kinds; without kinds, of all that the operator keeps."""
        kinds = plurals or ("instancepools", "leases", "pods", "persistentvolumeclaims")
        found = [(plural, one["metadata"]) for plural in kinds for one in self.all(plural)]
        return {f"{plural}/{metadata['name']}": metadata["resourceVersion"] for plural, metadata in found}

    def access(self, *names: str, holder: Ed25519PrivateKey | None = None, patience: float = 10.0) -> BrokerAccess:
        """How a workload of the namespace reaches the brokers of these replicas, or of all; it may use leases."""
        user = account_user(self.namespace, "holder")
        grant(self.plane, self.namespace, user)
        token = self.directory / f"token-{self.namespace}"
        token.write_text(account_token(self.plane, self.namespace, "holder"))
        endpoints = tuple(self.replicas[name].broker for name in names or self.replicas)
        return BrokerAccess(endpoints, token, holder or Ed25519PrivateKey.generate(), self.namespace, patience)

    def fabric(self, *names: str, patience: float = 10.0) -> ClusterFabric:
        """A broker's client, to be used as an async context manager."""
        return ClusterFabric(self.access(*names, patience=patience))

    def end(self) -> None:
        """End all replicas, those that are stopped too."""
        running = [one.process for one in self.replicas.values() if one.process.poll() is None]
        for process in running:
            process.send_signal(signal.SIGCONT)
            process.terminate()
        for process in running:
            try:
                process.wait(20)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()


@contextmanager
def operator_rig(
    plane: ControlPlane, directory: Path, *, nodes: int = 1, real: bool = False, pretends: bool = False
) -> Iterator[OperatorRig]:
    """A namespace with members' nodes (`NAMESPACE-0`, …) and no replica yet; `plane` has controllers and our kinds.
    Stand-ins that pretend to work have real stores beside them.
    """
    namespace = make_namespace(plane, f"rig-{uuid4().hex[:8]}")
    names = tuple(f"{namespace}-{number}" for number in range(nodes))
    rig = OperatorRig(plane, namespace, directory)
    if real:
        with kubelet_beside(plane.kubeconfig, settings=KubeletSettings(names, namespace=namespace)) as rig.kubelet:
            yield from _ended(rig)
    else:
        records = directory / f"{namespace}.jsonl"
        options = {"nodes": ",".join(names), "namespace": namespace, "pretends": "yes" if pretends else "no"}
        with stand_ins_beside(plane.kubeconfig, records, **options) as rig.stand_ins:
            yield from _ended(rig)


def _ended(rig: OperatorRig) -> Iterator[OperatorRig]:
    try:
        yield rig
    finally:
        rig.end()


def replica_answer(replica: OperatorProcess, path: str) -> str:
    """What its health port answers, a refusal too; OSError while nobody listens."""
    assert replica.process.poll() is None, f"it has ended with {replica.process.returncode}:\n{replica.said()[-3000:]}"
    try:
        with urllib.request.urlopen(f"{replica.health}{path}", timeout=10) as reply:  # noqa: S310 - the address is ours
            return str(reply.read().decode())
    except urllib.error.HTTPError as refusal:
        with refusal:
            return str(refusal.read().decode())


def metric(replica: OperatorProcess, name: str) -> float:
    """The sum of a metric over all labels that are given in `name` as Prometheus writes them; 0 while there is none."""
    return metrics(replica, name)[0]


def metrics(replica: OperatorProcess, *names: str) -> list[float]:
    """Several of them at one instant; see `metric`."""
    lines = replica_answer(replica, "/metrics").splitlines()
    return [sum(float(line.rpartition(" ")[2]) for line in lines if line.startswith(name)) for name in names]


async def beside(work: Callable[[], Seen]) -> Seen:
    """Do what blocks (all of the rig does) while other coroutines go on."""
    async with asyncio.timeout(4 * WAIT_SECONDS):
        return await asyncio.to_thread(work)
