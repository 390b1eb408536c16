"""Queues of real store members: every message has its effect once, whoever dies."""

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from tasklet_runner.client.queues import StoreQueue
from tasklet_runner.client.stores import StoreClient
from tasklet_runner.wire.errors import LeaseGridError, RefusedError, StoreError, UnreachableError
from tasklet_runner.wire.queues import MAX_MESSAGES, CommitRecord, Message, Received, Standing
from tests.support.store_members import HeldStore, held_store, store_member

LONG = 600.0
"""A consumer of these tests that holds a message so long holds it to the test's end."""

NAME = "map/part-3 ü/😀?"


def messages(*numbers: int) -> list[Message]:
    return [Message(f"m{number}", b"body \xff %d" % number) for number in numbers]


def ids(received: Received) -> list[tuple[str, int]]:
    return [(message.id, message.attempts) for message in received.messages]


@asynccontextmanager
async def held_queue(root: Path, role: str = "Memory") -> AsyncIterator[tuple[HeldStore, StoreQueue]]:
    async with held_store(root, role) as held:
        yield held, held.store.queue(NAME)


async def redelivered(queue: StoreQueue, visibility_seconds: float = LONG) -> Received:
    """What is delivered when the time of those who had it is over."""
    async with asyncio.timeout(30):
        while not (received := await queue.receive(10, visibility_seconds)).messages:  # noqa: ASYNC110  # by the clock
            await asyncio.sleep(0.02)
    return received


@pytest.mark.parametrize("role", ["Memory", "Block"])
def test_messages_come_in_their_order_once_until_they_are_acknowledged(role: str, tmp_path: Path) -> None:
    async def story() -> None:
        async with held_queue(tmp_path, role) as (held, queue):
            assert await queue.push(messages(1, 2, 3)) == 3
            first = await queue.receive(2, LONG)
            assert ids(first) == [("m1", 1), ("m2", 1)]
            assert first.messages[0].body == b"body \xff 1"
            second = await queue.receive(2, LONG)
            assert (ids(second), second.left, second.closed) == ([("m3", 1)], 3, False)
            assert ids(await queue.receive(2, LONG)) == []
            receipts = [message.receipt for message in (*first.messages, *second.messages)]
            assert await queue.ack(receipts) == (Standing.ACKNOWLEDGED,) * 3
            assert (await queue.receive()).left == 0
            assert ids(await held.store.queue("another").receive()) == []

    asyncio.run(story())


@pytest.mark.unhappy("a push whose answer was lost is sent again")
def test_a_message_is_pushed_once_also_when_it_was_acknowledged_meanwhile(tmp_path: Path) -> None:
    async def story() -> None:
        async with held_queue(tmp_path) as (held, queue):
            assert await queue.push(messages(1, 2)) == 2
            assert await queue.push(messages(2, 3, 3)) == 1
            received = await queue.receive(10, LONG)
            await queue.ack([message.receipt for message in received.messages])
            assert await queue.push(messages(1, 2, 3)) == 0
            assert (await queue.receive()).left == 0
            assert await held.store.queue("another").push(messages(1)) == 1

    asyncio.run(story())


@pytest.mark.unhappy("a consumer that dies")
def test_a_message_of_a_consumer_that_died_is_delivered_again_with_one_attempt_more(tmp_path: Path) -> None:
    async def story() -> None:
        async with held_queue(tmp_path) as (_, queue):
            await queue.push(messages(1))
            began = time.monotonic()
            assert ids(await queue.receive(1, 0.5)) == [("m1", 1)]
            assert ids(await redelivered(queue)) == [("m1", 2)]
            assert time.monotonic() - began >= 0.5

    asyncio.run(story())


@pytest.mark.unhappy("an acknowledgement after the message went to another consumer")
def test_a_receipt_is_lost_when_another_has_the_message_and_its_commit_is_not_written(tmp_path: Path) -> None:
    async def story() -> None:
        async with held_queue(tmp_path) as (held, queue):
            await queue.push(messages(1, 2))
            other = (await queue.receive(1, LONG)).messages[0]
            late = (await queue.receive(1, 0.2)).messages[0]
            again = (await redelivered(queue)).messages[0]
            commit = CommitRecord("reduce", 3, late.attempts, "3-late")
            assert await queue.ack([other.receipt, late.receipt], commit) == (Standing.ACKNOWLEDGED, Standing.LOST)
            assert [record async for record in held.store.commits("reduce")] == []
            commit = CommitRecord("reduce", 3, again.attempts, "3-again")
            assert await queue.ack([other.receipt, again.receipt], commit) == (Standing.ACKNOWLEDGED,) * 2
            assert await queue.ack([late.receipt], CommitRecord("reduce", 3, 1, "3-late")) == (Standing.ALREADY,)
            assert [record.chunk_id async for record in held.store.commits("reduce")] == ["3-again"]

    asyncio.run(story())


def test_a_receipt_is_good_after_its_time_as_long_as_nobody_else_has_the_message(tmp_path: Path) -> None:
    async def story() -> None:
        async with held_queue(tmp_path) as (_, queue):
            await queue.push(messages(1))
            late = (await queue.receive(1, 0.05)).messages[0]
            await asyncio.sleep(0.1)
            assert await queue.ack([late.receipt]) == (Standing.ACKNOWLEDGED,)

    asyncio.run(story())


def test_acknowledging_again_is_no_error_and_what_never_was_a_receipt_is_lost(tmp_path: Path) -> None:
    async def story() -> None:
        async with held_queue(tmp_path) as (held, queue):
            await queue.push(messages(1))
            receipt = (await queue.receive(1, LONG)).messages[0].receipt
            assert await held.store.queue("another").ack([receipt]) == (Standing.LOST,)
            assert await queue.ack([receipt, receipt]) == (Standing.ACKNOWLEDGED,) * 2
            assert await queue.ack([receipt]) == (Standing.ALREADY,)
            odd = ["", "1", "x.1", "1.1.1", "-1.1", "9" * 40 + ".1", "\u0663.\u0661"]
            assert await queue.ack(odd) == (Standing.LOST,) * len(odd)

    asyncio.run(story())


@pytest.mark.unhappy("a push after the end")
def test_a_closed_queue_takes_nothing_new_and_says_that_it_is_closed(tmp_path: Path) -> None:
    async def story() -> None:
        async with held_queue(tmp_path) as (_, queue):
            await queue.push(messages(1))
            for _ in range(2):
                await queue.close()
            assert await queue.push(messages(1)) == 0
            with pytest.raises(RefusedError, match="is closed") as caught:
                await queue.push(messages(1, 2))
            assert caught.value.reason == "Conflict"
            received = await queue.receive(10, LONG)
            assert (ids(received), received.closed) == ([("m1", 1)], True)

    asyncio.run(story())


@pytest.mark.unhappy("a queue that fills the store")
def test_messages_count_against_the_quota_until_they_are_acknowledged(tmp_path: Path) -> None:
    async def story() -> None:
        async with held_store(tmp_path, quota=100_000) as held:
            queue = held.store.queue("q")
            await queue.push([Message("a", b"x" * 60_000)])
            with pytest.raises(StoreError, match=r"60,000 of 100,000 bytes are used and 50,000 more .*storage\.size"):
                await queue.push([Message("b", b"x" * 20_000), Message("c", b"x" * 30_000)])
            with pytest.raises(StoreError, match="is full"):
                await held.store.put_batch([("k", b"x" * 40_001)])
            received = await queue.receive(10, LONG)
            assert ids(received) == [("a", 1)]
            await queue.ack([received.messages[0].receipt])
            await held.store.put_batch([("k", b"x" * 100_000)])

    asyncio.run(story())


@pytest.mark.unhappy("requests to a queue that are out of bounds")
def test_what_is_out_of_bounds_is_refused_in_words(tmp_path: Path) -> None:
    async def story() -> None:
        async with held_queue(tmp_path) as (held, queue):
            for attempt in (
                queue.receive(0),
                queue.receive(MAX_MESSAGES + 1),
                queue.receive(1, 0),
                queue.receive(1, 1e9),
                queue.push([Message("", b"")]),
                queue.push([Message("large", b"x" * 300_000)]),
                queue.push(messages(*range(MAX_MESSAGES + 1))),
                queue.ack(["1.1"] * (MAX_MESSAGES + 1)),
                held.store.queue("").receive(),
                held.store.queue("x" * 5000).receive(),
            ):
                with pytest.raises(LeaseGridError) as caught:
                    await attempt
                assert caught.value.cause
            assert (await queue.receive()).left == 0

    asyncio.run(story())


@pytest.mark.unhappy("queue calls after the lease's end")
def test_after_the_release_nothing_is_delivered_and_nothing_is_taken(tmp_path: Path) -> None:
    async def story() -> None:
        async with held_queue(tmp_path, "Block") as (held, queue):
            await queue.push(messages(1))
            await held.member.release(held.capability())
            for attempt in (queue.push(messages(2)), queue.receive(), queue.ack(["1.1"]), queue.close()):
                with pytest.raises((RefusedError, UnreachableError)):
                    await attempt

    asyncio.run(story())


@pytest.mark.unhappy("a block member that is killed")
def test_a_successor_on_the_volume_delivers_again_what_was_not_acknowledged(tmp_path: Path) -> None:
    async def story() -> None:
        async with held_queue(tmp_path, "Block") as (held, queue):
            await queue.push(messages(1, 2, 3))
            received = await queue.receive(2, 0.5)
            await queue.ack([received.messages[0].receipt], CommitRecord("reduce", 0, 1, "0-x"))
            assert held.rig.process is not None
            held.rig.process.kill()
            held.rig.process.wait()
            Path(held.rig.endpoint.removeprefix("unix://")).unlink()
            async with store_member(tmp_path, "Block", after=held.rig) as (rig, client):
                state = await rig.claimed(client)
                capability = rig.signed(rig.capability(state))
                async with StoreClient(rig.endpoint, capability, rig.holder) as store:
                    queue = store.queue(NAME)
                    assert await queue.push(messages(1, 2, 3)) == 0
                    assert ids(await queue.receive(10, LONG)) == [("m3", 1)]
                    assert ids(await redelivered(queue)) == [("m2", 2)]
                    assert [record.chunk_id async for record in store.commits("reduce")] == ["0-x"]

    asyncio.run(story())
