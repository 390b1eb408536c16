"""Leases by their objects: bound, queued, refused, grown, renewed and ended, on a real API server with stand-ins."""

from collections.abc import Iterator
from datetime import datetime

import pytest

from tests.integration.control_plane import ControlPlane
from tests.integration.lease_house import HOLDER_KEY, clear, court, lease_house
from tests.integration.operator_rig import OperatorRig


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


def seconds_between(earlier: str, later: str) -> float:
    """Between two instants of a status."""
    return (datetime.fromisoformat(later) - datetime.fromisoformat(earlier)).total_seconds()


def test_a_lease_that_says_nothing_is_bound_from_the_default_pool(house: OperatorRig) -> None:
    house.pool(1)
    house.until_members(ready=1)
    house.make("Lease", "leases", {"name": "plain"}, {"holderKey": HOLDER_KEY})
    house.until_bound("plain")

    status = house.status("leases", "plain")
    (member,) = status["members"]
    assert member["name"].startswith("cpu-")
    assert member["endpoint"].startswith("http://127.")
    assert (member["node"], member["epoch"]) == (f"{house.namespace}-0", 1)
    assert len(status["capabilities"]) == 1
    assert seconds_between(status["acquireTime"], status["expireTime"]) == 120
    assert {one["type"]: one["status"] for one in status["conditions"]} == {"Satisfiable": "True", "Bound": "True"}
    # With one, `kubectl wait` would distrust a condition as soon as somebody renews.
    assert all("observedGeneration" not in one for one in status["conditions"])


def test_pools_are_tried_in_the_order_in_which_a_lease_names_them(house: OperatorRig) -> None:
    first, second = court(house, 1), court(house, 1)
    order = [{"name": first.pool}, {"name": second.pool}]
    one, two = first.bound("one", poolRefs=order), first.bound("two", poolRefs=order)
    assert next(iter(house.epochs(one))).startswith(first.pool)
    assert next(iter(house.epochs(two))).startswith(second.pool)
    both = first.lease("both", poolRefs=order, count=2, minCount=2)
    house.delete("leases", one)
    house.delete("leases", two)
    assert {name.rsplit("-", 2)[0] for name in house.until_bound(both)} == {first.pool, second.pool}


def test_requirements_choose_the_pool_that_has_what_is_required(house: OperatorRig) -> None:
    large = court(house, 1, resources={"cpu": "3", "memory": "768Mi"})
    house.lease("needs-three", requirements={"resource": "CPU", "cpu": "3"})
    (member,) = house.until_bound("needs-three")
    assert member.startswith(large.pool)


@pytest.mark.unhappy("requirements that no pool meets: said at once, with what lacks and what to do")
def test_what_no_pool_could_ever_serve_is_refused_with_what_lacks(house: OperatorRig) -> None:
    small = court(house, 1)
    house.lease("too-much", requirements={"resource": "CPU", "cpu": "64"})
    message = house.until_said("too-much", "Released", "Unsupported")
    assert "lacks" in message
    assert "spec.resources" in message
    assert house.condition("too-much", "Satisfiable")["status"] == "False"

    gang = small.lease("gang", count=2, minCount=2)
    message = house.until_said(gang, "Released", "Unsatisfiable")
    assert "can never have more than 1" in message
    assert "spec.maxSize" in message

    nowhere = small.lease("nowhere", poolRefs=[{"name": "not-there"}])
    message = house.until_said(nowhere, "Released", "PoolNotFound")
    assert "not-there" in message
    assert "spec.poolRefs" in message

    stores = small.lease("stores", poolRefs=None, requirements={"resource": "Memory", "size": "1Gi"})
    assert "InstancePool with spec.resource: Memory" in house.until_said(stores, "Released", "PoolNotFound")


@pytest.mark.unhappy("an empty pool and onEmpty Fail: PoolEmpty at once, with the remedy")
def test_an_empty_pool_refuses_at_once_and_says_what_to_do(house: OperatorRig) -> None:
    pool = court(house, 1)
    pool.bound("holds")
    late = pool.lease("late", onEmpty="Fail")
    message = house.until_said(late, "Released", "PoolEmpty")
    assert f"pool '{pool.pool}' has 0 ready" in message
    assert "raise spec.targetSize of the pool to at least 1" in message
    assert house.condition(late, "Bound")["reason"] == "PoolEmpty"
    assert pool.receipt(late)["members"] == 0
    assert pool.records_of(late) == []


def test_a_queue_is_served_by_priority_and_then_by_arrival(house: OperatorRig) -> None:
    pool = court(house, 1)
    held = pool.bound("held")
    plain, urgent, last = (pool.lease(word, priority=priority) for word, priority in
                           (("plain", 0), ("urgent", 10), ("last", 0)))  # fmt: skip

    def places() -> list[object]:
        return [house.status("leases", name).get("queuePosition") for name in (urgent, plain, last)]

    house.wait(places, lambda seen: seen == [1, 2, 3], "their places are written")
    assert house.condition(urgent, "Bound")["reason"] == "HeadOfQueue"
    assert "position 2 of 3" in house.condition(plain, "Bound")["message"]
    for before, next_one in ((held, urgent), (urgent, plain), (plain, last)):
        assert pool.held_by(before)
        house.delete("leases", before)
        house.until_bound(next_one)
        assert "queuePosition" not in house.status("leases", next_one)


def test_a_lease_in_the_queue_can_be_given_another_priority(house: OperatorRig) -> None:
    pool = court(house, 1)
    held = pool.bound("held")
    first, second = pool.lease("first"), pool.lease("second")
    house.wait(lambda: house.status("leases", second).get("queuePosition"), lambda place: place == 2, "it waits")
    house.change("leases", second, {"priority": 5})
    house.wait(lambda: house.status("leases", second).get("queuePosition"), lambda place: place == 1, "it moves up")
    house.delete("leases", held)
    house.until_bound(second)
    assert pool.held_by(first) == []


@pytest.mark.unhappy("a queue timeout: said with what to change")
def test_a_lease_that_has_waited_long_enough_gives_up_and_says_so(house: OperatorRig) -> None:
    pool = court(house, 1)
    pool.bound("held")
    late = pool.lease("late", queueTimeoutSeconds=1)
    message = house.until_said(late, "Released", "QueueTimeout")
    assert "1 s have passed" in message
    assert "queueTimeoutSeconds" in message


@pytest.mark.unhappy("a lease that is deleted, or revoked, while it waits in the queue")
def test_a_lease_in_the_queue_can_be_taken_back(house: OperatorRig) -> None:
    pool = court(house, 1)
    held = pool.bound("held")
    gone, revoked, stays = (pool.lease(word) for word in ("gone", "revoked", "stays"))
    house.wait(lambda: house.status("leases", stays).get("queuePosition"), lambda place: place == 3, "they wait")
    house.delete("leases", gone)
    house.change("leases", revoked, {"revoke": {"graceSeconds": 0}})
    assert "revoked" in house.until_said(revoked, "Released", "Revoked")
    house.delete("leases", held)
    house.until_bound(stays)
    assert pool.records_of(revoked) == []


@pytest.mark.unhappy("two gangs that want the whole pool: one after the other, neither holds and waits")
def test_two_gangs_that_want_the_whole_pool_have_it_one_after_the_other(house: OperatorRig) -> None:
    pool = court(house, 3)
    gangs = [pool.lease(word, count=3, minCount=3) for word in ("red", "blue")]
    house.wait(lambda: [name for name in gangs if house.epochs(name)], len, "one of them is bound")
    (winner,) = [name for name in gangs if house.epochs(name)]
    (other,) = [name for name in gangs if name != winner]
    house.wait(lambda: house.status("leases", other).get("queuePosition"), lambda place: place == 1, "the other waits")
    assert (len(pool.held_by(winner)), pool.held_by(other)) == (3, [])
    house.delete("leases", winner)
    assert len(house.until_bound(other)) == 3


def test_a_gang_gets_all_or_nothing_while_smaller_ones_pass(house: OperatorRig) -> None:
    pool, other = court(house, 2), court(house, 1)
    held = pool.bound("held")
    gang = pool.lease("gang", count=2, minCount=2)
    house.wait(lambda: house.status("leases", gang).get("queuePosition"), lambda place: place == 1, "the gang waits")
    assert pool.held_by(gang) == []
    # What would do for the head of the queue is kept for it; what it cannot use is not.
    small = pool.lease("small")
    elsewhere = pool.bound("elsewhere", poolRefs=[{"name": pool.pool}, {"name": other.pool}])
    assert next(iter(house.epochs(elsewhere))).startswith(other.pool)
    house.delete("leases", held)
    assert len(house.until_bound(gang)) == 2
    house.delete("leases", gang)
    house.until_bound(small)


def test_an_elastic_lease_grows_as_members_become_ready(house: OperatorRig) -> None:
    pool = court(house, 1)
    grows = pool.bound("grows", count=3, elastic=True)
    house.wait(lambda: house.condition(grows, "Bound"), lambda said: said["reason"] == "Growing", "it is growing")
    assert house.condition(grows, "Bound")["message"] == "1 of 3 members are bound"
    house.change("instancepools", pool.pool, {"maxSize": 3})
    house.wait(lambda: len(house.epochs(grows)), lambda seen: seen == 3, "it has all three")
    house.wait(lambda: house.condition(grows, "Bound")["reason"], lambda said: said == "Bound", "it is whole")
    assert len(pool.capability(grows).members) == 3


def test_provisioned_members_belong_to_their_lease_and_go_with_it(house: OperatorRig) -> None:
    name = "provisioned"
    house.lease(name, count=2, minCount=2, onEmpty="Provision", poolRefs=[{"name": "no-such-pool"}])
    house.until_bound(name)
    uid = house.get("leases", name)["metadata"]["uid"]
    pods = [pod["metadata"] for pod in house.all("pods") if pod["metadata"]["name"] in house.epochs(name)]
    owners = [owner for pod in pods for owner in pod["ownerReferences"]]
    assert [(owner["kind"], owner["uid"]) for owner in owners] == [("Lease", uid)] * 2
    house.delete("leases", name)
    house.until_gone("pods", *(pod["name"] for pod in pods))


def test_members_are_provisioned_where_a_pool_is_empty_and_go_when_the_lease_is_revoked(house: OperatorRig) -> None:
    pool = court(house, 1)
    pool.bound("held")
    made = pool.bound("made", onEmpty="Provision")
    (member,) = house.epochs(made)
    assert not member.startswith(f"{pool.pool}-0")
    assert member != pool.held_by(pool.named("held"))[0]
    house.change("leases", made, {"revoke": {"graceSeconds": 0}})
    assert pool.released(made, "Revoked")["members"] == 1
    house.until_gone("pods", member)
