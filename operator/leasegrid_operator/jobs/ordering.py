"""The order to the member of a coordinator's lease: run this job."""

from dataclasses import dataclass

import msgspec
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from leasegrid.rules.uploads import UPLOADED
from leasegrid_operator.jobs.reading import JobFacts
from leasegrid_operator.jobs.requests import JobKey
from tasklet_runner.client.members import MemberClient
from tasklet_runner.client.orders import order_digest, seal_order
from tasklet_runner.fabric.protocol import LeasedMember, LeaseView
from tasklet_runner.plan.types import Plan
from tasklet_runner.wire.jobs import (
    Coordinate,
    CoordinateRequest,
    CoordinatorOrder,
    CoordinatorReport,
    JobName,
    Supplies,
)
from tasklet_runner.wire.signed import sign


@dataclass(frozen=True)
class Brokers:
    """Where coordinators reach the operator's replicas: URLs, and the PEM of who signed their certificates."""

    addresses: tuple[str, ...]
    authority: str = ""


@dataclass(frozen=True)
class Commission:
    """A job as it is given to one coordinator, with what it names of its namespace."""

    facts: JobFacts
    plan: Plan
    key: JobKey
    term: int
    lease: LeaseView
    store: LeaseView
    supplies: Supplies


async def give_order(commission: Commission, installation: Ed25519PrivateKey, brokers: Brokers) -> None:
    """Have the leased member run it; again: nothing changes. Raises UnreachableError, RefusedError, ProtocolError."""
    member = commission.lease.members[0]
    async with MemberClient(member.endpoint) as client:
        asked = await client.coordinator()
        sealed = seal_order(_order(commission, brokers), asked.sealing_key)
        statement = Coordinate(
            lease_uid=commission.lease.uid,
            member=member.name,
            incarnation=member.incarnation,
            epoch=member.epoch,
            term=commission.term,
            digest=order_digest(sealed),
        )
        await client.coordinate(CoordinateRequest(sign(statement, installation), sealed))


async def ask_coordinator(member: LeasedMember) -> CoordinatorReport:
    """What a member says of a coordinator's process. Raises UnreachableError, RefusedError, ProtocolError."""
    async with MemberClient(member.endpoint) as client:
        return await client.coordinator()


def _order(commission: Commission, brokers: Brokers) -> CoordinatorOrder:
    facts = commission.facts
    return CoordinatorOrder(
        job=JobName(kind=facts.kind, namespace=facts.key.namespace, name=facts.key.name, uid=facts.uid),
        plan=msgspec.json.encode(commission.plan),
        term=commission.term,
        key=commission.key.seed,
        lease=commission.lease,
        store=commission.store,
        brokers=brokers.addresses,
        authority=brokers.authority,
        uploads=facts.annotations.get(UPLOADED, ""),
        supplies=commission.supplies,
    )
