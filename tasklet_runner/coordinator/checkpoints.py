"""Checkpoints of durable chunks as the coordinator sees them: the leave to keep them, news of them, and their end."""

import time
from collections.abc import Callable, Iterable

from tasklet_runner.coordinator.chunk import Chunk
from tasklet_runner.coordinator.commits import Done
from tasklet_runner.coordinator.handles import Handle
from tasklet_runner.coordinator.lanes import Lane
from tasklet_runner.coordinator.surroundings import Surroundings
from tasklet_runner.plan.types import Stage
from tasklet_runner.wire.programs import Durable
from tasklet_runner.wire.signed import sign
from tasklet_runner.wire.statements import CheckpointGrant
from tasklet_runner.wire.work import Checkpointed

EPOCHS_PER_TERM = 2**32
"""So many attempts a coordinator may send; each of its successor's is later than all of them."""

ARCHIVE_BYTES = 16 * 1024 * 1024
"""What an archive of /durable may have beside the bytes of its files: up to ten thousand names."""

GRANT_SECONDS = 3600.0
"""A grant outlives the wall-clock time of its task, and of one before it at the same slot, by so much."""

Notice = Callable[[str], None]


class Checkpoints:
    """One per run. An attempt that is sent later has the later epoch, whichever coordinator of the job sends it."""

    def __init__(self, surroundings: Surroundings) -> None:
        self._surroundings = surroundings
        self._sent = 0
        self._told: set[str] = set()

    def durable(self, lane: Lane, chunk: Chunk) -> Durable | None:
        """What goes with a task of this chunk that is sent now; None where nothing is kept."""
        stage = lane.run.stage
        if not stage.tasklet.durable:
            return None
        self._sent += 1
        store, limits, key = self._surroundings.store, stage.tasklet.limits, _key(stage, chunk)
        grant = CheckpointGrant(
            store=store.uid,
            term=self._surroundings.term,
            key=key,
            epoch=self._surroundings.term * EPOCHS_PER_TERM + self._sent,
            # A snapshot of a module that exports `step` is as large as its memory.
            max_bytes=limits.max_output + limits.memory + ARCHIVE_BYTES,
            expires_at=time.time() + 2 * limits.wall_seconds + GRANT_SECONDS,
        )
        return Durable(store.endpoint, sign(grant, self._surroundings.holder), key)

    def take(self, handle: Handle, message: Checkpointed, noticed: Notice) -> None:
        """A member has kept one, so the chunk gets on, whatever died of it before; or it could not."""
        for slot in handle.slots:
            for frame in slot.frames.values():
                chunk = frame.chunks.get(message.index)
                if chunk is not None and chunk.attempt == message.attempt:
                    self._count(frame.lane, chunk, message, noticed)

    def forget(self, batch: Iterable[Done]) -> None:
        """Chunks are done: what was kept of them goes."""
        for done in batch:
            if done.lane.run.stage.tasklet.durable:
                self._surroundings.store.delete_checkpoints(_key(done.lane.run.stage, done.chunk))

    def forget_stages(self, stages: Iterable[Stage]) -> None:
        """The run is at its end: nothing stays of any chunk."""
        for stage in stages:
            if stage.tasklet.durable:
                self._surroundings.store.delete_checkpoints(stage.name)

    def _count(self, lane: Lane, chunk: Chunk, message: Checkpointed, noticed: Notice) -> None:
        if message.fault is None:
            chunk.deaths = 0
            lane.run.checkpoints += 1
            return
        lane.run.checkpoints_failed += 1
        stage = lane.run.stage.name
        if stage not in self._told:
            self._told.add(stage)
            why = f"{message.fault.reason}: {message.fault.message}"
            noticed(f"a checkpoint of {stage} could not be kept, its chunk runs on, and the next one is tried ({why})")


def _key(stage: Stage, chunk: Chunk) -> str:
    return f"{stage.name}/{chunk.index}"
