"""A broker in this process: real HTTP on loopback, a gate that is a table, and whatever fabric stands behind it."""

import asyncio
import time
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from leasegrid.leasing.signing import LeaseTerm, Signer, SteadyClock
from leasegrid_operator.broker.app import make_broker
from leasegrid_operator.broker.desk import Below
from leasegrid_operator.broker.limits import Limits
from leasegrid_operator.broker.serving import BrokerServer
from leasegrid_operator.cluster import Access, Reviewed
from leasegrid_operator.errors import ServerUnavailableError
from tasklet_runner.fabric.protocol import Fabric, LeasedMember, LeaseRequest, LeaseView, Receipt
from tasklet_runner.wire.errors import LeaseGridError, RefusedError
from tasklet_runner.wire.jobs import Instruction, JobReport, Order
from tasklet_runner.wire.member import Hint
from tasklet_runner.wire.statements import Capability, MemberGrant

TOKEN = "the-holders-token"  # noqa: S105 - a token of the table below
USER = "system:serviceaccount:default:holder"


@dataclass
class TableGate:
    """Judges by tables, and counts what it is asked; `away` as an API server that does not answer."""

    tokens: dict[str, str] = field(default_factory=lambda: {TOKEN: USER})
    denied: set[tuple[str, str]] = field(default_factory=set)
    away: bool = False
    asked: list[str] = field(default_factory=list)
    hold: asyncio.Event | None = None

    async def review_token(self, token: str, audiences: Sequence[str]) -> Reviewed:
        self.asked.append("token")
        if self.hold is not None:
            await self.hold.wait()
        self._answer_or_not()
        user = self.tokens.get(token) if tuple(audiences) == ("leasegrid",) else None
        return Reviewed(user is not None, user or "")

    async def review_access(self, access: Access) -> bool:
        self.asked.append(access.verb)
        self._answer_or_not()
        return (access.verb, access.namespace) not in self.denied

    def _answer_or_not(self) -> None:
        if self.away:
            raise ServerUnavailableError("the API server does not answer")


@dataclass
class FabricDesk:
    """A desk with one fabric for each namespace that it is given."""

    fabrics: dict[str, Fabric]
    fabric_key: Ed25519PrivateKey = field(default_factory=Ed25519PrivateKey.generate)
    is_leader: bool = True
    leader_address: str = ""
    hints: list[Hint] = field(default_factory=list)
    reports: list[JobReport] = field(default_factory=list)
    allowed: int | None = None
    released: list[Capability] = field(default_factory=list)

    def now(self) -> float:
        return time.time()

    def fabric(self, namespace: str) -> Fabric:
        return self.fabrics[namespace]

    async def release(self, namespace: str, capability: Capability, reason: str) -> Receipt:
        self.released.append(capability)
        names = tuple(grant.member for grant in capability.members)
        return Receipt(lease_uid=capability.lease_uid, reason=reason, members=names)

    def below(self, namespace: str, uid: str) -> Below:
        if self.allowed is None:
            raise RefusedError("Forbidden", "only the coordinator of a job acquires below its lease", remedy="a token")
        return Below(self.fabrics[namespace], self.allowed)

    def reported(self, namespace: str, uid: str, report: JobReport) -> Instruction:
        self.reports.append(report)
        return Instruction(order=Order.GO_ON)

    def hinted(self, hint: Hint) -> None:
        self.hints.append(hint)


class StubFabric:
    """Leases without members: answers at once, counts calls; `error` is raised by all, `gate` holds watches."""

    def __init__(self, key: Ed25519PrivateKey, members: int = 1) -> None:
        self.calls: list[tuple[str, ...]] = []
        self.error: LeaseGridError | None = None
        self.gate: asyncio.Event | None = None
        self.members = members
        self.holder_key = ""
        self.request: LeaseRequest | None = None
        self._signer = Signer(key, SteadyClock())

    async def acquire(self, request: LeaseRequest) -> LeaseView:
        self.holder_key, self.request = request.holder_key, request
        return self._answer("acquire", request.request_id)

    async def watch(self, uid: str, version: int) -> LeaseView:
        if self.gate is not None:
            await self.gate.wait()
        return self._answer("watch", uid, str(version))

    async def renew(self, uid: str) -> LeaseView:
        return self._answer("renew", uid)

    async def resize(self, uid: str, count: int, give_back: tuple[str, ...] = ()) -> LeaseView:
        return self._answer("resize", uid, str(count), *give_back)

    async def report_lost(self, uid: str, member: str, reason: str) -> LeaseView:
        return self._answer("lost", uid, member, reason)

    async def release(self, uid: str, reason: str = "Finished") -> Receipt:
        self._answer("release", uid, reason)
        return Receipt(lease_uid=uid, reason=reason, members=())

    def _answer(self, *call: str) -> LeaseView:
        self.calls.append(call)
        if self.error is not None:
            raise self.error
        names = [f"pool-abcde-{number}" for number in range(self.members)]
        grants = [MemberGrant(name, "0123456789abcdef0123456789abcdef", 7) for name in names]
        now = time.time()
        return LeaseView(
            uid="u1",
            name="stub",
            version=1,
            members=tuple(
                LeasedMember(name=grant.member, endpoint="http://10.0.0.1:8080", incarnation=grant.incarnation,
                             epoch=grant.epoch, slots=2, tasklet_memory=2**30, pool="pool")
                for grant in grants
            ),
            capabilities=self._signer.capabilities("u1", self.holder_key, grants, LeaseTerm(now + 60, 60, now + 600)),
            expires_in=60.0,
            ttl_seconds=60,
            wanted=self.members,
        )  # fmt: skip


@asynccontextmanager
async def served(
    desk: FabricDesk, gate: TableGate | None = None, limits: Limits | None = None
) -> AsyncIterator[BrokerServer]:
    """A broker on a port of its own."""
    bounds = limits or Limits()
    async with BrokerServer(make_broker(desk, gate or TableGate(), bounds), bounds, "127.0.0.1", 0) as server:
        yield server


def url_of(server: BrokerServer) -> str:
    """Where it listens."""
    return f"http://127.0.0.1:{server.port}"


def token_file(directory: Path, token: str = TOKEN) -> Path:
    """A file with a token, as kubelets project it."""
    path = directory / "token"
    path.write_text(f"{token}\n")
    return path
