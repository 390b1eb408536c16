"""The face of a job's store towards the coordinator: the same in this process and across a network.

Objects are write-once. An object's key is `<stage>/<index>/<attempt>/stdout` or
`<stage>/<index>/<attempt>/out/<file>`; of a chunk's attempts the one that a commit record names is visible, the
others never are.
"""

from collections.abc import AsyncIterator, Sequence
from typing import Protocol

import msgspec

from tasklet_runner.wire.queues import CommitRecord
from tasklet_runner.wire.store import ObjectInfo

__all__ = ["CommitRecord", "JobStore", "NewObject", "ObjectInfo", "Outputs", "all_commits"]


class NewObject(msgspec.Struct, frozen=True, array_like=True):
    """An object to be written: its key and its bytes."""

    key: str
    data: bytes


class Outputs(Protocol):
    """What is read of a job's store by whoever fetches its outputs. Every call raises StoreError."""

    async def read(self, key: str, offset: int = 0, length: int = -1) -> bytes:
        """See `JobStore.read`."""
        ...

    async def commits(self, stage: str, first: int = 0, limit: int = 1000) -> list[CommitRecord]:
        """See `JobStore.commits`."""
        ...


class JobStore(Protocol):
    """What the coordinator does with a store.

    Every call raises StoreError when the disk fails or the quota is reached (which store, how full, how to enlarge
    it), StoreFencedError when a higher term has been seen.
    """

    @property
    def endpoint(self) -> str:
        """Where members put large outputs: `unix:///path` or `http://host:port`."""
        ...

    @property
    def uid(self) -> str:
        """The name under which put grants address this store."""
        ...

    async def write(self, objects: Sequence[NewObject], commits: Sequence[CommitRecord]) -> int:
        """All of it or nothing, in one transaction.

        A second commit of a chunk is ignored: the first attempt stays the visible one. Returns how many commits were
        new. An object that is there with the same bytes is no error.
        """
        ...

    async def read(self, key: str, offset: int = 0, length: int = -1) -> bytes:
        """Bytes of an object. Raises KeyError when there is none."""
        ...

    async def stat(self, key: str) -> ObjectInfo:
        """What there is under a key. Raises KeyError when there is none."""
        ...

    async def drop_uncommitted(self) -> None:
        """Delete the objects of attempts that no commit record names: those of a coordinator that died before it wrote
        one. Attempts are counted anew, and what another run of an attempt puts may be other bytes.
        """
        ...

    async def commits(self, stage: str, first: int = 0, limit: int = 1000) -> list[CommitRecord]:
        """Commit records of a stage with index >= first, in index order, at most `limit`."""
        ...

    async def put_value(self, name: str, value: bytes) -> None:
        """A small mutable record (plan, progress, `finished`): replaced whole, durable when the call returns."""
        ...

    async def get_value(self, name: str) -> bytes | None:
        """The record, or None."""
        ...

    def delete_checkpoints(self, prefix: str) -> None:
        """Delete the checkpoints of the key `prefix` and of all below `<prefix>/`; all there are when it is empty."""
        ...

    async def sync(self) -> None:
        """Everything written so far is durable when the call returns."""
        ...

    async def used_bytes(self) -> int:
        """Bytes that count against the quota."""
        ...


async def all_commits(store: Outputs, stage: str) -> AsyncIterator[CommitRecord]:
    """Every commit record of a stage in index order, read in pages, so that a hundred thousand need no memory."""
    first = 0
    while page := await store.commits(stage, first):
        for record in page:
            yield record
        first = page[-1].index + 1
