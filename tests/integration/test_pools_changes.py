"""How members follow their pool's spec on a real control plane: templates, ages, claims, times."""

import asyncio
from dataclasses import replace

import pytest

from leasegrid_operator.resources import PODS
from tests.integration.control_plane import ControlPlane
from tests.integration.pool_rig import PoolRig, ground, keeping, pool_rig, shows, until


async def labels(rig: PoolRig, name: str) -> dict[str, str]:
    """The labels of a member's pod."""
    pod = await rig.get(PODS, name)
    assert pod is not None
    found: dict[str, str] = pod["metadata"]["labels"]
    return found


@pytest.mark.unhappy("drift")
def test_a_member_keeps_its_version_until_it_was_claimed(controlled: ControlPlane) -> None:
    async def story() -> None:
        async with pool_rig(controlled) as rig:
            await rig.pool(targetSize=2, maxSize=2)
            await rig.until_ready(2)
            before = await rig.pods()
            record = await rig.claim()
            (used,) = record.held

            await rig.change(template={"labels": {"version": "2"}})
            await until(
                lambda: shows(rig.condition("Ready"), lambda one: one["observedGeneration"] == 2), "it is judged"
            )
            assert await rig.pods() == before

            await rig.release(record)
            await until(
                lambda: shows(rig.pods(), lambda names: used not in names and len(names) == 2), "it is replaced"
            )
            await rig.until_ready(2)
            (made,) = set(await rig.pods()) - set(before)
            assert (await labels(rig, made))["version"] == "2"
            assert "version" not in await labels(rig, next(name for name in before if name != used))

    asyncio.run(story())


@pytest.mark.unhappy("drift")
def test_a_rolling_pool_replaces_idle_members_one_by_one(controlled: ControlPlane) -> None:
    async def story() -> None:
        async with pool_rig(controlled) as rig:
            await rig.pool(targetSize=3, maxSize=4, rollout={"strategy": "Rolling"})
            await rig.until_ready(3)
            before = await rig.pods()
            await rig.change(template={"labels": {"version": "2"}})
            await until(lambda: shows(rig.pods(), lambda names: not set(before) & set(names)), "all are replaced")
            await rig.until_ready(3)

    asyncio.run(story())


def test_another_image_of_the_operator_is_drift_too(controlled: ControlPlane) -> None:
    async def story() -> None:
        async with ground(controlled) as (here, kubelet):
            async with keeping(controlled, here, kubelet) as rig:
                await rig.pool(targetSize=1, rollout={"strategy": "Rolling"})
                await rig.until_ready(1)
                before = await rig.pods()
            async with keeping(controlled, replace(here, image="real:2"), kubelet) as rig:
                await until(
                    lambda: shows(rig.pods(), lambda names: names and not set(before) & set(names)), "it is replaced"
                )

    asyncio.run(story())


@pytest.mark.parametrize("spec", [{"maxClaimsPerMember": 1}, {"reuse": "Replace"}], ids=["worn out", "single use"])
def test_a_member_that_is_used_up_is_replaced(controlled: ControlPlane, spec: dict[str, object]) -> None:
    async def story() -> None:
        async with pool_rig(controlled) as rig:
            await rig.pool("cpu", annotations=None, targetSize=1, **spec)
            await rig.until_ready(1)
            (first,) = await rig.pods()
            await rig.release(await rig.claim())
            await until(lambda: shows(rig.pods(), lambda names: names and first not in names), "another has its place")
            await rig.until_ready(1)
            await until(lambda: shows(rig.all(PODS), lambda pods: len(pods) == 1), "nothing is left of it")

    asyncio.run(story())


def test_a_member_that_was_idle_for_long_is_replaced(controlled: ControlPlane) -> None:
    async def story() -> None:
        async with pool_rig(controlled) as rig:
            await rig.pool(targetSize=1, readyTTLSeconds=3)
            # Once it is ready there are three seconds to look, which a busy machine may take.
            (first,) = await rig.until_pods(1)
            await until(lambda: shows(rig.pods(), lambda names: names and first not in names), "another has its place")

    asyncio.run(story())


def test_a_schedule_that_holds_raises_the_target(controlled: ControlPlane) -> None:
    async def story() -> None:
        async with pool_rig(controlled) as rig:
            always = {"start": "* * * * *", "durationSeconds": 3600, "targetSize": 3}
            await rig.pool(targetSize=1, schedules=[always])
            await rig.until_ready(3)
            assert (await rig.status())["effectiveTarget"] == 3

    asyncio.run(story())


def test_members_are_made_no_faster_than_the_refill_allows(controlled: ControlPlane) -> None:
    async def story() -> None:
        async with pool_rig(controlled) as rig:
            await rig.pool(targetSize=4, refill={"maxPerSecond": 1, "burst": 1})
            await rig.until_ready(4)
            created = [pod["metadata"]["creationTimestamp"] for pod in await rig.all(PODS)]
            # The server's times are whole seconds: four of one a second span at least two of them.
            assert len(set(created)) >= 3

    asyncio.run(story())
