"""The API server away: who holds goes on, who is due ends, and afterwards everything that is said is true again."""

import asyncio
import threading
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import AsyncExitStack, contextmanager
from pathlib import Path

import msgspec
import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from tasklet_runner.client.members import MemberClient
from tasklet_runner.fabric.broker import ClusterFabric
from tasklet_runner.fabric.calls import Ask, BrokerCalls
from tasklet_runner.fabric.protocol import LeaseRequest, LeaseView
from tasklet_runner.wire.signed import public_text
from tests.integration.control_plane import ControlPlane
from tests.integration.operator_rig import OperatorRig, operator_rig
from tests.support.cluster.records import holders

AWAY_SECONDS = 30.0
TTL_SECONDS = 20


class Holder:
    """Holds one member, renews it at one replica alone, and shows the member each renewed capability."""

    def __init__(self, rig: OperatorRig, replica: str, view: LeaseView, key: Ed25519PrivateKey) -> None:
        self.member = view.members[0]
        self.capability = view.capabilities[0]
        self._calls = BrokerCalls(rig.access(replica, holder=key))
        self._path = f"/v1/namespaces/{rig.namespace}/leases/{view.uid}/renew"

    async def renew(self) -> None:
        """Neither the replica nor the member needs the API server for it."""
        answer = await self._calls.send(Ask("POST", self._path, capability=self.capability))
        (self.capability,) = msgspec.json.decode(answer, type=LeaseView).capabilities
        async with MemberClient(self.member.endpoint) as member:
            assert (await member.renew(self.capability)).seconds_left > TTL_SECONDS / 2

    async def close(self) -> None:
        await self._calls.close()


def acquired(rig: OperatorRig, name: str, key: Ed25519PrivateKey) -> LeaseView:
    """A lease of the broker's."""

    async def acquire() -> LeaseView:
        async with ClusterFabric(rig.access(holder=key)) as fabric:
            request = LeaseRequest(
                request_id=name,
                holder_key=public_text(key),
                namespace=rig.namespace,
                count=1,
                min_count=1,
                ttl_seconds=TTL_SECONDS,
            )
            return await fabric.acquire(request)

    return asyncio.run(acquire())


@contextmanager
def renewing(holders_: Sequence[Holder]) -> Iterator[None]:
    """They renew again and again beside the test, as holders do; one that was refused fails it at the block's end."""
    stop = threading.Event()
    with ThreadPoolExecutor(1) as threads:
        renewed = threads.submit(lambda: asyncio.run(renew_until(stop, holders_)))
        try:
            yield
        finally:
            stop.set()
        renewed.result()


async def renew_until(stop: threading.Event, holders_: Sequence[Holder]) -> None:
    async with AsyncExitStack() as stack:
        for holder in holders_:
            stack.push_async_callback(holder.close)
        while not stop.is_set():
            await asyncio.gather(*(holder.renew() for holder in holders_))
            await asyncio.sleep(TTL_SECONDS / 8)


def ends(rig: OperatorRig) -> dict[str, str]:
    """Why each lease that has ended did so, by its members' word."""
    return {one.lease: one.reason for one in rig.records() if one.event == "ended"}


@pytest.mark.timeout(240)
@pytest.mark.unhappy("API server away for 30 s: holders renew at leader and follower, members expire, then all is true")
def test_an_api_server_that_is_away_for_half_a_minute_disturbs_no_holder(mortal: ControlPlane, tmp_path: Path) -> None:
    with operator_rig(mortal, tmp_path) as rig:
        live_through_an_outage(rig)
        live_through_a_restart(rig)


def live_through_an_outage(rig: OperatorRig) -> None:
    rig.start("a")
    rig.until_leads("a")
    rig.start("b")
    rig.pool(5)
    rig.until_members(ready=5)
    keys = {replica: Ed25519PrivateKey.generate() for replica in "ab"}
    views = {replica: acquired(rig, f"by-{replica}", key) for replica, key in keys.items()}
    rig.lease("due", ttlSeconds=10)
    rig.lease("long", ttlSeconds=600)
    due = str(rig.get("leases", "due")["metadata"]["uid"])
    before = rig.until_bound("by-a", "by-b", "long", "due")

    with renewing([Holder(rig, replica, views[replica], keys[replica]) for replica in "ab"]):
        rig.plane.stop_server(kill=True)
        time.sleep(AWAY_SECONDS)
        assert ends(rig) == {due: "LeaseExpired"}
        rig.plane.start_server()
        rig.lease("after")
        rig.until_bound("after")
    rig.until_said("due", "Released", "Expired")
    names = ("by-a", "by-b", "long", "after")
    now = rig.until_bound(*names)
    assert {member: now[member] for member in before if member in now and member not in rig.epochs("after")} == {
        member: epoch for name in names[:3] for member, epoch in rig.epochs(name).items()
    }
    assert set(holders(rig.records())) == set(now)
    rig.check_none_bound_twice()


def live_through_a_restart(rig: OperatorRig) -> None:
    """Leases that are there are not disturbed, and claims and ends are served as soon as the server is back."""
    before = rig.epochs("long")
    rig.plane.stop_server(kill=True)
    rig.plane.start_server()
    rig.delete("leases", "after")
    rig.lease("next", count=2)
    rig.until_bound("next")
    assert rig.epochs("long") == before
    for one in rig.all("leases"):
        rig.delete("leases", one["metadata"]["name"])
    rig.until_free()
    rig.until_members(ready=5)
    rig.check_none_bound_twice()
