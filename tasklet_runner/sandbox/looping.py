"""Loop mode: one interpreter answers many chunks, a line of JSON for each.

A request is `{"id": chunk id, "index": n, "input": text}`; input that is not UTF-8 comes as `"input_base64"` instead
of `"input"`. The reply is one line `{"id": the same, "output": text}`, with `"output_base64"` for bytes, or
`{"id": the same, "error": text}`. Any other JSON value as `output` becomes its JSON text.
"""

import base64
import binascii
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import msgspec

from tasklet_runner.sandbox.command import Command
from tasklet_runner.sandbox.engine import new_engine
from tasklet_runner.sandbox.interpreter import Answer, Interpreter
from tasklet_runner.sandbox.loading import load_module
from tasklet_runner.sandbox.native import Ending, RunBounds
from tasklet_runner.sandbox.outcomes import fault_of, output_too_large, timed_out
from tasklet_runner.sandbox.partitions import collector, wants_output_directory
from tasklet_runner.sandbox.places import Places, shared_preopens
from tasklet_runner.sandbox.scratch import Scratch
from tasklet_runner.wire.decoding import UNREADABLE
from tasklet_runner.wire.errors import FaultError
from tasklet_runner.wire.faults import Fault, FaultKind
from tasklet_runner.wire.programs import INLINE_OUTPUT_BYTES, STDERR_TAIL_BYTES, Outcome, Program, Task
from tasklet_runner.wire.work import MAX_MESSAGE_BYTES

_ESCAPE_GROWTH = 6  # a control character is one byte of output and six of JSON


class LoopRunner:
    """Runs the tasks of a Loop program in one interpreter at a time.

    The interpreter's fuel bounds its life. When it has answered before and ends by want of fuel or of its own will,
    a new one is started and the chunk is rerun once. `fuel_used` is 0: it cannot be read while the interpreter runs.
    """

    def __init__(self, program: Program, code_fd: int, places: Places) -> None:
        _refuse_directories(program)
        self._engine = new_engine()  # of its own: see Interpreter
        self._module, self._memory = load_module(self._engine, code_fd)
        self._limits = program.limits
        self._scratch = Scratch(places.scratch, places.held, output_files=False, before_freeing=places.before_freeing)
        self._partitioned = program.partitions > 0
        self._collect = collector(program, self._scratch)
        self._interpreter: Interpreter | None = None
        self._stderr_mark = 0
        with ExitStack() as undo:
            undo.callback(self.close)
            self._command = Command.of(program, self._scratch.stdout.path, self._scratch.stderr.path)
            _refuse_chunk_names(self._command)
            self._command.settings.preopens = shared_preopens(program, places)
            undo.pop_all()

    def run(self, task: Task, stdin: Path | None) -> Outcome:
        """Ask the interpreter for one chunk, whose input is the file's bytes where there is one."""
        if stdin is not None:
            task = _with_input(task, stdin)
        interpreter = self._interpreter or self._start()
        answer = self._ask(interpreter, task)
        if answer.line is None and self._worn_out(interpreter, answer):
            interpreter = self._start()
            answer = self._ask(interpreter, task)
        if answer.line is not None:
            return self._replied(task, answer.line)
        self._interpreter = None
        return self._ended(interpreter, answer)

    def _start(self) -> Interpreter:
        bounds = RunBounds(self._limits.fuel, self._limits.memory, 1)
        root = self._scratch.root
        self._interpreter = Interpreter(self._engine, self._module, self._command.settings, bounds, root)
        return self._interpreter

    def _ask(self, interpreter: Interpreter, task: Task) -> Answer:
        self._stderr_mark = self._scratch.stderr.size() if interpreter.answered else 0
        max_reply = _ESCAPE_GROWTH * self._limits.max_output + INLINE_OUTPUT_BYTES
        return interpreter.ask(_request(task), self._limits.wall_seconds, max_reply)

    def _worn_out(self, interpreter: Interpreter, answer: Answer) -> bool:
        if answer.timed_out or answer.too_large or not interpreter.answered or interpreter.ending is None:
            return False
        fault = fault_of(interpreter.ending, b"", self._limits, self._memory)
        return fault is None or fault.kind is FaultKind.OUT_OF_FUEL

    def _ended(self, interpreter: Interpreter, answer: Answer) -> Outcome:
        stderr = self._stderr()
        if answer.timed_out:
            return Outcome(fault=timed_out(self._limits, stderr))
        if answer.too_large:
            return Outcome(
                fault=output_too_large(self._limits, f"a reply longer than {self._limits.max_output} bytes", stderr)
            )
        ending = interpreter.ending or Ending(0)
        fault = fault_of(ending, stderr, self._limits, self._memory)
        fault = fault or _bad_reply("ended without a reply", stderr)
        return Outcome(fault=fault, fuel_used=max(0, fault.fuel_used))

    def _replied(self, task: Task, line: bytes) -> Outcome:
        try:
            output = _output_of(line, task)
        except _ReplyError as error:
            if not error.clean:
                self._discard()  # what it would answer next may belong to this chunk
            return Outcome(fault=_bad_reply(str(error), self._stderr()))
        if not self._partitioned and len(output) <= min(INLINE_OUTPUT_BYTES, self._limits.max_output):
            return Outcome(stdout=output, stderr=self._stderr())
        self._scratch.stdout.path.write_bytes(output[: self._limits.max_output + 1])
        return msgspec.structs.replace(self._collect(task, self._limits, 0), stderr=self._stderr())

    def _stderr(self) -> bytes:
        return self._scratch.stderr.since(self._stderr_mark, STDERR_TAIL_BYTES)

    def _discard(self) -> None:
        if self._interpreter is not None:
            self._interpreter.close()
            self._interpreter = None

    def close(self) -> None:
        """End the interpreter and empty scratch."""
        self._discard()
        self._module.close()
        self._scratch.close()


def _with_input(task: Task, stdin: Path) -> Task:
    size = stdin.stat().st_size
    if size > MAX_MESSAGE_BYTES:
        raise FaultError(
            Fault(
                kind=FaultKind.CAPACITY_EXCEEDED,
                message=f"the input of chunk {task.chunk_id} has {size:,} bytes, and a Loop program takes an input in"
                f" one line, of at most {MAX_MESSAGE_BYTES:,}",
                remedy="use mode: Fresh, whose programs read stdin, or more partitions",
            )
        )
    return msgspec.structs.replace(task, input=stdin.read_bytes())


class _ReplyError(Exception):
    """An error that the program reported (`clean`), or a reply that is none."""

    def __init__(self, message: str, *, clean: bool) -> None:
        super().__init__(message)
        self.clean = clean


def _request(task: Task) -> bytes:
    request: dict[str, Any] = {"id": task.chunk_id, "index": task.index}
    try:
        request["input"] = task.input.decode("utf-8")
    except UnicodeDecodeError:
        request["input_base64"] = base64.b64encode(task.input).decode("ascii")
    return msgspec.json.encode(request) + b"\n"


def _output_of(line: bytes, task: Task) -> bytes:
    try:
        reply = msgspec.json.decode(line, type=dict[str, Any])
    except UNREADABLE as error:
        raise _ReplyError(f"replied with a line that is not a JSON object: {line[:200]!r}", clean=False) from error
    if reply.get("id") != task.chunk_id:
        raise _ReplyError(f"replied for {reply.get('id')!r} when asked for {task.chunk_id!r}", clean=False)
    if "error" in reply:
        raise _ReplyError(f"reported an error: {reply['error']}", clean=True)
    if "output_base64" in reply:
        return _decode_base64(reply["output_base64"])
    if "output" not in reply:
        raise _ReplyError("replied with neither `output` nor `error`", clean=True)
    output = reply["output"]
    return output.encode() if isinstance(output, str) else msgspec.json.encode(output)


def _decode_base64(text: object) -> bytes:
    try:
        return base64.b64decode(str(text), validate=True)
    except (binascii.Error, ValueError) as error:
        raise _ReplyError("replied with `output_base64` that is not base64", clean=True) from error


def _bad_reply(said: str, stderr: bytes) -> Fault:
    return Fault(
        kind=FaultKind.EXIT_CODE,
        message=f"the tasklet {said}",
        remedy="in Loop mode answer each line of stdin with one line {id, output|error}; print all else to stderr",
        exit_code=1,
        stderr=stderr.decode("utf-8", errors="replace"),
    )


def _refuse_directories(program: Program) -> None:
    if program.input_files or wants_output_directory(program):
        raise _unsupported("a Loop program has no /in and no /out", "use mode: Fresh for files")


def _refuse_chunk_names(command: Command) -> None:
    if command.argument_templates or command.value_templates:
        raise _unsupported(
            "a Loop program starts once for many chunks, so its args and env cannot name one",
            "read the chunk's id and index from the request line, or use mode: Fresh",
        )


def _unsupported(message: str, remedy: str) -> FaultError:
    return FaultError(Fault(kind=FaultKind.UNSUPPORTED, message=message, remedy=remedy))
