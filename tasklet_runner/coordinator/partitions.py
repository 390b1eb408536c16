"""What a shuffled stage has put into its store, and the chunks that read it: one for each partition."""

import hashlib
import secrets
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from tasklet_runner.coordinator.announcing import PART, Announcing, prefix_of
from tasklet_runner.coordinator.chunk import Chunk
from tasklet_runner.coordinator.feeding import BATCH_CHUNKS
from tasklet_runner.coordinator.partition_stores import PartitionStore
from tasklet_runner.store.protocol import CommitRecord
from tasklet_runner.wire.programs import Fetch

MAX_FETCH_KEYS = 50_000
"""Of one request of a reader."""


@dataclass(eq=False)
class Generation:
    """One production of a stage's partitions. Only committed attempts are in it, each whole.

    `label`: the stage's name in commit records. A production that is lost is done again under another label, so that
    the commits of the lost one never count: not in this run, nor in one that resumes the job. `whole`: the stage has
    ended; `told`: people know that it was lost. `announcing`: tells members that fetch ahead, in mode Stream;
    `followed`: the member that does so for each partition.
    """

    stage: str
    partitions: int
    store: PartitionStore
    label: str = ""
    whole: bool = False
    told: bool = False
    announcing: Announcing | None = None
    followed: Mapping[int, str] = field(default_factory=dict)
    _ids: dict[int, str] = field(default_factory=dict)
    _parts: list[list[tuple[int, str]]] = field(default_factory=list)
    _sorted: bool = True

    def __post_init__(self) -> None:
        self.label = f"{self.stage}@{secrets.token_hex(6)}"
        self._parts = [[] for _ in range(self.partitions)]

    def add(self, commit: CommitRecord) -> None:
        """A chunk's attempt is committed: its parts can be read."""
        self._ids[commit.index] = commit.chunk_id
        # One for all its parts: a thousand mappers with as many partitions are a million of them.
        place = commit.index, self.prefix(commit.index, commit.attempt)
        self._sorted = False
        for name in commit.objects:
            self._parts[int(name.removeprefix(PART))].append(place)
        if self.announcing is not None:
            self.announcing.add(commit)

    def finish(self) -> None:
        """The stage has ended: all of its chunks are in it."""
        self.whole = True
        if self.announcing is not None:
            self.announcing.finish()

    def prefix(self, index: int, attempt: int) -> str:
        """Below which the parts of an attempt stand in the store."""
        return prefix_of(self.stage, index, attempt)

    def fetches(self, partition: int) -> tuple[Fetch, ...]:
        """How a member gets a partition, in order of the producing chunks; nothing when it is empty."""
        if not self._sorted:
            for parts in self._parts:
                parts.sort()
            self._sorted = True
        keys = [f"{prefix}/{PART}{partition}" for _, prefix in self._parts[partition]]
        if not keys:
            return ()
        endpoint, grant = self.store.get_grant()
        return tuple(
            Fetch(endpoint, grant, tuple(keys[first : first + MAX_FETCH_KEYS]))
            for first in range(0, len(keys), MAX_FETCH_KEYS)
        )

    @property
    def digest(self) -> str:
        """Names the chunks whose parts it holds (SHA-256, hex): the same inputs, the same digest."""
        ids = "\n".join(self._ids[index] for index in sorted(self._ids))
        return hashlib.sha256(ids.encode()).hexdigest()


def partition_id(digests: Iterable[str], partition: int) -> str:
    """`<partition>-<hash>`: the id of the chunk that reads this partition of productions with these digests."""
    text = "\n".join((*digests, str(partition)))
    return f"{partition}-{hashlib.sha256(text.encode()).hexdigest()[:32]}"


class PartitionSource:
    """A chunk per partition. What it reads is fetched by the member that runs it; see `StageRun.fetches`."""

    def __init__(self, reads: Sequence[Generation]) -> None:
        self.total = reads[0].partitions
        self._digests = [generation.digest for generation in reads]
        self._next = 0

    async def batch(self) -> list[Chunk]:
        """The next chunks, none at the end."""
        first, self._next = self._next, min(self._next + BATCH_CHUNKS, self.total)
        return [Chunk(index=index, chunk_id=partition_id(self._digests, index)) for index in range(first, self._next)]
