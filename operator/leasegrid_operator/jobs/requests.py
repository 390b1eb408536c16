"""The leases of a job, as requests; their names follow from the job, so that every operator finds them again."""

from dataclasses import dataclass

from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

from leasegrid.rules.starting import least_members
from leasegrid_operator.jobs.reading import JobFacts
from tasklet_runner.fabric.protocol import LeaseRequest
from tasklet_runner.plan.types import Plan
from tasklet_runner.wire.signed import public_text

STORE_SECONDS = 10 * 365 * 86400
"""A job's store has no deadline: it ends with the job's object, or when nobody needs it any more."""

COORDINATOR_TTL_SECONDS = 30

PROVISION_SECONDS = 600
"""A store that is not made in so long is asked for anew."""

QUEUE_SECONDS = 10 * 365 * 86400
"""A coordinator waits for as long as its job does: whoever asks anew stands at the end of the queue."""

_NAME = 40


@dataclass(frozen=True)
class JobKey:
    """The key of a job: the holder of all its leases, of every generation. `seed`: 32 bytes."""

    seed: bytes

    @classmethod
    def of(cls, installation: Ed25519PrivateKey, uid: str) -> "JobKey":
        """Derived (HKDF, RFC 5869), so that a successor of this operator has it too and nobody else."""
        derived = HKDF(hashes.SHA256(), 32, None, f"leasegrid job key 1 {uid}".encode())
        return cls(derived.derive(installation.private_bytes_raw()))

    @property
    def private(self) -> Ed25519PrivateKey:
        """For signing."""
        return Ed25519PrivateKey.from_private_bytes(self.seed)

    @property
    def public(self) -> str:
        """As it stands in leases."""
        return public_text(self.private)


def store_name(facts: JobFacts) -> str:
    """The name of the lease of the job's store."""
    return f"{_prefix(facts)}-store"


def coordinator_name(facts: JobFacts, term: int) -> str:
    """The name of the lease of the coordinator of that term."""
    return f"{_prefix(facts)}-c{term}"


def store_request(facts: JobFacts, plan: Plan, key: JobKey) -> LeaseRequest:
    """A member for the outputs: of a pool that has one ready, else made for this job alone."""
    kept = plan.output.store == "Block"
    return LeaseRequest(
        request_id=store_name(facts),
        holder_key=key.public,
        namespace=facts.key.namespace,
        resource="Block" if kept else "Memory",
        size=plan.output.size,
        ttl_seconds=STORE_SECONDS,
        max_lifetime_seconds=STORE_SECONDS,
        holder_identity=f"{facts.kind} {facts.key.name}",
        purpose="outputs",
        on_empty="Provision",
        queue_timeout_seconds=PROVISION_SECONDS,
    )


def coordinator_request(facts: JobFacts, plan: Plan, key: JobKey, term: int) -> LeaseRequest:
    """A member for the coordinator, of the pools of the job's first stage, and those without which the job does not
    start; its slots work too, and the lease grows by the job's workers.
    """
    lease, least = plan.stages[0].lease, least_members(plan)
    return LeaseRequest(
        request_id=coordinator_name(facts, term),
        holder_key=key.public,
        namespace=facts.key.namespace,
        pools=lease.pools,
        slots=lease.requirements.slots,
        memory=max(lease.requirements.memory, plan.stages[0].tasklet.limits.memory),
        cpu_features=lease.requirements.cpu_features,
        ttl_seconds=COORDINATOR_TTL_SECONDS,
        max_lifetime_seconds=STORE_SECONDS,
        count=least,
        min_count=least,
        elastic=True,
        holder_identity=f"{facts.kind} {facts.key.name}",
        purpose=f"coordinator, term {term}",
        on_empty="Queue",
        queue_timeout_seconds=QUEUE_SECONDS,
        priority=lease.priority,
    )


def _prefix(facts: JobFacts) -> str:
    return f"{facts.key.name[:_NAME].rstrip('-')}-{facts.uid[:8]}"
