"""Fetches ahead, into the larder, what queues of a store tell of; see `wire.work.Follow`.

Whatever goes wrong ends it without a word: what was not fetched here is fetched when its task has come.
"""

import asyncio
from collections.abc import Callable, Coroutine, Mapping
from contextlib import aclosing
from io import FileIO
from typing import Any

from tasklet_runner.client.ahead import GrantedQueues, read_batch
from tasklet_runner.member.fetching import Pantry
from tasklet_runner.member.larder import Hoard, write_all
from tasklet_runner.wire.errors import LeaseGridError
from tasklet_runner.wire.queues import MAX_WAIT_SECONDS, AckMany, Delivery, ReceiveMany
from tasklet_runner.wire.store import ObjectInfo
from tasklet_runner.wire.work import Follow

MESSAGES_AT_ONCE = 256
VISIBILITY_SECONDS = 60.0
"""What a follower that died was about to fetch is told to another after so long."""

Spawn = Callable[[Coroutine[Any, Any, None]], "asyncio.Task[None]"]
Told = Mapping[str, tuple[Delivery, ...]]
"""Messages by their queue."""


class Followers:
    """What one holder's connection follows, a `Follower` for each store. `spawn` makes tasks that end with it."""

    def __init__(self, pantry: Pantry, spawn: Spawn) -> None:
        self._pantry = pantry
        self._spawn = spawn
        self._followers: dict[str, Follower] = {}

    def follow(self, message: Follow) -> None:
        """From now on this, at that store."""
        follower = self._followers.get(message.endpoint)
        if follower is None:
            follower = self._followers[message.endpoint] = Follower(self._pantry, message.endpoint, self._spawn)
        follower.tell(message)
        if not message.queues:
            del self._followers[message.endpoint]

    def leave(self) -> None:
        """Nothing is followed any more, and nothing is left of what was fetched and not claimed."""
        for endpoint in list(self._followers):
            self.follow(Follow(endpoint, "", ()))


class Follower:
    """Follows queues of one store."""

    def __init__(self, pantry: Pantry, endpoint: str, spawn: Spawn) -> None:
        self._pantry = pantry
        self._endpoint = endpoint
        self._spawn = spawn
        self._calls = GrantedQueues(pantry.stores, endpoint)
        self._hoards: dict[str, Hoard] = {}
        self._grant = ""
        self._queues: tuple[str, ...] = ()
        self._task: asyncio.Task[None] | None = None
        self._turn = asyncio.Lock()

    def tell(self, message: Follow) -> None:
        """Follow these queues, with this grant."""
        changed = message.queues != self._queues
        self._grant, self._queues = message.grant, message.queues
        for queue in self._hoards.keys() - set(message.queues):
            hoard = self._hoards.pop(queue)
            if not hoard.over:
                self._pantry.larder.drop(hoard)
        if self._task is not None and changed:
            self._task.cancel()
        if message.queues and (changed or self._task is None or self._task.done()):
            self._task = self._spawn(self._run())

    async def _run(self) -> None:
        try:
            # One that was cancelled may still be leaving its file.
            async with self._turn:
                while not await self._ended():
                    pass
        except (LeaseGridError, OSError, NoRoomAheadError, ValueError):
            # ValueError: an endpoint of which no URL can be made.
            return

    async def _ended(self) -> bool:
        """Fetch what is told next; True when nothing more will be."""
        wanted = tuple(queue for queue in self._queues if not self._has_enough(queue))
        if not wanted:
            return True
        asked = ReceiveMany(wanted, MESSAGES_AT_ONCE, VISIBILITY_SECONDS, MAX_WAIT_SECONDS)
        received = await self._calls.receive(self._grant, asked)
        if received.queues:
            await self._take(received.queues)
        return received.closed and not received.left

    def _has_enough(self, queue: str) -> bool:
        hoard = self._hoards.get(queue)
        return hoard is not None and hoard.over

    async def _take(self, told: Told) -> None:
        """Fetch what these messages name, in as few requests as there is room for. Raises NoRoomAheadError."""
        try:
            await self._fetch(told)
        except NoRoomAheadError:
            for some in halves(told):
                await self._take(some)
            return
        receipts = {queue: tuple(message.receipt for message in some) for queue, some in told.items()}
        await self._calls.ack(self._grant, AckMany(receipts))

    async def _fetch(self, told: Told) -> None:
        queues = queues_by_key(told)
        landing = _Landing(self._pantry, self._hoard)
        keys = iter(queues)
        try:
            some = read_batch(self._pantry.stores, self._endpoint, self._grant, tuple(queues), landing.admit)
            async with aclosing(some) as parts:
                queue = queues[next(keys)] if queues else ""
                async for part in parts:
                    if isinstance(part, memoryview):
                        landing.write(queue, part)
                    else:
                        landing.end(queue, part)
                        queue = queues.get(next(keys, ""), "")
        finally:
            landing.close()

    def _hoard(self, queue: str) -> Hoard:
        if queue not in self._hoards:
            self._hoards[queue] = self._pantry.larder.begin(self._endpoint)
        return self._hoards[queue]


class NoRoomAheadError(Exception):
    """There is no room for so much that nobody has asked for yet."""


class _Landing:
    """One answer on its way into the hoards of its queues."""

    def __init__(self, pantry: Pantry, hoard_of: Callable[[str], Hoard]) -> None:
        self._pantry = pantry
        self._hoard_of = hoard_of
        self._taken = 0
        self._hoard: Hoard | None = None
        self._file: FileIO | None = None

    def admit(self, size: int) -> None:
        """Take room for all of it. Raises NoRoomAheadError."""
        if not self._pantry.room.try_take_ahead(size):
            raise NoRoomAheadError
        self._taken += size

    def write(self, queue: str, data: memoryview) -> None:
        """The next bytes of an object that this queue told of. Raises OSError."""
        hoard = self._hoard_of(queue)
        # Of one that is over the file is another's, or gone.
        if not hoard.over:
            write_all(self._opened(hoard), data)

    def end(self, queue: str, info: ObjectInfo) -> None:
        """All bytes of this object are written."""
        hoard = self._hoard_of(queue)
        if not hoard.over:
            self._taken -= info.size
            self._pantry.larder.keep(hoard, info.key, info.size)
            self._pantry.traffic.ahead_bytes += info.size

    def close(self) -> None:
        """Forget what did not come to its end, and give the room for it back."""
        self._leave()
        taken, self._taken = self._taken, 0
        self._pantry.room.give_back_ahead(taken)

    def _opened(self, hoard: Hoard) -> FileIO:
        if self._file is None or hoard is not self._hoard:
            self._leave()
            self._hoard, self._file = hoard, FileIO(hoard.path, "r+b")
            self._file.truncate(hoard.size)
            self._file.seek(hoard.size)
        return self._file

    def _leave(self) -> None:
        if self._file is not None and self._hoard is not None:
            if not self._hoard.over:
                # What was cut off takes no room that nobody counts.
                self._file.truncate(self._hoard.size)
            self._file.close()
        self._file = None


def queues_by_key(told: Told) -> dict[str, str]:
    """The objects that messages name, those of one queue together, and the queue that told of each."""
    return {
        key: queue
        for queue, some in told.items()
        for message in some
        for key in message.body.decode(errors="replace").splitlines()
    }


def halves(told: Told) -> tuple[Told, ...]:
    """The same messages in two parts. Raises NoRoomAheadError for one alone: too little is left of the room."""
    each = [(queue, message) for queue, some in told.items() for message in some]
    if len(each) < 2:
        raise NoRoomAheadError
    middle = len(each) // 2
    return tuple(
        {queue: tuple(message for other, message in part if other == queue) for queue, _ in part}
        for part in (each[:middle], each[middle:])
    )
