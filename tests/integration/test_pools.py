"""Pools on a real control plane with real members: filled, claimed from, kept whole, ended."""

import asyncio
import io

import pytest

from leasegrid_operator.resources import PODS, POOLS, ObjectKey
from tests.integration.control_plane import ControlPlane
from tests.integration.pool_rig import COLLECTED, Object, PoolRig, RigOptions, keeping, pool_rig, shows, until
from tests.support.cluster.stand_ins import StandInRuntime


def test_a_pool_is_filled_claimed_from_and_whole_again(controlled: ControlPlane) -> None:
    async def story() -> None:
        async with pool_rig(controlled) as rig:
            await rig.pool(targetSize=2, maxSize=3)
            await rig.until_ready(2)
            await rig.until_said("Ready", "True", "MembersReady")

            record = await rig.claim()
            await rig.until_ready(2)
            await rig.until_pods(3)
            await until(
                lambda: shows(rig.status(), lambda status: counts(status, claimed=1, ready=2)), "the status counts them"
            )
            (held,) = [one for one in (await rig.status())["oldest"] if one["holder"]]
            assert held["name"] in record.held
            assert held["holder"] == record.request.request_id

            await rig.release(record)
            await rig.until_pods(2)
            await rig.until_said("Progressing", "False", "Settled")
            await until(
                lambda: shows(rig.status(), lambda status: counts(status, claimed=0, ready=2)),
                "the status counts them again",
            )

    asyncio.run(story())


def test_members_are_not_patched_and_an_idle_pool_is_left_alone(controlled: ControlPlane) -> None:
    async def story() -> None:
        async with pool_rig(controlled) as rig:
            await rig.pool(targetSize=1, maxSize=1, minSize=1)
            await rig.until_ready(1)
            for _ in range(5):
                await rig.release(await rig.claim(on_empty="Queue"))
            await rig.until_ready(1)
            await rig.until_said("Progressing", "False", "Settled")
            assert {(one.verb, one.resource.plural) for one in rig.writes} <= {
                ("create", "pods"),
                ("patch_status", "instancepools"),
                ("create", "events"),
                ("patch", "events"),
            }
            await until(lambda: not rig.keeper.teller.busy, "all is told")
            # Counters in a status may lag by a second, and longer on a busy machine: what is still owed comes first.
            await until(lambda: shows(writes_in_25_passes(rig), lambda count: count == 0), "passes that write nothing")

    asyncio.run(story())


async def writes_in_25_passes(rig: PoolRig) -> int:
    """How often an idle pool is written to while it is looked at again and again."""
    before = len(rig.writes)
    for _ in range(25):
        rig.parts.changed()
        await asyncio.sleep(0.1)
    return len(rig.writes) - before


def test_an_operator_that_starts_anew_finds_its_members_and_makes_none(controlled: ControlPlane) -> None:
    async def story() -> None:
        async with pool_rig(controlled) as rig:
            await rig.pool(targetSize=3)
            await rig.until_ready(3)
            before = await rig.pods()
            key = rig.parts.signer._key
            async with keeping(controlled, RigOptions(namespace=rig.namespace, key=key), rig.kubelet) as again:
                await again.until_ready(3)
                await again.until_said("Progressing", "False", "Settled")
                assert await again.pods() == before
                assert not [one for one in again.writes if one.resource == PODS]

    asyncio.run(story())


@pytest.mark.unhappy("drain with claimed ones")
def test_a_draining_pool_ends_all_but_what_is_claimed(controlled: ControlPlane) -> None:
    async def story() -> None:
        async with pool_rig(controlled) as rig:
            await rig.pool(targetSize=2, maxSize=2)
            await rig.until_ready(2)
            record = await rig.claim()

            await rig.change(operatingMode="Draining")
            assert await rig.until_pods(1) == list(record.held)
            await rig.until_said("Ready", "False", "Draining")

            await rig.release(record)
            await rig.until_pods(0)

    asyncio.run(story())


def test_a_paused_pool_makes_and_ends_nobody(controlled: ControlPlane) -> None:
    async def story() -> None:
        async with pool_rig(controlled) as rig:
            await rig.pool(targetSize=2, operatingMode="Paused")
            await rig.until_said("Progressing", "False", "Paused")
            assert await rig.pods() == []

            await rig.change(operatingMode="Active")
            await rig.until_ready(2)

    asyncio.run(story())


@pytest.mark.unhappy("max reached")
def test_a_pool_never_has_more_than_max_and_says_when_it_would(controlled: ControlPlane) -> None:
    async def story() -> None:
        async with pool_rig(controlled) as rig:
            await rig.pool(targetSize=1, maxSize=2)
            await rig.until_ready(1)
            record = await rig.claim()
            await rig.until_ready(1)
            other = await rig.claim()
            message = await rig.until_said("CappedByMax", "True", "MaxSize")
            assert "raise spec.maxSize" in message
            assert len(await rig.pods()) == 2
            await rig.release(record)
            await rig.release(other)
            await rig.until_pods(1)

    asyncio.run(story())


def test_kubectl_scales_a_pool_both_ways(controlled: ControlPlane) -> None:
    async def story() -> None:
        async with pool_rig(controlled, stand_ins()) as rig:
            await rig.pool(targetSize=1, maxSize=30)
            await rig.until_ready(1)
            await asyncio.to_thread(_scale, controlled, rig.namespace, 20)
            await rig.until_ready(20)
            await until(lambda: shows(rig.status(), lambda status: counts(status, ready=20)), "the status counts them")
            assert (await rig.status())["replicas"] == 20
            await asyncio.to_thread(_scale, controlled, rig.namespace, 3)
            await rig.until_pods(3)

    asyncio.run(story())


def test_what_happens_is_told_by_few_events(controlled: ControlPlane) -> None:
    async def story() -> None:
        async with pool_rig(controlled, stand_ins()) as rig:
            await rig.pool(targetSize=20, maxSize=20)
            await rig.until_ready(20)
            await until(
                lambda: shows(rig.events("MemberProvisioned"), lambda events: told(events) == 20), "20 were made"
            )
            await until(lambda: shows(rig.events("MemberWarmed"), lambda events: told(events) == 20), "20 are warm")
            record = await rig.claim(count=10)
            await rig.release(record)
            await until(
                lambda: shows(rig.events("MemberClaimed"), lambda events: told(events) == 10), "10 were claimed"
            )
            await until(
                lambda: shows(rig.events("MemberReleased"), lambda events: told(events) == 10), "10 were released"
            )
            assert len([one for one in rig.writes if one.resource.plural == "events"]) < 20

            said = await asyncio.to_thread(controlled.kubectl, "describe", "lgpool", "cpu", "-n", rig.namespace)
            assert "MemberWarmed" in said

    asyncio.run(story())


@pytest.mark.unhappy("pool deleted while leases are held")
def test_a_deleted_pool_takes_its_members_and_their_leases_are_told_why(controlled: ControlPlane) -> None:
    async def story() -> None:
        async with pool_rig(controlled) as rig:
            await rig.pool(targetSize=2, maxSize=2)
            await rig.until_ready(2)
            record = await rig.claim(elastic=True)
            (name,) = record.held

            await rig.cluster.delete(POOLS, ObjectKey(rig.namespace, "cpu"))
            await until(lambda: not record.held, "the lease has lost its member", COLLECTED)
            await rig.until_pods(0)
            assert rig.lost[name] == "its pool was deleted"
            assert rig.ready() == 0

    asyncio.run(story())


def stand_ins() -> RigOptions:
    """Members without sandboxes, of which many can be had."""
    return RigOptions(StandInRuntime(io.StringIO()))


def counts(status: Object, **wanted: int) -> bool:
    """Whether a status counts so many members of each state."""
    members = status.get("members", {})
    return all(members.get(name) == count for name, count in wanted.items())


def told(events: list[Object]) -> int:
    """How often something was told."""
    return sum(one["count"] for one in events)


def _scale(plane: ControlPlane, namespace: str, count: int) -> None:
    plane.kubectl("scale", "lgpool", "cpu", "-n", namespace, f"--replicas={count}")
