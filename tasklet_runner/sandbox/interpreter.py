"""One long-lived instance that answers lines: WebAssembly in a thread, its stdin and stdout two FIFOs."""

import contextlib
import fcntl
import os
import select
import threading
import time
from dataclasses import dataclass
from pathlib import Path

import wasmtime

from tasklet_runner.sandbox.native import Ending, LinkedModule, RunBounds, WasiSettings, build_wasi

_THREAD_STACK_BYTES = 16 * 1024 * 1024  # well above engine.MAX_WASM_STACK_BYTES, or a deep recursion is a SIGSEGV
_PIPE_BYTES = 1024 * 1024  # the most that an ordinary user may ask for
_thread_start = threading.Lock()  # threading.stack_size is of the process, not of the thread


@dataclass(frozen=True)
class Answer:
    """What came of one line: the reply without its newline; or None and how the asking ended."""

    line: bytes | None
    timed_out: bool = False
    too_large: bool = False


class Interpreter:
    """A running instance. `ending` is set once it has ended, for whatever reason; `answered` counts its replies.

    Its engine must be its own: an overdue line is stopped by incrementing the engine's epoch.
    """

    def __init__(
        self, engine: wasmtime.Engine, module: LinkedModule, settings: WasiSettings, bounds: RunBounds, pipes: Path
    ) -> None:
        self._engine = engine
        self._module = module
        self.ending: Ending | None = None
        self.answered = 0
        self._buffer = bytearray()
        stdin = _make_fifo(pipes / "loop-stdin")
        settings.stdout = bytes(_make_fifo(pipes / "loop-stdout"))
        # Each FIFO is opened here first: a reader then never waits for a writer, nor the reverse.
        self._requests = os.open(stdin, os.O_RDWR | os.O_NONBLOCK | os.O_CLOEXEC)
        self._replies = os.open(settings.stdout, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
        for pipe in (self._requests, self._replies):
            with contextlib.suppress(PermissionError):  # the user's total of pipe memory is used up: slower, no more
                fcntl.fcntl(pipe, fcntl.F_SETPIPE_SZ, _PIPE_BYTES)
        self._ended = os.eventfd(0, os.EFD_CLOEXEC)
        wasi = build_wasi(settings, b"", bytes(stdin))
        self._thread = threading.Thread(target=self._live, args=(wasi, bounds), name="interpreter", daemon=True)
        with _thread_start:
            previous = threading.stack_size(_THREAD_STACK_BYTES)
            try:
                self._thread.start()
            finally:
                threading.stack_size(previous)

    def _live(self, wasi: int, bounds: RunBounds) -> None:
        self.ending = self._module.run(wasi, bounds)
        os.eventfd_write(self._ended, 1)

    def ask(self, line: bytes, wall_seconds: float, max_reply: int) -> Answer:
        """Send one line (with its newline) and wait for one line.

        Whenever there is none (time is up, too long, the instance ended), the instance has ended on return.
        """
        deadline = time.monotonic() + wall_seconds
        pending = memoryview(line)
        while (end := self._buffer.find(b"\n")) < 0:
            if len(self._buffer) > max_reply:
                return self._stop(Answer(None, too_large=True))
            left = deadline - time.monotonic()
            if left <= 0:
                return self._stop(Answer(None, timed_out=True))
            ready = self._wait(left, writing=bool(pending))
            if self._requests in ready:
                pending = pending[os.write(self._requests, pending[:_PIPE_BYTES]) :]
            if self._replies in ready and self._read():
                continue
            if self._ended in ready:
                return self._stop(Answer(None))
        reply = bytes(self._buffer[:end])
        del self._buffer[: end + 1]
        self.answered += 1
        return Answer(reply)

    def _wait(self, seconds: float, *, writing: bool) -> set[int]:
        poll = select.poll()
        poll.register(self._ended, select.POLLIN)
        if self.ending is None:
            poll.register(self._replies, select.POLLIN)
        if writing:
            poll.register(self._requests, select.POLLOUT)
        ready = {descriptor for descriptor, _ in poll.poll(seconds * 1000)}
        # Replies that were written just before the end are still in the FIFO.
        return ready | {self._replies} if self._ended in ready else ready

    def _read(self) -> bool:
        try:
            data = os.read(self._replies, _PIPE_BYTES)
        except BlockingIOError:
            return False
        self._buffer += data
        return bool(data)

    def _stop(self, answer: Answer) -> Answer:
        self.close()
        return answer

    def close(self) -> None:
        """End the instance and wait for that. One that sleeps in WASI ends when it wakes: only a kill is sooner."""
        if self._replies >= 0:
            self._engine.increment_epoch()
            os.close(self._requests)  # end of file, for one that waits for the next line
            while self._thread.is_alive():
                while self._read():  # make room, for one that waits to write
                    self._buffer.clear()
                self._thread.join(0.002)
            os.close(self._replies)
            os.close(self._ended)
            self._replies = -1


def _make_fifo(path: Path) -> Path:
    path.unlink(missing_ok=True)
    os.mkfifo(path, 0o600)
    return path
