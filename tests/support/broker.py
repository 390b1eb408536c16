"""A broker in this process: real HTTP on loopback, a gate that is a table, and whatever fabric stands behind it."""

import asyncio
import time
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from leasegrid_operator.broker.app import make_broker
from leasegrid_operator.broker.limits import Limits
from leasegrid_operator.broker.serving import BrokerServer
from leasegrid_operator.cluster import Access, Reviewed
from leasegrid_operator.errors import ServerUnavailableError
from tasklet_runner.fabric.protocol import Fabric
from tasklet_runner.wire.member import Hint

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

    def now(self) -> float:
        return time.time()

    def fabric(self, namespace: str) -> Fabric:
        return self.fabrics[namespace]

    def hinted(self, hint: Hint) -> None:
        self.hints.append(hint)


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
