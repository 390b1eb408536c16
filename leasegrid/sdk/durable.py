"""`Durable`: the state of a computation, kept in a store now and then, and there again whatever ended its process.

    with Durable({"sum": 0.0}, "checkpoints", "estimate", every_seconds=5) as durable:
        for step in durable.steps(1_000_000):
            durable.state["sum"] += work(step)

A failure costs what was done since the last checkpoint, never the run.
"""

import logging
import time
from collections.abc import Callable, Iterator
from dataclasses import KW_ONLY, dataclass, field
from types import TracebackType
from typing import Any, Generic, Self, TypeVar

from prometheus_client import REGISTRY, CollectorRegistry

from leasegrid.sdk import envelopes
from leasegrid.sdk.codecs import MESSAGEPACK, Codec
from leasegrid.sdk.envelopes import Envelope
from leasegrid.sdk.errors import RestartedError, StoreLostError
from leasegrid.sdk.metrics import metrics_in
from leasegrid.sdk.rules import Failure, OnStoreLost, Retries, Schedule, judge
from leasegrid.sdk.saving import Saver
from leasegrid.sdk.targets import LeasedStore, Store, target_of
from tasklet_runner.wire.errors import InvalidObjectError, LeaseGridError

__all__ = ["Durable", "LeasedStore", "OnStoreLost", "RestartedError", "StoreLostError"]

State = TypeVar("State")
Value = TypeVar("Value")

logger = logging.getLogger("leasegrid.sdk")


@dataclass(eq=False)
class Durable(Generic[State]):
    """A state with checkpoints; a context manager, whose entry restores the newest one or begins with what was given.

    state: the first state; from then on the present one: change it, or assign another.
    store, key: a directory or a `LeasedStore`, and the name of this state there; one process at a time writes a key.
    every_steps, every_seconds: when `step` keeps a checkpoint; 0: never by itself, `save` does it by hand.
    on_store_lost: what follows when a checkpoint could not be kept, also after `retries`; see `OnStoreLost`.
    new_target: gives the store to go on with; needed for NEW_TARGET, used by RESTART when there is one.
    codec, state_version: how the state is written; raise the version when its shape changes.
    deltas: keep a copy of what was written last, to write only the blocks that changed.

    Entry, `step` and `save` raise:
        StateDirectoryError: another process has the key (which one).
        StoreFencedError: another process has taken over this state; this one must end.
        CheckpointDamagedError: there are checkpoints and none is whole. Never is the first state taken instead.
        CheckpointVersionError: what is there was written with another codec, state or format version.
        StoreLostError: the store took nothing, and on_store_lost is ABORT or did not help.
        RestartedError: on_store_lost is RESTART and the state begins anew (`steps` goes on by itself).
        UnsupportedError: the codec cannot write this state.
    """

    state: State
    store: Store
    key: str
    _: KW_ONLY
    every_steps: int = 0
    every_seconds: float = 0.0
    on_store_lost: OnStoreLost = OnStoreLost.ABORT
    new_target: Callable[[], Store] | None = None
    codec: Codec[Any] = MESSAGEPACK
    state_version: int = 1
    deltas: bool = True
    retries: Retries = field(default_factory=Retries)
    registry: CollectorRegistry = field(default=REGISTRY, repr=False)

    def __post_init__(self) -> None:
        if self.on_store_lost is OnStoreLost.NEW_TARGET and self.new_target is None:
            raise InvalidObjectError("NewTarget without a new target", remedy="give new_target, which returns a store")
        self.step_count = 0
        self.restored = False
        self._schedule = Schedule(self.every_steps, self.every_seconds)
        self._metrics = metrics_in(self.registry)
        self._saver = Saver(target_of(self.store, self.key), keeps_copy=self.deltas)
        self._saved_step = 0
        self._saved_at = 0.0
        # Only a restart needs it, and it may be large.
        restarts = self.on_store_lost is OnStoreLost.RESTART
        self._first = bytes(self.codec.encode(self.state)) if restarts else b""

    @property
    def generation(self) -> int:
        """That of the newest checkpoint; 0 before the first."""
        return self._saver.generation

    @property
    def epoch(self) -> int:
        """This process's turn at the key; whoever has a lower one is fenced."""
        return self._saver.target.epoch

    def __enter__(self) -> Self:
        try:
            self._retried(self._saver.target.open)
            self._retried(self._restore)
        except BaseException:
            self.close()
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Let the next one in; nothing is saved. A second call does nothing."""
        self._saver.target.close()

    def steps(self, total: int) -> Iterator[int]:
        """The numbers of the steps that are left, and a `step` after each; after a restart they begin again."""
        while self.step_count < total:
            yield self.step_count
            try:
                self.step()
            except RestartedError:
                continue

    def step(self) -> None:
        """One more step is done: keep a checkpoint when one is due."""
        self.step_count += 1
        if self._schedule.is_due(self.step_count - self._saved_step, time.monotonic() - self._saved_at):
            self.save()

    def save(self) -> None:
        """Keep a checkpoint now: when the call returns, the state survives a power cut."""
        try:
            self._retried(self._save)
        except StoreLostError as error:
            self._store_lost(error)
        self._saved_step, self._saved_at = self.step_count, time.monotonic()

    def _save(self) -> None:
        envelope = envelopes.encode(Envelope(self.codec.name, self.state_version, self.step_count))
        started = time.monotonic()
        try:
            kind, byte_count = self._saver.save(envelope, self.codec.encode(self.state), live=self.codec.live)
        except LeaseGridError:
            self._metrics.fail.inc()
            raise
        milliseconds = (time.monotonic() - started) * 1000
        self._metrics.success.inc()
        self._metrics.bytes_written.inc(byte_count)
        self._metrics.duration.observe(milliseconds)
        self._log("saved", f"kind={kind} bytes={byte_count} milliseconds={milliseconds:.1f}")

    def _restore(self) -> None:
        kept = self._saver.restore()
        self._saved_step, self._saved_at = 0, time.monotonic()
        if kept is None:
            self._log("initialised")
            return
        for what in kept.skipped:
            logger.warning("action=skipped key=%s cause=%s", self.key, what)
        envelope, data = envelopes.decode(kept.payload, self.codec.name, self.state_version)
        self.state = self.codec.decode(data, self.state)
        self.restored = True
        self.step_count = self._saved_step = envelope.step
        self._metrics.resume.inc()
        self._log("restored")

    def _store_lost(self, error: StoreLostError) -> None:
        self._log("lost", f"on_store_lost={self.on_store_lost} cause={error.cause}", level=logging.WARNING)
        match self.on_store_lost:
            case OnStoreLost.ABORT:
                raise error
            case OnStoreLost.RESTART:
                self._restart(error)
            case OnStoreLost.NEW_TARGET:
                self._move()

    def _restart(self, error: StoreLostError) -> None:
        self._open(self.new_target() if self.new_target is not None else self.store)
        self.state = self.codec.decode(memoryview(self._first), self.state)
        self.step_count = 0
        self._retried(self._restore)
        raise RestartedError(
            f"the store of {self.key!r} was lost ({error.cause}); the state is that of step {self.step_count}",
            remedy="begin there again: `steps` does it by itself",
        ) from error

    def _move(self) -> None:
        if self.new_target is not None:
            self._open(self.new_target())
        self._retried(self._saver.pass_over)
        self._retried(self._save)

    def _open(self, store: Store) -> None:
        self._saver.target.close()
        self.store = store
        self._saver = Saver(target_of(store, self.key), keeps_copy=self.deltas, generation=self._saver.generation)
        self._retried(self._saver.target.open)

    def _retried(self, call: Callable[[], Value]) -> Value:
        failures = 0
        while True:
            try:
                return call()
            except LeaseGridError as error:
                failures += 1
                said = judge(error)
                wait = self.retries.wait_seconds(failures) if said is Failure.PASSING else None
                if said is Failure.FINAL:
                    raise
                if wait is None:
                    raise StoreLostError(
                        f"the store of {self.key!r} did not do it in {failures} tries: {error.cause}",
                        remedy=error.remedy or "see whether the store stands; on_store_lost says what else may follow",
                    ) from error
            time.sleep(wait)

    def _log(self, action: str, more: str = "", *, level: int = logging.INFO) -> None:
        logger.log(
            level,
            "action=%s key=%s generation=%d epoch=%d step=%d %s",
            action,
            self.key,
            self.generation,
            self.epoch,
            self.step_count,
            more,
        )
