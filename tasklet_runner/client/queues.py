"""Calls to one queue of a leased store; see `tasklet_runner.wire.queues` for what it promises."""

from collections.abc import Sequence
from typing import TypeVar

import msgspec

from tasklet_runner.client.store_calls import Ask, HolderCalls
from tasklet_runner.wire.queues import (
    Ack,
    Acknowledged,
    CommitRecord,
    Message,
    Push,
    Pushed,
    Receive,
    Received,
    Standing,
    queue_path,
)

Reply = TypeVar("Reply")


class StoreQueue:
    """One queue. Every call raises what every call of `StoreClient` does."""

    def __init__(self, calls: HolderCalls, name: str) -> None:
        self._calls = calls
        self._name = name

    async def push(self, messages: Sequence[Message]) -> int:
        """Add messages, at most MAX_MESSAGES; how many were new. An id that is there, or was, is not added again.

        Raises besides: RefusedError (Conflict: the queue is closed).
        """
        return (await self._ask("push", Push(tuple(messages)), Pushed)).added

    async def receive(self, limit: int = 1, visibility_seconds: float = 30.0, *, wait_seconds: float = 0.0) -> Received:
        """Messages that nobody else sees for so long, the oldest first; none when none came in `wait_seconds`."""
        return await self._ask("receive", Receive(limit, visibility_seconds, wait_seconds), Received)

    async def ack(self, receipts: Sequence[str], commit: CommitRecord | None = None) -> tuple[Standing, ...]:
        """Say that messages have had their effect; with a record, that this attempt is the one that is visible."""
        return (await self._ask("ack", Ack(tuple(receipts), commit), Acknowledged)).standings

    async def close(self) -> None:
        """Let no new message come, and the ids of those that are acknowledged be forgotten."""
        await self._ask("close", None, Pushed)

    async def _ask(self, verb: str, asked: msgspec.Struct | None, kind: type[Reply]) -> Reply:
        body = b"" if asked is None else msgspec.json.encode(asked)
        async with self._calls.answer(Ask("POST", queue_path(self._name, verb), body=lambda: body)) as response:
            return msgspec.json.decode(await response.read(), type=kind)
