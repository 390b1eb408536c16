"""Messages of the work connection, and what slots say to their member."""

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import msgspec

from tasklet_runner.member import frames
from tasklet_runner.member.slot_wire import FROM_SLOT, SlotAnswer, Verb, Word, answer_of, read_word
from tasklet_runner.wire import work
from tasklet_runner.wire.digests import CHECKSUM_BYTES, checksum
from tasklet_runner.wire.errors import ProtocolError
from tasklet_runner.wire.faults import Fault, FaultKind
from tasklet_runner.wire.programs import Durable, Fetch, Language, Mount, Outcome, OutputFile, Program, Result, Task
from tests.fuzz.decoder import Decoder, Try, accepts, either, pure

_FAULT = Fault(kind=FaultKind.TRAPPED, message="unreachable", remedy="look")
_PROGRAM = Program(
    name="p",
    language=Language.WASM,
    source="a" * 64,
    arguments=("$(CHUNK_INDEX)",),
    mounts=(Mount(path="/m", digest="b"),),
)
_TASKS = (
    Task(0, 1, "0-a", b"input" * 20),
    Task(
        70_000, 2, "1-b", path="a/b", fetch=(Fetch("http://m:1", "grant", ("k", "l")),), durable=Durable("e", "g", "k")
    ),
)
_OUTCOME = Outcome(
    _FAULT, b"out" * 30, (OutputFile("a/b", b"\0" * 40),), fuel_used=2**60, wall_microseconds=7, parts=((0, 9), (3, 1))
)

TO_MEMBER: tuple[work.ToMember, ...] = (
    work.Open("capability", "challenge"),
    work.Renew("capability"),
    work.CodeKey(b"k" * 48),
    work.Blob("c" * 64, 10_000, 0, b"blob" * 50),
    work.Forget(("d", "e")),
    work.Prepare(1, _PROGRAM, "code", True),
    work.Run(0, 3, 1, _TASKS),
    work.Run(1, 4, 1, _TASKS[1:]),
    work.Grant(5, 1, "http://m:1", "main/5/1", "grant"),
    work.Follow("http://m:1", "grant", ("q", "r")),
    work.Discard(5, 1),
)
TO_HOLDER: tuple[work.ToHolder, ...] = (
    work.Hello(member="m", incarnation="i", nonce="n", sealing_key=bytes(32), slots=2),
    work.Opened(59.5),
    work.Refused("Conflict", "cause", "remedy"),
    work.Blob("c" * 64, 10_000, 0, b"blob" * 50),
    work.Prepared(1, "code", 12),
    work.PrepareFailed(1, _FAULT),
    work.Results(0, 3, (Result(0, 1, _OUTCOME), Result(1, 1, Outcome(stdout=b"x"))), True),
    work.NotRun(0, 3, (1, 2, 3)),
    work.Stored(5, 1, ("stdout", "out/a"), 99, _FAULT),
    work.Checkpointed(5, 1, 3, 4096, 12),
    work.Draining("why"),
    work.Ended("Released"),
)


def _sealed(body: bytes) -> bytes:
    return body + checksum(body)


def _bodies(messages: tuple[work.ToMember, ...] | tuple[work.ToHolder, ...]) -> list[bytes]:
    return [work.encode(message)[:-CHECKSUM_BYTES] for message in messages]


def _body(message: work.ToMember | work.ToHolder) -> bytes:
    return work.encode(message)[:-CHECKSUM_BYTES]


def _as_the_member(body: bytes) -> bool:
    """The member reads the heading of a frame alone, and its slot the rest: where the slot can, the member does."""
    try:
        message = frames.decode(work.checked(_sealed(body)))
    except ProtocolError:
        return False
    if isinstance(message, frames.Run):
        frame = frames.Frame(_Nobody(), message, body, 0, 0)
        tasks, heading = frame.tasks(), frame.heading()
        assert heading is None or not tasks or heading.chunk_id == tasks[0].chunk_id
    return True


class _Nobody:
    """A sink that hears nothing."""

    closed = True

    async def deliver(self, data: bytes) -> None:
        """Nothing."""


def _travelled(data: bytes) -> bool:
    """Whatever happened on the way: only what was sent is read."""
    try:
        work.decode_to_member(data)
    except ProtocolError:
        return False
    assert data in _SENT, "a damaged message was accepted"
    return True


_SENT = frozenset(map(work.encode, TO_MEMBER))


def _words() -> list[bytes]:
    results, answer = _bodies(TO_HOLDER)[6], msgspec.msgpack.encode(SlotAnswer(_FAULT))
    return [
        FROM_SLOT.pack(Verb.STANDING, 0, 0, 0, 0),
        FROM_SLOT.pack(Verb.RESULTS, 9, 2, len(results), 1) + results,
        FROM_SLOT.pack(Verb.PREPARED, 1, 0, len(answer), 0) + answer,
    ]


@contextmanager
def _slot_stream(_: Path) -> Iterator[Try]:
    with asyncio.Runner() as runner:
        yield lambda data: runner.run(_hear(data))


async def _hear(data: bytes) -> bool:
    reader = asyncio.StreamReader()
    reader.feed_data(data)
    reader.feed_eof()
    heard = 0
    while True:
        try:
            word = await read_word(reader)
            if word.verb is Verb.PREPARED:
                _same_again(word)
        except (ProtocolError, asyncio.IncompleteReadError):
            return heard > 0
        heard += 1


def _same_again(word: Word) -> None:
    answer = answer_of(word)
    assert msgspec.msgpack.decode(msgspec.msgpack.encode(answer), type=SlotAnswer) == answer


DECODERS = (
    Decoder(
        "frames to a member",
        lambda: _bodies(TO_MEMBER),
        pure(either(accepts(lambda body: work.decode_to_member(_sealed(body)), _body), _as_the_member)),
    ),
    Decoder(
        "frames to a holder",
        lambda: _bodies(TO_HOLDER),
        pure(accepts(lambda body: work.decode_to_holder(_sealed(body)), _body)),
    ),
    Decoder("frames as they travel", lambda: sorted(_SENT), pure(_travelled)),
    Decoder("words of slots", _words, _slot_stream, modules=("tasklet_runner.member.slot_wire",)),
)
