"""Calls over kept connections that break in every way: a server that misbehaves as told, on a real socket."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from tasklet_runner.client.members import MemberClient
from tasklet_runner.wire.errors import ProtocolError, RefusedError, UnreachableError

YES = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}"
LAST = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nConnection: close\r\n\r\n{}"
HALF = YES[:-1]
NO_BODY = b'{"code":"Fenced","cause":"an older epoch","remedy":"read /v1/state"}'
NO = b"HTTP/1.1 409 Conflict\r\nContent-Length: %d\r\n\r\n%b" % (len(NO_BODY), NO_BODY)

Act = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]


class Script:
    """Each connection plays the next act; `heard` counts connections."""

    def __init__(self, *acts: Act) -> None:
        self._acts = list(acts)
        self.heard = 0

    async def play(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.heard += 1
        try:
            await self._acts.pop(0)(reader, writer)
        finally:
            writer.close()


def says(*answers: bytes, then: float = 0.0) -> Act:
    """Answers so many requests, and closes after a while."""

    async def act(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        for answer in answers:
            await reader.readuntil(b"}")
            writer.write(answer)
        await asyncio.sleep(then)

    return act


@asynccontextmanager
async def served(directory: Path, script: Script, timeout_seconds: float = 5) -> AsyncIterator[MemberClient]:
    server = await asyncio.start_unix_server(script.play, directory / "m")
    client = MemberClient(f"unix://{directory}/m", timeout_seconds=timeout_seconds)
    try:
        yield client
    finally:
        await client.close()
        server.close()


def test_calls_one_after_another_share_a_connection(tmp_path: Path) -> None:
    async def story() -> None:
        script = Script(says(YES, YES, YES, then=1))
        async with served(tmp_path, script) as client:
            for _ in range(3):
                await client.confirm("s")
        assert script.heard == 1

    asyncio.run(story())


def test_calls_at_once_have_a_connection_each(tmp_path: Path) -> None:
    async def story() -> None:
        script = Script(says(YES, then=1), says(YES, then=1))
        async with served(tmp_path, script) as client:
            await asyncio.gather(client.confirm("a"), client.confirm("b"))
        assert script.heard == 2

    asyncio.run(story())


@pytest.mark.parametrize("pause", [pytest.param(0.1, id="noticed before the next call"), pytest.param(0, id="not yet")])
def test_a_connection_that_was_closed_while_idle_is_replaced(tmp_path: Path, pause: float) -> None:
    async def story() -> None:
        script = Script(says(YES), says(YES, then=1))
        async with served(tmp_path, script) as client:
            await client.confirm("a")
            await asyncio.sleep(pause)
            await client.confirm("b")
        assert script.heard == 2

    asyncio.run(story())


def test_a_call_that_was_heard_and_not_answered_is_repeated_once_on_a_new_connection(tmp_path: Path) -> None:
    async def hears(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await says(YES)(reader, writer)
        await reader.readuntil(b"}")

    async def story() -> None:
        script = Script(hears, hears)
        async with served(tmp_path, script) as client:
            await client.confirm("a")
            await client.confirm("b")
        assert script.heard == 2

    asyncio.run(story())


def test_a_fresh_connection_that_is_closed_without_an_answer_is_unreachable(tmp_path: Path) -> None:
    async def story() -> None:
        script = Script(says())
        async with served(tmp_path, script) as client:
            with pytest.raises(UnreachableError, match="closed the connection"):
                await client.confirm("a")
        assert script.heard == 1

    asyncio.run(story())


def test_half_an_answer_is_not_asked_for_again(tmp_path: Path) -> None:
    async def story() -> None:
        script = Script(says(YES, HALF))
        async with served(tmp_path, script) as client:
            await client.confirm("a")
            with pytest.raises(UnreachableError, match="in the middle"):
                await client.confirm("b")
        assert script.heard == 1

    asyncio.run(story())


def test_the_late_answer_of_a_call_that_timed_out_answers_no_other_call(tmp_path: Path) -> None:
    async def late(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"}")
        await asyncio.sleep(0.4)
        writer.write(NO)

    async def story() -> None:
        script = Script(late, says(YES, then=1))
        async with served(tmp_path, script, timeout_seconds=0.2) as client:
            with pytest.raises(UnreachableError, match="TimeoutError"):
                await client.confirm("a")
            await asyncio.sleep(0.4)
            await client.confirm("b")

    asyncio.run(story())


def test_a_connection_that_says_more_than_it_was_asked_is_not_used_again(tmp_path: Path) -> None:
    async def chatty(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await says(YES, then=0.05)(reader, writer)
        writer.write(NO)
        await asyncio.sleep(1)

    async def story() -> None:
        script = Script(chatty, says(YES, then=1))
        async with served(tmp_path, script) as client:
            await client.confirm("a")
            await asyncio.sleep(0.2)
            await client.confirm("b")

    asyncio.run(story())


def test_a_connection_that_is_said_to_be_closed_is_not_used_again(tmp_path: Path) -> None:
    async def story() -> None:
        script = Script(says(LAST, then=1), says(YES, then=1))
        async with served(tmp_path, script) as client:
            await client.confirm("a")
            await client.confirm("b")
        assert script.heard == 2

    asyncio.run(story())


def test_a_refusal_is_typed_and_keeps_the_connection(tmp_path: Path) -> None:
    async def story() -> None:
        script = Script(says(NO, YES, then=1))
        async with served(tmp_path, script) as client:
            with pytest.raises(RefusedError, match="an older epoch") as refused:
                await client.confirm("a")
            assert (refused.value.reason, refused.value.remedy) == ("Fenced", "read /v1/state")
            await client.confirm("b")
        assert script.heard == 1

    asyncio.run(story())


@pytest.mark.parametrize(
    "words",
    [
        pytest.param(b"SSH-2.0-OpenSSH\r\n\r\n", id="another protocol"),
        pytest.param(YES.replace(b"{}", b"{]"), id="a body that is no JSON"),
    ],
)
def test_an_answer_that_cannot_be_read_is_told(tmp_path: Path, words: bytes) -> None:
    async def story() -> None:
        async with served(tmp_path, Script(says(words, then=1))) as client:
            with pytest.raises(ProtocolError, match="cannot be read"):
                await client.confirm("a")

    asyncio.run(story())


def test_nobody_there_is_unreachable(tmp_path: Path) -> None:
    async def story() -> None:
        with pytest.raises(UnreachableError, match="/v1/state") as lost:
            await MemberClient(f"unix://{tmp_path}/nobody").state()
        assert lost.value.remedy

    asyncio.run(story())
