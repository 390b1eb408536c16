"""One coordinator from its order to its end: the fabric, the job's store and the keys are put around it."""

import asyncio
import sys
from collections.abc import Callable
from contextlib import AsyncExitStack, suppress
from pathlib import Path

import msgspec
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from tasklet_runner.coordinator.capabilities import capabilities_by_member
from tasklet_runner.coordinator.code import CodeVault
from tasklet_runner.coordinator.engine import Coordinator
from tasklet_runner.coordinator.execution import Ending as RunEnding
from tasklet_runner.coordinator.progress import Phase
from tasklet_runner.coordinator.surroundings import Surroundings, show_capability
from tasklet_runner.data import buckets
from tasklet_runner.data.access import Access
from tasklet_runner.data.copying import copy_outputs
from tasklet_runner.data.uploads import ReadObject, UploadedStorage
from tasklet_runner.fabric.broker import ClusterFabric
from tasklet_runner.fabric.calls import BrokerAccess
from tasklet_runner.fabric.protocol import LeaseView
from tasklet_runner.hosting.inline import inline_outputs
from tasklet_runner.hosting.job_store import JobStoreClient
from tasklet_runner.hosting.orders import holder_of, plan_of
from tasklet_runner.hosting.own_lease import OwnLeaseFabric, OwnTerms
from tasklet_runner.hosting.reporting import Reporter
from tasklet_runner.plan.types import Plan
from tasklet_runner.wire.decoding import UNREADABLE
from tasklet_runner.wire.errors import LeaseEndedError, RefusedError, ResultsError, StoreError, UnreachableError
from tasklet_runner.wire.jobs import CoordinatorOrder, Ending, Supplies
from tasklet_runner.wire.uploads import Uploads, file_key

RENEW_SECONDS = 10.0
"""The coordinator's own lease lives for thirty seconds without it."""

WATCH_PAUSE_SECONDS = 1.0
PATIENCE_SECONDS = 20.0
LONGEST_MESSAGE = 4096

_NOT_FINAL = frozenset({"StoreUnavailable", "Fenced"})
"""Ends of a run that are not those of the job: it goes on with the next coordinator."""

Fenced = Callable[[str], None]


async def run_hosted(order: CoordinatorOrder, scratch: Path, fenced: Fenced) -> None:
    """Run the job to its end, and say how it ended. `scratch`: an empty directory of this process alone.

    `fenced` is called when another coordinator has taken over, or the job is gone: then this process must end at once.
    Raises ProtocolError for an order that cannot be used, and any other LeaseGridError for a store or a fabric that is
    not to be had: then another coordinator may try.
    """
    plan, holder = plan_of(order), holder_of(order)
    (scratch / "code").mkdir(exist_ok=True)
    async with AsyncExitStack() as stack:
        cluster = await stack.enter_async_context(ClusterFabric(_access(order, holder, scratch), order.lease))
        cluster.adopt(order.store, order.job.namespace)
        fabric = OwnLeaseFabric(cluster, order.lease, _terms(plan))
        store = JobStoreClient(order.store, holder, order.term)
        stack.push_async_callback(store.close)
        for work in (_keep(fabric, cluster, store, order, fenced), _follow(cluster, store, order)):
            stack.callback(asyncio.create_task(work).cancel)
        await store.open()
        reporter = Reporter(order.job, order.term, cluster.report, fenced)
        files = UploadedStorage(await _uploads(store, order.uploads), _blocking(store, asyncio.get_running_loop()))
        access = _data_access(order.supplies, files)
        surroundings = Surroundings(
            fabric=fabric,
            store=store,
            holder=holder,
            code=CodeVault(scratch / "code"),
            scratch=scratch,
            term=order.term,
            holder_identity=f"{order.job.kind} {order.job.name}",
            parent=order.lease.name,
            home=fabric.member,
            access=access,
        )
        coordinator = Coordinator(plan, surroundings)

        async def announce(ending: RunEnding) -> None:
            if coordinator.progress().phase is Phase.STOPPED or ending.reason in _NOT_FINAL:
                return
            await reporter.finish(coordinator, await _delivered(plan, store, ending, access))

        coordinator.announce = announce
        following = asyncio.create_task(reporter.follow(coordinator))
        stack.callback(following.cancel)
        report = await coordinator.run()
    if report.reason in _NOT_FINAL:
        raise StoreError(report.message, remedy="another coordinator goes on")


async def _delivered(plan: Plan, store: JobStoreClient, ending: RunEnding, access: Access) -> Ending:
    """How the job ended, once its outputs stand where a copy was asked for, or in the object itself."""
    words = Ending(
        complete=ending.complete,
        reason=ending.reason,
        message=ending.message[:LONGEST_MESSAGE],
        outputs=await inline_outputs(store, plan),
    )
    if not (ending.complete and plan.output.copy_to):
        return words
    try:
        receipt = await copy_outputs(store, plan, access)
    except ResultsError as error:
        told = str(error)[:LONGEST_MESSAGE]
        return msgspec.structs.replace(words, complete=False, reason="CopyFailed", message=told)
    told = f"{words.message}; {receipt.files} files copied to {receipt.uri}"
    return msgspec.structs.replace(words, message=told[:LONGEST_MESSAGE], location=receipt.uri)


def _data_access(supplies: Supplies, files: UploadedStorage) -> Access:
    """To modules, inputs and copies of a job in a cluster: without credentials of whoever's image this is."""
    return Access(
        options=dict.fromkeys(buckets.SCHEMES, supplies.bucket),
        docker_configs=supplies.docker_configs,
        user_logins=False,
        files=files,
        objects=supplies.contents,
    )


def _access(order: CoordinatorOrder, holder: Ed25519PrivateKey, scratch: Path) -> BrokerAccess:
    authority = scratch / "authority.pem"
    if order.authority:
        authority.write_text(order.authority, encoding="ascii")
    return BrokerAccess(
        endpoints=order.brokers,
        token_file=None,
        holder=holder,
        namespace=order.job.namespace,
        patience_seconds=PATIENCE_SECONDS,
        ca_file=authority if order.authority else None,
    )


def _terms(plan: Plan) -> OwnTerms:
    """What the fabric acquires coordinators for: the workers of the first stage."""
    first = plan.stages[0]
    return OwnTerms(
        pools=first.lease.pools,
        slots=first.lease.requirements.slots,
        memory=max(first.lease.requirements.memory, first.tasklet.limits.memory),
        cpu_features=first.lease.requirements.cpu_features,
    )


async def _uploads(store: JobStoreClient, digest: str) -> Uploads:
    """The list of the files that were uploaded; where there is none, reading one of them says that it is missing."""
    if digest:
        with suppress(KeyError, *UNREADABLE):
            return msgspec.json.decode(await store.read(file_key(digest)), type=Uploads)
    return Uploads()


def _blocking(store: JobStoreClient, loop: asyncio.AbstractEventLoop) -> ReadObject:
    """For the threads in which inputs are read: the store's connections belong to the loop."""

    def read(key: str, offset: int, length: int) -> bytes:
        return asyncio.run_coroutine_threadsafe(store.read(key, offset, length), loop).result()

    return read


async def _follow(cluster: ClusterFabric, store: JobStoreClient, order: CoordinatorOrder) -> None:
    """Know at once when the store is served by another member; that its lease has ended is noticed by who renews it."""
    version = order.store.version
    while True:
        try:
            view = await cluster.watch(order.store.uid, version)
        except LeaseEndedError:
            return
        except (UnreachableError, RefusedError):
            await asyncio.sleep(WATCH_PAUSE_SECONDS)
        else:
            version = view.version
            store.moved(view)


async def _keep(
    fabric: OwnLeaseFabric, cluster: ClusterFabric, store: JobStoreClient, order: CoordinatorOrder, fenced: Fenced
) -> None:
    """Renew this process's own lease, and follow that of the store, which needs no renewal but capabilities that are
    young enough to be shown.
    """
    while True:
        try:
            await _show(fabric.member, await fabric.renew(order.lease.uid))
            store.moved(await cluster.renew(order.store.uid))
        except LeaseEndedError as error:
            fenced(f"its lease has ended: {error}")
            return
        except UnreachableError as error:
            # Members and stores go on; the next look may find somebody.
            sys.stderr.write(f"coordinator: {error}\n")
        await asyncio.sleep(RENEW_SECONDS)


async def _show(name: str, view: LeaseView) -> None:
    """Have this process's own member hear of the renewal: no worker's connection may stand to it, now or ever."""
    capability = capabilities_by_member(view.capabilities).get(name)
    member = next((one for one in view.members if one.name == name), None)
    if capability is not None and member is not None:
        try:
            await show_capability(member, capability)
        except RefusedError as error:
            sys.stderr.write(f"coordinator: its own member refused: {error}\n")
