"""Outputs that are too large for a frame, and partitioned ones: held in scratch until the holder grants their way into
a store.
"""

import asyncio
from collections.abc import Awaitable, Callable
from pathlib import Path

from tasklet_runner.client.granted import StoreConnections
from tasklet_runner.member.progress import Traffic
from tasklet_runner.sandbox.partitions import part_number
from tasklet_runner.sandbox.trees import Listing, list_tree, remove_tree
from tasklet_runner.wire.errors import LeaseGridError, RefusedError, StoreFencedError, UnreachableError
from tasklet_runner.wire.faults import Fault, FaultKind
from tasklet_runner.wire.work import Grant, Stored

PUTS_AT_ONCE = 4

Say = Callable[[Stored], Awaitable[None]]


class HeldOutputs:
    """`<index>-<attempt>/{stdout,out/…}` below `directory`, or `<index>-<attempt>/part-<n>`.

    `stores` is shared with others and theirs to close; what is put is counted in `traffic`.
    """

    def __init__(self, directory: Path, say: Say, stores: StoreConnections, traffic: Traffic) -> None:
        self._directory = directory
        self._say = say
        self._stores = stores
        self._traffic = traffic
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
            names = await self._put_listed(grant, place, listing)
        except (LeaseGridError, OSError) as error:
            return Stored(grant.index, grant.attempt, fault=_fault_of(error))
        self.discard(grant.index, grant.attempt)
        self._traffic.put_bytes += listing.byte_count
        return Stored(grant.index, grant.attempt, names, listing.byte_count)

    async def _put_listed(self, grant: Grant, place: Path, listing: Listing) -> tuple[str, ...]:
        if "stdout" not in listing.files:
            names = tuple(sorted(listing.files, key=part_number))
            objects = [(f"{grant.key_prefix}/{name}", place / name) for name in names]
            await self._stores.put_batch(grant.endpoint, grant.grant, objects)
            return names
        # `stdout` first: it is the object that every commit record names first.
        names = tuple(sorted(listing.files, key=lambda name: (name != "stdout", name)))
        for name in names:
            await self._stores.put_object(grant.endpoint, grant.grant, f"{grant.key_prefix}/{name}", place / name)
        return names


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
