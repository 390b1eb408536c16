"""The cluster's fabric: follows the leader, tries again, keeps renewing while half of the world is away."""

import asyncio
import contextlib
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from leasegrid.local.state import StateDirectory
from tasklet_runner.client.members import MemberClient
from tasklet_runner.fabric.answers import refusal_of
from tasklet_runner.fabric.broker import ClusterFabric
from tasklet_runner.fabric.calls import BrokerAccess
from tasklet_runner.wire.errors import (
    CapacityExceededError,
    LeaseEndedError,
    OverloadedError,
    PoolEmptyError,
    ProtocolError,
    RefusedError,
    UnreachableError,
    UnsupportedError,
)
from tests.process.local_fabric_rig import local_fabric
from tests.support.broker import FabricDesk, StubFabric, TableGate, served, token_file, url_of
from tests.support.fabric_contract import HOLDER, request

KEY = Ed25519PrivateKey.generate()


class Rig:
    """A leader and a follower on one stub, and a client that knows both."""

    def __init__(self, directory: Path, members: int = 1) -> None:
        self.directory = directory
        self.fabric = StubFabric(KEY, members)
        self.leader = FabricDesk({"default": self.fabric, "team": self.fabric}, KEY)
        self.follower = FabricDesk({}, KEY, is_leader=False)
        self.gate = TableGate()

    @contextlib.asynccontextmanager
    async def opened(self, patience: float = 20.0) -> AsyncIterator[ClusterFabric]:
        async with served(self.leader, self.gate) as leads, served(self.follower, self.gate) as follows:
            self.follower.leader_address = url_of(leads)
            endpoints = (url_of(follows), url_of(leads))
            access = BrokerAccess(endpoints, token_file(self.directory), HOLDER, patience_seconds=patience)
            async with ClusterFabric(access) as fabric:
                yield fabric

    def tell(self, story: Callable[[ClusterFabric], Awaitable[None]], patience: float = 20.0) -> None:
        async def told() -> None:
            async with self.opened(patience) as fabric:
                await story(fabric)

        asyncio.run(told())


def test_a_claim_at_a_follower_finds_the_leader(tmp_path: Path) -> None:
    async def story(fabric: ClusterFabric) -> None:
        assert (await fabric.acquire(request("a", namespace="team"))).uid == "u1"

    rig = Rig(tmp_path)
    rig.tell(story)
    assert rig.fabric.request is not None
    assert rig.fabric.request.namespace == "team"


@pytest.mark.unhappy("nobody leads for a while: the claim is tried again until somebody does")
def test_a_claim_waits_for_a_leader(tmp_path: Path) -> None:
    rig = Rig(tmp_path)

    async def story(fabric: ClusterFabric) -> None:
        rig.leader.is_leader, rig.follower.leader_address = False, ""
        claim = asyncio.create_task(fabric.acquire(request("a")))
        done, _ = await asyncio.wait([claim], timeout=0.5)
        assert not done
        rig.leader.is_leader = True
        assert (await claim).uid == "u1"

    rig.tell(story)


@pytest.mark.unhappy("no broker anywhere: UnreachableError when the patience is over, with what to check")
def test_where_nobody_answers_it_is_unreachable(tmp_path: Path) -> None:
    async def story() -> None:
        access = BrokerAccess(("http://127.0.0.1:1",), token_file(tmp_path), HOLDER, patience_seconds=0.3)
        async with ClusterFabric(access) as fabric:
            with pytest.raises(UnreachableError, match="did not answer POST") as refused:
                await fabric.acquire(request("a"))
            assert "NetworkPolicy" in refused.value.remedy

    asyncio.run(story())


@pytest.mark.parametrize(
    "error",
    [
        pytest.param(PoolEmptyError("none", remedy="wait"), id="an empty pool"),
        pytest.param(CapacityExceededError("none", remedy="wait"), id="no capacity"),
        pytest.param(UnsupportedError("never", remedy="ask for less"), id="what no pool can satisfy"),
        pytest.param(LeaseEndedError("over", remedy="acquire"), id="a lease that has ended"),
    ],
)
def test_an_error_is_the_same_as_on_one_machine(tmp_path: Path, error: Exception) -> None:
    rig = Rig(tmp_path)
    rig.fabric.error = error  # type: ignore[assignment]  # each is one of ours

    async def story(fabric: ClusterFabric) -> None:
        with pytest.raises(type(error)) as refused:
            await fabric.acquire(request("a"))
        assert str(refused.value) == str(error)

    rig.tell(story)


@pytest.mark.unhappy("a token that was rotated: read anew for each use")
def test_a_token_that_was_rotated_is_read_anew(tmp_path: Path) -> None:
    rig = Rig(tmp_path)

    async def story(fabric: ClusterFabric) -> None:
        await fabric.acquire(request("a"))
        rig.gate.tokens = {"the-next-token": "someone"}
        token_file(tmp_path, "the-next-token")
        await fabric.acquire(request("b"))
        (tmp_path / "token").unlink()
        with pytest.raises(RefusedError, match="cannot be read"):
            await fabric.acquire(request("c"))

    rig.tell(story)


def test_a_lease_that_gave_all_its_members_back_needs_no_token(tmp_path: Path) -> None:
    rig = Rig(tmp_path)

    async def story(fabric: ClusterFabric) -> None:
        view = await fabric.acquire(request("a"))
        (tmp_path / "token").unlink()
        rig.fabric.members = 0
        assert (await fabric.resize(view.uid, 0, ("m0",))).members == ()
        await fabric.watch(view.uid, 2)
        await fabric.renew(view.uid)
        rig.fabric.members = 1
        assert len((await fabric.resize(view.uid, 1)).members) == 1
        await fabric.release(view.uid)

    rig.tell(story)


@pytest.mark.unhappy("the API server is away: a lease that is held is watched, renewed, resized and released")
def test_what_is_held_needs_no_token(tmp_path: Path) -> None:
    rig = Rig(tmp_path)

    async def story(fabric: ClusterFabric) -> None:
        view = await fabric.acquire(request("a"))
        rig.gate.away = True
        asked = len(rig.gate.asked)
        await asyncio.gather(*(fabric.renew(view.uid) for _ in range(20)))
        await fabric.watch(view.uid, 1)
        await fabric.resize(view.uid, 1, ("m",))
        await fabric.report_lost(view.uid, "m", "silent")
        assert (await fabric.release(view.uid, "Done")).reason == "Done"
        assert len(rig.gate.asked) == asked

    rig.tell(story)


@pytest.mark.unhappy("the leader dies: a follower renews every capability of a large lease")
def test_a_large_lease_is_renewed_by_a_follower(tmp_path: Path) -> None:
    rig = Rig(tmp_path, members=150)

    async def story(fabric: ClusterFabric) -> None:
        view = await fabric.acquire(request("a", count=150))
        rig.leader.is_leader = False
        renewed = await fabric.renew(view.uid)
        assert (renewed.version, renewed.members) == (view.version, view.members)
        assert len(set(renewed.capabilities) | set(view.capabilities)) == 6
        assert renewed.expires_in > 55
        assert [call[0] for call in rig.fabric.calls] == ["acquire"]

    rig.tell(story)


@pytest.mark.unhappy("the leader dies: a follower releases every capability of a large lease")
def test_a_large_lease_is_released_by_a_follower(tmp_path: Path) -> None:
    rig = Rig(tmp_path, members=150)

    async def story(fabric: ClusterFabric) -> None:
        view = await fabric.acquire(request("a", count=150))
        rig.leader.is_leader = False
        receipt = await fabric.release(view.uid, "Done")
        assert (receipt.reason, len(set(receipt.members))) == ("Done", 150)
        told = [one for desk in (rig.leader, rig.follower) for one in desk.released]
        assert sorted(len(one.members) for one in told) == [22, 64, 64]
        assert [call[0] for call in rig.fabric.calls] == ["acquire"]

    rig.tell(story)


def test_a_large_lease_is_released_by_its_leader_at_once(tmp_path: Path) -> None:
    rig = Rig(tmp_path, members=150)

    async def story(fabric: ClusterFabric) -> None:
        view = await fabric.acquire(request("a", count=150))
        assert (await fabric.release(view.uid)).reason == "Finished"
        assert rig.leader.released == rig.follower.released == []

    rig.tell(story)


def test_a_thousand_members_are_given_back_in_requests_that_the_broker_takes(tmp_path: Path) -> None:
    rig = Rig(tmp_path)
    names = tuple(f"{'pool-' * 40}{number}" for number in range(1000))

    async def story(fabric: ClusterFabric) -> None:
        view = await fabric.acquire(request("a"))
        await fabric.resize(view.uid, 0, names)

    rig.tell(story)
    assert [name for call in rig.fabric.calls[1:] for name in call[3:]] == list(names)


@pytest.mark.unhappy("a fabric key that was changed: the capability is not believed, the token still is")
def test_where_a_capability_is_not_believed_the_token_is_shown(tmp_path: Path) -> None:
    rig = Rig(tmp_path)
    rig.fabric = StubFabric(Ed25519PrivateKey.generate())
    rig.leader.fabrics["default"] = rig.fabric

    async def story(fabric: ClusterFabric) -> None:
        view = await fabric.acquire(request("a"))
        assert (await fabric.renew(view.uid)).uid == view.uid

    rig.tell(story)
    assert "update" in rig.gate.asked


@pytest.mark.parametrize(
    ("status", "body", "kind"),
    [
        pytest.param(502, b"<html>", UnreachableError, id="of a proxy"),
        pytest.param(500, b'{"code":"Internal","cause":"x"}', UnreachableError, id="of a fault of the broker"),
        pytest.param(429, b'{"code":"TooManyRequests","cause":"x"}', OverloadedError, id="of too many"),
        pytest.param(400, b'{"code":"BadRequest","cause":"x"}', ProtocolError, id="of a bad body"),
        pytest.param(403, b'{"code":"Forbidden","cause":"x"}', RefusedError, id="of a missing right"),
    ],
)
def test_a_refusal_becomes_its_error(status: int, body: bytes, kind: type[Exception]) -> None:
    assert type(refusal_of(status, body, {"Retry-After": "soon"})) is kind


@pytest.mark.unhappy("leader and API server die: a real member takes the deadline that a follower signed")
def test_a_real_member_takes_the_deadline_that_a_follower_signed(tmp_path: Path) -> None:
    async def story() -> None:
        async with local_fabric(tmp_path, workers=1) as behind:
            state = StateDirectory(tmp_path / "state")
            leader, follower = FabricDesk({"default": behind}, state.key), FabricDesk({}, state.key, is_leader=False)
            state.close()
            gate = TableGate()
            async with contextlib.AsyncExitStack() as leading, served(follower, gate) as follows:
                leads = await leading.enter_async_context(served(leader, gate))
                access = BrokerAccess((url_of(leads), url_of(follows)), token_file(tmp_path), HOLDER)
                fabric = await leading.enter_async_context(ClusterFabric(access))
                view = await fabric.acquire(request("a", ttl_seconds=30))
                gate.away = True
                follower.leader_address = url_of(leads)
                await leads.close()
                before = time.monotonic()
                renewed = await fabric.renew(view.uid)
                async with MemberClient(view.members[0].endpoint) as member:
                    left = (await member.renew(renewed.capabilities[0])).seconds_left
                assert left > view.expires_in - (time.monotonic() - before)

    asyncio.run(story())
