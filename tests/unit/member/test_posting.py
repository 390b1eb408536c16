"""Hints by HTTP find the leader, keep one connection, and are sent until the newest is taken."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

import msgspec
import pytest
from aiohttp import web

from tasklet_runner.member.posting import HttpNotifier, leader_url
from tasklet_runner.wire.member import Hint, MemberState

PATIENCE_SECONDS = 30

Answer = Callable[[], web.Response]


def hint(epoch: int) -> Hint:
    return Hint(member="m", incarnation="i", epoch=epoch, state=MemberState.READY)


def not_leader(leader: str) -> web.Response:
    return web.json_response({"code": "NotLeader", "cause": "…", "leader": leader}, status=503)


@dataclass
class Replica:
    """One replica of a fabric: what it answers, the epochs that it was told, and from how many connections."""

    answer: Answer = web.Response
    heard: list[int] = field(default_factory=list)
    connections: set[object] = field(default_factory=set)
    url: str = ""

    async def hear(self, request: web.Request) -> web.Response:
        self.connections.add(request.transport)
        self.heard.append(msgspec.json.decode(await request.read(), type=Hint).epoch)
        return self.answer()


@asynccontextmanager
async def replica(answer: Answer = web.Response, port: int = 0) -> AsyncIterator[Replica]:
    made = Replica(answer)
    application = web.Application()
    application.router.add_post("/v1/hints", made.hear)
    runner = web.AppRunner(application, access_log=None)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", port).start()
    made.url = f"http://127.0.0.1:{runner.addresses[0][1]}"
    try:
        yield made
    finally:
        await runner.cleanup()


@asynccontextmanager
async def notifier(url: str) -> AsyncIterator[HttpNotifier]:
    made = HttpNotifier(f"{url}/v1/hints", jitter=lambda: 0.0)
    try:
        yield made
    finally:
        await made.leave()


async def until(condition: Callable[[], bool]) -> None:
    async with asyncio.timeout(PATIENCE_SECONDS):
        while not condition():  # noqa: ASYNC110  # what is waited for is a list that grows
            await asyncio.sleep(0.01)


def test_hints_of_one_member_go_over_one_connection() -> None:
    async def story() -> None:
        async with replica() as leader, notifier(leader.url) as telling:
            for epoch in range(5):
                telling.tell(hint(epoch))
                await until(lambda epoch=epoch: leader.heard[-1:] == [epoch])  # type: ignore[misc]  # bound now
            assert leader.heard == [0, 1, 2, 3, 4]
            assert len(leader.connections) == 1

    asyncio.run(story())


def test_of_hints_that_come_faster_than_they_go_the_newest_is_heard() -> None:
    async def story() -> None:
        async with replica() as leader, notifier(leader.url) as telling:
            for epoch in range(100):
                telling.tell(hint(epoch))
            await until(lambda: leader.heard[-1:] == [99])
            assert len(leader.heard) < 5

    asyncio.run(story())


@pytest.mark.unhappy("a replica that does not lead")
def test_a_hint_follows_the_leader_and_the_next_one_goes_there_at_once() -> None:
    async def story() -> None:
        async with replica() as leader, replica(lambda: not_leader(leader.url)) as follower:
            async with notifier(follower.url) as telling:
                telling.tell(hint(1))
                await until(lambda: leader.heard == [1])
                telling.tell(hint(2))
                await until(lambda: leader.heard == [1, 2])
            assert follower.heard == [1]

    asyncio.run(story())


@pytest.mark.unhappy("the leader dies")
def test_when_the_leader_is_gone_the_service_is_asked_again() -> None:
    async def story() -> None:
        gone = "http://127.0.0.1:9"
        async with replica() as leader:
            answers = [not_leader(gone), not_leader(leader.url)]
            async with replica(lambda: answers.pop(0)) as service, notifier(service.url) as telling:
                telling.tell(hint(1))
                await until(lambda: leader.heard == [1])
                assert service.heard == [1, 1]

    asyncio.run(story())


@pytest.mark.unhappy("two replicas that each take the other for the leader")
def test_replicas_that_point_at_each_other_do_not_make_a_storm() -> None:
    async def story() -> None:
        places: list[str] = []
        async with replica(lambda: not_leader(places[1])) as one, replica(lambda: not_leader(places[0])) as other:
            places.extend((one.url, other.url))
            async with notifier(one.url) as telling:
                telling.tell(hint(1))
                await until(lambda: len(one.heard) >= 2)
            # A pause after each round of two, from 50 ms up: a storm would be thousands.
            assert len(one.heard) + len(other.heard) < 60

    asyncio.run(story())


@pytest.mark.unhappy("a fabric that is away or fails for a while")
@pytest.mark.parametrize("status", [500, 404, 429, 503])
def test_the_newest_hint_is_sent_until_it_is_taken(status: int) -> None:
    async def story() -> None:
        answers = [web.Response(status=status, text="later"), web.Response(status=status), web.Response()]
        async with replica(lambda: answers.pop(0)) as service, notifier(service.url) as telling:
            telling.tell(hint(7))
            await until(lambda: not answers)
            assert service.heard == [7, 7, 7]

    asyncio.run(story())


@pytest.mark.unhappy("a fabric that starts after its members")
def test_a_fabric_that_comes_late_hears_the_newest_hint() -> None:
    async def story() -> None:
        async with replica() as earlier:
            url = earlier.url
        async with notifier(url) as telling:
            telling.tell(hint(1))
            await asyncio.sleep(0.1)
            telling.tell(hint(2))
            async with replica(port=int(url.rpartition(":")[2])) as late:
                await until(lambda: late.heard == [2])

    asyncio.run(story())


def test_the_last_hint_of_a_life_is_delivered_before_it_ends() -> None:
    async def story() -> None:
        async with replica() as leader:
            telling = HttpNotifier(f"{leader.url}/v1/hints")
            telling.tell(hint(1))
            await telling.leave()
            assert leader.heard == [1]

    asyncio.run(story())


@pytest.mark.unhappy("nobody listens at the end of a member's life")
def test_a_member_that_ends_does_not_wait_long_for_a_fabric_that_is_away() -> None:
    async def story() -> None:
        telling = HttpNotifier("http://127.0.0.1:9/v1/hints")
        await telling.leave()
        telling.tell(hint(1))
        async with asyncio.timeout(PATIENCE_SECONDS):
            await telling.leave()

    asyncio.run(story())


@pytest.mark.parametrize(
    ("answer", "where"),
    [
        pytest.param(
            b'{"code":"NotLeader","leader":"http://b:1"}', "http://b:1/v1/hints?x=1", id="the leader, same path"
        ),
        pytest.param(b'{"code":"NotLeader","leader":"https://b"}', "https://b/v1/hints?x=1", id="by TLS too"),
        pytest.param(b'{"code":"NotLeader","leader":""}', "", id="no leader known: the service again"),
        pytest.param(b'{"code":"NotLeader"}', "", id="no leader said: the service again"),
        pytest.param(b'{"code":"TooManyRequests","leader":"http://b:1"}', "", id="another reason: the service again"),
        pytest.param(b'{"code":"NotLeader","leader":"file:///etc"}', "", id="no HTTP: the service again"),
        pytest.param(b'{"code":"NotLeader","leader":"http://[b"}', "", id="no URL: the service again"),
        pytest.param(b"<html>", "", id="no JSON: the service again"),
    ],
)
def test_where_the_next_attempt_goes(answer: bytes, where: str) -> None:
    service = "http://a:2/v1/hints?x=1"
    assert leader_url(service, answer) == (where or service)
