"""Members by TLS: one that proves its key is served, anybody else at its address gets nothing of its holder."""

import asyncio
import contextlib
import socket
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import cast

import msgspec
import pytest

from tasklet_runner.client.keys import members_context
from tasklet_runner.client.members import MemberClient
from tasklet_runner.client.stores import StoreClient, StoreConnections
from tasklet_runner.client.work import WorkConnection
from tasklet_runner.member.tls import OwnKey
from tasklet_runner.wire.errors import ProtocolError, UnreachableError, WrongKeyError
from tasklet_runner.wire.member import MemberState, StateReport
from tasklet_runner.wire.pins import UNPROVEN, pinned, split_pin
from tests.integration.control_plane import free_ports
from tests.support import wat
from tests.support.members import MemberRig, prepare, run
from tests.support.store_members import store_arguments

LAST_WORD = b"is there more?"


@dataclass
class TlsRig(MemberRig):
    """A member that serves TLS on a port of loopback."""

    port: int = 0

    @property
    def endpoint(self) -> str:
        return f"https://127.0.0.1:{self.port}#{UNPROVEN}"

    @property
    def listen(self) -> str:
        return f"127.0.0.1:{self.port}"


@contextlib.asynccontextmanager
async def tls_member(root: Path, *arguments: str, port: int = 0) -> AsyncIterator[tuple[TlsRig, MemberClient]]:
    """A started member, and the fabric's client, which does not know its key yet."""
    root.mkdir(exist_ok=True)
    rig = TlsRig(root, ("--tls", *arguments), port=port or free_ports(1)[0])
    rig.start()
    client = MemberClient(rig.endpoint)
    try:
        yield rig, client
    finally:
        await client.close()
        rig.stop()


@dataclass
class Impostor:
    """Whoever has an address now: it answers what it is told to, and keeps what it is sent."""

    port: int
    answer: bytes = b""
    heard: bytes = b""

    async def all_heard(self) -> bytes:
        """What it was sent before now: a last word goes to it, on a connection that does not care whose key it has."""
        reader, writer = await asyncio.open_connection("127.0.0.1", self.port, ssl=members_context())
        writer.write(LAST_WORD)
        assert await reader.readexactly(1) == b"."
        writer.transport.abort()
        return self.heard.removesuffix(LAST_WORD)


class _Listening(asyncio.Protocol):
    def __init__(self, impostor: Impostor) -> None:
        self._impostor = impostor

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)

    def data_received(self, data: bytes) -> None:
        self._impostor.heard += data
        self._transport.write(self._impostor.answer or b".")


@contextlib.asynccontextmanager
async def impostor(port: int, answer: bytes = b"") -> AsyncIterator[Impostor]:
    """One with a key of its own at that port."""
    other = Impostor(port, answer)
    loop, key = asyncio.get_running_loop(), OwnKey.make("m0")
    server = await loop.create_server(lambda: _Listening(other), "127.0.0.1", port, ssl=key.context)
    try:
        yield other
    finally:
        server.close()
        await server.wait_closed()


def test_the_first_word_of_a_member_proves_its_key_and_a_holder_works_by_it(tmp_path: Path) -> None:
    async def story() -> None:
        async with tls_member(tmp_path) as (rig, client):
            state = await rig.claimed(client)
            assert split_pin(client.endpoint) == (f"https://127.0.0.1:{rig.port}", state.incarnation)
            address = replace(rig.address(state), endpoint=client.endpoint)
            connection = await WorkConnection.open(address, rig.signed(rig.capability(state)), rig.holder)
            await prepare(connection, wat.echo())
            results, _ = await run(connection, 3)
            await connection.close()
            assert [result.outcome.stdout for result in results] == [b"input 0\n", b"input 1\n", b"input 2\n"]
            await client.release(rig.signed(rig.capability(state)))
            await rig.ready(client)

    asyncio.run(story())


def test_a_store_keeps_objects_by_tls(tmp_path: Path) -> None:
    async def story() -> None:
        async with tls_member(tmp_path, *store_arguments(tmp_path, "Memory")) as (rig, client):
            state = await rig.claimed(client)
            capability = rig.signed(rig.capability(state))
            async with StoreClient(client.endpoint, capability, rig.holder) as store:
                await store.put("large", bytes(3 * 1024 * 1024))
                assert await store.get("large", 1024, 10) == bytes(10)

    asyncio.run(story())


Attempt = Callable[[TlsRig, StateReport, str], Awaitable[object]]


async def _work(rig: TlsRig, state: StateReport, endpoint: str) -> object:
    address = replace(rig.address(state), endpoint=endpoint)
    return await WorkConnection.open(address, rig.signed(rig.capability(state)), rig.holder)


async def _store(rig: TlsRig, state: StateReport, endpoint: str) -> object:
    async with StoreClient(endpoint, rig.signed(rig.capability(state)), rig.holder) as store:
        return await store.put("secret", b"secret")


async def _grant(rig: TlsRig, state: StateReport, endpoint: str) -> object:
    file = rig.root / "secret"
    file.write_bytes(b"secret")
    async with StoreConnections() as stores:
        return await stores.put_object(endpoint, "grant", "key", file)


async def _order(rig: TlsRig, state: StateReport, endpoint: str) -> object:
    async with MemberClient(endpoint) as client:
        return await client.release(rig.signed(rig.capability(state)))


@pytest.mark.unhappy("a member's address is another's now")
@pytest.mark.parametrize(
    "attempt",
    [
        pytest.param(_work, id="a holder that wants to work"),
        pytest.param(_store, id="a holder of a store"),
        pytest.param(_grant, id="a member that puts its output"),
        pytest.param(_order, id="the fabric"),
    ],
)
def test_an_impostor_at_a_reused_address_hears_not_a_byte_of(attempt: Attempt, tmp_path: Path) -> None:
    async def story() -> None:
        async with tls_member(tmp_path) as (rig, client):
            state = await rig.claimed(client)
            known = client.endpoint
        async with impostor(rig.port) as other:
            with pytest.raises(WrongKeyError, match=rf"and not by {state.incarnation}.* address is another's now"):
                await attempt(rig, state, known)
            with pytest.raises(WrongKeyError):
                await client.state()  # the fabric goes on knowing whom it met there
            assert await other.all_heard() == b""

    asyncio.run(story())


@pytest.mark.unhappy("a true member of the same fabric and name has the address of one that ended")
def test_a_successor_at_the_address_is_not_taken_for_its_predecessor(tmp_path: Path) -> None:
    async def story() -> None:
        async with tls_member(tmp_path / "first") as (rig, client):
            state = await rig.claimed(client)
        async with tls_member(tmp_path / "second", port=rig.port) as (second, fresh):
            assert (await second.ready(fresh)).incarnation != state.incarnation
            with pytest.raises(WrongKeyError):
                await client.state()
            with pytest.raises(WrongKeyError):
                await _work(rig, state, client.endpoint)

    asyncio.run(story())


@pytest.mark.unhappy("somebody between the fabric and a member that it never met passes the member's words on")
def test_words_of_a_member_prove_nothing_by_another_key(tmp_path: Path) -> None:
    true = StateReport(member="m0", incarnation="5" * 32, epoch=0, state=MemberState.READY, slots=1, tasklet_memory=1)
    body = msgspec.json.encode(true)
    answer = b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%b" % (len(body), body)

    async def story() -> None:
        (port,) = free_ports(1)
        async with impostor(port, answer), MemberClient(f"https://127.0.0.1:{port}#{UNPROVEN}") as client:
            with pytest.raises(WrongKeyError, match="which is not its incarnation"):
                await client.state()
            assert client.endpoint.endswith(UNPROVEN)

    asyncio.run(story())


@pytest.mark.unhappy("a client that speaks plain HTTP, or an older TLS")
def test_a_member_with_tls_says_nothing_without_it(tmp_path: Path) -> None:
    async def story() -> None:
        async with tls_member(tmp_path) as (rig, client):
            await rig.ready(client)
            reader, writer = await asyncio.open_connection("127.0.0.1", rig.port)
            writer.write(b"GET /v1/state HTTP/1.1\r\nHost: member\r\n\r\n")
            said = await reader.read()
            assert b"HTTP" not in said
            assert b"m0" not in said
            writer.close()
            with pytest.raises(UnreachableError):
                await MemberClient(f"http://127.0.0.1:{rig.port}").state()
            old = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
            old.check_hostname, old.verify_mode = False, ssl.CERT_NONE
            old.maximum_version = ssl.TLSVersion.TLSv1_2
            with socket.create_connection(("127.0.0.1", rig.port)) as plain, pytest.raises(ssl.SSLError):
                await asyncio.to_thread(old.wrap_socket, plain)
            assert (await client.state()).state is MemberState.READY

    asyncio.run(story())


@pytest.mark.unhappy("an endpoint whose member nobody knows yet is given to a holder")
def test_a_holder_does_not_connect_to_whom_it_does_not_know(tmp_path: Path) -> None:
    rig = TlsRig(tmp_path, port=1)
    state = StateReport(member="m0", incarnation="5" * 32, epoch=1, state=MemberState.READY, slots=1, tasklet_memory=1)

    with pytest.raises(ProtocolError, match="key is not known"):
        asyncio.run(_store(rig, state, pinned("https://127.0.0.1:1", UNPROVEN)))


def test_a_holder_behind_a_port_forward_knows_the_member_by_the_same_key(tmp_path: Path) -> None:
    async def story() -> None:
        rig = MemberRig(tmp_path, ("--tls",))
        rig.start()
        try:
            async with MemberClient(pinned(rig.endpoint, UNPROVEN)) as client:
                state = await rig.claimed(client)
                capability = rig.signed(rig.capability(state))
                address = replace(rig.address(state), endpoint=pinned(rig.endpoint, state.incarnation))
                connection = await WorkConnection.open(address, capability, rig.holder)
                await prepare(connection, wat.echo())
                assert len((await run(connection, 2))[0]) == 2
                await connection.close()
                with pytest.raises(WrongKeyError):
                    await WorkConnection.open(
                        replace(address, endpoint=pinned(rig.endpoint, "5" * 32)), capability, rig.holder
                    )
        finally:
            rig.stop()

    asyncio.run(story())
