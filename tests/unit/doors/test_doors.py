"""What stands in front of servers: crowds, budgets, paces, guests; on loopback, with small bounds."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, replace
from http import HTTPStatus

import msgspec
import pytest
from aiohttp import web

from tasklet_runner.doors.bodies import pieces_of
from tasklet_runner.doors.budget import Budget
from tasklet_runner.doors.crowd import Crowd
from tasklet_runner.doors.guests import Door, Guest, listen
from tasklet_runner.doors.handlers import HttpHandler
from tasklet_runner.doors.limits import DoorLimits
from tasklet_runner.wire.errors import OverloadedError, RefusedError
from tasklet_runner.wire.member import ErrorReply
from tests.support.storm import free_door

PATIENCE_SECONDS = 30.0
SMALL = DoorLimits(connections=4, head_bytes=1000, arrival_seconds=0.3, idle_seconds=0.3, stall_seconds=0.3)
LONG_BYTES = 20 * 1024 * 1024


def test_a_crowd_of_one_address_leaves_room_for_another_and_every_leaver_for_the_next() -> None:
    crowd = Crowd(10)
    assert [crowd.enter("a") for _ in range(6)] == [True] * 5 + [False]
    assert [crowd.enter("b") for _ in range(4)] == [True] * 3 + [False]
    assert [crowd.enter("") for _ in range(3)] == [True, True, False]
    crowd.leave("a")
    assert crowd.enter("c")
    assert (crowd.total, crowd.refused) == (10, 3)


@pytest.mark.unhappy("more wants memory than there is: in order, not more waiting than may, whoever leaves frees it")
def test_a_budget_serves_in_order_and_refuses_what_may_not_wait() -> None:
    async def story() -> None:
        budget, served = Budget("tests", 40, 2), list[int]()

        async def use(number: int, size: int, gate: asyncio.Event, group: str = "") -> None:
            async with budget.share(size, group):
                served.append(number)
                await gate.wait()

        gates = [asyncio.Event() for _ in range(8)]
        tasks = [asyncio.create_task(use(n, 99, gates[n])) for n in range(4)]
        await asyncio.sleep(0)
        tasks += [asyncio.create_task(use(n, 6, gates[n])) for n in (4, 5)]
        await asyncio.sleep(0)
        with pytest.raises(OverloadedError, match="requests wait for tests"):
            await use(6, 1, gates[6])
        assert (served, budget.waiting, budget.used) == ([0, 1, 2, 3], 2, 40)
        tasks[4].cancel()
        await asyncio.gather(tasks[4], return_exceptions=True)
        gates[0].set()
        await tasks[0]
        await asyncio.sleep(0)
        assert (served, budget.used) == ([0, 1, 2, 3, 5], 36)
        for gate in gates:
            gate.set()
        await asyncio.gather(*tasks, return_exceptions=True)
        assert (budget.used, budget.waiting) == (0, 0)

    asyncio.run(story())


@pytest.mark.unhappy("one address wants all of it: another is served at once, and the two in turn from then on")
def test_a_budget_is_shared_by_addresses() -> None:
    async def story() -> None:
        budget, gate, served = Budget("tests", 100, 100), asyncio.Event(), list[str]()

        async def use(group: str) -> None:
            async with budget.share(10, group):
                served.append(group)
                await gate.wait()

        tasks = [asyncio.create_task(use("greedy")) for _ in range(30)]
        await asyncio.sleep(0)
        assert served == ["greedy"] * 5
        tasks += [asyncio.create_task(use("polite")) for _ in range(2)]
        await asyncio.sleep(0.01)
        assert served[5:] == ["polite"] * 2
        gate.set()
        await asyncio.gather(*tasks)
        assert (len(served), budget.used, budget.waiting) == (32, 0, 0)

    asyncio.run(story())


@pytest.mark.unhappy("a waiter that is cancelled in the moment in which its turn comes")
def test_a_budget_loses_nothing_to_one_that_is_cancelled_when_it_is_served() -> None:
    async def story() -> None:
        budget = Budget("tests", 1, 1)

        async def use() -> None:
            async with budget.share(1):
                pass

        async with budget.share(1):
            waiting = asyncio.create_task(use())
            await asyncio.sleep(0)
        waiting.cancel()
        await asyncio.gather(waiting, return_exceptions=True)
        assert (budget.used, budget.waiting) == (0, 0)

    asyncio.run(story())


@dataclass
class Served:
    """A door on loopback, and what its handlers have raised."""

    door: Door
    port: int
    refusals: list[str]

    async def said(self, *pieces: bytes, read: int = -1) -> bytes:
        """What a new connection hears to these words until it is closed."""
        reader, writer = await asyncio.open_connection("127.0.0.1", self.port)
        for piece in pieces:
            writer.write(piece)
        async with asyncio.timeout(PATIENCE_SECONDS):
            heard = await reader.read(read)
        writer.close()
        return heard

    async def until(self, condition: Callable[[], object]) -> None:
        async with asyncio.timeout(PATIENCE_SECONDS):
            while not condition():  # noqa: ASYNC110 - what is waited for is a timer of the door
                await asyncio.sleep(0.01)


@asynccontextmanager
async def served(limits: DoorLimits = SMALL) -> AsyncIterator[Served]:
    refusals: list[str] = []

    async def long(_: web.Request) -> web.Response:
        return web.Response(body=b"x" * LONG_BYTES)

    async def length(request: web.Request) -> web.Response:
        try:
            return web.Response(text=str(sum([len(piece) async for piece in pieces_of(request, limits)])))
        except RefusedError as error:
            refusals.append(error.reason)
            return web.Response(status=HTTPStatus.REQUEST_TIMEOUT)

    app = web.Application()
    app.add_routes([web.get("/long", long), web.post("/length", length)])
    runner = web.AppRunner(app, shutdown_timeout=0.1)
    await runner.setup()
    door = Door("the server", limits, lambda: HttpHandler.behind(runner, limits, lingering_time=0.1))
    with free_door() as sock:
        port = int(sock.getsockname()[1])
        listening = await listen(sock, lambda: Guest(door), None, 1.0)
        try:
            yield Served(door, port, refusals)
        finally:
            listening.close()
            door.close()
            await runner.cleanup()


def run(story: Callable[[Served], Awaitable[None]], limits: DoorLimits = SMALL) -> None:
    async def told() -> None:
        async with served(limits) as door:
            await story(door)

    asyncio.run(told())


def refusal_in(answer: bytes) -> tuple[int, ErrorReply]:
    head, _, body = answer.partition(b"\r\n\r\n")
    return int(head.split()[1]), msgspec.json.decode(body, type=ErrorReply)


@pytest.mark.parametrize(
    "said",
    [
        pytest.param(b"", id="nothing"),
        pytest.param(b"GET /long HT", id="half a line"),
        pytest.param(b"POST /length HTTP/1.1\r\nHost: b\r\nContent-Length: 9\r\n\r\n{", id="half a body"),
        pytest.param(b"GET /none HTTP/1.1\r\nHost: b\r\n\r\nGET /", id="half a head after a request"),
    ],
)
@pytest.mark.unhappy("half-open connections are closed")
def test_a_guest_is_closed_that_says(said: bytes) -> None:
    async def story(server: Served) -> None:
        await server.said(said)
        await server.until(lambda: server.door.crowd.total == 0)
        assert not server.door.guests

    run(story)


@pytest.mark.unhappy("a head without end, in one piece and in two")
@pytest.mark.parametrize(
    "pieces", [(b"GET / HTTP/1.1\r\nX: " + b"x" * 2000,), (b"GET /", b"x" * 2000)], ids=["one", "two"]
)
def test_a_head_that_is_too_long_is_refused_in_words(pieces: tuple[bytes, ...]) -> None:
    async def story(server: Served) -> None:
        status, reply = refusal_in(await server.said(*pieces))
        assert (status, reply.code) == (431, "HeadTooLarge")
        assert reply.remedy

    run(story)


@pytest.mark.unhappy("a head that is too long, whole, and what is no HTTP at all")
def test_what_the_parser_does_not_take_is_refused_in_words() -> None:
    async def story(server: Served) -> None:
        whole = b"GET / HTTP/1.1\r\nHost: b\r\nX: " + b"x" * 900 + b"\r\n\r\n"
        assert refusal_in(await server.said(whole.replace(b"x", b"xx")))[1].code == "HeadTooLarge"
        status, reply = refusal_in(await server.said(b"nonsense\r\n\r\n"))
        assert (status, reply.code) == (400, "BadRequest")

    run(story, replace(SMALL, head_bytes=1200))


@pytest.mark.unhappy("more connections than a door takes: a typed refusal, and room again when one has gone")
def test_a_full_door_says_so_and_takes_the_next_when_one_has_gone() -> None:
    async def story(server: Served) -> None:
        held = [await asyncio.open_connection("127.0.0.1", server.port) for _ in range(2)]
        await server.until(lambda: server.door.crowd.total == 2)
        status, reply = refusal_in(await server.said())
        assert (status, reply.code) == (429, "TooManyRequests")
        for _, writer in held:
            writer.close()
        await server.until(lambda: server.door.crowd.total == 0)
        assert (await server.said(b"GET /none HTTP/1.1\r\nHost: b\r\n\r\n", read=12)).endswith(b"404")

    run(story, replace(SMALL, arrival_seconds=PATIENCE_SECONDS))


@pytest.mark.unhappy("a connection that was accepted as its door closed is met by nobody's server")
def test_whoever_comes_to_a_closed_door_is_let_go_without_a_word() -> None:
    async def story(server: Served) -> None:
        server.door.close()
        server.door.make_server = lambda: pytest.fail("there is no server any more")
        with suppress(ConnectionError):
            assert await server.said(b"GET /none HTTP/1.1\r\nHost: b\r\n\r\n") == b""
        assert (server.door.crowd.total, server.door.guests) == (0, set())

    run(story)


@pytest.mark.unhappy("a reader that does not read is cut off, one that reads slowly is not")
@pytest.mark.parametrize(
    ("pause", "stall", "whole"),
    [
        pytest.param(0.0, PATIENCE_SECONDS, True, id="one that takes its time is served"),
        pytest.param(2.0, 0.5, False, id="one that takes nothing is cut off"),
    ],
)
def test_a_reader_is_waited_for_as_long_as_it_takes_something(pause: float, stall: float, whole: bool) -> None:
    async def story(server: Served) -> None:
        async def read() -> int:
            reader, writer = await asyncio.open_connection("127.0.0.1", server.port, limit=4096)
            writer.write(b"GET /long HTTP/1.1\r\nHost: b\r\nConnection: close\r\n\r\n")
            await asyncio.sleep(pause)
            got = 0
            try:
                while piece := await reader.read(1 << 20):
                    got += len(piece)
            except ConnectionError:
                got = 0
            writer.close()
            return got

        assert (await read() > LONG_BYTES) == whole
        await server.until(lambda: server.door.crowd.total == 0)

    run(story, replace(SMALL, stall_seconds=stall, idle_seconds=PATIENCE_SECONDS))


@pytest.mark.unhappy("a body that stops coming is given up, one that comes slowly is not")
def test_a_body_is_waited_for_as_long_as_it_comes() -> None:
    async def story(server: Served) -> None:
        head = b"POST /length HTTP/1.1\r\nHost: b\r\nConnection: close\r\nContent-Length: 6\r\n\r\n"
        assert (await server.said(head, b"abc")).startswith(b"HTTP/1.1 408 ")
        assert server.refusals == ["TooSlow"]
        assert (await server.said(head, b"abc", b"def")).endswith(b"\r\n\r\n6")

    run(story)
