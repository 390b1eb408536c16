"""A Lease of a file as a request to the fabric. Pure, but for the holder's key."""

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from leasegrid.api.common import DEFAULT_MAX_LIFETIME_SECONDS, DEFAULT_TTL_SECONDS, LeaseRequirements
from leasegrid.api.lease import Lease
from leasegrid.rules.run_planning import requirements_of
from tasklet_runner.fabric.protocol import LeaseRequest
from tasklet_runner.wire.signed import public_text


def lease_request(lease: Lease, holder: Ed25519PrivateKey) -> LeaseRequest:
    """The request; this command is the holder, whatever key the file names."""
    spec = lease.spec
    needs, asked = requirements_of(spec.requirements), spec.requirements or LeaseRequirements()
    least = spec.min_count if spec.min_count is not None else (1 if spec.elastic else spec.count)
    return LeaseRequest(
        request_id=lease.metadata.name,
        holder_key=public_text(holder),
        namespace=lease.metadata.namespace,
        count=spec.count,
        min_count=least,
        elastic=spec.elastic,
        pools=tuple(pool.name for pool in spec.pool_refs),
        resource=asked.resource.value,
        size=asked.size or 0,
        slots=needs.slots,
        memory=needs.memory,
        cpu_features=needs.cpu_features,
        ttl_seconds=spec.ttl_seconds or DEFAULT_TTL_SECONDS,
        max_lifetime_seconds=spec.max_lifetime_seconds or DEFAULT_MAX_LIFETIME_SECONDS,
        holder_identity=spec.holder_identity,
        purpose=spec.purpose,
        parent=spec.parent_ref.name if spec.parent_ref is not None else "",
        on_empty=spec.on_empty.value,
        queue_timeout_seconds=spec.queue_timeout_seconds,
        priority=spec.priority,
    )
