"""The local fabric on real members: acquiring, renewing, growing, losing, releasing."""

import asyncio
import os
import signal
import time
from pathlib import Path

import pytest

from leasegrid.api.pool import InstancePool
from leasegrid.local.fabric import LocalFabric
from tasklet_runner.client.members import MemberClient
from tasklet_runner.client.work import WorkConnection
from tasklet_runner.fabric.protocol import LeasedMember
from tasklet_runner.wire.errors import LeaseEndedError, PoolEmptyError, UnsupportedError
from tasklet_runner.wire.member import MemberState, StateReport
from tests.process.local_fabric_rig import HOLDER, local_fabric, pid_of, processes_of, request, until


async def state_of(member: LeasedMember) -> StateReport:
    async with MemberClient(member.endpoint) as client:
        return await client.state()


def ready(fabric: LocalFabric) -> int:
    return fabric.statistics().members.get("ready", 0)


@pytest.mark.smoke
def test_a_lease_opens_its_members_is_renewed_and_released_with_a_receipt(tmp_path: Path) -> None:
    async def story() -> None:
        async with local_fabric(tmp_path) as fabric:
            view = await fabric.acquire(request("a", count=2, min_count=2, ttl_seconds=30))
            assert len(view.members) == 2
            connection = await WorkConnection.open(view.members[0], view.capabilities[0], HOLDER)
            await connection.close()
            renewed = await fabric.renew(view.uid)
            assert renewed.version > view.version
            assert renewed.capabilities != view.capabilities
            receipt = await fabric.release(view.uid)
            assert set(receipt.members) == {member.name for member in view.members}
            assert receipt.unverified == ()
            assert await fabric.release(view.uid) == receipt
            with pytest.raises(LeaseEndedError):
                await fabric.renew(view.uid)

    asyncio.run(story())


def test_the_same_request_again_is_the_same_lease(tmp_path: Path) -> None:
    async def story() -> None:
        async with local_fabric(tmp_path) as fabric:
            first, second = await asyncio.gather(fabric.acquire(request("a")), fabric.acquire(request("a")))
            assert first.uid == second.uid
            assert first.members == second.members

    asyncio.run(story())


def test_fifty_ready_members_are_bound_in_one_batch_under_one_capability(tmp_path: Path) -> None:
    async def story() -> None:
        async with local_fabric(tmp_path, workers=50) as fabric:
            await until(lambda: ready(fabric) == 50)
            view = await fabric.acquire(request("a", count=50, min_count=50))
            assert len({member.incarnation for member in view.members}) == 50
            assert len(view.capabilities) == 1
            reports = await asyncio.gather(*(state_of(member) for member in view.members))
            assert {(report.state, report.lease_uid) for report in reports} == {(MemberState.CLAIMED, view.uid)}
            assert (await fabric.release(view.uid)).unverified == ()
            await until(lambda: ready(fabric) == 50)

    asyncio.run(story())


@pytest.mark.unhappy("a gang that cannot be complete binds nothing")
def test_of_a_gang_that_cannot_be_complete_nothing_stays_bound(tmp_path: Path) -> None:
    async def story() -> None:
        async with local_fabric(tmp_path) as fabric:
            held = await fabric.acquire(request("one"))
            await until(lambda: ready(fabric) == 1)
            with pytest.raises(PoolEmptyError) as refused:
                await fabric.acquire(request("two", count=2, min_count=2, on_empty="Fail"))
            assert refused.value.remedy
            assert ready(fabric) == 1
            await fabric.release(held.uid)
            view = await fabric.acquire(request("two", count=2, min_count=2))
            assert len(view.members) == 2

    asyncio.run(story())


@pytest.mark.unhappy("SIGKILL of a leased member: an elastic lease gets another")
def test_a_killed_member_leaves_its_elastic_lease_and_is_replaced(tmp_path: Path) -> None:
    async def story() -> None:
        async with local_fabric(tmp_path) as fabric:
            view = await fabric.acquire(request("a", count=2, elastic=True))
            while len(view.members) < 2:
                view = await fabric.watch(view.uid, view.version)
            before = {member.incarnation for member in view.members}
            os.kill(pid_of(fabric, view), signal.SIGKILL)
            view = await fabric.watch(view.uid, view.version)
            while len(view.members) < 2:
                view = await fabric.watch(view.uid, view.version)
            assert len({member.incarnation for member in view.members} & before) == 1

    asyncio.run(story())


@pytest.mark.unhappy("a member that hangs is killed and replaced when its holder reports it")
def test_a_hanging_member_that_is_reported_lost_is_killed_and_replaced(tmp_path: Path) -> None:
    async def story() -> None:
        async with local_fabric(tmp_path, workers=1) as fabric:
            view = await fabric.acquire(request("a", elastic=True))
            pid = pid_of(fabric, view)
            os.kill(pid, signal.SIGSTOP)
            left = await fabric.report_lost(view.uid, view.members[0].name, "no heartbeat")
            assert left.members == ()
            while not left.members:
                left = await fabric.watch(left.uid, left.version)
            assert left.members[0].incarnation != view.members[0].incarnation
            assert pid not in {process.pid for process in processes_of(fabric.runtime.path)}

    asyncio.run(story())


def test_a_larger_requirement_retires_idle_members_and_gets_one_of_its_shape(tmp_path: Path) -> None:
    async def story() -> None:
        async with local_fabric(tmp_path) as fabric:
            await until(lambda: ready(fabric) == 2)
            view = await fabric.acquire(request("large", slots=2, memory=4 * 1024**3))
            (member,) = view.members
            assert member.slots == 2
            assert member.tasklet_memory * member.slots >= 4 * 1024**3
            assert fabric.statistics().members == {"claimed": 1}
            await fabric.release(view.uid)
            await until(lambda: fabric.statistics().members == {"ready": 2})

    asyncio.run(story())


def test_a_larger_requirement_goes_before_the_growth_of_a_lease_that_has_members(tmp_path: Path) -> None:
    async def story() -> None:
        async with local_fabric(tmp_path) as fabric:
            small = await fabric.acquire(request("small", count=9, elastic=True))
            while len(small.members) < 2:
                small = await fabric.watch(small.uid, small.version)
            large = asyncio.create_task(fabric.acquire(request("large", slots=2)))
            await asyncio.sleep(0.3)
            assert not large.done()
            await fabric.resize(small.uid, 9, tuple(member.name for member in small.members))
            assert (await large).members[0].slots == 2
            await fabric.release((await large).uid)
            while len(small.members) < 2:
                small = await fabric.watch(small.uid, small.version)

    asyncio.run(story())


@pytest.mark.unhappy("too small a machine: what was asked, what there is, what to do")
def test_what_the_machine_can_never_have_is_refused_in_words(tmp_path: Path) -> None:
    async def story() -> None:
        async with local_fabric(tmp_path) as fabric:
            with pytest.raises(UnsupportedError, match=r"3 slots.*2 cores and 8192 MiB") as refused:
                await fabric.acquire(request("a", slots=3))
            assert "--workers" in refused.value.remedy
            with pytest.raises(UnsupportedError, match="avx1024"):
                await fabric.acquire(request("b", cpu_features=("avx1024",)))
            with pytest.raises(UnsupportedError, match="other"):
                await fabric.acquire(request("c", pools=("other",)))

    asyncio.run(story())


def test_a_deadline_ends_the_lease_in_the_books_and_at_the_members(tmp_path: Path) -> None:
    async def story() -> None:
        async with local_fabric(tmp_path, workers=1) as fabric:
            view = await fabric.acquire(request("a", ttl_seconds=1))
            started = time.monotonic()
            ended = await fabric.watch(view.uid, view.version)
            assert ended.ended == "Expired"
            assert time.monotonic() - started < 5
            receipt = await fabric.release(view.uid)
            assert (receipt.reason, receipt.unverified) == ("Expired", ())
            assert (await state_of(view.members[0])).lease_uid == ""

    asyncio.run(story())


def test_no_renewal_passes_the_maximum_lifetime(tmp_path: Path) -> None:
    async def story() -> None:
        async with local_fabric(tmp_path, workers=1) as fabric:
            view = await fabric.acquire(request("a", ttl_seconds=10, max_lifetime_seconds=11))
            await asyncio.sleep(1.5)
            assert (await fabric.renew(view.uid)).expires_in < 9.6

    asyncio.run(story())


def test_a_member_that_is_given_back_serves_the_next_lease(tmp_path: Path) -> None:
    async def story() -> None:
        async with local_fabric(tmp_path) as fabric:
            view = await fabric.acquire(request("a", count=2, min_count=2, elastic=True))
            waiting = asyncio.create_task(fabric.acquire(request("b")))
            smaller = await fabric.resize(view.uid, 1, (view.members[0].name,))
            assert smaller.members == view.members[1:]
            other = await waiting
            assert other.members[0].name == view.members[0].name
            assert other.members[0].epoch == view.members[0].epoch + 1

    asyncio.run(story())


def test_pools_of_the_file_are_capped_by_the_machine_in_words(tmp_path: Path) -> None:
    pool = InstancePool.model_validate(
        {
            "apiVersion": "leasegrid.dev/v1alpha1",
            "kind": "InstancePool",
            "metadata": {"name": "wide"},
            "spec": {"resources": {"cpu": "4", "memory": "64Gi"}, "targetSize": 3},
        }
    )

    async def story() -> None:
        async with local_fabric(tmp_path, pools=[pool]) as fabric:
            assert any("wide" in warning and "2 slots" in warning for warning in fabric.warnings)
            assert any("keeps 1" in warning for warning in fabric.warnings)
            view = await fabric.acquire(request("a", pools=("wide",)))
            assert view.members[0].slots == 2

    asyncio.run(story())
