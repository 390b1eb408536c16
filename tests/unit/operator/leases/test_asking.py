"""What a Lease's spec comes to: the pools that may serve it, the request with its defaults, or why there is none."""

from typing import Any

import pytest

from leasegrid.api.lease import LeaseSpec
from leasegrid.api.pool import InstancePoolSpec
from leasegrid.rules.reasons import AdmissionReason
from leasegrid_operator.leases.asking import KnownPools, candidates, misfit_of, refusal_of, request_of
from leasegrid_operator.resources import ObjectKey
from tasklet_runner.wire.leases import LeaseRequest

KEY = ObjectKey("team", "mine")


def pool(**spec: object) -> InstancePoolSpec:
    return InstancePoolSpec.model_validate(spec)


def lease(**spec: object) -> LeaseSpec:
    return LeaseSpec.model_validate(spec)


MEMORY = pool(resource="Memory", storage={"size": "1Gi"}, resources={"cpu": "1", "memory": "2Gi"})
POOLS = KnownPools({"a": pool(), "b": pool(claimDefaults={"ttlSeconds": 30, "maxLifetimeSeconds": 90}),
                    "tmpfs": MEMORY}, default="b")  # fmt: skip


@pytest.mark.parametrize(
    ("spec", "expected"),
    [
        pytest.param({}, ("b",), id="a lease that says nothing asks the default pool"),
        pytest.param(
            {"poolRefs": [{"name": "z"}, {"name": "a"}]},
            ("z", "a"),
            id="named pools stay in their order",
        ),
        pytest.param(
            {"requirements": {"cpu": "1"}}, ("b", "a"), id="requirements ask every pool of that kind, the default first"
        ),
        pytest.param(
            {"requirements": {"resource": "Memory", "size": "1Gi"}},
            ("tmpfs",),
            id="a store asks what is as large",
        ),
        pytest.param(
            {"requirements": {"resource": "Memory", "size": "2Gi"}}, (), id="pools that are too small are not asked"
        ),
        pytest.param({"requirements": {"resource": "Block"}}, (), id="pools of another kind are not asked"),
    ],
)
def test_which_pools_may_serve_a_lease(spec: dict[str, Any], expected: tuple[str, ...]) -> None:
    assert candidates(lease(**spec), POOLS) == expected


def test_of_pools_that_are_large_enough_the_smallest_stores_are_preferred() -> None:
    large = pool(resource="Memory", storage={"size": "4Gi"}, resources={"cpu": "1", "memory": "8Gi"})
    unsaid = pool(resource="Memory", resources={"cpu": "1", "memory": "4Gi"})
    pools = KnownPools({"a-large": large, "small": MEMORY, "b-unsaid": unsaid})
    spec = lease(requirements={"resource": "Memory", "size": "512Mi"})
    assert candidates(spec, pools) == ("small", "b-unsaid", "a-large")
    request = request_of(KEY, spec, pools)
    assert (request.resource, request.size) == ("Memory", 1 << 29)


@pytest.mark.parametrize(
    ("fields", "words"),
    [
        pytest.param({"resource": "Memory", "size": 1 << 30, "pools": ("tmpfs",)}, "", id="a pool that will do"),
        pytest.param({"resource": "Memory", "size": 1 << 30, "pools": ("z",)}, "", id="a pool that is not seen yet"),
        pytest.param({"pools": ("tmpfs",)}, "", id="a request that does not say what of"),
        pytest.param({"resource": "Memory", "size": 1 << 31, "pools": ("tmpfs",)}, "has stores of 1Gi", id="too small"),
        pytest.param({"resource": "Block", "pools": ("tmpfs",)}, "has other members", id="of another kind"),
    ],
)
def test_a_program_that_names_pools_without_such_stores_is_told_so(fields: dict[str, Any], words: str) -> None:
    misfit = misfit_of(LeaseRequest(request_id="a", holder_key="k", **fields), POOLS)
    assert (misfit is not None) == bool(words)
    assert misfit is None or words in misfit[0]


def test_without_one_default_pool_nobody_is_asked() -> None:
    assert candidates(lease(), KnownPools(POOLS.specs)) == ()


@pytest.mark.parametrize(
    ("spec", "expected"),
    [
        pytest.param({}, (30, 90), id="the preferred pool's claimDefaults"),
        pytest.param({"poolRefs": [{"name": "a"}]}, (120, 86400), id="the usual ones where the pool says nothing"),
        pytest.param({"poolRefs": [{"name": "z"}]}, (120, 86400), id="the usual ones where the pool is not there"),
        pytest.param({"ttlSeconds": 40}, (40, 90), id="what the lease says"),
        pytest.param({"ttlSeconds": 400}, (90, 90), id="never longer than its longest life"),
        pytest.param({"maxLifetimeSeconds": 10}, (10, 10), id="a short life bounds the pool's default"),
    ],
)
def test_how_long_a_lease_lives(spec: dict[str, Any], expected: tuple[int, int]) -> None:
    request = request_of(KEY, lease(**spec), POOLS)
    assert (request.ttl_seconds, request.max_lifetime_seconds) == expected


@pytest.mark.parametrize(
    ("spec", "expected"),
    [
        pytest.param({"count": 3}, (3, 3), id="a lease is a gang"),
        pytest.param({"count": 3, "elastic": True}, (3, 1), id="an elastic one begins with one"),
        pytest.param({"count": 3, "elastic": True, "minCount": 2}, (3, 2), id="unless it says otherwise"),
    ],
)
def test_how_many_members_a_lease_begins_with(spec: dict[str, Any], expected: tuple[int, int]) -> None:
    request = request_of(KEY, lease(**spec), POOLS)
    assert (request.count, request.min_count) == expected


def test_a_request_says_who_asks_for_what() -> None:
    spec = lease(
        requirements={"cpu": "1500m", "cpuFeatures": ["avx2"]}, parentRef={"name": "job"}, onEmpty="Queue",
        queueTimeoutSeconds=5, priority=7, holderIdentity="alice", purpose="training",
    )  # fmt: skip
    request = request_of(KEY, spec, POOLS)
    assert (request.request_id, request.namespace, request.parent) == ("mine", "team", "job")
    assert (request.slots, request.cpu_features) == (2, ("avx2",))
    assert (request.on_empty, request.queue_timeout_seconds, request.priority) == ("Queue", 5, 7)
    assert (request.holder_key, request.holder_identity, request.purpose) == ("", "alice", "training")


@pytest.mark.unhappy("leases that no pool could serve: said with the names that there are, and what to do")
@pytest.mark.parametrize(
    ("spec", "pools", "cause", "remedy"),
    [
        pytest.param(
            {"poolRefs": [{"name": "x"}, {"name": "y"}]},
            POOLS,
            "no such pool: x, y (it has a, b, tmpfs)",
            "name one that exists in spec.poolRefs",
            id="pools that are not there",
        ),
        pytest.param(
            {"poolRefs": [{"name": "x"}]}, KnownPools({}), "it has no pool", "spec.poolRefs", id="no pool at all"
        ),
        pytest.param({}, KnownPools(POOLS.specs), "has no default one", "is-default-pool", id="no default pool"),
        pytest.param(
            {"requirements": {"resource": "Block", "size": "1Gi"}},
            POOLS,
            "no pool of the namespace offers Block members",
            "make an InstancePool with spec.resource: Block",
            id="no pool of that kind",
        ),
    ],
)
def test_a_lease_that_no_pool_could_serve_is_told_so(
    spec: dict[str, Any], pools: KnownPools, cause: str, remedy: str
) -> None:
    refusal = refusal_of("u", lease(**spec), pools)
    assert refusal is not None
    assert refusal.reason is AdmissionReason.POOL_NOT_FOUND
    assert cause in refusal.message
    assert remedy in refusal.remedy


@pytest.mark.parametrize(
    "spec",
    [
        pytest.param({"poolRefs": [{"name": "x"}, {"name": "a"}]}, id="one of its pools is there"),
        pytest.param({"poolRefs": [{"name": "x"}], "onEmpty": "Provision"}, id="its members are made for it"),
        pytest.param({}, id="there is a default pool"),
    ],
)
def test_a_lease_that_might_be_served_is_not_refused(spec: dict[str, Any]) -> None:
    assert refusal_of("u", lease(**spec), POOLS) is None
