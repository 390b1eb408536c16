"""A slot as its parent sees it: a child process, the frames that wait for it, and what becomes of them when it dies."""

import asyncio
import os
import signal
import socket
from contextlib import suppress
from pathlib import Path

import msgspec

from tasklet_runner.member.backlog import Backlog
from tasklet_runner.member.children import in_child
from tasklet_runner.member.codes import readable
from tasklet_runner.member.frames import Frame
from tasklet_runner.member.progress import Progress, Running, Tally
from tasklet_runner.member.slot_home import ReadyProgram, SlotHome
from tasklet_runner.member.slot_process import SlotWiring, become_slot
from tasklet_runner.member.slot_wire import (
    EXIT_SCRATCH_FAILED,
    TO_SLOT,
    Verb,
    Word,
    answer_of,
    durable_path,
    read_word,
)
from tasklet_runner.member.verdicts import MAX_FAILED_LOADS, cannot_load, death_of, taints
from tasklet_runner.sandbox.trees import empty_tree
from tasklet_runner.wire.errors import LeaseGridError, ProtocolError
from tasklet_runner.wire.faults import Fault, FaultKind
from tasklet_runner.wire.programs import Outcome, Result
from tasklet_runner.wire.work import NotRun, Results, encode

STANDING_SECONDS = 10.0
"""A fresh slot that does not answer by then cannot be used."""


class Slot:
    """One slot. `start` forks its process; `submit` gives it frames; `kill` ends the process and a new one follows."""

    def __init__(self, number: int, home: SlotHome) -> None:
        self.number = number
        self.progress = Progress.new()
        self.killed = 0
        self._home = home
        self._backlog = Backlog(number, home.supplies, self._pass_on)
        self._gone = Tally()
        self._pid = 0
        self._listening = False
        self._verdict: Fault | None = None
        self._killed_by_us = False
        self._stopping = False
        self._judged: Running | None = None
        self._failed_loads = 0
        self._answers: dict[int, asyncio.Future[Fault | None]] = {}
        self._standing: asyncio.Future[None] | None = None
        self._task: asyncio.Task[None] | None = None

    @property
    def pid(self) -> int:
        """Of the process that stands now; 0 when none does."""
        return self._pid

    @property
    def idle(self) -> bool:
        """True when no frame waits or runs."""
        return self._backlog.first is None

    @property
    def scratch(self) -> Path:
        """The slot's own directory."""
        return self._home.scratch / f"slot-{self.number}"

    @property
    def durable(self) -> Path:
        """What its tasks see as /durable."""
        return durable_path(self._home.scratch, self.number)

    def tally(self) -> Tally:
        """Everything counted since the last `reset_tally`, by this process and those before it."""
        return self._gone + self.progress.tally()

    def reset_tally(self) -> None:
        """Begin to count anew: only between two processes."""
        self._gone, self.killed = Tally(), 0
        self.progress.clear()

    async def start(self) -> None:
        """Fork the process and wait until it stands. Raises LeaseGridError when it does not."""
        self._standing = asyncio.get_running_loop().create_future()
        self._stopping = False
        await self._fork()
        self._listening = True
        try:
            await asyncio.wait_for(asyncio.shield(self._standing), STANDING_SECONDS)
        except TimeoutError as error:
            raise LeaseGridError(f"slot {self.number} did not stand within {STANDING_SECONDS:.0f} s") from error

    async def until_idle(self) -> None:
        """Wait until no frame waits or runs."""
        await self._backlog.until_empty()

    async def submit(self, frame: Frame) -> None:
        """Queue a frame; waits while too much is queued."""
        await self._backlog.until_room()
        if frame.sink.closed:
            return  # its lease ended while it waited here: it must not be found by the next one
        self._backlog.add(frame)
        self._home.busy.set()
        self._pass_on()

    async def prepare(self, number: int, program: ReadyProgram) -> Fault | None:
        """Load a program; its fault, or None. A slot that dies meanwhile answers by the process that follows."""
        answer: asyncio.Future[Fault | None] = asyncio.get_running_loop().create_future()
        self._answers[number] = answer
        self._send_program(number, program)
        return await answer

    def drop(self, number: int) -> None:
        """Forget a program."""
        self._write(Verb.DROP, number, 0, b"")

    def kill(self, verdict: Fault | None = None, task: Running | None = None) -> None:
        """Kill the process; if it still runs this task, that gets the verdict. All others are told to be not run."""
        if self._pid:
            self._verdict, self._judged, self._killed_by_us = verdict, task, True
            os.kill(self._pid, signal.SIGKILL)

    def stop(self) -> None:
        """Kill the process because the lease is over: no other follows it, and it does not count as killed."""
        self._stopping = True
        self._backlog.end_errands()
        self.kill()

    def abandon(self, sink: object) -> None:
        """The holder behind this sink is gone: what it sent and nobody waits for is not run."""
        if self._backlog.abandon(sink):
            self.kill()
        else:
            self._pass_on()

    async def close(self) -> None:
        """Kill the process, reap it and forget all frames; nothing follows."""
        if self._task is not None:
            # Cancelled, not awaited: it may be waiting for a holder that does not read.
            self._task.cancel()
            with suppress(asyncio.CancelledError):
                await self._task
            self._task = None
        if self._pid:
            self.kill()
            await self._reap()
        self._gone += self.progress.tally()
        self.progress.clear()
        for number in list(self._answers):
            self._answer(number, Fault(kind=FaultKind.REVOKED, message="the lease has ended at this member"))
        await self._backlog.close()

    def running(self) -> tuple[Frame, Running] | None:
        """The frame whose task runs now, and which and since when."""
        running, first = self.progress.running(), self._backlog.first
        if running is None or first is None or first.sequence != running.sequence:
            return None
        return first, running

    async def _fork(self) -> None:
        stream, its_stream = socket.socketpair()
        control, its_control = socket.socketpair()
        parent = os.getpid()
        pid = os.fork()
        if pid == 0:
            home = self._home
            wiring = SlotWiring(
                self.number,
                its_stream,
                its_control,
                self.progress,
                self.scratch,
                home.scratch / "held",
                home.scratch / "blobs",
                home.scratch / "fetched",
                self.durable,
                home.brim,
            )
            become_slot(wiring, parent)
        its_stream.close()
        its_control.close()
        self._pid, self._killed_by_us, self._verdict, self._judged = pid, False, None, None
        self._control, stream_limit = control, 1024 * 1024
        reader, self._writer = await asyncio.open_unix_connection(sock=stream, limit=stream_limit)
        self._task = asyncio.create_task(self._live(reader))

    async def _live(self, reader: asyncio.StreamReader) -> None:
        try:
            while True:
                await self._heard(await read_word(reader))
        except ProtocolError:
            # Our own code says no such thing: it is another's by now, and the process is not waited for.
            self._home.on_taint()
            os.kill(self._pid, signal.SIGKILL)
            await self._ended()
        except (asyncio.IncompleteReadError, OSError):
            # Whatever the slot was saying, it is over: the end of the stream is the end of the process.
            await self._ended()

    async def _heard(self, word: Word) -> None:
        if word.verb is Verb.RESULTS:
            await self._results(word.number, word.count, word.payload, word.done)
        elif word.verb is Verb.PREPARED:
            self._prepared(word.number, answer_of(word).fault)
        elif self._standing is not None and not self._standing.done():
            self._standing.set_result(None)

    async def _results(self, sequence: int, count: int, payload: bytes, done: bool) -> None:
        frame = self._backlog.first
        if frame is None or frame.sequence != sequence:
            return
        frame.received += count
        if done:
            if frame.upkeep is not None:
                await frame.upkeep.finish()
            self._backlog.done(frame)
            self._pass_on()
        await frame.sink.deliver(payload)

    def _pass_on(self) -> None:
        # Not between two processes, nor before the second one has its programs: it gets the frames after them.
        if self._listening:
            for frame in self._backlog.due():
                self._write(Verb.RUN, frame.program, frame.sequence, frame.data)
                if frame.upkeep is not None:
                    frame.upkeep.watch(self._pid)

    def _write(self, verb: Verb, program: int, sequence: int, payload: bytes | memoryview) -> None:
        if self._listening:
            self._writer.write(TO_SLOT.pack(verb, program, sequence, len(payload)))
            self._writer.write(payload)

    def _send_program(self, number: int, program: ReadyProgram) -> None:
        if not self._listening:
            return  # the process that follows gets all programs
        try:
            socket.send_fds(self._control, [b"c"], [program.code_fd])
        except OSError:
            return  # the slot is dying
        self._write(Verb.PREPARE, number, 0, msgspec.msgpack.encode(program.slot_program))

    def _prepared(self, number: int, fault: Fault | None) -> None:
        if fault is not None and number in self._home.programs and number not in self._answers:
            # It ran here before, so it is not the program's fault: there is no room for its files any more.
            self._home.on_scratch_failed()
        self._answer(number, fault)

    def _answer(self, number: int, fault: Fault | None) -> None:
        answer = self._answers.pop(number, None)
        if answer is not None and not answer.done():
            answer.set_result(fault)

    async def _ended(self) -> None:
        status = await self._reap()
        running = self.running()
        self._gone += self.progress.tally()
        self.progress.clear()
        self._judge(status, running[1] if running else None)
        self._count_loads(status)
        frames = self._backlog.take_all()  # whatever comes from here on is for the next process
        if not self._stopping and self._home.brim.is_low():
            # Before anybody hears of it, and sends more: the next process would do it only later.
            await in_child(lambda: empty_tree(self.scratch))
        await self._report(frames, self._judged)
        if self._stopping or not self._stood():
            return
        self._standing = asyncio.get_running_loop().create_future()
        await self._fork()
        self._listening = True
        for number, program in self._home.programs.items():
            self._send_program(number, program)
        self._pass_on()

    def _count_loads(self, status: int) -> None:
        self._failed_loads = self._failed_loads + 1 if self._answers and not self._killed_by_us else 0
        if self._failed_loads >= MAX_FAILED_LOADS:
            for number in list(self._answers):
                self._answer(number, cannot_load(self.number, status))

    def _stood(self) -> bool:
        """False for a process that ended before its first word: another one would do the same."""
        if self._standing is None or self._standing.done():
            return True
        self._standing.set_exception(LeaseGridError(f"slot {self.number} ended before it stood"))
        self._standing.exception()  # seen, even when nobody waits for this one
        self._home.on_scratch_failed()
        return False

    async def _reap(self) -> int:
        descriptor = os.pidfd_open(self._pid)
        try:
            await readable(descriptor)
        finally:
            os.close(descriptor)
        status = _wait_status(self._pid)
        self._pid, self._listening = 0, False
        self._writer.close()
        self._control.close()
        return status

    def _judge(self, status: int, running: Running | None) -> None:
        self.killed += not self._stopping
        if self._killed_by_us:
            # The task that was judged may have ended in the meantime: then its neighbour must not pay for it.
            self._judged = running if running == self._judged else None
            return
        self._judged = running
        self._verdict = death_of(self.number, status)
        if taints(status):
            self._home.on_taint()
        if os.WIFEXITED(status) and os.WEXITSTATUS(status) == EXIT_SCRATCH_FAILED:
            self._verdict = None
            self._home.on_scratch_failed()

    async def _report(self, frames: list[Frame], running: Running | None) -> None:
        for frame in frames:
            if not frame.sink.closed:
                await self._report_frame(frame, running if running and running.sequence == frame.sequence else None)

    async def _report_frame(self, frame: Frame, running: Running | None) -> None:
        left = frame.tasks()[frame.received :]
        at = running.position - frame.received if running is not None else -1
        if self._verdict is not None and 0 <= at < len(left):
            result = Result(left[at].index, left[at].attempt, Outcome(fault=self._verdict))
            left = left[:at] + left[at + 1 :]
            piece = Results(self.number, frame.head.frame, (result,), done=not left)
            await frame.sink.deliver(encode(piece))
        if left:
            await frame.sink.deliver(encode(NotRun(self.number, frame.head.frame, tuple(t.index for t in left))))


def _wait_status(ended: int) -> int:
    return os.waitpid(ended, 0)[1]
