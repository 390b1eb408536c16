"""Room in scratch for inputs that a member fetches itself: counted with the blobs, given in the order of asking."""

import asyncio
from collections.abc import Callable

from tasklet_runner.member.blobs import BlobShelf
from tasklet_runner.wire.errors import FaultError
from tasklet_runner.wire.faults import Fault, FaultKind


class FetchRoom:
    """The fetched inputs of one lease among its blobs.

    The first input may take what the blobs leave; another beside it only the half that is surely free: tasklets write
    their outputs into scratch too, and an input that is fetched early must not cost them that. What no task has asked
    for yet stands in that half too, and makes way for whatever is needed.
    """

    def __init__(self, blobs: BlobShelf) -> None:
        self._blobs = blobs
        self._used = 0
        self._turn = asyncio.Lock()
        self._freed = asyncio.Event()

    def try_take(self, size: int) -> bool:
        """Take so many bytes now, if there is room for them and nobody waits for it."""
        if self._turn.locked() or not self._fits(size):
            return False
        self._take(size)
        return True

    async def take(self, size: int) -> None:
        """Take so many bytes as soon as other inputs have left enough, after all who asked before.

        Raises FaultError (CapacityExceeded) when there is too little even without them. Who waits must hold nothing.
        """
        async with self._turn:
            while not self._fits(size):
                if not self._used:
                    raise FaultError(self._too_large(size))
                self._freed.clear()
                await self._freed.wait()
            self._take(size)

    def on_short(self, make_way: Callable[[], bool]) -> None:
        """Call this, as often as it says True, when there is too little room for what is needed."""
        self._blobs.make_way = make_way

    def try_take_ahead(self, size: int) -> bool:
        """Take so many bytes for what no task has asked for, if that is nobody's loss."""
        if self._turn.locked() or self._blobs.used + size > self._blobs.capacity // 2:
            return False
        self._blobs.used += size
        return True

    def give_back_ahead(self, size: int) -> None:
        """So many bytes that were taken ahead are free again."""
        self._blobs.used -= size
        self._freed.set()

    def give_back(self, size: int) -> None:
        """So many bytes are free again."""
        self._used -= size
        self._blobs.used -= size
        self._freed.set()

    def _fits(self, size: int) -> bool:
        while not self._is_free(size):
            if not self._blobs.make_way():
                return False
        return True

    def _is_free(self, size: int) -> bool:
        total = self._blobs.used + size
        return total <= (self._blobs.capacity // 2 if self._used else self._blobs.capacity)

    def _take(self, size: int) -> None:
        self._used += size
        self._blobs.used += size

    def _too_large(self, size: int) -> Fault:
        return Fault(
            kind=FaultKind.CAPACITY_EXCEEDED,
            message=f"an input of {size:,} bytes does not fit into this member's scratch: {self._blobs.used:,} of"
            f" {self._blobs.capacity:,} bytes are taken",
            remedy="raise shuffle.partitions, so that each is smaller, or give members a larger scratch"
            " (resources.memory of the pool)",
        )
