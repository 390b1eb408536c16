"""Processes that obey a line of JSON each, and what they say: answers, and entries of the history."""

import asyncio
import os
import signal
import sys
import traceback
from collections.abc import Awaitable, Callable, Mapping
from contextlib import suppress
from pathlib import Path

import msgspec

from tests.histories.history import Entry

MAX_LINE_BYTES = 1 << 20


class Order(msgspec.Struct, frozen=True):
    """What a child shall do. `number` comes back with its answer; `words` are the verb's own."""

    number: int
    verb: str
    words: msgspec.Raw


class Said(msgspec.Struct, frozen=True, omit_defaults=True):
    """One line of a child: the answer to an order, an entry, or a signed statement that it is about to send."""

    number: int = -1
    answer: msgspec.Raw = msgspec.Raw(b"null")
    entry: Entry | None = None
    statement: tuple[str, str, str] | None = None
    """Member, verb, and the statement itself."""


Obey = Callable[[Order], Awaitable[object]]


class Mouth:
    """A child's standard output."""

    def say(self, said: Said) -> None:
        """One line, at once."""
        sys.stdout.buffer.write(msgspec.json.encode(said) + b"\n")
        sys.stdout.buffer.flush()

    def record(self, entry: Entry) -> None:
        """An entry of the history."""
        self.say(Said(entry=entry))


async def obey_all(mouth: Mouth, obey: Obey) -> None:
    """A child's life: obeys every line of its standard input, all at once, until that ends."""
    reader = asyncio.StreamReader(limit=MAX_LINE_BYTES)
    await asyncio.get_running_loop().connect_read_pipe(lambda: asyncio.StreamReaderProtocol(reader), sys.stdin)
    running: set[asyncio.Task[None]] = set()

    async def answer(order: Order) -> None:
        try:
            done = await obey(order)
        except Exception:  # noqa: BLE001 - the edge of a process: people read what went wrong, nobody waits for ever
            traceback.print_exc()
            done = None
        mouth.say(Said(number=order.number, answer=msgspec.Raw(msgspec.json.encode(done))))

    while line := await reader.readline():
        task = asyncio.create_task(answer(msgspec.json.decode(line, type=Order)))
        running.add(task)
        task.add_done_callback(running.discard)
    for task in running:
        task.cancel()
    await asyncio.gather(*running, return_exceptions=True)


class Child:
    """A child as the one who started it sees it. `heard` gets its entries and statements."""

    def __init__(self, name: str, process: asyncio.subprocess.Process, heard: Callable[[Said], None]) -> None:
        self.name = name
        self._process = process
        self._heard = heard
        self._answers: dict[int, asyncio.Future[msgspec.Raw]] = {}
        self._stopped = False
        self._reading = asyncio.create_task(self._read())

    @classmethod
    async def start(
        cls, name: str, module: str, environment: Mapping[str, str], heard: Callable[[Said], None]
    ) -> "Child":
        """`python -m MODULE NAME`, with these changes of its environment."""
        process = await asyncio.create_subprocess_exec(
            sys.executable, "-m", module, name,
            stdin=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.PIPE, limit=MAX_LINE_BYTES,
            env={**os.environ, **environment}, cwd=Path(__file__).parents[2],
        )  # fmt: skip
        return cls(name, process, heard)

    async def ask(self, verb: str, words: object) -> msgspec.Raw:
        """Its answer. Raises AssertionError when it ends before."""
        number = len(self._answers)
        self._answers[number] = asyncio.get_running_loop().create_future()
        order = Order(number, verb, msgspec.Raw(msgspec.json.encode(words)))
        assert self._process.stdin is not None
        self._process.stdin.write(msgspec.json.encode(order) + b"\n")
        return await self._answers[number]

    def stop(self) -> None:
        """SIGSTOP."""
        self._stopped = True
        self._process.send_signal(signal.SIGSTOP)

    def go_on(self) -> None:
        """SIGCONT, if it was stopped."""
        if self._stopped:
            self._stopped = False
            self._process.send_signal(signal.SIGCONT)

    async def close(self) -> None:
        """Let it end, and wait for that."""
        self.go_on()
        assert self._process.stdin is not None
        with suppress(ConnectionError):
            self._process.stdin.close()
            await self._process.stdin.wait_closed()
        try:
            async with asyncio.timeout(20):
                await self._process.wait()
        except TimeoutError:
            self._process.kill()
            await self._process.wait()
        await self._reading

    async def _read(self) -> None:
        assert self._process.stdout is not None
        while line := await self._process.stdout.readline():
            said = msgspec.json.decode(line, type=Said)
            if said.number >= 0:
                self._answers[said.number].set_result(said.answer)
            else:
                self._heard(said)
        for answer in self._answers.values():
            if not answer.done():
                answer.set_exception(AssertionError(f"{self.name} has ended"))
