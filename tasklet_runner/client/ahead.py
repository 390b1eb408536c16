"""What is fetched before it is asked for: queues that tell of objects, several at once, and the objects one by one."""

from collections.abc import AsyncGenerator, Sequence
from typing import TypeVar

import msgspec

from tasklet_runner.client.batches import Admit, BatchSink, request_of
from tasklet_runner.client.granted import StoreConnections, translated
from tasklet_runner.wire.batches import MAX_BATCH_OBJECTS
from tasklet_runner.wire.queues import (
    QUEUE_BATCHES_PATH,
    AckMany,
    Acknowledged,
    Pushed,
    PushMany,
    ReceivedMany,
    ReceiveMany,
    Standing,
)
from tasklet_runner.wire.store import BATCH_GET_PATH, GRANT_HEADER, ObjectInfo

Reply = TypeVar("Reply")


class GrantedQueues:
    """Queues of the store at `endpoint`, under grants. Every call raises what those of `StoreConnections` do."""

    def __init__(self, stores: StoreConnections, endpoint: str) -> None:
        self._stores = stores
        self._endpoint = endpoint

    async def push(self, grant: str, push: PushMany) -> int:
        """Add messages under a PutGrant; how many were new."""
        return (await self._ask(grant, "push", push, Pushed)).added

    async def receive(self, grant: str, receive: ReceiveMany) -> ReceivedMany:
        """Messages that nobody else sees for so long, under a GetGrant."""
        return await self._ask(grant, "receive", receive, ReceivedMany)

    async def ack(self, grant: str, ack: AckMany) -> tuple[Standing, ...]:
        """Say that messages have had their effect, under a GetGrant."""
        return (await self._ask(grant, "ack", ack, Acknowledged)).standings

    async def _ask(self, grant: str, verb: str, asked: msgspec.Struct, kind: type[Reply]) -> Reply:
        body, headers = msgspec.json.encode(asked), {GRANT_HEADER: grant}
        with translated(self._endpoint, f"{verb} messages"):
            async with self._stores.answer(
                self._endpoint, "POST", QUEUE_BATCHES_PATH + verb, headers, body
            ) as response:
                return msgspec.json.decode(await response.read(), type=kind)


class QueuePusher:
    """Pushes to queues of any store, over connections that are kept until `close`."""

    def __init__(self) -> None:
        self._stores = StoreConnections()

    async def push(self, endpoint: str, grant: str, push: PushMany) -> None:
        """See `GrantedQueues.push`."""
        await GrantedQueues(self._stores, endpoint).push(grant, push)

    async def close(self) -> None:
        """Close all connections."""
        await self._stores.close()


async def read_batch(
    stores: StoreConnections, endpoint: str, grant: str, keys: Sequence[str], admit: Admit
) -> AsyncGenerator[ObjectInfo | memoryview, None]:
    """The bytes of these objects in pieces, and after the last piece of each what it was. To be closed by the caller.

    `admit`, and what is raised, are those of `StoreConnections.append_batch`.
    """
    for at in range(0, len(keys), MAX_BATCH_OBJECTS):
        some = keys[at : at + MAX_BATCH_OBJECTS]
        sink = BatchSink(endpoint, some)
        with translated(endpoint, f"give {len(keys):,} objects"):
            asked = stores.answer(endpoint, "POST", BATCH_GET_PATH, {GRANT_HEADER: grant}, request_of(some))
            async with asked as response:
                admit(response.content_length or 0)
                async for piece in response.content.iter_any():
                    for part in sink.feed(piece):
                        yield part
                sink.finish()
