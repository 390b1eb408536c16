"""Writes leases' status: one write of a lease at a time, transitions at once, places in a queue when there is time."""

import asyncio
import logging
from collections.abc import Callable
from typing import Protocol

from leasegrid_operator.errors import ClusterError, NotFoundError, ServerUnavailableError
from leasegrid_operator.leases.status import Status
from leasegrid_operator.logs import Action, log
from leasegrid_operator.resources import LEASES, ObjectKey, Resource

logger = logging.getLogger(__name__)

IN_FLIGHT = 16
"""Writes at a time: an API server serves no more per second with more of them, and each waits longer. Each also needs a
connection, and to open one costs the server as much as a write does."""

QUEUE_SECONDS = 1.0
"""A lease that is served within this never has its place in the queue written."""

QUEUE_PAUSE_SECONDS = 0.04
"""Between two places that are written: a queue of thousands moves as a whole, and nobody reads so fast."""

RETRY_SECONDS = 1.0

Composed = tuple[ObjectKey, Status]


class StatusDoor(Protocol):
    """What of the cluster is used here."""

    async def patch_status(self, resource: Resource, key: ObjectKey, status: Status) -> Status:
        """Merge the status; raises ClusterError."""
        ...


class StatusWriter:
    """`compose` says what is to be written for a lease now, None for nothing; `written` hears what was."""

    def __init__(
        self,
        door: StatusDoor,
        compose: Callable[[str], Composed | None],
        written: Callable[[str, Status], None],
    ) -> None:
        self._door = door
        self._compose = compose
        self._written = written
        self._room = asyncio.Semaphore(IN_FLIGHT)
        self._in_flight: dict[str, asyncio.Task[None]] = {}
        self._again: set[str] = set()
        self._queued: dict[str, float] = {}
        self._queue: asyncio.Task[None] | None = None

    def mark(self, uid: str) -> None:
        """Its status may be another now: write it at once."""
        self._queued.pop(uid, None)
        if uid in self._in_flight:
            self._again.add(uid)
        else:
            self._begin(uid, 0.0)

    def mark_queued(self, uid: str) -> None:
        """Its place in the queue may be another now: write it when there is time."""
        loop = asyncio.get_running_loop()
        self._queued.setdefault(uid, loop.time() + QUEUE_SECONDS)
        if self._queue is None or self._queue.done():
            self._queue = loop.create_task(self._write_queued())

    async def close(self) -> None:
        """Write nothing more."""
        tasks = [*self._in_flight.values(), *([self._queue] if self._queue is not None else [])]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    def _begin(self, uid: str, delay: float) -> None:
        self._in_flight[uid] = asyncio.get_running_loop().create_task(self._write(uid, delay))

    async def _write(self, uid: str, delay: float) -> None:
        retry = False
        try:
            if delay:
                await asyncio.sleep(delay)
            async with self._room:
                retry = not await self._write_once(uid)
        finally:
            self._in_flight.pop(uid, None)
        if retry or uid in self._again:
            self._again.discard(uid)
            self._begin(uid, RETRY_SECONDS if retry else 0.0)

    async def _write_once(self, uid: str) -> bool:
        """False when it should be tried again."""
        self._again.discard(uid)
        composed = self._compose(uid)
        if composed is None:
            return True
        key, status = composed
        try:
            await self._door.patch_status(LEASES, key, status)
        except NotFoundError:
            return True  # the watch tells, too
        except ServerUnavailableError:
            return False
        except ClusterError as error:
            log(logger, logging.ERROR, Action.WRITE_FAILED, f"a status was refused: {error}", lease=str(key), uid=uid)
            return True
        self._written(uid, status)
        return True

    async def _write_queued(self) -> None:
        while self._queued:
            uid, due = next(iter(self._queued.items()))
            await asyncio.sleep(max(0.0, due - asyncio.get_running_loop().time()))
            if self._queued.pop(uid, None) is not None and uid not in self._in_flight:
                self._begin(uid, 0.0)
                await asyncio.sleep(QUEUE_PAUSE_SECONDS)
