"""Batches and queues at stores of a real cluster: what a shuffle does there, and what a lost pod leaves of it."""

import asyncio
import time
from collections.abc import Awaitable, Callable, Iterator
from pathlib import Path
from typing import TypeVar

import pytest

from tasklet_runner.client.stores import StoreClient, StoreConnections
from tasklet_runner.wire.errors import LeaseGridError, RefusedError, StoreError, StoreFencedError, UnreachableError
from tasklet_runner.wire.queues import CommitRecord, Message, Standing
from tasklet_runner.wire.signed import sign
from tasklet_runner.wire.statements import GetGrant, PutGrant
from tests.integration.control_plane import ControlPlane
from tests.integration.operator_rig import OperatorRig, operator_rig
from tests.integration.store_holding import BLOCK, CLASS, MEMORY, StoreLease, kubelet_of, until_no_trace, volumes_of
from tests.support.cluster.plane import storage_class

Answer = TypeVar("Answer")

GRANTED_SECONDS = 600.0
PARTS = {f"map/0/1/part-{number}": bytes([number]) * size for number, size in enumerate((10, 5000, 300_000))}


@pytest.fixture
def stores(controlled: ControlPlane, tmp_path: Path) -> Iterator[OperatorRig]:
    """A namespace with a node for real members, and one operator."""
    storage_class(controlled, CLASS)
    with operator_rig(controlled, tmp_path, real=True) as rig:
        rig.start()
        yield rig


def put_grant(lease: StoreLease, epoch: int) -> str:
    """The leave of the lease's holder to put the parts of one attempt."""
    until = time.time() + GRANTED_SECONDS
    words = PutGrant(store=lease.uid, term=epoch, key_prefix="map/0/1", max_bytes=1 << 30, expires_at=until)
    return sign(words, lease.holder)


def get_grant(lease: StoreLease, epoch: int) -> str:
    """The leave of the lease's holder to read the stage's parts."""
    until = time.time() + GRANTED_SECONDS
    return sign(GetGrant(store=lease.uid, term=epoch, key_prefix="map", expires_at=until), lease.holder)


def worker(work: Callable[[StoreConnections], Awaitable[Answer]]) -> Answer:
    """Do something as a worker does, with nothing but grants."""

    async def connected() -> Answer:
        async with StoreConnections() as connections:
            return await work(connections)

    return asyncio.run(connected())


def put_parts(lease: StoreLease, grant: str, parts: dict[str, bytes]) -> None:
    endpoint, _ = lease.door()
    worker(lambda connections: connections.put_batch(endpoint, grant, list(parts.items())))


def parts_of(lease: StoreLease, epoch: int, target: Path) -> bytes:
    endpoint, _ = lease.door()
    grant = get_grant(lease, epoch)
    worker(lambda connections: connections.get_batch_to_file(endpoint, grant, list(PARTS), target))
    return target.read_bytes()


async def queue_up(store: StoreClient) -> None:
    """Three messages: one is acknowledged with a commit, one is with a consumer that will not come back."""
    queue = store.queue("map/part-0")
    assert await queue.push([Message(f"m{number}", b"body") for number in range(3)]) == 3
    received = await queue.receive(2, 1.0)
    commit = CommitRecord("reduce", 0, 1, "0-x")
    assert await queue.ack([received.messages[0].receipt], commit) == (Standing.ACKNOWLEDGED,)


async def deliveries(store: StoreClient) -> set[tuple[str, int]]:
    """Every message that is delivered until none is left, with its attempts."""
    queue, found = store.queue("map/part-0"), set[tuple[str, int]]()
    async with asyncio.timeout(60):
        while (received := await queue.receive(10, 600.0)).left:
            found |= {(message.id, message.attempts) for message in received.messages}
            await queue.ack([message.receipt for message in received.messages])
            await asyncio.sleep(0.05)
    return found


@pytest.mark.unhappy("pod of a block store lost in the middle of a shuffle")
def test_a_successor_has_the_batches_and_messages_and_fences_a_late_writer(stores: OperatorRig, tmp_path: Path) -> None:
    stores.pool(1, "block", maxSize=3, **BLOCK)
    lease = StoreLease(stores, "shuffle").acquire("block")
    store, directory = lease.member, volumes_of(stores)[lease.member]
    late = put_grant(lease, 1)
    put_parts(lease, late, PARTS)
    lease.use(queue_up)
    assert parts_of(lease, 1, tmp_path / "before") == b"".join(PARTS.values())

    kubelet_of(stores).do(lambda nodes: nodes.kill(store))
    lease.until_member(f"{store}-s1", 2)
    with pytest.raises(StoreFencedError, match="of term 1, the store is at term 2"):
        put_parts(lease, late, {"map/0/1/part-9": b"late"})
    assert parts_of(lease, 2, tmp_path / "after") == b"".join(PARTS.values())
    assert lease.use(deliveries) == {("m1", 2), ("m2", 1)}
    assert set(lease.objects()) == set(PARTS)

    filled = (8 << 20) - sum(map(len, PARTS.values())) - 1000
    put_parts(lease, put_grant(lease, 2), {"map/0/1/part-8": b"x" * filled})
    with pytest.raises(StoreError, match=r"is full: 8,387,608 of 8,388,608 .* larger storage\.size"):
        put_parts(lease, put_grant(lease, 2), {"map/0/1/part-9": b"fits", "map/0/1/part-10": b"x" * 1000})
    assert set(lease.objects()) == {*PARTS, "map/0/1/part-8"}

    stores.change("leases", "shuffle", {"revoke": {"graceSeconds": 0}})
    lease.released()
    until_no_trace(stores, store, directory)


@pytest.mark.unhappy("grants of a store that was released")
def test_after_the_release_no_grant_reads_or_writes_anything(stores: OperatorRig, tmp_path: Path) -> None:
    stores.pool(1, "memory", maxSize=2, **MEMORY)
    lease = StoreLease(stores, "m").acquire("memory")
    endpoint, _ = lease.door()
    put, get = put_grant(lease, 1), get_grant(lease, 1)
    put_parts(lease, put, PARTS)
    stores.change("leases", "m", {"revoke": {"graceSeconds": 0}})
    lease.released()
    calls: tuple[Callable[[StoreConnections], Awaitable[object]], ...] = (
        lambda connections: connections.put_batch(endpoint, put, list(PARTS.items())),
        lambda connections: connections.get_batch_to_file(endpoint, get, list(PARTS), tmp_path / "got"),
    )
    for call in calls:
        with pytest.raises(LeaseGridError) as caught:
            worker(call)
        assert isinstance(caught.value, (RefusedError, UnreachableError))
    assert not (tmp_path / "got").exists()
    until_no_trace(stores, lease.member)
