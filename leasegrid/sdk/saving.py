"""A payload on its way to a target: whole, or as what changed since the last one."""

from typing import NamedTuple

from leasegrid.sdk.targets import Kept, Target
from tasklet_runner.durable import deltas
from tasklet_runner.durable.disk import Buffer
from tasklet_runner.wire.checkpoints import FULL_WANTED
from tasklet_runner.wire.errors import LeaseGridError, RefusedError


class Saved(NamedTuple):
    """`kind`: full or delta; bytes that were sent."""

    kind: str
    byte_count: int


class Saver:
    """What a target had last. `keeps_copy`: so that deltas can be found; `generation`: of the newest checkpoint."""

    def __init__(self, target: Target, *, keeps_copy: bool, generation: int = 0) -> None:
        self.target = target
        self.generation = generation
        self._keeps_copy = keeps_copy
        self._next = generation + 1
        self._last: Buffer | None = None

    def restore(self) -> Kept | None:
        """The newest checkpoint of the target. Raises what `Target.read` does."""
        kept = self.target.read()
        if kept is not None:
            self.generation, self._next = kept.generation, kept.generation + 1
            if self._keeps_copy:
                self._last = memoryview(kept.payload)[deltas.BLOCK_BYTES :]
        return kept

    def pass_over(self) -> None:
        """What the target has is older than the present state, whatever it is."""
        kept = self.target.read()
        self._next = max(self.generation, 0 if kept is None else kept.generation) + 1
        self._last = None

    def save(self, envelope: bytes, body: Buffer, *, live: bool) -> Saved:
        """Keep the next checkpoint. `live`: the body is the state's own memory, which will change.

        After an error it is not known whether it is there: the one that follows is a full one above it.
        """
        generation = self._next
        try:
            saved = self._save(generation, envelope, body, live=live)
        except LeaseGridError:
            self._next, self._last = generation + 1, None
            raise
        self.generation, self._next = generation, generation + 1
        return saved

    def _save(self, generation: int, envelope: bytes, body: Buffer, *, live: bool) -> Saved:
        if self._last is not None:
            runs = deltas.changed_runs(self._last, body)
            saved = self._save_delta(generation, envelope, body, runs)
            if saved is not None:
                self._last = _copied(self._last, body, runs) if live else body
                return saved
        self.target.put(generation, (envelope, body))
        if self._keeps_copy:
            self._last = _copied(self._last, body, [deltas.Run(0, len(body))]) if live else body
        return Saved("full", len(envelope) + len(body))

    def _save_delta(self, generation: int, envelope: bytes, body: Buffer, runs: list[deltas.Run]) -> Saved | None:
        if 2 * deltas.encoded_bytes(runs) >= len(body):
            return None
        delta = deltas.encode(runs, body, envelope)
        try:
            self.target.put_delta(generation, delta, len(envelope) + len(body))
        except RefusedError as error:
            if error.reason == FULL_WANTED:
                return None
            raise
        return Saved("delta", len(delta))


def _copied(last: Buffer | None, body: Buffer, runs: list[deltas.Run]) -> Buffer:
    """The body's bytes in memory of their own; that of `last` is used again."""
    if last is None or len(last) != len(body) or memoryview(last).readonly:
        return bytearray(body)
    mine, its = memoryview(last), memoryview(body)
    for run in runs:
        mine[run.start : run.stop] = its[run.start : run.stop]
    return last
