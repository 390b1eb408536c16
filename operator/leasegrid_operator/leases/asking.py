"""What a Lease asks of the engine: which pools may serve it, and the request with all defaults filled in. Pure."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from leasegrid.api.common import LeaseRequirements
from leasegrid.api.enums import OnEmpty, ResourceKind
from leasegrid.api.lease import LeaseSpec
from leasegrid.api.pool import ClaimDefaults, InstancePoolSpec, MemberResources
from leasegrid.api.quantities import format_bytes
from leasegrid.rules.claims import Refusal
from leasegrid.rules.reasons import AdmissionReason
from leasegrid.rules.store_sizes import store_quota
from leasegrid_operator.pools.sizes import member_sizes
from leasegrid_operator.resources import ObjectKey
from tasklet_runner.fabric.protocol import LeaseRequest


@dataclass(frozen=True)
class KnownPools:
    """The pools of a namespace by name, and which of them is the default one; empty for none, or for several.

    `most_members`: so many may one lease ask for.
    """

    specs: Mapping[str, InstancePoolSpec]
    default: str = ""
    most_members: int = 10_000


def request_of(key: ObjectKey, spec: LeaseSpec, pools: KnownPools) -> LeaseRequest:
    """The request, with the defaults of its preferred pool; `pools` of it are those that may serve it."""
    named = candidates(spec, pools)
    defaults = pools.specs[named[0]].claim_defaults if named and named[0] in pools.specs else ClaimDefaults()
    needs = spec.requirements or LeaseRequirements()
    most = spec.max_lifetime_seconds or defaults.max_lifetime_seconds
    return LeaseRequest(
        request_id=key.name,
        holder_key=spec.holder_key or "",
        namespace=key.namespace,
        count=spec.count,
        min_count=spec.least,
        elastic=spec.elastic,
        pools=named,
        resource=needs.resource.value,
        size=needs.size or 0,
        slots=max(1, -(-(needs.cpu or 0) // 1000)),
        memory=_tasklets_memory(needs),
        cpu_features=needs.cpu_features,
        ttl_seconds=min(spec.ttl_seconds or defaults.ttl_seconds, most),
        max_lifetime_seconds=most,
        holder_identity=spec.holder_identity,
        purpose=spec.purpose,
        parent=spec.parent_ref.name if spec.parent_ref else "",
        on_empty=spec.on_empty.value,
        queue_timeout_seconds=spec.queue_timeout_seconds,
        priority=spec.priority,
    )


def refusal_of(uid: str, spec: LeaseSpec, pools: KnownPools) -> Refusal | None:
    """Why a lease cannot be served however long it waits, as far as its pools are concerned; None when it might."""
    if spec.count > pools.most_members:
        return Refusal(
            uid,
            AdmissionReason.UNSATISFIABLE,
            f"spec.count is {spec.count}, and a lease may have {pools.most_members} members at most",
            "lower spec.count, or have the operator's --max-members-per-lease raised",
        )
    if spec.on_empty is OnEmpty.PROVISION or any(name in pools.specs for name in candidates(spec, pools)):
        return None
    return Refusal(uid, AdmissionReason.POOL_NOT_FOUND, *_nowhere(spec, pools))


def candidates(spec: LeaseSpec, pools: KnownPools) -> tuple[str, ...]:
    """The pools that a lease names; or, for requirements, every pool of that resource and size, smaller stores first;
    or the default one.
    """
    if spec.pool_refs:
        return tuple(dict.fromkeys(reference.name for reference in spec.pool_refs))
    if spec.requirements is None:
        return (pools.default,) if pools.default else ()
    fitting = [name for name, pool in pools.specs.items() if _offers(pool, spec.requirements)]
    return tuple(sorted(fitting, key=lambda name: (name != pools.default, store_quota(pools.specs[name]), name)))


def misfit_of(request: LeaseRequest, pools: KnownPools) -> tuple[str, str] | None:
    """What is wrong, and what to do, with the pools that a program names for a store; None when each will do, or is not
    seen yet. An object cannot say both.
    """
    if request.resource == ResourceKind.CPU:
        return None
    needs = LeaseRequirements(resource=ResourceKind(request.resource), size=request.size)
    wrong = [name for name in request.pools if name in pools.specs and not _offers(pools.specs[name], needs)]
    if not wrong:
        return None
    spec = pools.specs[wrong[0]]
    has = f"stores of {format_bytes(store_quota(spec))}" if spec.resource is needs.resource else "other members"
    return (
        f"a {request.resource} store of {format_bytes(request.size)} is asked for, and the pool {wrong[0]} has {has}",
        "name a pool that has such stores, or none",
    )


def _tasklets_memory(needs: LeaseRequirements) -> int:
    """What tasklets have of a member with that memory: people ask for the whole, and the rules know the tasklets'."""
    if needs.memory is None or needs.resource is not ResourceKind.CPU:
        return needs.memory or 0
    spec = InstancePoolSpec.model_construct(
        resource=needs.resource, resources=MemberResources.model_construct(memory=needs.memory)
    )
    return member_sizes(spec).tasklets


def _offers(pool: InstancePoolSpec, needs: LeaseRequirements) -> bool:
    return pool.resource is needs.resource and store_quota(pool) >= (needs.size or 0)


def _nowhere(spec: LeaseSpec, pools: KnownPools) -> tuple[str, str]:
    if spec.pool_refs:
        names = ", ".join(reference.name for reference in spec.pool_refs)
        return (f"no such pool: {names} ({_listed(list(pools.specs))})", "name one that exists in spec.poolRefs")
    if spec.requirements is None:
        return (
            "the lease names no pool, and the namespace has no default one",
            'name a pool in spec.poolRefs, or annotate one pool with leasegrid.dev/is-default-pool: "true"',
        )
    resource = spec.requirements.resource.value
    return (
        f"no pool of the namespace offers {resource} members of that size ({_listed(list(pools.specs))})",
        f"make an InstancePool with spec.resource: {resource}, or use onEmpty: Provision",
    )


def _listed(names: Sequence[str]) -> str:
    return f"it has {', '.join(sorted(names))}" if names else "it has no pool"
