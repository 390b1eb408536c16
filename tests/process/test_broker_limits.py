"""Overload, slow peers and half-open connections: bounded, and claims are answered meanwhile."""

import asyncio
import contextlib
import socket
from dataclasses import replace

import aiohttp
import msgspec
import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from leasegrid_operator.broker.limits import Limits, Room
from leasegrid_operator.broker.rates import Rate
from leasegrid_operator.broker.serving import BrokerServer
from tasklet_runner.wire.broker import Refusal
from tasklet_runner.wire.signed import public_text
from tests.support.broker import TOKEN, FabricDesk, StubFabric, served, url_of

KEY = Ed25519PrivateKey.generate()
LEASES = "/v1/namespaces/default/leases"
WITH_TOKEN = {"X-Leasegrid-Token": TOKEN}
GOOD = msgspec.json.encode({"requestId": "a", "holderKey": public_text(KEY)})
PATIENCE_SECONDS = 30.0


def desk_of(fabric: StubFabric) -> FabricDesk:
    return FabricDesk({"default": fabric}, KEY)


async def no_connection_left(server: BrokerServer) -> None:
    async with asyncio.timeout(PATIENCE_SECONDS):
        while server.connections:  # noqa: ASYNC110 - what is waited for is the other side's timer
            await asyncio.sleep(0.01)


@pytest.mark.unhappy("a flood of watches fills its own room; claims are answered meanwhile")
def test_claims_are_answered_while_watches_fill_their_room() -> None:
    async def story() -> None:
        fabric = StubFabric(KEY)
        fabric.gate = asyncio.Event()
        limits = replace(Limits(), watches=Room(6, 3))
        async with (
            served(desk_of(fabric), limits=limits) as server,
            aiohttp.ClientSession(headers=WITH_TOKEN) as session,
        ):

            async def watch() -> int:
                async with session.get(f"{url_of(server)}{LEASES}/u1?version=1") as answer:
                    return answer.status

            watches = [asyncio.create_task(watch()) for _ in range(4)]
            done, _ = await asyncio.wait(watches, return_when=asyncio.FIRST_COMPLETED)
            assert [task.result() for task in done] == [429]
            async with session.post(url_of(server) + LEASES, data=GOOD) as answer:
                assert answer.status == 200
            fabric.gate.set()
            assert sorted(await asyncio.gather(*watches)) == [200, 200, 200, 429]

    asyncio.run(story())


@pytest.mark.unhappy("many holders of one namespace fill its share of the room; another namespace has a place")
def test_a_namespace_leaves_room_for_another() -> None:
    async def story() -> None:
        fabric = StubFabric(KEY)
        fabric.gate = asyncio.Event()
        desk = FabricDesk({"default": fabric, "elsewhere": fabric}, KEY)
        async with (
            served(desk, limits=replace(Limits(), watches=Room(4, 4))) as server,
            aiohttp.ClientSession(headers=WITH_TOKEN) as session,
        ):

            async def watch(namespace: str) -> int:
                url = f"{url_of(server)}/v1/namespaces/{namespace}/leases/u1?version=1"
                async with session.get(url) as answer:
                    return answer.status

            flood = [asyncio.create_task(watch("default")) for _ in range(4)]
            async with asyncio.timeout(PATIENCE_SECONDS):
                while sum(task.done() for task in flood) < 2:  # noqa: ASYNC110 - the broker tells no test
                    await asyncio.sleep(0.01)
            polite = asyncio.create_task(watch("elsewhere"))
            await asyncio.wait((polite,), timeout=0.5)
            assert not polite.done()
            fabric.gate.set()
            assert await polite == 200
            assert sorted(await asyncio.gather(*flood)) == [200, 200, 429, 429]

    asyncio.run(story())


@pytest.mark.unhappy("a caller that is too quick: 429 with Retry-After")
def test_a_caller_that_is_too_quick_is_told_when_to_come_again() -> None:
    async def story() -> None:
        limits = replace(Limits(), caller=Rate(per_second=0.5, burst=1.0))
        async with (
            served(desk_of(StubFabric(KEY)), limits=limits) as server,
            aiohttp.ClientSession(headers=WITH_TOKEN) as session,
        ):
            for status in (200, 429):
                async with session.post(url_of(server) + LEASES, data=GOOD) as answer:
                    assert answer.status == status
            assert 1 <= int(answer.headers["Retry-After"]) <= 2

    asyncio.run(story())


@pytest.mark.unhappy("a watcher that went away leaves its place")
def test_a_caller_that_goes_away_frees_its_place() -> None:
    async def story() -> None:
        fabric = StubFabric(KEY)
        fabric.gate = asyncio.Event()
        limits = replace(Limits(), watches=Room(1, 1))
        async with (
            served(desk_of(fabric), limits=limits) as server,
            aiohttp.ClientSession(headers=WITH_TOKEN) as session,
        ):
            url = f"{url_of(server)}{LEASES}/u1?version=1"
            gone = asyncio.create_task(session.get(url))
            async with asyncio.timeout(PATIENCE_SECONDS):
                while (await _status(session, url, 0.2)) != 429:
                    pass
            gone.cancel()
            fabric.gate.set()
            async with asyncio.timeout(PATIENCE_SECONDS):
                while (await _status(session, url, 5.0)) != 200:
                    pass

    asyncio.run(story())


async def _status(session: aiohttp.ClientSession, url: str, seconds: float) -> int:
    try:
        async with session.get(url, timeout=aiohttp.ClientTimeout(total=seconds)) as answer:
            return answer.status
    except TimeoutError:
        return 0


@pytest.mark.parametrize(
    "said",
    [
        pytest.param(b"", id="nothing"),
        pytest.param(b"POST /v1/hints HTTP/1.1\r\nHost:", id="half a head"),
        pytest.param(b"POST /v1/hints HTTP/1.1\r\nHost: b\r\nContent-Length: 9\r\n\r\n{", id="half a body"),
        pytest.param(b"GET /healthz HTTP/1.1\r\nHost: b\r\n\r\nGET /", id="half a head after a request"),
    ],
)
@pytest.mark.unhappy("slow and half-open peers are closed; they hold no place and no memory")
def test_a_peer_is_closed_that_says(said: bytes) -> None:
    async def story() -> None:
        limits = replace(Limits(), arrival_seconds=0.2, idle_seconds=0.2)
        async with served(desk_of(StubFabric(KEY)), limits=limits) as server:
            reader, writer = await asyncio.open_connection("127.0.0.1", server.port)
            writer.write(said)
            async with asyncio.timeout(PATIENCE_SECONDS):
                with contextlib.suppress(ConnectionResetError):
                    await reader.read()
            await no_connection_left(server)
            writer.close()

    asyncio.run(story())


@pytest.mark.unhappy("more connections than the broker takes: a typed refusal, and those that stand are answered")
def test_connections_are_bounded() -> None:
    async def story() -> None:
        async with served(desk_of(StubFabric(KEY)), limits=replace(Limits(), connections=1)) as server:
            reader, writer = await asyncio.open_connection("127.0.0.1", server.port)
            writer.write(b"GET /healthz HTTP/1.1\r\nHost: b\r\n\r\n")
            assert b"200 OK" in await reader.readuntil(b"\r\n\r\n")
            other, second = await asyncio.open_connection("127.0.0.1", server.port)
            refused = await other.read()
            assert refused.startswith(b"HTTP/1.1 429 ")
            assert msgspec.json.decode(refused.partition(b"\r\n\r\n")[2], type=Refusal).remedy
            await reader.readexactly(2)
            writer.write(b"GET /healthz HTTP/1.1\r\nHost: b\r\n\r\n")
            assert b"200 OK" in await reader.readuntil(b"\r\n\r\n")
            assert (server.connections, server.refused) == (1, 1)
            second.close()
            writer.close()

    asyncio.run(story())


@pytest.mark.unhappy("a reader that does not read: cut off, its answer is dropped")
def test_a_slow_reader_is_cut_off() -> None:
    async def story() -> None:
        fabric = StubFabric(KEY, members=20_000)
        async with served(desk_of(fabric), limits=replace(Limits(), departure_seconds=0.3)) as server:
            slow = socket.socket()
            slow.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
            slow.connect(("127.0.0.1", server.port))
            head = f"POST {LEASES} HTTP/1.1\r\nHost: b\r\nX-Leasegrid-Token: {TOKEN}\r\n"
            slow.sendall(f"{head}Content-Length: {len(GOOD)}\r\n\r\n".encode("ascii") + GOOD)
            async with asyncio.timeout(PATIENCE_SECONDS):
                while not fabric.calls:  # noqa: ASYNC110 - the broker tells no test
                    await asyncio.sleep(0.01)
            await no_connection_left(server)
            slow.close()

    asyncio.run(story())
