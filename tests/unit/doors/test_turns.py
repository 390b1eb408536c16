"""Who is heard when many speak at once: few at a time, of addresses in turn; nothing is lost or kept too long."""

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field

import pytest
from aiohttp import web

from tasklet_runner.doors.bodies import pieces_of
from tasklet_runner.doors.guests import Door, Guest, listen
from tasklet_runner.doors.handlers import HttpHandler
from tasklet_runner.doors.limits import DoorLimits
from tasklet_runner.doors.turns import Turns
from tests.support.storm import free_door

PATIENCE_SECONDS = 30.0
MANY = 60
BODY = b"x" * 400_000


@dataclass
class Said:
    """What was heard, in order; some of those who wait may have gone."""

    words: list[str] = field(default_factory=list)
    gone: set[str] = field(default_factory=set)

    def speaker(self, word: str) -> Callable[[], bool]:
        def speak() -> bool:
            if word in self.gone:
                return False
            self.words.append(word)
            return True

        return speak


@pytest.mark.parametrize(
    ("waiting", "gone", "turns"),
    [
        pytest.param(["a1", "a2", "a3"], "", ["a1 a2", "a3"], id="one address is heard in order, so many in a turn"),
        pytest.param(
            ["a1", "a2", "a3", "a4", "b1"],
            "",
            ["a1 b1", "a2 a3", "a4"],
            id="another address is not behind all of the first",
        ),
        pytest.param(["a1", "a2", "b1", "a3"], "a1 b1", ["a2 a3"], id="who has gone takes nobody's place"),
    ],
)
def test_addresses_are_heard_in_turn(waiting: list[str], gone: str, turns: list[str]) -> None:
    async def story() -> None:
        said, heard, order = Said(gone=set(gone.split())), 0, Turns(pieces=2)
        for word in waiting:
            order.wait(word[0], said.speaker(word))
        for expected in turns:
            await asyncio.sleep(0)
            assert " ".join(said.words[heard:]) == expected
            heard = len(said.words)

    asyncio.run(story())


def test_in_one_turn_only_so_many_are_heard_and_nobody_overtakes_those_who_wait() -> None:
    async def story() -> None:
        said, order = Said(), Turns(pieces=2)
        assert [order.may_speak() for _ in range(3)] == [True, True, False]
        order.wait("a", said.speaker("a1"))
        assert not order.may_speak()
        await asyncio.sleep(0)
        assert (said.words, order.may_speak(), order.may_speak()) == (["a1"], True, False)

    asyncio.run(story())


def test_what_those_say_who_wait_is_bounded() -> None:
    order = Turns(held_bytes=10)
    order.held = 6
    assert [order.has_place(size) for size in (4, 5)] == [True, False]


@dataclass
class Heard:
    """A server at `port`; `peers`: whose requests it has begun, in order."""

    door: Door
    port: int
    peers: list[str] = field(default_factory=list)

    async def calls(self, source: str, count: int) -> list[tuple[asyncio.StreamReader, asyncio.StreamWriter]]:
        """So many connections from this address, which the server has taken."""
        before = self.door.crowd.total
        opened = [await asyncio.open_connection("127.0.0.1", self.port, local_addr=(source, 0)) for _ in range(count)]
        async with asyncio.timeout(PATIENCE_SECONDS):
            while self.door.crowd.total < before + count:  # noqa: ASYNC110 - the door tells no test
                await asyncio.sleep(0.01)
        return opened


def run(story: Callable[[Heard], Awaitable[None]]) -> None:
    async def told() -> None:
        async def length(request: web.Request) -> web.Response:
            heard.peers.append(request.remote or "")
            return web.Response(text=str(sum([len(piece) async for piece in pieces_of(request)])))

        limits = DoorLimits(connections=1000, arrival_seconds=PATIENCE_SECONDS)
        app = web.Application()
        app.add_routes([web.post("/length", length)])
        runner = web.AppRunner(app, shutdown_timeout=0.1)
        await runner.setup()
        door = Door("the server", limits, lambda: HttpHandler.behind(runner, limits))
        with free_door() as sock:
            heard = Heard(door, int(sock.getsockname()[1]))
            listening = await listen(sock, lambda: Guest(door), None, 1.0)
            try:
                await story(heard)
            finally:
                listening.close()
                door.dismiss_idle()
                await runner.cleanup()

    asyncio.run(told())


def post(body: bytes) -> bytes:
    return b"POST /length HTTP/1.1\r\nHost: b\r\nConnection: close\r\nContent-Length: %d\r\n\r\n%b" % (len(body), body)


async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> str:
    async with asyncio.timeout(PATIENCE_SECONDS):
        heard = await reader.read()
    writer.close()
    return heard.rpartition(b"\r\n")[2].decode()


@pytest.mark.unhappy("many connections of one address ask at once; one of another asks last")
def test_one_who_asks_once_is_not_behind_all_who_asked_before() -> None:
    async def story(server: Heard) -> None:
        flood = await server.calls("127.0.0.2", MANY)
        polite = await server.calls("127.0.0.1", 1)
        for _, writer in (*flood, *polite):
            writer.write(post(b"four"))
        assert [await answer(*one) for one in (*flood, *polite)] == ["4"] * (MANY + 1)
        assert server.peers.index("127.0.0.1") < MANY // 3

    run(story)


@pytest.mark.unhappy("many large bodies at once, more than may be held")
def test_nothing_of_what_waits_is_lost() -> None:
    async def story(server: Heard) -> None:
        server.door.turns = Turns(pieces=1, held_bytes=1_000_000)
        flood = await server.calls("127.0.0.2", MANY // 3)
        for _, writer in flood:
            writer.write(post(BODY))
        assert await asyncio.gather(*(answer(*one) for one in flood)) == [str(len(BODY))] * len(flood)
        assert server.door.turns.held == 0

    run(story)


@pytest.mark.unhappy("many go before it is their turn")
def test_who_goes_while_he_waits_leaves_nothing() -> None:
    async def story(server: Heard) -> None:
        server.door.turns = Turns(pieces=1)
        flood = await server.calls("127.0.0.2", MANY)
        for _, writer in flood:
            writer.write(post(b"four"))
            writer.transport.abort()
        async with asyncio.timeout(PATIENCE_SECONDS):
            while server.door.crowd.total:  # noqa: ASYNC110 - the door tells no test
                await asyncio.sleep(0.01)
        assert server.door.turns.held == 0

    run(story)
