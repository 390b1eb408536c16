"""Outputs that a member could not put into the job's own store: was the store away, which a chunk cannot help?"""

import asyncio
from collections.abc import Callable

from tasklet_runner.coordinator.handles import Held
from tasklet_runner.store.protocol import JobStore
from tasklet_runner.wire.errors import StoreError
from tasklet_runner.wire.faults import Fault


class Unstored:
    """Asks the store, which waits while it does not answer. Where it is served elsewhere by then, `moved` hears of
    what was granted at its old address; all else is `failed`.
    """

    def __init__(self, store: JobStore, moved: Callable[[Held], None], failed: Callable[[Held, Fault], None]) -> None:
        self._store = store
        self._moved = moved
        self._failed = failed
        self._waiting: list[tuple[Held, Fault]] = []
        self._asking: asyncio.Task[None] | None = None

    def take(self, held: Held, fault: Fault) -> None:
        """One that failed with this fault."""
        self._waiting.append((held, fault))
        if self._asking is None or self._asking.done():
            self._asking = asyncio.get_running_loop().create_task(self._ask(), name="ask the store")

    async def _ask(self) -> None:
        while self._waiting:
            waiting, self._waiting = self._waiting, []
            try:
                await self._store.used_bytes()
                endpoint = self._store.endpoint
            except StoreError:
                endpoint = ""  # whoever writes into it is told, too, and the run ends with that
            for held, fault in waiting:
                if endpoint and held.endpoint != endpoint:
                    self._moved(held)
                else:
                    self._failed(held, fault)
