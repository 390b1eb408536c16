"""A pool controller at work in a namespace of its own: real API server, real watches, real members, no broker."""

import asyncio
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from typing import Any
from uuid import uuid4

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from leasegrid.leasing.binding import Binder
from leasegrid.leasing.engine import LeaseEngine
from leasegrid.leasing.leases import Held, LeaseRecord
from leasegrid.leasing.parts import Disposal, Parts
from leasegrid.leasing.roster import Member, Roster
from leasegrid.leasing.signing import Signer, SteadyClock
from leasegrid_operator.cluster import Cluster, Write, connected
from leasegrid_operator.errors import NotFoundError
from leasegrid_operator.handlers import watch
from leasegrid_operator.observing import Body
from leasegrid_operator.pools.keeping import PoolKeeper
from leasegrid_operator.pools.templates import MemberSettings
from leasegrid_operator.progress import WatchProgress
from leasegrid_operator.reception import WATCHED, Reception, Scope
from leasegrid_operator.resources import CLAIMS, EVENTS, PODS, POOLS, ObjectKey, Resource
from tasklet_runner.fabric.protocol import LeaseRequest, Receipt
from tasklet_runner.wire.signed import public_text
from tests.integration.control_plane import ControlPlane
from tests.support.cluster.kubelet import Kubelet, KubeletSettings
from tests.support.cluster.running import Runtime

WAIT_SECONDS = 90.0
COLLECTED = 75.0
"""The garbage collector hears of kinds that are new to it once in thirty seconds."""

Object = dict[str, Any]


class _Nothing:
    """A ledger and a host that leases of these tests do not need."""

    def write_down(self, record: LeaseRecord) -> None:
        """Nowhere."""

    def close_account(self, record: LeaseRecord, receipt: Receipt) -> None:
        """Nowhere."""

    async def vanish(self, record: LeaseRecord, silent: Sequence[Held]) -> Sequence[Held]:
        """Nobody is waited for."""
        return silent

    async def dispose(self, record: LeaseRecord, held: Sequence[Held]) -> Disposal:
        """Nothing is deleted."""
        return Disposal()


class _Observer:
    """Tells the keeper what the watches bring; leases are the tests' own affair."""

    def __init__(self, keeper: PoolKeeper) -> None:
        self._keeper = keeper

    def pool_seen(self, namespace: str, body: Body, deleted: bool) -> None:
        self._keeper.pool_seen(body, deleted)

    def lease_seen(self, namespace: str, body: Body, deleted: bool) -> None:
        """Not here."""

    def job_seen(self, namespace: str, body: Body, deleted: bool) -> None:
        """Not here either."""

    def pod_seen(self, namespace: str, body: Body, deleted: bool) -> None:
        self._keeper.pod_seen(body, deleted)

    def claim_seen(self, namespace: str, body: Body, deleted: bool) -> None:
        self._keeper.claim_seen(body, deleted)

    def node_seen(self, namespace: str, body: Body, deleted: bool) -> None:
        self._keeper.node_seen(body, deleted)


@dataclass
class PoolRig:
    """What tests touch. `writes` of the operator since the start; `lost`: members that are gone, with why."""

    namespace: str
    cluster: Cluster
    operator: Cluster
    parts: Parts
    engine: LeaseEngine
    keeper: PoolKeeper
    kubelet: Kubelet
    writes: list[Write]
    lost: dict[str, str] = field(default_factory=dict)

    async def pool(self, name: str = "cpu", *, annotations: dict[str, str] | None = None, **spec: object) -> Object:
        """Make a pool; small members, unless said otherwise."""
        small = {"resources": {"cpu": "1", "memory": "512Mi"}, "requests": {"cpu": "10m", "memory": "32Mi"}}
        metadata = {"name": name, "namespace": self.namespace, "annotations": annotations or {}}
        return await self.cluster.create(POOLS, {"metadata": metadata, "spec": {**small, "minSize": 0, **spec}})

    async def change(self, name: str = "cpu", **spec: object) -> None:
        """Change fields of a pool's spec."""
        await self.cluster.patch(POOLS, ObjectKey(self.namespace, name), {"spec": spec})

    async def get(self, resource: Resource, name: str) -> Object | None:
        """An object of the namespace, or None."""
        try:
            return await self.cluster.get(resource, ObjectKey(self.namespace, name))
        except NotFoundError:
            return None

    async def all(self, resource: Resource, **selectors: str) -> list[Object]:
        """All objects of a kind in the namespace."""
        return (await self.cluster.list(resource, self.namespace, **selectors)).items

    async def pods(self) -> list[str]:
        """The names of the pods that nobody has asked to end."""
        found = [pod["metadata"] for pod in await self.all(PODS)]
        return sorted(one["name"] for one in found if "deletionTimestamp" not in one)

    async def claims(self) -> list[str]:
        """The names of the volume claims."""
        return sorted(one["metadata"]["name"] for one in await self.all(CLAIMS))

    async def status(self, name: str = "cpu") -> Object:
        """A pool's status."""
        found = await self.get(POOLS, name)
        return (found or {}).get("status") or {}

    async def condition(self, kind: str, name: str = "cpu") -> Object:
        """A condition of a pool; empty while it is not said."""
        said = (await self.status(name)).get("conditions", [])
        return next((one for one in said if one["type"] == kind), {})

    async def until_said(self, kind: str, status: str, reason: str = "", name: str = "cpu") -> str:
        """Wait for a condition, with that reason if one is given; returns its message."""
        said: Object = {}

        async def holds() -> bool:
            said.update(await self.condition(kind, name))
            return said.get("status") == status and reason in ("", said["reason"])

        await until(holds, f"{name} is {kind}={status} {reason}")
        return str(said["message"])

    async def until_pods(self, count: int, seconds: float = WAIT_SECONDS) -> list[str]:
        """Wait for so many pods that nobody has asked to end; returns their names."""
        seen: list[str] = []

        async def holds() -> bool:
            seen[:] = await self.pods()
            return len(seen) == count

        await until(holds, f"there are {count} pods", seconds)
        return seen

    async def events(self, reason: str) -> list[Object]:
        """Events with that reason."""
        return [one for one in await self.all(EVENTS) if one["reason"] == reason]

    def ready(self, name: str = "cpu") -> int:
        """Members that a claim finds."""
        return self.parts.roster.ready(name)

    async def until_ready(self, count: int, name: str = "cpu") -> None:
        """Wait for so many."""
        await until(lambda: self.ready(name) == count, f"{count} members of {name} are ready")

    async def claim(self, *pools: str, count: int = 1, **changes: Any) -> LeaseRecord:  # noqa: ANN401 - its fields
        """A lease on these pools, bound."""
        request = LeaseRequest(
            request_id=f"lease-{uuid4().hex[:8]}",
            holder_key=public_text(Ed25519PrivateKey.generate()),
            count=count,
            min_count=count,
            pools=pools or ("cpu",),
            ttl_seconds=changes.pop("ttl_seconds", 60),
            **changes,
        )
        record = self.engine.record(uuid4().hex, request, request.pools, provisioned=False)
        self.engine.enter(record)
        async with asyncio.timeout(WAIT_SECONDS):
            await record.settled
        return record

    async def release(self, record: LeaseRecord) -> Receipt:
        """End a lease."""
        return await self.engine.release(record.uid)


@dataclass(frozen=True)
class RigOptions:
    """`runtime`: what runs pods (None: processes); `namespace`: one that is there, or empty for a new one; `image` and
    `key` of the operator; `node_cpu`: what the node has.
    """

    runtime: Runtime | None = None
    namespace: str = ""
    image: str = "real:1"
    key: Ed25519PrivateKey | None = None
    node_cpu: str = "64"


@asynccontextmanager
async def pool_rig(plane: ControlPlane, options: RigOptions = RigOptions()) -> AsyncIterator[PoolRig]:
    """An operator's pools in a namespace, and a kubelet with a node of its own."""
    async with ground(plane, options) as (here, kubelet), keeping(plane, here, kubelet) as rig:
        yield rig


@asynccontextmanager
async def ground(plane: ControlPlane, options: RigOptions = RigOptions()) -> AsyncIterator[tuple[RigOptions, Kubelet]]:
    """A namespace and its kubelet, without an operator."""
    namespace = options.namespace or await _namespace(plane)
    settings = KubeletSettings((f"node-{namespace}",), options.node_cpu, namespace)
    async with Kubelet(plane.kubeconfig, options.runtime, settings) as kubelet:
        yield replace(options, namespace=namespace, key=options.key or Ed25519PrivateKey.generate()), kubelet


@asynccontextmanager
async def keeping(plane: ControlPlane, options: RigOptions, kubelet: Kubelet) -> AsyncIterator[PoolRig]:
    """The operator alone, beside a kubelet that is there already."""
    writes: list[Write] = []
    namespace = options.namespace
    async with (
        connected(plane.kubeconfig) as outside,
        connected(plane.kubeconfig, told=writes.append) as inside,
        _running(options, inside) as (engine, keeper),
    ):
        rig = PoolRig(namespace, outside, inside, engine.parts, engine, keeper, kubelet, writes)

        def lost(member: Member, cause: str) -> None:
            rig.lost[member.name] = cause
            engine.keeper.lost(member)

        keeper.on_lost = lost
        yield rig


@asynccontextmanager
async def _running(options: RigOptions, cluster: Cluster) -> AsyncIterator[tuple[LeaseEngine, PoolKeeper]]:
    namespace = options.namespace
    woken, stop = asyncio.Event(), asyncio.Event()
    parts = _parts(options.key or Ed25519PrivateKey.generate(), woken)
    settings = MemberSettings(image=options.image, fabric_key=parts.signer.public, notify="")
    keeper = PoolKeeper(parts, cluster, settings, namespace)
    engine = LeaseEngine(parts, keeper)
    keeper.on_lost = lambda lost, cause: engine.keeper.lost(lost)
    progress = WatchProgress(WATCHED, time.monotonic())
    reception = Reception(_Observer(keeper), Scope((namespace,), time.monotonic), progress)
    watching = asyncio.create_task(watch(reception, cluster.credentials, (namespace,), stop))
    async with asyncio.timeout(WAIT_SECONDS):
        await reception.listed.wait()
    running = asyncio.create_task(engine.keeper.run(woken))
    try:
        yield engine, keeper
    finally:
        stop.set()
        running.cancel()
        await asyncio.gather(running, watching, return_exceptions=True)
        await keeper.close()
        await engine.close()
        await asyncio.gather(*(one.hang_up() for one in parts.roster.all()))


def _parts(key: Ed25519PrivateKey, woken: asyncio.Event) -> Parts:
    clock = SteadyClock()
    signer, roster = Signer(key, clock), Roster(asyncio.get_running_loop().time())
    nothing = _Nothing()
    return Parts({}, roster, Binder(roster, signer), signer, clock, nothing, nothing, woken.set)


async def until(condition: Callable[[], object], what: str, seconds: float = WAIT_SECONDS) -> None:
    """Wait until the condition holds; one that is a coroutine is awaited each time."""
    try:
        async with asyncio.timeout(seconds):
            while not await _truth(condition):  # noqa: ASYNC110 - the world outside sets no event
                await asyncio.sleep(0.05)
    except TimeoutError:
        raise AssertionError(f"in {seconds} s it did not happen: {what}") from None


async def shows(asked: Awaitable[Any], wanted: Callable[[Any], object]) -> bool:
    """Whether what is asked for is as it is wanted: for `until`."""
    return bool(wanted(await asked))


async def _truth(condition: Callable[[], object]) -> object:
    found = condition()
    return await found if asyncio.iscoroutine(found) else found


async def _namespace(plane: ControlPlane) -> str:
    name = f"pools-{uuid4().hex[:8]}"
    await asyncio.to_thread(plane.kubectl, "create", "namespace", name)
    await until(
        lambda: plane.api.ask("GET", f"/api/v1/namespaces/{name}/serviceaccounts/default").accepted, "it has an account"
    )
    return name
