"""A small kubelet for tests: it schedules pods to its nodes and runs them as processes of this machine.

What it does as a kubelet and a scheduler do: binding, room by requested CPU, `ErrImagePull` (images `missing:…`), an
address for each pod, fieldRef variables, readiness probes, phases, exit codes, SIGTERM and grace, the final delete,
heartbeats of nodes. What it does not: containers. `life.PodLife` and `pods.local_command` say how a pod's
specification becomes a local process; an image `crash:N` exits with N at once.

It keeps no state that the API server has, and survives restarts of the server.
"""

import asyncio
import signal
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any, Literal, Self

from tests.support.cluster.addresses import AddressSpace
from tests.support.cluster.api import Event, KubeApi
from tests.support.cluster.life import Ground, PodLife
from tests.support.cluster.nodes import Nodes
from tests.support.cluster.pods import is_terminal
from tests.support.cluster.running import ProcessRuntime, Runtime
from tests.support.cluster.volumes import Volumes

Object = dict[str, Any]
Processes = Literal["left", "stopped", "killed"]


@dataclass(frozen=True)
class KubeletSettings:
    """Names of the nodes, and the allocatable `cpu` of each; `namespace`: the only one that is served, or empty."""

    nodes: tuple[str, ...] = ("node-a",)
    cpu: str = "64"
    namespace: str = ""


class Kubelet:
    """An async context manager; when it ends, no process and no directory is left. Chaos is in its methods.

    Pods are named `namespace/name`, or by name alone where that is enough.
    """

    def __init__(
        self, kubeconfig: Path, runtime: Runtime | None = None, settings: KubeletSettings = KubeletSettings()
    ) -> None:
        self._kubeconfig = kubeconfig
        self._settings = settings
        self._runtime = runtime or ProcessRuntime()
        self._lives: dict[str, PodLife] = {}
        self._tasks: dict[str, asyncio.Task[None]] = {}
        self._ground: Ground
        self._following: asyncio.Task[None]

    async def __aenter__(self) -> Self:
        api = await KubeApi(self._kubeconfig).__aenter__()
        nodes = Nodes(api, self._settings.nodes, self._settings.cpu)
        self._ground = Ground(api, self._runtime, nodes, Volumes(api), AddressSpace())
        await self._runtime.open()
        await nodes.register()
        self._following = asyncio.create_task(self._follow())
        self._following.add_done_callback(self._ground.note)
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        tasks = [self._following, *self._tasks.values()]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        await self._runtime.close()
        await self._ground.nodes.close()
        self._ground.volumes.close()
        self._ground.addresses.close()
        await self._ground.api.__aexit__(None, None, None)
        if self._ground.failures:
            raise self._ground.failures[0]

    @property
    def network(self) -> str:
        """The beginning of every pod's address: `127.x.`."""
        return f"127.{self._ground.addresses.network}."

    def pods(self) -> list[str]:
        """`namespace/name` of every pod whose process runs."""
        running = [life for life in self._lives.values() if life.running and not life.running.ended.done()]
        return sorted(_full_name(life.body) for life in running)

    def pid(self, pod: str) -> int:
        """The process of a pod that runs."""
        running = self._life(pod).running
        assert running is not None, f"{pod} does not run"
        return running.pid

    def log(self, pod: str) -> str:
        """What the pod's process has written to stdout and stderr; empty while there is no such process."""
        paths = [self._ground.volumes.log_of(life.uid) for life in self._named(pod)]
        return "".join(path.read_text(errors="replace") for path in paths if path.exists())

    def kill(self, pod: str) -> None:
        """SIGKILL the pod's process and all that it forked."""
        self.send(pod, signal.SIGKILL)

    def send(self, pod: str, number: int) -> None:
        """Send a signal to the pod's process; SIGSTOP, SIGCONT and SIGKILL reach all that it forked, too."""
        running = self._life(pod).running
        assert running is not None, f"{pod} does not run"
        running.send(number)

    async def evict(self, pod: str) -> int:
        """Ask the API for an eviction, as `kubectl drain` does; its status: 201, or 429 for a disruption budget."""
        life = self._life(pod)
        metadata = {"name": life.body["metadata"]["name"], "namespace": life.body["metadata"]["namespace"]}
        body = {"apiVersion": "policy/v1", "kind": "Eviction", "metadata": metadata}
        return (await self._ground.api.ask("POST", f"{life.path}/eviction", body)).status

    def evict_by_node(self, pod: str, message: str = "The node was low on resource: memory.") -> None:
        """Kill the pod as a node under pressure does: phase Failed, reason Evicted; the object stays."""
        self._life(pod).evict(message)

    async def stop_node(self, name: str, processes: Processes = "left") -> None:
        """Cut a node off: NotReady at once, its pods are reported no more; their processes may be stopped or killed."""
        await self._ground.nodes.cut_off(name)
        number = {"left": 0, "stopped": signal.SIGSTOP, "killed": signal.SIGKILL}[processes]
        self._send_all(name, number)

    async def start_node(self, name: str) -> None:
        """The node comes back; what happened meanwhile is reported now."""
        self._send_all(name, signal.SIGCONT)
        await self._ground.nodes.reconnect(name)

    def delay_start(self, seconds: float) -> None:
        """Processes of pods that come from now on start so much later."""
        self._ground.start_delay = seconds

    def _send_all(self, node: str, number: int) -> None:
        for life in self._lives.values():
            if number and life.node == node and life.running is not None:
                life.running.send(number)

    def _life(self, pod: str) -> PodLife:
        found = self._named(pod)
        assert len(found) == 1, f"{len(found)} pods are named {pod}"
        return found[0]

    def _named(self, pod: str) -> list[PodLife]:
        present = [life for life in self._lives.values() if not life.vanished]
        return [life for life in present if pod in (_full_name(life.body), life.body["metadata"]["name"])]

    async def _follow(self) -> None:
        namespace = self._settings.namespace
        path = f"/api/v1/namespaces/{namespace}/pods" if namespace else "/api/v1/pods"
        async for event in self._ground.api.follow(path):
            self._take(event)

    def _take(self, event: Event) -> None:
        if event.kind == "LISTED":
            listed = {pod["metadata"]["uid"] for pod in event.items}
            for uid in [uid for uid in self._lives if uid not in listed]:
                self._gone(uid)
        for pod in event.items:
            if event.kind == "DELETED":
                self._gone(pod["metadata"]["uid"])
            elif self._is_ours(pod):
                self._seen(pod)

    def _is_ours(self, pod: Object) -> bool:
        node = pod["spec"].get("nodeName", "")
        return node in self._ground.nodes if node else not is_terminal(pod)

    def _seen(self, pod: Object) -> None:
        uid = pod["metadata"]["uid"]
        life = self._lives.get(uid)
        if life is None:
            life = self._lives[uid] = PodLife(self._ground, pod)
            task = self._tasks[uid] = asyncio.create_task(life.run())
            task.add_done_callback(lambda ended: self._ended(uid, ended))
        life.body = pod
        if "deletionTimestamp" in pod["metadata"]:
            life.deleted.set()

    def _gone(self, uid: str) -> None:
        life = self._lives.get(uid)
        if life is not None:
            life.vanished = True
            life.deleted.set()

    def _ended(self, uid: str, task: "asyncio.Task[None]") -> None:
        self._lives.pop(uid, None)
        self._tasks.pop(uid, None)
        self._ground.note(task)


def _full_name(pod: Object) -> str:
    return f"{pod['metadata']['namespace']}/{pod['metadata']['name']}"
