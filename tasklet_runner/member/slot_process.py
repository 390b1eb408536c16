"""A slot's own process: one thread that runs tasklets, and one that pulses. It never returns into its parent's code."""

import errno
import gc
import os
import resource
import signal
import socket
import sys
import threading
import time
import traceback
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import NoReturn

import msgspec
import wasmtime

from tasklet_runner.member.durable_run import DurableRun, RunTask
from tasklet_runner.member.progress import Counting, Progress
from tasklet_runner.member.slot_wire import (
    EXIT_SCRATCH_FAILED,
    FROM_SLOT,
    TO_SLOT,
    SlotAnswer,
    SlotProgram,
    Verb,
    fetched_path,
)
from tasklet_runner.sandbox.archives import is_digest
from tasklet_runner.sandbox.brim import FULL, Brim, scratch_was_full
from tasklet_runner.sandbox.confine import close_all_but, die_with_parent, make_dumpable
from tasklet_runner.sandbox.engine import PULSE_SECONDS, new_engine
from tasklet_runner.sandbox.places import held_path
from tasklet_runner.sandbox.running import Places, Runner
from tasklet_runner.sandbox.trees import remove_tree
from tasklet_runner.wire.errors import FaultError
from tasklet_runner.wire.faults import Fault, FaultKind
from tasklet_runner.wire.programs import Limits, Outcome, Result, Task
from tasklet_runner.wire.work import MAX_MESSAGE_BYTES, Results, Run, encode

FLUSH_BYTES = 512 * 1024
"""Results of this size are sent without waiting for the pulse or for the frame's end."""

MAX_DESCRIPTORS = 4096
"""The same wherever a slot runs, so that a tasklet that opens files without end finds the same end everywhere."""

_decode_run = msgspec.msgpack.Decoder(Run, strict=False).decode
_decode_program = msgspec.msgpack.Decoder(SlotProgram).decode


@dataclass(frozen=True)
class SlotWiring:
    """What a slot inherits: its number, its two sockets, its page, and its places."""

    number: int
    stream: socket.socket
    control: socket.socket
    progress: Progress
    scratch: Path
    held: Path
    blobs: Path
    fetched: Path
    durable: Path
    brim: Brim


def become_slot(wiring: SlotWiring, parent: int) -> NoReturn:
    """Turn this freshly forked process into a slot; ends with the process, whatever happens."""
    status = 1
    try:
        _confine(wiring, parent)
        SlotProcess(wiring).serve()
        status = 0
    except OSError as error:
        sys.stderr.write(f"tasklet-runner: slot {wiring.number} cannot go on: {error}\n")
        # A Loop program may hold every descriptor, and a tasklet all of scratch: that costs the slot, not the member.
        status = 1 if error.errno in {errno.EMFILE, *FULL} else EXIT_SCRATCH_FAILED
    except BaseException:  # noqa: BLE001 - the edge of this process: what is not foreseen is told, and ends it
        traceback.print_exc()
    finally:
        sys.stderr.flush()
        # Never through the interpreter's own end: it would run what the parent has registered for its own.
        os._exit(status)


def _confine(wiring: SlotWiring, parent: int) -> None:
    die_with_parent(parent)
    signal.set_wakeup_fd(-1)
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.pthread_sigmask(signal.SIG_SETMASK, ())
    close_all_but({0, 1, 2, wiring.stream.fileno(), wiring.control.fileno()})
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    most = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    resource.setrlimit(resource.RLIMIT_NOFILE, (MAX_DESCRIPTORS if most < 0 else min(MAX_DESCRIPTORS, most),) * 2)
    make_dumpable()
    with suppress(OSError):
        Path("/proc/self/oom_score_adj").write_text("800", encoding="ascii")
    gc.enable()


def runner_scratch(slot_scratch: Path, program: int) -> Path:
    """Where the runner of one program in one slot has its files."""
    return slot_scratch / str(program)


class Outbox:
    """Results on their way out: sent at the frame's end, when they are many bytes, or by the pulse."""

    def __init__(self, wiring: SlotWiring) -> None:
        self._stream = wiring.stream
        self._progress = wiring.progress
        self._slot = wiring.number
        self._brim = wiring.brim
        self._held = wiring.held
        self._lock = threading.Lock()
        self._results: list[tuple[Result, float]] = []
        self._bytes = 0
        self._frame = self._sequence = 0
        self.counting = Counting()

    def begin(self, frame: int, sequence: int) -> None:
        """The results that follow belong to this frame."""
        self._frame, self._sequence = frame, sequence

    def add(self, result: Result, since: float) -> None:
        """One more result, of a task that began then (monotonic)."""
        outcome = result.outcome
        self.counting.add(outcome.fuel_used, outcome.wall_microseconds, failed=outcome.fault is not None)
        with self._lock:
            self._results.append((result, since))
            self._bytes += _size(outcome)
        if self._bytes > FLUSH_BYTES:
            self.flush()

    def flush(self, *, done: bool = False) -> None:
        """Send what there is; with `done` even nothing."""
        with self._lock:
            if self._results or done:
                self._send(done)

    def say(self, verb: Verb, number: int, payload: bytes) -> None:
        """Send anything else."""
        with self._lock:
            self._stream.sendall(FROM_SLOT.pack(verb, number, 0, len(payload), 0) + payload)

    def _send(self, done: bool) -> None:
        self._brim.look()
        results = tuple(self._judged(result, since) for result, since in self._results)
        self._results, self._bytes = [], 0
        self._progress.publish(self.counting)
        payload = encode(Results(self._slot, self._frame, results, done))
        self._stream.sendall(FROM_SLOT.pack(Verb.RESULTS, self._sequence, len(results), len(payload), done) + payload)

    def _judged(self, result: Result, since: float) -> Result:
        if not self._brim.was_full_since(since) or not _hides_loss(result.outcome):
            return result
        if result.outcome.held_bytes:
            remove_tree(held_path(self._held, result))
        return Result(result.index, result.attempt, Outcome(fault=scratch_was_full()))


class SlotProcess:
    """Serves frames until the parent closes the stream."""

    def __init__(self, wiring: SlotWiring) -> None:
        self._wiring = wiring
        self._runners: dict[int, Runner] = {}
        self._max_output: dict[int, int] = {}
        self._durable: dict[int, Limits] = {}
        self._outbox = Outbox(wiring)
        self._busy = threading.Event()
        self._file_limit = 0
        self._engine: wasmtime.Engine | None = None
        wiring.scratch.mkdir(exist_ok=True)
        threading.Thread(target=self._pulse, daemon=True).start()

    def serve(self) -> None:
        """Answer the parent's messages in order."""
        self._outbox.say(Verb.STANDING, 0, b"")
        reader = self._wiring.stream.makefile("rb", 256 * 1024)
        while len(header := reader.read(TO_SLOT.size)) == TO_SLOT.size:
            verb, program, sequence, length = TO_SLOT.unpack(header)
            payload = reader.read(length)
            if verb == Verb.RUN:
                self._run(program, sequence, _decode_run(payload))
            elif verb == Verb.PREPARE:
                self._prepare(program, payload)
            else:
                self._drop(program)

    def _run(self, program: int, sequence: int, frame: Run) -> None:
        self._outbox.begin(frame.frame, sequence)
        self._limit_files(self._max_output[program], frame.tasks)
        self._busy.set()
        self._run_tasks(program, sequence, frame.tasks)
        self._busy.clear()
        self._outbox.flush(done=True)

    def _run_tasks(self, program: int, sequence: int, tasks: tuple[Task, ...]) -> None:
        progress, add, clock = self._wiring.progress, self._outbox.add, time.monotonic
        run = self._run_of(program, alone=len(tasks) == 1)
        stdin = self._fetched(sequence, tasks)
        for position, task in enumerate(tasks):
            since = clock()
            progress.started(sequence, position, program, since)
            outcome = run(task, stdin)
            progress.ended()
            add(Result(task.index, task.attempt, outcome), since)

    def _run_of(self, program: int, *, alone: bool) -> RunTask:
        run, limits = self._runners[program].run, self._durable.get(program)
        return run if limits is None else DurableRun(run, self._wiring.durable, self._wiring.held, limits, alone)

    def _fetched(self, sequence: int, tasks: tuple[Task, ...]) -> Path | None:
        if len(tasks) != 1 or not tasks[0].fetch:
            return None
        return fetched_path(self._wiring.fetched, self._wiring.number, sequence)

    def _limit_files(self, max_output: int, tasks: tuple[Task, ...]) -> None:
        # One byte more than allowed, so that a cut file is seen to be too large; inputs are files of this process too.
        blobs = (self._wiring.blobs / task.input_blob for task in tasks if is_digest(task.input_blob))
        largest = max(max_output, MAX_MESSAGE_BYTES, *(_size_of(path) for path in blobs), 0) + 1
        if largest != self._file_limit:
            self._file_limit = largest
            resource.setrlimit(resource.RLIMIT_FSIZE, (largest, resource.RLIM_INFINITY))

    def _prepare(self, number: int, payload: bytes) -> None:
        _, descriptors, _, _ = socket.recv_fds(self._wiring.control, 1, 1)
        wanted = _decode_program(payload)
        fault = None
        try:
            places = Places(
                scratch=runner_scratch(self._wiring.scratch, number),
                held=self._wiring.held,
                source=Path(wanted.source),
                blobs=self._wiring.blobs,
                mounts=tuple((guest, Path(directory)) for guest, directory in wanted.mounts),
                durable=self._wiring.durable,
                before_freeing=self._wiring.brim.look,
            )
            # Made here, not inherited, and only for a program: an engine maps much, and an idle slot should be small.
            self._engine = self._engine or new_engine()
            runner = Runner(self._engine, wanted.program, code_fd=descriptors[0], places=places)
            self._runners[number] = runner
            self._max_output[number] = wanted.program.limits.max_output
            if wanted.program.durable:
                self._durable[number] = wanted.program.limits
        except FaultError as error:
            fault = error.fault
        except OSError as error:
            if error.errno not in FULL:
                raise
            fault = _no_room()
        finally:
            for descriptor in descriptors:
                os.close(descriptor)
        self._outbox.say(Verb.PREPARED, number, msgspec.msgpack.encode(SlotAnswer(fault)))

    def _drop(self, program: int) -> None:
        runner = self._runners.pop(program, None)
        if runner is not None:
            runner.close()

    def _pulse(self) -> None:
        # Only while a frame runs: a hundred wake-ups a second of each idle slot would cost many members a core.
        while self._busy.wait():
            time.sleep(PULSE_SECONDS)
            if self._engine is not None:
                self._engine.increment_epoch()
            self._outbox.flush()


def _size(outcome: Outcome) -> int:
    said = outcome.fault and len(outcome.fault.stderr) + sum(map(len, outcome.fault.backtrace))
    files = sum(len(file.name) + len(file.data) for file in outcome.files)
    return len(outcome.stdout) + len(outcome.stderr) + files + (said or 0) + 64


def _hides_loss(outcome: Outcome) -> bool:
    """True when writes that failed may be why it came out so, or may not be seen in it."""
    return outcome.fault is None or outcome.fault.kind in (FaultKind.EXIT_CODE, FaultKind.TRAPPED)


def _no_room() -> Fault:
    return Fault(
        kind=FaultKind.CAPACITY_EXCEEDED,
        message="the member's scratch is full: it has no room for the program's files",
        remedy="give members a larger scratch (resources.memory of the pool), or send less at once",
    )


def _size_of(path: Path) -> int:
    try:
        return path.stat().st_size
    except FileNotFoundError:
        return 0  # the runner says which blob is missing
