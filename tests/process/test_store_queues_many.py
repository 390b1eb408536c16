"""Several queues of a real store member in one request, and requests that wait for a message."""

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from tasklet_runner.client.ahead import GrantedQueues, read_batch
from tasklet_runner.client.granted import StoreConnections
from tasklet_runner.wire.errors import LeaseGridError, RefusedError, StoreError, StoreFencedError
from tasklet_runner.wire.queues import (
    MAX_QUEUES,
    MAX_WAIT_SECONDS,
    AckMany,
    Message,
    PushMany,
    ReceivedMany,
    ReceiveMany,
    Standing,
)
from tasklet_runner.wire.signed import sign
from tasklet_runner.wire.statements import GetGrant, PutGrant
from tasklet_runner.wire.store import ObjectInfo
from tests.support.members import LEASE
from tests.support.store_members import HeldStore, held_store

LONG = 600.0
ONE, TWO = "map/part-1", "map/part-2 ü/😀?"


def push_grant(held: HeldStore, prefix: str = "map", **changes: object) -> str:
    words = {"store": LEASE, "term": held.state.epoch, "key_prefix": prefix, "max_bytes": 1}
    statement = PutGrant(**(words | {"expires_at": time.time() + 300} | changes))  # type: ignore[arg-type]
    return sign(statement, held.rig.holder)


def get_grant(held: HeldStore, prefix: str = "map", **changes: object) -> str:
    words = {"store": LEASE, "term": held.state.epoch, "key_prefix": prefix, "expires_at": time.time() + 300}
    return sign(GetGrant(**(words | changes)), held.rig.holder)  # type: ignore[arg-type]


def messages(*numbers: int) -> tuple[Message, ...]:
    return tuple(Message(f"m{number}", b"\xff%d" % number) for number in numbers)


def ids(received: ReceivedMany) -> dict[str, list[str]]:
    return {queue: [message.id for message in some] for queue, some in received.queues.items()}


def receipts(received: ReceivedMany) -> AckMany:
    return AckMany({queue: tuple(message.receipt for message in some) for queue, some in received.queues.items()})


@asynccontextmanager
async def queues_of(root: Path, role: str = "Memory") -> AsyncIterator[tuple[HeldStore, GrantedQueues]]:
    async with held_store(root, role) as held, StoreConnections() as stores:
        yield held, GrantedQueues(stores, held.rig.endpoint)


@pytest.mark.parametrize("role", ["Memory", "Block"])
def test_messages_of_several_queues_go_in_and_come_out_in_one_request_each(role: str, tmp_path: Path) -> None:
    async def story() -> None:
        async with queues_of(tmp_path, role) as (held, queues):
            put, get = push_grant(held), get_grant(held)
            assert await queues.push(put, PushMany({ONE: messages(1, 2), TWO: messages(1)})) == 3
            assert await queues.push(put, PushMany({ONE: messages(2), TWO: messages(2, 3)})) == 2
            first = await queues.receive(get, ReceiveMany((ONE, TWO, ONE), 4, LONG))
            assert (ids(first), first.closed, first.left) == ({ONE: ["m1", "m2"], TWO: ["m1", "m2"]}, False, 5)
            assert first.queues[TWO][0].body == b"\xff1"
            assert await queues.ack(get, receipts(first)) == (Standing.ACKNOWLEDGED,) * 4
            assert await queues.ack(get, receipts(first)) == (Standing.ALREADY,) * 4
            rest = await queues.receive(get, ReceiveMany((TWO, ONE), 10, LONG))
            assert (ids(rest), rest.left) == ({TWO: ["m3"]}, 1)

    asyncio.run(story())


def test_who_waits_is_answered_by_the_next_push_to_one_of_its_queues(tmp_path: Path) -> None:
    async def story() -> None:
        async with queues_of(tmp_path) as (held, queues):
            put, get = push_grant(held), get_grant(held)
            waiting = asyncio.create_task(queues.receive(get, ReceiveMany((ONE, TWO), 1, LONG, MAX_WAIT_SECONDS)))
            other = asyncio.create_task(held.store.queue("map/other").receive(1, LONG, wait_seconds=MAX_WAIT_SECONDS))
            done, _ = await asyncio.wait({waiting, other}, timeout=0.3)
            assert not done
            await queues.push(put, PushMany({TWO: messages(7)}))
            assert ids(await waiting) == {TWO: ["m7"]}
            assert not other.done()
            await held.store.queue("map/other").push(messages(8))
            assert [message.id for message in (await other).messages] == ["m8"]

    asyncio.run(story())


def test_who_waits_at_queues_that_are_closed_and_empty_is_told_at_once(tmp_path: Path) -> None:
    async def story() -> None:
        async with queues_of(tmp_path) as (held, queues):
            put, get = push_grant(held), get_grant(held)
            waiting = asyncio.create_task(queues.receive(get, ReceiveMany((ONE, TWO), 9, LONG, MAX_WAIT_SECONDS)))
            await queues.push(put, PushMany({ONE: ()}, close=True))
            await queues.push(put, PushMany({TWO: messages(1)}, close=True))
            received = await waiting
            assert (ids(received), received.closed, received.left) == ({TWO: ["m1"]}, True, 1)
            await queues.ack(get, receipts(received))
            ended = await queues.receive(get, ReceiveMany((ONE, TWO), 9, LONG, MAX_WAIT_SECONDS))
            assert (ids(ended), ended.closed, ended.left) == ({}, True, 0)

    asyncio.run(story())


def test_a_closed_queue_keeps_no_id_of_what_was_acknowledged(tmp_path: Path) -> None:
    async def story() -> None:
        async with queues_of(tmp_path) as (held, queues):
            put, get = push_grant(held), get_grant(held)
            await queues.push(put, PushMany({ONE: messages(1, 2)}))
            before = await queues.receive(get, ReceiveMany((ONE,), 1, LONG))
            await queues.ack(get, receipts(before))
            await queues.push(put, PushMany({ONE: ()}, close=True))
            after = await queues.receive(get, ReceiveMany((ONE,), 9, LONG))
            assert ids(after) == {ONE: ["m2"]}
            for _ in range(2):
                await queues.ack(get, receipts(after))
            assert await queues.ack(get, receipts(before)) == (Standing.ALREADY,)
            assert await queues.ack(get, AckMany({ONE: ("", "0.1")})) == (Standing.LOST,) * 2
            with pytest.raises(RefusedError, match="is closed"):
                await queues.push(put, PushMany({ONE: messages(1)}))

    asyncio.run(story())


@pytest.mark.unhappy("a push to several queues of which one is closed, or for which there is no room")
def test_a_push_to_several_queues_is_whole_or_nothing(tmp_path: Path) -> None:
    async def story() -> None:
        async with held_store(tmp_path, quota=1000) as held, StoreConnections() as stores:
            queues, put = GrantedQueues(stores, held.rig.endpoint), push_grant(held)
            await queues.push(put, PushMany({TWO: ()}, close=True))
            with pytest.raises(RefusedError, match="is closed"):
                await queues.push(put, PushMany({ONE: messages(1), TWO: messages(1)}))
            with pytest.raises(StoreError, match="is full"):
                await queues.push(
                    put, PushMany({ONE: (Message("a", bytes(600)),), "map/b": (Message("a", bytes(600)),)})
                )
            assert (await queues.receive(get_grant(held), ReceiveMany((ONE, "map/b")))).left == 0

    asyncio.run(story())


@pytest.mark.unhappy("grants that do not cover a queue, are too old, or are none; requests out of bounds")
def test_what_a_grant_does_not_cover_is_refused_for_all_queues(tmp_path: Path) -> None:
    async def story() -> None:
        async with queues_of(tmp_path) as (held, queues):
            put, get = push_grant(held), get_grant(held)
            push, receive = PushMany({ONE: messages(1)}), ReceiveMany((ONE,))
            for attempt, kind in (
                (queues.push(put, PushMany({ONE: messages(1), "reduce/part-1": messages(1)})), RefusedError),
                (queues.push(get, push), LeaseGridError),
                (queues.push(push_grant(held, term=held.state.epoch - 1), push), StoreFencedError),
                (queues.receive(get, ReceiveMany((ONE, "reduce/part-1"))), RefusedError),
                (queues.receive(get_grant(held, expires_at=1.0), receive), RefusedError),
                (queues.receive("no.grant.atall", receive), LeaseGridError),
                (queues.ack(get, AckMany({"reduce/part-1": ("1.1",)})), RefusedError),
                (queues.receive(get, ReceiveMany((ONE,), 1, 1.0, MAX_WAIT_SECONDS + 1)), LeaseGridError),
                (queues.receive(get, ReceiveMany((ONE,), 1, 1.0, -1.0)), LeaseGridError),
                (queues.receive(get, ReceiveMany(tuple(f"map/{n}" for n in range(MAX_QUEUES + 1)))), LeaseGridError),
            ):
                with pytest.raises(kind) as caught:
                    await attempt
                assert caught.value.cause
            assert (await queues.receive(get, receive)).left == 0

    asyncio.run(story())


@pytest.mark.unhappy("a lease that ends while somebody waits for a message")
def test_who_waits_when_the_lease_ends_is_told_and_keeps_nobody_from_ending(tmp_path: Path) -> None:
    async def story() -> None:
        async with queues_of(tmp_path) as (held, queues):
            asked = ReceiveMany((ONE,), 1, LONG, MAX_WAIT_SECONDS)
            waiting = asyncio.create_task(queues.receive(get_grant(held), asked))
            done, _ = await asyncio.wait({waiting}, timeout=0.2)
            assert not done
            began = time.monotonic()
            await held.member.release(held.capability())
            with pytest.raises(LeaseGridError):
                await waiting
            # Not at the end of its wait.
            assert time.monotonic() - began < MAX_WAIT_SECONDS / 2

    asyncio.run(story())


@pytest.mark.unhappy("a consumer that dies while it waits: what comes then is for others")
def test_a_message_is_not_delivered_to_who_has_gone_away(tmp_path: Path) -> None:
    async def story() -> None:
        async with queues_of(tmp_path) as (held, queues):
            put, get = push_grant(held), get_grant(held)
            async with StoreConnections() as stores:
                gone = asyncio.create_task(
                    GrantedQueues(stores, held.rig.endpoint).receive(
                        get, ReceiveMany((ONE,), 1, LONG, MAX_WAIT_SECONDS)
                    )
                )
                await asyncio.wait({gone}, timeout=0.2)
                gone.cancel()
                await asyncio.wait({gone})
            # The store has heard of it when it answers on another connection.
            async with StoreConnections() as stores:
                await GrantedQueues(stores, held.rig.endpoint).receive(get, ReceiveMany((ONE,)))
            await queues.push(put, PushMany({ONE: messages(1)}))
            assert ids(await queues.receive(get, ReceiveMany((ONE,), 1, LONG, MAX_WAIT_SECONDS))) == {ONE: ["m1"]}

    asyncio.run(story())


def test_objects_of_a_batch_are_told_apart(tmp_path: Path) -> None:
    async def story() -> None:
        async with held_store(tmp_path) as held, StoreConnections() as stores:
            await held.store.put_batch([("map/0", b"a" * 100_000), ("map/1", b""), ("map/2", b"b")])
            seen: list[tuple[str, int]] = []
            told: list[int] = []
            size = 0
            keys = ("map/2", "map/0", "map/1")
            async for part in read_batch(stores, held.rig.endpoint, get_grant(held), keys, told.append):
                if isinstance(part, ObjectInfo):
                    seen.append((part.key, size))
                    size = 0
                else:
                    size += len(part)
            assert seen == [("map/2", 1), ("map/0", 100_000), ("map/1", 0)]
            assert len(told) == 1

    asyncio.run(story())
