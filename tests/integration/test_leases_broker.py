"""Leases of programs: the broker of a real operator, tokens and rights of a real API server."""

import asyncio
from collections.abc import Awaitable, Callable, Iterator
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from tasklet_runner.client.members import MemberClient
from tasklet_runner.coordinator.capabilities import read_capability
from tasklet_runner.fabric.broker import ClusterFabric
from tasklet_runner.fabric.calls import BrokerAccess
from tasklet_runner.fabric.protocol import LeaseRequest
from tasklet_runner.wire.errors import (
    CapacityExceededError,
    LeaseEndedError,
    PoolEmptyError,
    RefusedError,
    UnsupportedError,
)
from tasklet_runner.wire.signed import public_text
from tests.integration.control_plane import ControlPlane
from tests.integration.lease_house import HOLDER, HOLDER_KEY, Court, clear, court, lease_house
from tests.integration.operator_rig import OperatorRig, beside
from tests.support.cluster.plane import account_token, account_user, grant, make_namespace

Story = Callable[[ClusterFabric], Awaitable[None]]


@pytest.fixture(scope="module")
def shared(controlled: ControlPlane, tmp_path_factory: pytest.TempPathFactory) -> Iterator[OperatorRig]:
    """One operator for all tests of this file."""
    with lease_house(controlled, tmp_path_factory.mktemp("leases")) as rig:
        yield rig


@pytest.fixture
def house(shared: OperatorRig) -> Iterator[OperatorRig]:
    """The same, without leases and pools of the test before."""
    yield shared
    clear(shared)


def tell(house: OperatorRig, story: Story, access: BrokerAccess | None = None) -> None:
    """Tell a story to a program that holds leases."""
    shown = access or house.access("a", holder=HOLDER)

    async def told() -> None:
        async with ClusterFabric(shown) as fabric:
            await story(fabric)

    asyncio.run(told())


def wanted(pool: Court, word: str, **changes: object) -> LeaseRequest:
    """A request of that pool, by the holder of these tests."""
    fields = {"holder_key": HOLDER_KEY, "pools": (pool.pool,), "namespace": pool.rig.namespace, "on_empty": "Queue"}
    return LeaseRequest(request_id=pool.named(word), **(fields | changes))  # type: ignore[arg-type]  # of their types


def test_a_program_acquires_renews_resizes_and_releases_and_the_object_says_so(house: OperatorRig) -> None:
    pool = court(house, 3)

    async def story(fabric: ClusterFabric) -> None:
        view = await fabric.acquire(wanted(pool, "a", count=3, min_count=2, elastic=True, ttl_seconds=300))
        while len(view.members) < 3:
            view = await fabric.watch(view.uid, view.version)
        epochs = await beside(lambda: house.until_bound(view.name))
        assert epochs == {member.name: member.epoch for member in view.members}
        assert (view.name, pool.uid(view.name)) == (pool.named("a"), view.uid)

        renewed = await fabric.renew(view.uid)
        assert renewed.version > view.version
        async with MemberClient(view.members[0].endpoint) as member:
            # A renewal reaches a member by its holder, by any of the doors.
            assert (await member.renew(renewed.capabilities[0])).seconds_left > 250

        smaller = await fabric.resize(view.uid, 1, tuple(member.name for member in view.members[:2]))
        assert smaller.members == view.members[2:]
        larger = await fabric.resize(view.uid, 2)
        while len(larger.members) < 2:
            larger = await fabric.watch(view.uid, larger.version)

        receipt = await fabric.release(view.uid, "Done")
        assert (receipt.reason, receipt.unverified) == ("Done", ())
        assert set(receipt.members) == {member.name for member in (*view.members, *larger.members)}
        assert await fabric.release(view.uid) == receipt
        written = await beside(lambda: pool.released(view.name, "Done"))
        assert written["members"] == len(receipt.members)
        with pytest.raises(LeaseEndedError):
            await fabric.renew(view.uid)

    tell(house, story)
    pool.until_warm(3)


def test_a_lease_is_renewed_by_its_capability_by_a_token_and_by_its_object(house: OperatorRig) -> None:
    pool = court(house, 1)

    async def story(fabric: ClusterFabric) -> None:
        first = await fabric.acquire(wanted(pool, "a", ttl_seconds=600))
        by_capability = await fabric.renew(first.uid)
        # A process after this one has no capability yet, and goes by its token.
        async with ClusterFabric(house.access("a", holder=HOLDER)) as successor:
            by_token = await successor.renew(first.uid)
        await beside(lambda: house.change("leases", first.name, {"renewTime": "2026-01-01T00:00:00Z"}))
        by_object = await fabric.watch(first.uid, by_token.version)
        views = (first, by_capability, by_token, by_object)
        versions = [view.version for view in views]
        assert versions == sorted(set(versions))
        deadlines = [read_capability(view.capabilities[0]).deadline for view in views]
        assert deadlines == sorted(set(deadlines))

    tell(house, story)


@pytest.mark.unhappy("duplicate acquire: the same request is the same lease, and nobody else's")
def test_the_same_request_again_is_the_same_lease_and_nobody_elses(house: OperatorRig) -> None:
    pool = court(house, 3)
    stranger = Ed25519PrivateKey.generate()

    async def story(fabric: ClusterFabric) -> None:
        views = await asyncio.gather(*(fabric.acquire(wanted(pool, "same")) for _ in range(10)))
        assert {(view.uid, view.members) for view in views} == {(views[0].uid, views[0].members)}
        with pytest.raises(RefusedError, match="another holder has a lease") as refused:
            await fabric.acquire(wanted(pool, "same", holder_key=public_text(stranger)))
        assert refused.value.reason == "Conflict"

        await beside(lambda: pool.bound("by-hand", holderKey=public_text(stranger)))
        with pytest.raises(RefusedError, match="draw another id"):
            await fabric.acquire(wanted(pool, "by-hand"))

    tell(house, story)
    assert len(pool.held_by(pool.named("same"))) == 1


@pytest.mark.unhappy("refused claims: typed as on one machine, and the same request may be tried again")
def test_refusals_are_typed_and_a_request_that_failed_may_be_tried_again(house: OperatorRig) -> None:
    pool = court(house, 1)

    async def story(fabric: ClusterFabric) -> None:
        held = await fabric.acquire(wanted(pool, "held"))
        for _ in range(2):
            with pytest.raises(PoolEmptyError, match="has 0 ready") as empty:
                await fabric.acquire(wanted(pool, "next", on_empty="Fail"))
            assert "spec.targetSize" in empty.value.remedy
        with pytest.raises(CapacityExceededError, match="1 s have passed"):
            await fabric.acquire(wanted(pool, "late", queue_timeout_seconds=1))
        with pytest.raises(UnsupportedError, match="no such pool: nowhere"):
            await fabric.acquire(wanted(pool, "lost", pools=("nowhere",)))
        with pytest.raises(UnsupportedError, match="lacks"):
            await fabric.acquire(wanted(pool, "much", slots=64))
        with pytest.raises(LeaseEndedError, match="nobody, is not there"):
            await fabric.acquire(wanted(pool, "orphan", parent="nobody"))
        await fabric.release(held.uid)
        assert len((await fabric.acquire(wanted(pool, "next", on_empty="Queue"))).members) == 1

    tell(house, story)


def test_requirements_that_no_object_can_say_hold_beside_named_pools_and_without(house: OperatorRig) -> None:
    small, large = court(house, 1), court(house, 1, resources={"cpu": "5", "memory": "2Gi"})

    async def story(fabric: ClusterFabric) -> None:
        pools = (small.pool, large.pool)
        first = await fabric.acquire(wanted(small, "named", pools=pools, slots=5))
        assert [(member.pool, member.slots) for member in first.members] == [(large.pool, 5)]
        await fabric.release(first.uid)
        second = await fabric.acquire(wanted(small, "any", pools=(), slots=5, memory=2**20))
        assert [member.pool for member in second.members] == [large.pool]

    tell(house, story)


def test_a_lease_is_released_with_its_parent(house: OperatorRig) -> None:
    pool = court(house, 2)

    async def story(fabric: ClusterFabric) -> None:
        parent = await fabric.acquire(wanted(pool, "parent"))
        child = await fabric.acquire(wanted(pool, "child", parent=parent.name))
        await fabric.release(parent.uid)
        ended = await fabric.watch(child.uid, child.version)
        while not ended.ended:
            ended = await fabric.watch(child.uid, ended.version)
        assert ended.ended == "ParentReleased"

    tell(house, story)
    pool.until_warm(2)


@pytest.mark.unhappy("a lease that is revoked while a program waits for it")
def test_a_program_that_waits_hears_of_a_revocation(house: OperatorRig) -> None:
    pool = court(house, 1)

    async def story(fabric: ClusterFabric) -> None:
        await fabric.acquire(wanted(pool, "held"))
        waiting = asyncio.create_task(fabric.acquire(wanted(pool, "waits", queue_timeout_seconds=600)))
        name = pool.named("waits")
        await beside(lambda: house.wait(lambda: house.get("leases", name), lambda found: found, "it is there"))
        await beside(lambda: house.change("leases", name, {"revoke": {"graceSeconds": 0}}))
        with pytest.raises(LeaseEndedError, match="Revoked"):
            await waiting

    tell(house, story)


@pytest.mark.unhappy("a deleted lease: its program hears of it, and its members are free")
def test_a_program_hears_when_its_lease_is_deleted(house: OperatorRig) -> None:
    pool = court(house, 1)

    async def story(fabric: ClusterFabric) -> None:
        view = await fabric.acquire(wanted(pool, "a"))
        watching = asyncio.create_task(fabric.watch(view.uid, view.version))
        await beside(lambda: house.delete("leases", view.name))
        assert (await watching).ended == "Deleted"
        with pytest.raises(LeaseEndedError):
            await fabric.renew(view.uid)
        # With the object its name is free.
        assert (await fabric.acquire(wanted(pool, "a"))).uid != view.uid

    tell(house, story)


@pytest.mark.unhappy("a tenant without rights, with those of another namespace, with a token for somebody else")
def test_who_may_not_is_told_what_lacks_and_who_gives_it(house: OperatorRig, tmp_path: Path) -> None:
    pool = court(house, 1)
    known = house.access("a", holder=HOLDER)

    def shown(namespace: str, name: str, audience: str = "leasegrid") -> BrokerAccess:
        path = tmp_path / name
        path.write_text(account_token(house.plane, namespace, name, audience))
        return BrokerAccess(known.endpoints, path, HOLDER, house.namespace)

    async def refused(access: BrokerAccess) -> RefusedError:
        async with ClusterFabric(access) as fabric:
            with pytest.raises(RefusedError) as error:
                await fabric.acquire(wanted(pool, "never"))
            return error.value

    nobody = asyncio.run(refused(shown(house.namespace, "nobody")))
    assert nobody.reason == "Forbidden"
    user = account_user(house.namespace, "nobody")
    assert nobody.cause == f"{user} may not create leases.leasegrid.dev in the namespace {house.namespace}"
    assert "ClusterRole leasegrid-lease-user" in nobody.remedy
    assert f"--serviceaccount={house.namespace}:nobody --namespace={house.namespace}" in nobody.remedy

    elsewhere = make_namespace(house.plane, f"{house.namespace}-other")
    grant(house.plane, elsewhere, account_user(elsewhere, "neighbour"))
    neighbour = asyncio.run(refused(shown(elsewhere, "neighbour")))
    assert (neighbour.reason, "neighbour may not create" in neighbour.cause) == ("Forbidden", True)

    other = asyncio.run(refused(shown(house.namespace, "holder", "https://kubernetes.default.svc.cluster.local")))
    assert other.reason == "Unauthenticated"
    assert "audience leasegrid" in other.cause
    assert house.all("leases") == []


@pytest.mark.unhappy("a lease of another namespace: not seen, not renewed, not released")
def test_leases_of_one_namespace_are_not_seen_from_another(house: OperatorRig) -> None:
    pool = court(house, 1)
    elsewhere = make_namespace(house.plane, f"{house.namespace}-next")
    grant(house.plane, elsewhere, account_user(house.namespace, "holder"))

    async def story(fabric: ClusterFabric) -> None:
        view = await fabric.acquire(wanted(pool, "a"))
        known = house.access("a", holder=HOLDER)
        access = BrokerAccess(known.endpoints, known.token_file, Ed25519PrivateKey.generate(), elsewhere)
        async with ClusterFabric(access) as other:
            with pytest.raises(LeaseEndedError, match="there is no lease"):
                await other.renew(view.uid)
            with pytest.raises(LeaseEndedError, match="there is no lease"):
                await other.release(view.uid)
        assert (await fabric.renew(view.uid)).members == view.members

    tell(house, story)
