"""The election on a real API server."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from datetime import UTC, datetime
from pathlib import Path
from urllib.parse import urlsplit

import pytest

from leasegrid_operator.cluster import Cluster, connected
from leasegrid_operator.errors import ClusterError
from leasegrid_operator.leadership import NAME, Clocks, Leadership
from leasegrid_operator.leading import ADDRESS, MISSED_SECONDS, RENEW_DEADLINE_SECONDS, Candidate
from leasegrid_operator.resources import COORDINATION_LEASES, ObjectKey
from tests.integration.control_plane import ControlPlane, free_ports
from tests.integration.operator_shell import namespaced, through, until
from tests.support.cuttable import door


class SteppedClock:
    """A monotonic clock that can be advanced."""

    def __init__(self) -> None:
        self.ahead = 0.0

    def __call__(self) -> float:
        """The loop's time, and what it was advanced by."""
        return asyncio.get_running_loop().time() + self.ahead


class StoppedClock(SteppedClock):
    """One that only moves when it is advanced."""

    def __call__(self) -> float:
        """Some instant, and what it was advanced by."""
        return 1000.0 + self.ahead


@asynccontextmanager
async def standing(
    cluster: Cluster, namespace: str, identity: str, clock: SteppedClock | None = None
) -> AsyncIterator[Leadership]:
    """A replica in the election, for the time of an `async with`."""
    clocks = Clocks(clock or SteppedClock(), lambda: datetime.now(UTC))
    leadership = Leadership(cluster, namespace, Candidate(identity, f"http://{identity}:1"), clocks)
    task = asyncio.create_task(leadership.run())
    try:
        yield leadership
    finally:
        task.cancel()
        with suppress(asyncio.CancelledError):
            await task


@pytest.mark.unhappy("two operators: one leads")
def test_of_many_replicas_one_leads_and_the_others_know_its_address(cluster: ControlPlane) -> None:
    namespace = namespaced(cluster)

    async def run() -> None:
        async with connected(cluster.kubeconfig) as api, AsyncExitStack() as stack:
            replicas = [await stack.enter_async_context(standing(api, namespace, f"r{n}")) for n in range(4)]
            await until(lambda: all(replica.leader_address for replica in replicas))
            assert sum(replica.is_leader for replica in replicas) == 1
            assert len({replica.leader_address for replica in replicas}) == 1

    asyncio.run(run())


def test_a_clean_exit_hands_over_without_waiting_for_the_record_to_run_out(cluster: ControlPlane) -> None:
    namespace = namespaced(cluster)

    async def run() -> float:
        clock = asyncio.get_running_loop().time
        async with connected(cluster.kubeconfig) as api, AsyncExitStack() as stack:
            async with standing(api, namespace, "first") as first:
                await until(lambda: first.is_leader)
                second = await stack.enter_async_context(standing(api, namespace, "second"))
                await until(lambda: second.leader_address == "http://first:1")
                told = asyncio.create_task(second.changed())
            record = await api.get(COORDINATION_LEASES, ObjectKey(namespace, NAME))
            assert record["spec"].get("holderIdentity", "") in ("", "second")
            began = clock()
            await asyncio.wait_for(told, 30)
            await until(lambda: second.is_leader)
            assert not first.is_leader
            return clock() - began

    assert asyncio.run(run()) < 15


@pytest.mark.unhappy("operator killed: another leads when its record has run out")
def test_a_leader_that_died_is_replaced_after_its_time(cluster: ControlPlane) -> None:
    namespace = namespaced(cluster)

    async def run() -> None:
        async with connected(cluster.kubeconfig) as api:
            metadata = {"name": NAME, "namespace": namespace}
            await api.create(COORDINATION_LEASES, {"metadata": metadata, "spec": {"holderIdentity": "dead"}})
            clock = SteppedClock()
            async with standing(api, namespace, "heir", clock) as heir:
                await asyncio.sleep(2.5)
                assert not heir.is_leader
                clock.ahead = 15.0
                await until(lambda: heir.is_leader)
            record = await api.get(COORDINATION_LEASES, ObjectKey(namespace, NAME))
            assert record["spec"]["leaseTransitions"] == 1

    asyncio.run(run())


@pytest.mark.unhappy("operator killed: where nobody listens any more another leads within seconds")
def test_a_leader_whose_process_is_gone_is_replaced_long_before_its_time(cluster: ControlPlane) -> None:
    namespace = namespaced(cluster)
    (port,) = free_ports(1)

    async def run() -> None:
        async with connected(cluster.kubeconfig) as api:
            metadata = {"name": NAME, "namespace": namespace, "annotations": {ADDRESS: f"http://127.0.0.1:{port}"}}
            await api.create(COORDINATION_LEASES, {"metadata": metadata, "spec": {"holderIdentity": "dead"}})
            clock = StoppedClock()
            async with standing(api, namespace, "heir", clock) as heir:
                await until(lambda: heir.leader_address.endswith(f":{port}"))
                clock.ahead = MISSED_SECONDS
                await until(lambda: heir.is_leader)

    asyncio.run(run())


@pytest.mark.unhappy("API server away: the leader ceases before another may lead")
def test_a_leader_that_is_cut_off_ceases_in_time(cluster: ControlPlane, tmp_path: Path) -> None:
    namespace = namespaced(cluster)
    server = urlsplit(cluster.api.address)

    async def run() -> None:
        clock = SteppedClock()
        async with (
            door(server.hostname or "", server.port or 0) as between,
            connected(through(cluster, between.port, tmp_path)) as api,
            standing(api, namespace, "cut-off", clock) as leader,
        ):
            await until(lambda: leader.is_leader)
            await between.close()
            clock.ahead = RENEW_DEADLINE_SECONDS
            assert not leader.is_leader
            await asyncio.wait_for(leader.changed(), 30)
            assert leader.leader_address == ""
            await between.open()
            await until(lambda: leader.is_leader)

    asyncio.run(run())


@pytest.mark.unhappy("two operators: a record taken by force ends the other's lead")
def test_a_leader_that_was_replaced_follows(cluster: ControlPlane) -> None:
    namespace = namespaced(cluster)

    async def run() -> None:
        async with connected(cluster.kubeconfig) as api, standing(api, namespace, "old") as old:
            await until(lambda: old.is_leader)
            taken = {"holderIdentity": "new", "renewTime": "2026-01-01T00:00:00.000000Z"}
            with suppress(ClusterError):
                await api.patch(COORDINATION_LEASES, ObjectKey(namespace, NAME), {"spec": taken})
            await until(lambda: not old.is_leader)

    asyncio.run(run())
