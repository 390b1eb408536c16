"""The broker by TLS: who knows its authority is answered, through every change of its certificate."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from leasegrid_operator.authority import SERVER_LIFE, Authority
from leasegrid_operator.broker.app import make_broker
from leasegrid_operator.broker.limits import Limits
from leasegrid_operator.broker.serving import BrokerServer
from leasegrid_operator.settings import Settings, TlsMode
from leasegrid_operator.tls import Files, SelfMade, ServerTls
from tasklet_runner.fabric.broker import ClusterFabric
from tasklet_runner.fabric.calls import BrokerAccess
from tasklet_runner.member.posting import HttpNotifier
from tasklet_runner.wire.errors import InputError, UnreachableError
from tasklet_runner.wire.member import Hint, MemberState
from tests.support.broker import FabricDesk, StubFabric, TableGate, token_file
from tests.support.fabric_contract import HOLDER, request

NOW = datetime.now(UTC)


@dataclass
class Rig:
    """A broker whose certificate stands in files, and how a client is told of it."""

    directory: Path
    tls: ServerTls
    desk: FabricDesk
    port: int = 0

    @property
    def access(self) -> BrokerAccess:
        """The access of a client that is given the authority's file."""
        token, ca = token_file(self.directory), self.directory / "ca.crt"
        return BrokerAccess((f"https://127.0.0.1:{self.port}",), token, HOLDER, patience_seconds=0.2, ca_file=ca)

    def put(self, authority: Authority, now: datetime = NOW, names: tuple[str, ...] = ("127.0.0.1",)) -> None:
        """What cert-manager and the kubelet do."""
        write(self.directory, authority.issue(names, now), authority)

    def refresh(self) -> bool:
        """The operator looks."""
        return self.tls.refresh(NOW)


def write(directory: Path, pem: bytes, authority: Authority) -> None:
    """Certificate, key and authority, each in its file."""
    certificate, mark, key = pem.partition(b"-----BEGIN PRIVATE KEY")
    (directory / "tls.crt").write_bytes(certificate)
    (directory / "tls.key").write_bytes(mark + key)
    (directory / "ca.crt").write_text(authority.pem)


@asynccontextmanager
async def broker(directory: Path, authority: Authority, names: tuple[str, ...] = ("127.0.0.1",)) -> AsyncIterator[Rig]:
    """A broker that serves TLS."""
    settings = Settings(tls=TlsMode.FILES, tls_cert=directory / "tls.crt", tls_key=directory / "tls.key")
    desk = FabricDesk({"default": StubFabric(HOLDER, 1)}, HOLDER)
    rig = Rig(directory, ServerTls(Files(settings), authority.pem), desk)
    rig.put(authority, names=names)
    assert rig.refresh()
    limits = Limits()
    app = make_broker(desk, TableGate(), limits)
    async with BrokerServer(app, limits, "127.0.0.1", 0, rig.tls.context) as server:
        rig.port = server.port
        yield rig


async def acquire(access: BrokerAccess) -> str:
    """A lease's uid, by a client of its own."""
    async with ClusterFabric(access) as fabric:
        return (await fabric.acquire(request("r1"))).uid


def test_a_client_that_knows_the_authority_is_answered(tmp_path: Path) -> None:
    async def story() -> None:
        async with broker(tmp_path, Authority.make(NOW)) as rig:
            assert await acquire(rig.access)

    asyncio.run(story())


def test_a_certificate_for_the_service_serves_also_at_a_replicas_address(tmp_path: Path) -> None:
    async def story() -> None:
        async with broker(tmp_path, Authority.make(NOW), ("grid.system.svc",)) as rig:
            with pytest.raises(UnreachableError, match="certificate"):
                await acquire(rig.access)
            assert await acquire(replace(rig.access, tls_name="grid.system.svc"))

    asyncio.run(story())


@pytest.mark.unhappy("the broker's certificate has expired, and then another authority issues them")
def test_a_new_certificate_is_shown_without_a_restart_and_a_new_authority_is_read_again(tmp_path: Path) -> None:
    first, second = Authority.make(NOW - timedelta(days=60)), Authority.make(NOW)

    async def story() -> None:
        async with broker(tmp_path, first) as rig:
            rig.put(first, NOW - SERVER_LIFE - timedelta(days=1))
            assert rig.refresh()
            async with ClusterFabric(rig.access) as fabric:
                with pytest.raises(UnreachableError, match="expired"):
                    await fabric.acquire(request("r1"))
                rig.put(first)
                assert rig.refresh()
                assert (await fabric.acquire(request("r1"))).uid
            async with ClusterFabric(rig.access) as fabric:
                write(rig.directory, second.issue(("127.0.0.1",), NOW), first)
                assert rig.refresh()
                with pytest.raises(UnreachableError, match="certificate"):
                    await fabric.acquire(request("r1"))
                (rig.directory / "ca.crt").write_text(second.pem)
                assert (await fabric.acquire(request("r1"))).uid, "the same client reads the authority's file again"

    asyncio.run(story())


@pytest.mark.unhappy("a certificate is written, and its key is not there yet")
def test_a_certificate_that_cannot_be_used_leaves_the_old_one(tmp_path: Path) -> None:
    authority = Authority.make(NOW)

    async def story() -> None:
        async with broker(tmp_path, authority) as rig:
            (tmp_path / "tls.crt").write_bytes(authority.issue(("127.0.0.1",), NOW).partition(b"-----BEGIN PRIV")[0])
            with pytest.raises(InputError, match="cannot be used"):
                rig.refresh()
            assert await acquire(rig.access)

    asyncio.run(story())


def test_a_self_made_certificate_is_another_when_two_thirds_of_its_life_are_over() -> None:
    source = SelfMade(Authority.make(NOW), ("127.0.0.1",))
    first = source.latest(NOW)

    assert source.latest(NOW + timedelta(days=19)) == first
    assert source.latest(NOW + timedelta(days=21)) != first


@pytest.mark.unhappy("somebody else answers where hints go")
def test_a_member_tells_its_hints_to_its_fabric_alone(tmp_path: Path) -> None:
    hint = Hint(member="m", incarnation="5" * 32, epoch=0, state=MemberState.READY)
    authority, other = Authority.make(NOW), Authority.make(NOW)

    async def story() -> None:
        async with broker(tmp_path, authority, ("grid.svc",)) as rig:
            url = f"https://127.0.0.1:{rig.port}/v1/hints"
            await tell(HttpNotifier(url, authority=other.pem, name="grid.svc"), hint)
            assert rig.desk.hints == []
            await tell(HttpNotifier(url, authority=authority.pem, name="grid.svc"), hint)
            assert rig.desk.hints == [hint]

    asyncio.run(story())


async def tell(notifier: HttpNotifier, hint: Hint) -> None:
    """A member's last word, which has a second to arrive."""
    notifier.tell(hint)
    await notifier.leave()
