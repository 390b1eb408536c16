"""What a shuffled stage has committed is told to queues of its store, for members that fetch ahead; see
`wire.work.Follow`.

Nothing depends on it but speed: a task names all that it reads, and members fetch then what they do not have.
"""

import asyncio
from collections import defaultdict, deque
from collections.abc import Iterator, Sequence
from itertools import islice

from tasklet_runner.coordinator.partition_stores import PartitionStore, StoreEvents
from tasklet_runner.coordinator.surroundings import Announcer
from tasklet_runner.store.protocol import CommitRecord
from tasklet_runner.wire.errors import LeaseGridError, StoreError, StoreFencedError
from tasklet_runner.wire.queues import Message, PushMany

PART = "part-"
"""Before the number of a partition, in names of objects and of queues."""

COMMITS_AT_ONCE = 32
QUEUES_AT_ONCE = 2048
"""Of one request: with names of any length it stays below what a store reads."""

PAUSE_SECONDS = 1.0
"""After a store did not take an announcement."""


class Announcing:
    """Announces one production, from its first commit to its last. `begun`: there was one.

    Commits are told together that came while an announcement was under way. After the last one all queues are closed.
    """

    def __init__(self, stage: str, partitions: int, store: PartitionStore, announcer: Announcer) -> None:
        self.begun = False
        self._stage = stage
        self._partitions = partitions
        self._store = store
        self._announcer = announcer
        self._pending: deque[CommitRecord] = deque()
        self._whole = False
        self._some = asyncio.Event()
        self._task: asyncio.Task[None] | None = None

    def start(self, events: StoreEvents) -> None:
        """Announce what is added from now on."""
        self._task = asyncio.get_running_loop().create_task(self._announce())
        self._task.add_done_callback(lambda task: _ended(task, events))

    def add(self, commit: CommitRecord) -> None:
        """A chunk's attempt is committed."""
        self.begun = True
        self._pending.append(commit)
        self._some.set()

    def finish(self) -> None:
        """No more chunks come."""
        self._whole = True
        self._some.set()

    async def close(self) -> None:
        """Announce nothing more."""
        if self._task is not None:
            self._task.cancel()
            await asyncio.wait({self._task})
        await self._announcer.close()

    async def _announce(self) -> None:
        while self._pending or not self._whole:
            if not self._pending:
                self._some.clear()
                await self._some.wait()
            some = list(islice(self._pending, COMMITS_AT_ONCE))
            for push in announcements(self._stage, some) if some else ():
                if not await self._told(push):
                    return
            for _ in some:
                self._pending.popleft()
        for push in closings(self._stage, self._partitions):
            if not await self._told(push):
                return

    async def _told(self, push: PushMany) -> bool:
        """True when the store has it; False when it will not take any more."""
        while not self._store.ended.is_set():
            try:
                endpoint, grant = self._store.put_grant(self._stage, 1)
                await self._announcer.push(endpoint, grant, push)
            except LeaseGridError as error:
                if isinstance(error, StoreError) and not isinstance(error, StoreFencedError):
                    return False  # it is full, or its disk fails: what room there is belongs to the partitions
                await asyncio.sleep(PAUSE_SECONDS)
            else:
                return True
        return False


def queue_of(stage: str, partition: int) -> str:
    """The queue that tells of a partition."""
    return f"{stage}/{PART}{partition}"


def prefix_of(stage: str, index: int, attempt: int) -> str:
    """Below which the parts of an attempt stand in the store."""
    return f"{stage}/{index}/{attempt}"


def announcements(stage: str, commits: Sequence[CommitRecord]) -> Iterator[PushMany]:
    """Each partition's queue is told of its parts in these attempts, in one message: the objects' keys, one a line.

    The same commits make the same messages, so that a push that comes again adds nothing.
    """
    keys: defaultdict[str, list[str]] = defaultdict(list)
    for commit in commits:
        prefix = prefix_of(stage, commit.index, commit.attempt)
        for name in commit.objects:
            keys[name].append(f"{prefix}/{name}")
    id_ = f"{commits[0].index}-{commits[0].attempt}"
    told = [(f"{stage}/{name}", (Message(id_, "\n".join(some).encode()),)) for name, some in sorted(keys.items())]
    for first in range(0, len(told), QUEUES_AT_ONCE):
        yield PushMany(dict(told[first : first + QUEUES_AT_ONCE]))


def closings(stage: str, partitions: int) -> Iterator[PushMany]:
    """The queues of all partitions are closed."""
    for first in range(0, partitions, QUEUES_AT_ONCE):
        numbers = range(first, min(first + QUEUES_AT_ONCE, partitions))
        yield PushMany({queue_of(stage, number): () for number in numbers}, close=True)


def _ended(task: asyncio.Task[None], events: StoreEvents) -> None:
    if not task.cancelled() and (error := task.exception()) is not None:
        events.broken(error)
