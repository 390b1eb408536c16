"""Writes into a store and says what is kept. `written`: survives the process; `synced`: survives a power cut."""

import asyncio
import hashlib
import json
from collections.abc import AsyncIterator, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from tasklet_runner.store.disk import DiskStore
from tasklet_runner.store.grants import Allowance
from tasklet_runner.store.protocol import CommitRecord, NewObject
from tasklet_runner.wire.batches import ObjectHead, framed
from tasklet_runner.wire.errors import StoreError
from tasklet_runner.wire.queues import Ack, Message
from tests.support.faults.nursery import say

UID = "store-1"
QUOTA = 64 << 20
LARGE = 70_000
"""More than what stands in the index itself."""

BATCHES: Mapping[str, Mapping[str, int]] = {
    "small": {"main/0/1/stdout": 10, "main/0/1/out/a": 5000},
    "large": {"main/1/1/stdout": LARGE, "main/1/1/out/b": 3},
    "received": {"main/4/1/stdout": LARGE},
    "segment": {"part/0/1/0": 40_000, "part/0/1/1": 30_000, "part/0/1/2": 7},
    "late": {"main/2/1/stdout": LARGE},
    "winning": {"main/2/2/stdout": LARGE + 1},
    "second": {"main/3/1/stdout": 12},
}
"""Each is put at once, whole or not at all: keys and sizes."""

COMMITS: Mapping[str, tuple[tuple[int, int], ...]] = {"small": ((0, 1),), "large": ((1, 1),), "winning": ((2, 2),)}
"""(index, attempt) that are committed together with a batch."""

MESSAGES = tuple(f"m{number}" for number in range(5))
CONSUMED = 2
"""So many messages are acknowledged, in one transaction with a commit."""


def content(key: str, size: int) -> bytes:
    """What an object holds: known to who writes and to who judges."""
    return hashlib.shake_128(f"{key} {size}".encode()).digest(size)


def run(directory: str) -> None:
    """Everything, once."""
    asyncio.run(_story(Path(directory) / "store"))


async def _story(directory: Path) -> None:
    store = DiskStore.open(directory, uid=UID, quota_bytes=QUOTA, term=1)
    said("synced", "term", 1)
    written = []
    for batch in ("small", "large", "late", "winning"):
        with tried():
            await store.write(objects(batch), records(batch))
            said("written", "batch", batch)
            written.append(batch)
    with tried():
        await store.sync()
        for batch in written:
            said("synced", "batch", batch)
    with tried():
        await store.write([], [CommitRecord("main", 2, 1, "2-late")])
    await _receive(store)
    await _values_and_queue(store)
    with tried():
        await store.close()
    store = DiskStore.open(directory, uid=UID, quota_bytes=QUOTA, term=2)
    said("synced", "term", 2)
    with tried():
        await store.write(objects("second"), [])
        await store.sync()
        said("synced", "batch", "second")


async def _receive(store: DiskStore) -> None:
    with tried():
        await store.receive("main/4/1/stdout", _pieces(content("main/4/1/stdout", LARGE)), QUOTA)
        await store.sync()
        said("synced", "batch", "received")
    with tried():
        heads = BATCHES["segment"].items()
        framed_batch = b"".join(framed(ObjectHead(key, size)) + content(key, size) for key, size in heads)
        await store.receive_batch(_pieces(framed_batch), Allowance(QUOTA))
        await store.sync()
        said("synced", "batch", "segment")


async def _values_and_queue(store: DiskStore) -> None:
    for value in (1, 2):
        with tried():
            await store.put_value("progress", b"%d" % value)
            said("synced", "value", value)
    with tried():
        store.queues.push("q", [Message(name, name.encode()) for name in MESSAGES])
        await store.sync()
        said("synced", "pushed", len(MESSAGES))
    with tried():
        received = store.queues.receive("q", CONSUMED + 1, 5.0, 0.0)
        receipts = tuple(message.receipt for message in received.messages[:CONSUMED])
        store.queues.acknowledge("q", Ack(receipts, CommitRecord("reduce", 0, 1, "0-x")))
        await store.sync()
        said("synced", "consumed", len(receipts))


def objects(batch: str) -> list[NewObject]:
    """The objects of a batch."""
    return [NewObject(key, content(key, size)) for key, size in BATCHES[batch].items()]


def records(batch: str) -> list[CommitRecord]:
    """The commits of a batch."""
    return [CommitRecord("main", index, attempt, f"{index}-x") for index, attempt in COMMITS.get(batch, ())]


def said(how: str, what: str, which: str | int) -> None:
    """Acknowledge it."""
    say(json.dumps({"how": how, "what": what, "which": which}))


@contextmanager
def tried() -> Iterator[None]:
    """A step that may be refused with a typed error: the others go on, as a coordinator would."""
    try:
        yield
    except StoreError as error:
        say(json.dumps({"how": "refused", "what": error.code, "which": str(error)[:200]}))


async def _pieces(data: bytes) -> AsyncIterator[bytes]:
    for at in range(0, len(data), 32_768):
        yield data[at : at + 32_768]
