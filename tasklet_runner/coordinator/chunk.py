"""One chunk on its way through the coordinator."""

import msgspec

from tasklet_runner.coordinator.blobs import BlobFile
from tasklet_runner.plan.types import Requirements
from tasklet_runner.wire.faults import Fault

MAX_INLINE_INPUT_BYTES = 256 * 1024
"""A larger input travels as a tar blob, from a file."""


class Chunk(msgspec.Struct, gc=False):
    """A chunk that is not done. It stands in exactly one place: a lane, the retry heap, a frame, or among those that
    are being stored.

    `attempt` is the number of the latest try, `failures` the transient faults that spend `maxRetries`, `deaths` the
    members that died while they ran it. `requirements` None: the stage's own. `cache_key` is empty where nothing is
    cached. `fault`: the input could not be read, so the chunk fails without a run.
    """

    index: int
    chunk_id: str
    input: bytes = b""
    path: str = ""
    blob: BlobFile | None = None
    requirements: Requirements | None = None
    attempt: int = 0
    failures: int = 0
    deaths: int = 0
    cache_key: str = ""
    fault: Fault | None = None

    @property
    def size(self) -> int:
        """Bytes that the chunk keeps in memory or on disk."""
        return len(self.input) + (self.blob.size if self.blob else 0)

    @property
    def input_hash(self) -> str:
        """The content hash in the chunk's id."""
        return self.chunk_id.partition("-")[2]
