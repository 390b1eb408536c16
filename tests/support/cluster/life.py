"""One pod from its first sight to its removal."""

import asyncio
import contextlib
import signal
from dataclasses import dataclass, field
from typing import Any

from tests.support.cluster.addresses import AddressSpace
from tests.support.cluster.api import STRATEGIC, KubeApi
from tests.support.cluster.nodes import Nodes, now_text
from tests.support.cluster.pods import (
    ConfigError,
    ContainerCommand,
    Placement,
    container_of,
    is_terminal,
    local_command,
    requested_millicores,
)
from tests.support.cluster.running import Launch, Probe, Running, Runtime
from tests.support.cluster.statuses import Reporter, unschedulable
from tests.support.cluster.volumes import Volumes

Object = dict[str, Any]

ROOM_POLL_SECONDS = 0.25
BACK_OFF_SECONDS = 0.5
"""A kubelet tries an image again after ten seconds; here the second word for a missing one comes sooner."""


@dataclass
class Ground:
    """What all pods of a kubelet stand on. `start_delay`: chaos, in seconds. `failures`: mistakes of the kubelet."""

    api: KubeApi
    runtime: Runtime
    nodes: Nodes
    volumes: Volumes
    addresses: AddressSpace
    start_delay: float = 0.0
    failures: list[BaseException] = field(default_factory=list)

    def note(self, task: "asyncio.Task[None]") -> None:
        """Keep the exception of a task that should not have one."""
        if not task.cancelled() and (error := task.exception()) is not None:
            self.failures.append(error)


@dataclass(eq=False)
class PodLife:
    """`body` is the newest object; `deleted` is set when somebody wants the pod gone, `vanished` when it is."""

    ground: Ground
    body: Object
    node: str = ""
    address: str = ""
    running: Running | None = None
    deleted: asyncio.Event = field(default_factory=asyncio.Event)
    vanished: bool = False
    _started: str = ""
    _eviction: str = ""
    _writing: asyncio.Lock = field(default_factory=asyncio.Lock)

    @property
    def uid(self) -> str:
        """The pod's uid."""
        return str(self.body["metadata"]["uid"])

    @property
    def path(self) -> str:
        """The object's path in the API."""
        metadata = self.body["metadata"]
        return f"/api/v1/namespaces/{metadata['namespace']}/pods/{metadata['name']}"

    async def run(self) -> None:
        """Live until the object is gone."""
        living = asyncio.create_task(self._live())
        living.add_done_callback(self.ground.note)
        try:
            await self.deleted.wait()
            living.cancel()
            await asyncio.gather(living, return_exceptions=True)
            await self._terminate()
        finally:
            living.cancel()
            self._leave()

    def evict(self, message: str) -> None:
        """End the process as a node does that is short of something, and say so."""
        self._eviction = message
        if self.running is not None:
            self.running.send(signal.SIGKILL)

    async def _live(self) -> None:
        if is_terminal(self.body) or not await self._schedule():
            return
        if await self._image_is_missing():
            return
        await asyncio.sleep(self.ground.start_delay)
        try:
            command = await self._command()
        except ConfigError as error:
            await self._report(self._reporter().waiting("CreateContainerConfigError", str(error), now_text()))
            return
        self._start(command)
        await self._observe()

    async def _schedule(self) -> bool:
        bound_to = self.body["spec"].get("nodeName", "")
        wanted, said = requested_millicores(self.body), ""
        while True:
            self.node, why = self.ground.nodes.place(wanted, self.uid, bound_to)
            if self.node:
                return bool(bound_to) or await self._bind()
            if why != said:
                said = why
                await self._patch(unschedulable(why, now_text()))
            await asyncio.sleep(ROOM_POLL_SECONDS)

    async def _bind(self) -> bool:
        metadata = {"name": self.body["metadata"]["name"], "uid": self.uid}
        target = {"apiVersion": "v1", "kind": "Node", "name": self.node}
        body = {"apiVersion": "v1", "kind": "Binding", "metadata": metadata, "target": target}
        # A lost answer is followed by a conflict: the pod is bound, and to this node, as nobody else binds.
        return (await self.ground.api.ask("POST", f"{self.path}/binding", body)).status in (201, 409)

    async def _image_is_missing(self) -> bool:
        image = str(container_of(self.body).get("image", ""))
        if not image.startswith("missing:"):
            return False
        refused = f'failed to pull image "{image}": not found'
        await self._report(self._reporter().waiting("ErrImagePull", refused, now_text()))
        await asyncio.sleep(BACK_OFF_SECONDS)
        backing_off = f'Back-off pulling image "{image}"'
        await self._report(self._reporter().waiting("ImagePullBackOff", backing_off, now_text()))
        return True

    async def _command(self) -> ContainerCommand:
        self.address = self.ground.addresses.take()
        volumes = await self.ground.volumes.provide(self.body, self.node)
        image = str(container_of(self.body).get("image", ""))
        if image.startswith("crash:"):
            return ContainerCommand(("sh", "-c", f"exit {int(image.removeprefix('crash:'))}"), {})
        secrets = await self.ground.volumes.secrets(self.body)
        return local_command(self.body, Placement(self.node, self.address, volumes, secrets))

    def _start(self, command: ContainerCommand) -> None:
        log = self.ground.volumes.log_of(self.uid)
        self.running = self.ground.runtime.start(Launch(self.body["metadata"]["name"], self.address, command, log))
        self._started = now_text()

    async def _observe(self) -> None:
        assert self.running is not None
        ended = self.running.ended
        probing = asyncio.create_task(self._probe(self.running))
        try:
            status = await asyncio.shield(ended)
        finally:
            probing.cancel()
            await asyncio.gather(probing, return_exceptions=True)
        reporter, now = self._reporter(), now_text()
        said = self.ground.volumes.last_words(self.body)
        evicted = self._eviction
        await self._report(reporter.evicted(evicted, now) if evicted else reporter.ended(status, now, said))
        self.ground.nodes.leave(self.uid)

    async def _probe(self, running: Running) -> None:
        probe = self._readiness()
        if not self.ground.runtime.terse:
            await self._report(self._reporter().running(now_text(), ready=False))
        await running.until_ready(probe)
        await self._report(self._reporter().running(now_text(), ready=True))
        if probe is not None and not self.ground.runtime.terse:
            await self._keep_probing(probe)

    async def _keep_probing(self, probe: Probe) -> None:
        ready, failures = True, 0
        while True:
            await asyncio.sleep(probe.period_seconds)
            failures = 0 if await probe.passes() else failures + 1
            if ready != (failures < 3):
                ready = not ready
                await self._report(self._reporter().running(now_text(), ready=ready))

    def _readiness(self) -> Probe | None:
        said = container_of(self.body).get("readinessProbe")
        if not said:
            return None
        action = said.get("httpGet") or said.get("tcpSocket") or {}
        port = action.get("port", 0)
        if isinstance(port, str):
            named = {one.get("name"): one["containerPort"] for one in container_of(self.body).get("ports", [])}
            port = named.get(port, 0)
        tls = action.get("scheme") == "HTTPS"
        return Probe(self.address, int(port), action.get("path", ""), float(said.get("periodSeconds", 10)), tls)

    async def _terminate(self) -> None:
        """Ask the process to end, insist after the grace, then remove the object as kubelets do."""
        if self.node and not self.vanished:
            await self.ground.nodes[self.node].speaks.wait()
        if self.running is not None and not self.running.ended.done():
            await self._stop(self.running)
        if self.vanished:
            return
        if self.running is not None and not self.ground.runtime.terse and not is_terminal(self.body):
            await self._patch(self._reporter().ended(self.running.ended.result(), now_text()))
        options = {"gracePeriodSeconds": 0, "preconditions": {"uid": self.uid}}
        await self.ground.api.ask("DELETE", self.path, {"apiVersion": "v1", "kind": "DeleteOptions", **options})

    async def _stop(self, running: Running) -> None:
        running.send(signal.SIGTERM)
        grace = self.body["metadata"].get("deletionGracePeriodSeconds", 1)
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(asyncio.shield(running.ended), grace)
        running.send(signal.SIGKILL)
        await asyncio.shield(running.ended)

    def _leave(self) -> None:
        self.ground.nodes.leave(self.uid)
        self.ground.volumes.release(self.uid)
        if self.address:
            self.ground.addresses.give_back(self.address)

    def _reporter(self) -> Reporter:
        return Reporter(self.body, self.node, self.address, self._started)

    async def _report(self, status: Object) -> None:
        """Write the status once the node can speak."""
        await self.ground.nodes[self.node].speaks.wait()
        await self._patch(status)

    async def _patch(self, status: Object) -> None:
        # Finished even when its writer is cancelled: a status that is under way must not arrive after the next one.
        await asyncio.shield(asyncio.create_task(self._write(status)))

    async def _write(self, status: Object) -> None:
        # With its uid, so that a successor of the same name is never written to.
        body = {"metadata": {"uid": self.uid}, "status": status}
        async with self._writing:
            await self.ground.api.ask("PATCH", f"{self.path}/status", body, STRATEGIC)
