"""Outputs that are too large for a frame: held in scratch until the holder grants their way into the store."""

import asyncio
from collections.abc import Awaitable, Callable
from pathlib import Path

from tasklet_runner.client.stores import put_object
from tasklet_runner.sandbox.trees import list_tree, remove_tree
from tasklet_runner.wire.errors import LeaseGridError, RefusedError, StoreFencedError, UnreachableError
from tasklet_runner.wire.faults import Fault, FaultKind
from tasklet_runner.wire.work import Grant, Stored

PUTS_AT_ONCE = 4

Say = Callable[[Stored], Awaitable[None]]


class HeldOutputs:
    """`<index>-<attempt>/{stdout,out/…}` below `directory`."""

    def __init__(self, directory: Path, say: Say) -> None:
        self._directory = directory
        self._say = say
        self._turn = asyncio.Semaphore(PUTS_AT_ONCE)

    async def put(self, grant: Grant) -> None:
        """Put every file of one attempt into the store, and answer `Stored`; after success nothing is held."""
        async with self._turn:
            await self._say(await self._put_all(grant))

    def discard(self, index: int, attempt: int) -> None:
        """Delete what is held of one attempt."""
        remove_tree(self._place(index, attempt))

    def _place(self, index: int, attempt: int) -> Path:
        return self._directory / f"{index}-{attempt}"

    async def _put_all(self, grant: Grant) -> Stored:
        place = self._place(grant.index, grant.attempt)
        try:
            listing = list_tree(place, bounded=False)  # the slot has bounded it; here `out/` stands before each name
            # `stdout` first: it is the object that every commit record names first.
            names = sorted(listing.files, key=lambda name: (name != "stdout", name))
            for name in names:
                await put_object(grant.endpoint, grant.grant, f"{grant.key_prefix}/{name}", place / name)
        except (LeaseGridError, OSError) as error:
            return Stored(grant.index, grant.attempt, fault=_fault_of(error))
        self.discard(grant.index, grant.attempt)
        return Stored(grant.index, grant.attempt, tuple(names), listing.byte_count)


def _fault_of(error: LeaseGridError | OSError) -> Fault:
    kind = FaultKind.IO_ERROR
    if isinstance(error, UnreachableError):
        kind = FaultKind.DISCONNECTED
    elif isinstance(error, StoreFencedError):
        kind = FaultKind.FENCED
    elif isinstance(error, RefusedError) and error.reason == FaultKind.LEASE_EXPIRED:
        kind = FaultKind.LEASE_EXPIRED
    cause, remedy = (error.cause, error.remedy) if isinstance(error, LeaseGridError) else (str(error), "")
    return Fault(kind=kind, message=cause, remedy=remedy)
