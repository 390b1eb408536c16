"""What goes wrong with pools on a real control plane: said in a condition, and mended as soon as it can be."""

import asyncio
import signal
from dataclasses import replace

import pytest

from leasegrid_operator.resources import PODS, ObjectKey
from tests.integration.control_plane import ControlPlane
from tests.integration.pool_rig import RigOptions, ground, keeping, pool_rig, shows, until
from tests.support.cluster.plane import quota


@pytest.mark.unhappy("image missing")
def test_a_missing_image_is_said_and_mended_by_the_next_one(controlled: ControlPlane) -> None:
    async def story() -> None:
        async with ground(controlled) as (here, kubelet):
            async with keeping(controlled, replace(here, image="missing:1"), kubelet) as rig:
                await rig.pool(targetSize=2, maxSize=2)
                message = await rig.until_said("Degraded", "True", "ImagePull")
                assert "spec.template.imagePullSecrets" in message
                stuck = await rig.pods()
            async with keeping(controlled, here, kubelet) as rig:
                # Another image is another template: nobody waits for the old one's grace.
                await rig.until_ready(2)
                await rig.until_said("Degraded", "False", "Healthy")
                assert not set(stuck) & set(await rig.until_pods(2))

    asyncio.run(story())


def test_a_crash_is_said_with_its_exit_code_and_is_not_repeated_at_once(controlled: ControlPlane) -> None:
    async def story() -> None:
        async with pool_rig(controlled, RigOptions(image="crash:7")) as rig:
            await rig.pool(targetSize=5, maxSize=5)
            message = await rig.until_said("Degraded", "True", "Crash")
            assert "exit code 7" in message
            await rig.until_said("Progressing", "True", "BackingOff")
            await until(lambda: shows(rig.events("MemberFailed"), bool), "an event tells it")
            # Five at once, and then one after growing pauses.
            assert len([one for one in rig.writes if (one.verb, one.resource) == ("create", PODS)]) < 12

    asyncio.run(story())


def test_a_pool_that_fits_no_node_says_so_and_starts_when_its_requests_are_lowered(controlled: ControlPlane) -> None:
    async def story() -> None:
        async with pool_rig(controlled, RigOptions(node_cpu="4")) as rig:
            await rig.pool(targetSize=2, resources={"cpu": "8", "memory": "512Mi"}, requests={"cpu": "6"})
            message = await rig.until_said("Degraded", "True", "Unschedulable")
            assert "lower spec.requests" in message

            await rig.change(requests={"cpu": "10m"})
            await rig.until_ready(2)
            await rig.until_said("Degraded", "False", "Healthy")

    asyncio.run(story())


def test_members_that_wait_in_vain_end_when_they_are_not_wanted_any_more(controlled: ControlPlane) -> None:
    async def story() -> None:
        async with pool_rig(controlled, RigOptions(image="missing:1")) as rig:
            await rig.pool(targetSize=3)
            await rig.until_said("Degraded", "True", "ImagePull")
            await rig.until_pods(3)
            await rig.change(targetSize=0)
            await rig.until_pods(0)

    asyncio.run(story())


@pytest.mark.unhappy("quota refuses pods")
def test_a_quota_is_said_and_not_hammered(controlled: ControlPlane) -> None:
    async def story() -> None:
        async with pool_rig(controlled) as rig:
            await asyncio.to_thread(quota, controlled, rig.namespace, pods="2")
            await rig.pool(targetSize=5)
            await rig.until_ready(2)
            message = await rig.until_said("Degraded", "True", "Quota")
            assert "exceeded quota" in message
            await rig.until_said("Ready", "True", "MembersReady")
            refused = [one for one in rig.writes if one.resource == PODS and not one.accepted]
            assert len(refused) < 12

    asyncio.run(story())


def test_what_the_server_refuses_is_said_in_its_words(controlled: ControlPlane) -> None:
    async def story() -> None:
        async with pool_rig(controlled) as rig:
            await rig.pool(targetSize=1, template={"priorityClassName": "no-such-class"})
            message = await rig.until_said("Degraded", "True", "Refused")
            assert "no-such-class" in message

    asyncio.run(story())


def test_a_member_that_does_not_come_up_in_its_time_is_replaced(controlled: ControlPlane) -> None:
    async def story() -> None:
        async with pool_rig(controlled) as rig:
            rig.kubelet.delay_start(600)
            await rig.pool(targetSize=1, warmupGraceSeconds=2)
            (first,) = await rig.until_pods(1)
            await rig.until_said("Degraded", "True", "WarmupTimeout")
            rig.kubelet.delay_start(0)
            await rig.until_ready(1)
            assert first not in await rig.pods()
            await rig.until_said("Degraded", "False", "Healthy")

    asyncio.run(story())


@pytest.mark.parametrize("doing", ["killed", "evicted", "deleted"])
@pytest.mark.unhappy("pod evicted")
def test_a_lost_member_is_replaced_and_its_lease_hears_of_it(controlled: ControlPlane, doing: str) -> None:
    async def story() -> None:
        async with pool_rig(controlled) as rig:
            await rig.pool(targetSize=2, maxSize=3)
            await rig.until_ready(2)
            record = await rig.claim()
            (name,) = record.held
            if doing == "killed":
                rig.kubelet.send(name, signal.SIGKILL)
            elif doing == "evicted":
                rig.kubelet.evict_by_node(name)
            else:
                await rig.cluster.delete(PODS, ObjectKey(rig.namespace, name))
            await until(lambda: not record.held, "the lease has lost it")
            await rig.until_ready(2)
            pods = await rig.until_pods(2)
            assert name not in pods
            assert rig.lost[name]

    asyncio.run(story())


def test_pods_that_only_carry_our_label_are_left_alone(controlled: ControlPlane) -> None:
    async def story() -> None:
        async with pool_rig(controlled) as rig:
            labels = {"app.kubernetes.io/managed-by": "leasegrid", "leasegrid.dev/pool": "cpu"}
            foreign = {"metadata": {"name": "foreign", "namespace": rig.namespace, "labels": labels}}
            container = {"name": "member", "image": "real:1", "command": ["sleep", "600"]}
            await rig.cluster.create(PODS, {**foreign, "spec": {"containers": [container]}})
            await rig.pool(targetSize=1)
            await rig.until_ready(1)
            await rig.until_said("Progressing", "False", "Settled")
            await rig.change(targetSize=0)
            await until(lambda: shows(rig.pods(), lambda names: names == ["foreign"]), "ours has ended")
            await until(lambda: shows(rig.status(), lambda status: status["replicas"] == 0), "it never counted")

    asyncio.run(story())


@pytest.mark.unhappy("node gone")
def test_members_of_a_dead_node_leave_the_count_after_their_last_deadline(controlled: ControlPlane) -> None:
    async def story() -> None:
        async with pool_rig(controlled) as rig:
            await rig.pool(targetSize=2, maxSize=2)
            await rig.until_ready(2)
            # Nobody starts while the clock runs: the node is to go long before the deadline.
            await rig.claim(ttl_seconds=8)
            await until(lambda: shows(rig.status(), lambda status: status["members"]["claimed"] == 1), "it is counted")
            await rig.kubelet.stop_node(f"node-{rig.namespace}", "stopped")
            # The idle one goes first, and is replaced; what the other may be doing is known until its deadline.
            await rig.until_pods(3)
            assert (await rig.status())["members"]["claimed"] == 1
            await until(lambda: shows(rig.status(), lambda status: status["members"]["claimed"] == 0), "it goes too")
            await rig.until_pods(4)
            await until(lambda: shows(rig.status(), lambda status: status["replicas"] == 2), "only the new ones count")
            await rig.kubelet.start_node(f"node-{rig.namespace}")
            await rig.until_ready(2)

    asyncio.run(story())
