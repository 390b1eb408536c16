"""The whole way by TLS: an operator with an authority of its own, real members with keys of their own."""

import asyncio
import base64
import json
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest

from leasegrid_operator.__main__ import EXIT_ENVIRONMENT
from leasegrid_operator.authority import Authority
from tasklet_runner.client.members import MemberClient
from tasklet_runner.fabric.broker import ClusterFabric
from tasklet_runner.fabric.calls import BrokerAccess
from tasklet_runner.fabric.protocol import LeaseRequest
from tasklet_runner.wire.errors import UnreachableError
from tasklet_runner.wire.member import MemberState
from tasklet_runner.wire.pins import split_pin
from tests.integration.control_plane import ControlPlane
from tests.integration.lease_house import HOLDER, HOLDER_KEY
from tests.integration.looking import WAIT_SECONDS
from tests.integration.operator_rig import OperatorRig, beside, metric, operator_rig
from tests.integration.test_real_members import bound, clear_leases, ran
from tests.process.test_broker_tls import write
from tests.support.members import Address

REAL = {"cpu": "1", "memory": "1Gi"}


@pytest.fixture(scope="module")
def shared(controlled: ControlPlane, tmp_path_factory: pytest.TempPathFactory) -> Iterator[OperatorRig]:
    """One operator with TLS and one pool of two real members for all tests of this file."""
    with operator_rig(controlled, tmp_path_factory.mktemp("tls"), real=True) as rig:
        rig.start("a", tls="self-made")
        rig.pool(2, resources=REAL)
        yield rig


@pytest.fixture
def house(shared: OperatorRig) -> Iterator[OperatorRig]:
    """The same, with all members ready."""
    shared.until_members(ready=2)
    yield shared
    clear_leases(shared)


def access(rig: OperatorRig) -> BrokerAccess:
    """As a workload that was given the authority's certificate."""
    secret: Any = rig.plane.api.ask("GET", f"/api/v1/namespaces/{rig.namespace}/secrets/leasegrid-operator-tls").body
    authority = rig.directory / "ca.crt"
    authority.write_bytes(base64.b64decode(secret["data"]["ca.crt"]))
    return replace(rig.access("a", holder=HOLDER), ca_file=authority)


def test_from_a_warm_pool_by_an_object_to_nothing_left_and_the_status_names_each_members_key(
    house: OperatorRig,
) -> None:
    members, capability = bound(house, "journey", count=2, minCount=2, ttlSeconds=60)
    for member in members:
        assert urlsplit(member.endpoint).scheme == "https"
        assert split_pin(member.endpoint)[1] == member.incarnation, "the pin is the incarnation of the capability"
    assert asyncio.run(ran(members[0], capability, 5)) == [b"input %d\n" % number for number in range(5)]

    house.change("leases", "journey", {"revoke": {"graceSeconds": 0}})
    house.until_said("journey", "Released", "Revoked")
    receipt = house.status("leases", "journey")["receipt"]
    assert (receipt["members"], receipt["tasklets"], receipt["unverified"]) == (2, 5, [])
    house.until_members(ready=2)


def test_from_a_warm_pool_by_the_broker_to_nothing_left(house: OperatorRig) -> None:
    request = LeaseRequest(request_id="program", holder_key=HOLDER_KEY, namespace=house.namespace, count=1)

    async def story() -> None:
        async with ClusterFabric(await beside(lambda: access(house))) as fabric:
            view = await fabric.acquire(request)
            (member,) = view.members
            assert member.endpoint.startswith("https://")
            assert member.endpoint.endswith(f"#{member.incarnation}")
            address = Address(member.name, member.endpoint, member.incarnation)
            assert len(await ran(address, view.capabilities[0], 3)) == 3
            assert (await fabric.renew(view.uid)).version > view.version
            assert (await fabric.release(view.uid)).tasklets == 3

    asyncio.run(story())
    house.until_members(ready=2)


def test_members_tell_their_transitions_to_the_broker_by_its_authority(house: OperatorRig) -> None:
    before = metric(house.replicas["a"], "leasegrid_hints_total")
    house.lease("told")
    house.until_bound("told")
    house.delete("leases", "told")
    house.wait(
        lambda: metric(house.replicas["a"], "leasegrid_hints_total"), lambda now: now > before, "a hint was taken"
    )


def test_a_successor_goes_on_with_the_members_by_the_keys_that_the_status_names(house: OperatorRig) -> None:
    ((member,), capability) = bound(house, "inherited", ttlSeconds=120)
    house.replicas["a"].kill()
    house.start("a", tls="self-made")
    house.until_leads("a")
    house.wait(lambda: house.members(), lambda seen: seen.get("claimed") == 1, "the lease is adopted")

    assert endpoints(house, "inherited") == [member.endpoint]
    assert len(asyncio.run(ran(member, capability, 2))) == 2


@pytest.mark.unhappy("a program without the broker's authority gives it no token")
def test_a_client_that_does_not_know_the_authority_sends_nothing(house: OperatorRig) -> None:
    unknowing = replace(access(house), ca_file=None, patience_seconds=0.2)
    request = LeaseRequest(request_id="stranger", holder_key=HOLDER_KEY, namespace=house.namespace, count=1)

    async def story() -> None:
        async with ClusterFabric(unknowing) as fabric:
            with pytest.raises(UnreachableError, match="certificate"):
                await fabric.acquire(request)

    asyncio.run(story())
    assert house.all("leases") == []


def test_a_pod_says_that_its_member_has_a_key_and_holds_no_secret(house: OperatorRig) -> None:
    for pod in house.all("pods"):
        (container,) = pod["spec"]["containers"]
        assert pod["metadata"]["annotations"]["leasegrid.dev/tls"] == "own-key"
        assert container["args"][-1] == "--tls"
        assert container["readinessProbe"]["httpGet"]["scheme"] == "HTTPS"
        assert "PRIVATE" not in json.dumps(pod)
        assert "secret" not in json.dumps(pod["spec"]["volumes"])


def test_files_that_name_the_service_alone_serve_programs_and_hints_at_a_replicas_address(
    controlled: ControlPlane, tmp_path: Path
) -> None:
    now = datetime.now(UTC)
    authority = Authority.make(now)
    write(tmp_path, authority.issue(("grid.svc",), now), authority)
    certificate, key, ca = (str(tmp_path / name) for name in ("tls.crt", "tls.key", "ca.crt"))
    with operator_rig(controlled, tmp_path, real=True) as rig:
        rig.start("a", tls="files", tls_names="grid.svc", tls_cert=certificate, tls_key=key, tls_ca=ca)
        rig.pool(1, resources=REAL)
        rig.until_members(ready=1)
        known = replace(rig.access("a", holder=HOLDER), ca_file=tmp_path / "ca.crt", tls_name="grid.svc")
        request = LeaseRequest(request_id="one", holder_key=HOLDER_KEY, namespace=rig.namespace, count=1)

        async def story() -> None:
            async with ClusterFabric(known) as fabric:
                view = await fabric.acquire(request)
                assert (await fabric.release(view.uid)).unverified == ()

        asyncio.run(story())
        rig.wait(lambda: metric(rig.replicas["a"], "leasegrid_hints_total"), lambda told: told > 0, "hints come")


@pytest.mark.unhappy("the ConfigMap for the broker's authority is not there")
def test_an_operator_that_cannot_publish_whom_to_trust_says_what_is_missing(
    controlled: ControlPlane, tmp_path: Path
) -> None:
    with operator_rig(controlled, tmp_path) as rig:
        operator = rig.start("a", ready=False, tls="self-made", tls_config_map="nowhere")
        assert operator.process.wait(WAIT_SECONDS) == EXIT_ENVIRONMENT
        assert f"there is no ConfigMap {rig.namespace}/nowhere" in operator.said()


def test_members_of_before_serve_on_without_tls_until_they_are_replaced(
    controlled: ControlPlane, tmp_path: Path
) -> None:
    with operator_rig(controlled, tmp_path, real=True) as rig:
        rig.start("a")
        rig.pool(1, resources=REAL, rollout={"strategy": "Rolling"})
        rig.until_members(ready=1)
        ((member,), capability) = bound(rig, "before", ttlSeconds=120)
        assert member.endpoint.startswith("http://")
        rig.replicas["a"].stop()

        rig.start("a", tls="self-made")
        rig.until_leads("a")
        rig.wait(lambda: rig.members(), lambda seen: seen.get("claimed") == 1, "the lease is adopted")
        assert asyncio.run(ran(member, capability, 2)) == [b"input 0\n", b"input 1\n"]
        rig.delete("leases", "before")
        rig.wait(lambda: served_by_tls(rig), lambda seen: seen == [True], "the freed member was replaced")
        ((after,), _) = bound(rig, "after")

        async def state() -> MemberState:
            async with MemberClient(after.endpoint) as client:
                return (await client.state()).state

        assert asyncio.run(state()) is MemberState.CLAIMED
        assert after.endpoint.startswith("https://")


def served_by_tls(rig: OperatorRig) -> list[bool]:
    """Of each pod, whether its member has a key."""
    return ["leasegrid.dev/tls" in pod["metadata"]["annotations"] for pod in rig.all("pods")]


def endpoints(rig: OperatorRig, lease: str) -> list[str]:
    """Where a lease's members are, by its status."""
    return [one["endpoint"] for one in rig.status("leases", lease).get("members", ())]
