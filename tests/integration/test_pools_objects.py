"""Pools as objects on a real control plane: what the server takes that the operator does not, and the reverse."""

import asyncio
from uuid import uuid4

import pytest

from leasegrid_operator.pools.pods import MemberTemplate
from leasegrid_operator.resources import POOLS, ObjectKey
from tests.integration.control_plane import ControlPlane
from tests.integration.pool_rig import COLLECTED, pool_rig, shows, until
from tests.support.cluster.plane import make_namespace
from tests.unit.operator.pools.examples import BLOCK, LEASE, MEMORY, OWNER, SETTINGS, pool_spec

DEFAULT = {"leasegrid.dev/is-default-pool": "true"}


@pytest.mark.parametrize("owner", [OWNER, LEASE], ids=["of a pool", "provisioned"])
@pytest.mark.parametrize("spec", [{}, MEMORY, BLOCK], ids=["CPU", "Memory", "Block"])
def test_members_pass_the_restricted_level(controlled: ControlPlane, spec: dict[str, object], owner: object) -> None:
    namespace = make_namespace(controlled, f"restricted-{uuid4().hex[:8]}", level="restricted")
    template = MemberTemplate(owner, pool_spec(**spec), SETTINGS)  # type: ignore[arg-type]
    for kind, body in (("pods", template.pod(1)), ("persistentvolumeclaims", template.claim(1))):
        if body is not None:
            body["metadata"]["namespace"] = namespace
            path = f"/api/v1/namespaces/{namespace}/{kind}?dryRun=All&fieldValidation=Strict"
            answer = controlled.api.ask("POST", path, body)
            assert answer.accepted, answer.message
            assert answer.warnings == ()


def test_where_pods_stand_is_taken_by_the_server(controlled: ControlPlane) -> None:
    namespace = make_namespace(controlled, f"placed-{uuid4().hex[:8]}")
    term = {"labelSelector": {"matchLabels": {"a": "b"}}, "topologyKey": "zone"}
    preferred = {"weight": 1, "preference": {"matchExpressions": [{"key": "disk", "operator": "Exists"}]}}
    placement = {
        "labels": {"team": "a"},
        "annotations": {"note": "b"},
        "nodeSelector": {"disk": "fast"},
        "tolerations": [{"key": "batch", "operator": "Exists", "effect": "NoExecute", "tolerationSeconds": 5}],
        "affinity": {
            "nodeAffinity": {"preferredDuringSchedulingIgnoredDuringExecution": [preferred]},
            "podAntiAffinity": {"requiredDuringSchedulingIgnoredDuringExecution": [term]},
        },
        "topologySpreadConstraints": [
            {"maxSkew": 1, "topologyKey": "zone", "whenUnsatisfiable": "DoNotSchedule", "labelSelector": {}}
        ],
        "imagePullSecrets": [{"name": "pull"}],
    }
    body = MemberTemplate(OWNER, pool_spec(template=placement), SETTINGS).pod(1)
    body["metadata"]["namespace"] = namespace
    path = f"/api/v1/namespaces/{namespace}/pods?dryRun=All&fieldValidation=Strict"
    answer = controlled.api.ask("POST", path, body)
    assert answer.accepted, answer.message


@pytest.mark.unhappy("invalid objects of every kind")
def test_a_spec_that_only_the_operator_finds_wrong_is_said_with_its_field(controlled: ControlPlane) -> None:
    async def story() -> None:
        async with pool_rig(controlled) as rig:
            wrong = [{"start": "0 8 * * *", "timeZone": "Nowhere/City", "durationSeconds": 60, "targetSize": 1}]
            await rig.pool(targetSize=1, schedules=wrong)
            message = await rig.until_said("Degraded", "True", "InvalidSpec")
            assert message.startswith("spec.schedules[0].timeZone: ")
            assert rig.keeper.pools.default == ""
            assert await rig.pods() == []

            await rig.change(schedules=[])
            await rig.until_ready(1)
            await rig.until_said("Degraded", "False", "Healthy")

            await rig.change(schedules=wrong, targetSize=3)
            await rig.until_said("Degraded", "True", "InvalidSpec")
            # What it has it keeps, and it can be claimed from.
            assert len(await rig.pods()) == 1
            await rig.claim()

    asyncio.run(story())


@pytest.mark.unhappy("two default pools")
def test_with_two_default_pools_there_is_none_and_both_say_so(controlled: ControlPlane) -> None:
    async def story() -> None:
        async with pool_rig(controlled) as rig:
            await rig.pool("a", annotations=DEFAULT, targetSize=0)
            await until(lambda: rig.keeper.pools.default == "a", "the only one is the default one")
            await rig.pool("b", annotations=DEFAULT, targetSize=0)
            for name in ("a", "b"):
                message = await rig.until_said("Degraded", "True", "SeveralDefaultPools", name)
                assert "a, b are all marked" in message
            assert rig.keeper.pools.default == ""

            mark = {"metadata": {"annotations": {"leasegrid.dev/is-default-pool": None}}}
            await rig.cluster.patch(POOLS, ObjectKey(rig.namespace, "b"), mark)
            await rig.until_said("Degraded", "False", "Healthy", "a")
            assert rig.keeper.pools.default == "a"

    asyncio.run(story())


def test_a_pool_of_the_same_name_begins_anew(controlled: ControlPlane) -> None:
    async def story() -> None:
        async with pool_rig(controlled) as rig:
            await rig.pool(targetSize=1)
            await rig.until_ready(1)
            before = await rig.pods()
            await rig.cluster.delete(POOLS, ObjectKey(rig.namespace, "cpu"))
            await until(lambda: shows(rig.get(POOLS, "cpu"), lambda found: found is None), "it is gone")
            await rig.pool(targetSize=2)
            await rig.until_ready(2)
            names = await rig.until_pods(2, COLLECTED)
            assert not set(names) & set(before)

    asyncio.run(story())
