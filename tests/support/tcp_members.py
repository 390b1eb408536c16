"""Members that are reached over TCP: strangers at them have addresses."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

from tasklet_runner.client.members import MemberClient
from tests.integration.control_plane import free_ports
from tests.support.members import MemberRig


@dataclass
class TcpRig(MemberRig):
    """A member that listens on a port of loopback, as in a pod: strangers have addresses."""

    port: int = 0

    @property
    def endpoint(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    @property
    def listen(self) -> str:
        return f"127.0.0.1:{self.port}"


@asynccontextmanager
async def tcp_member(root: Path, *arguments: str) -> AsyncIterator[tuple[TcpRig, MemberClient]]:
    """A started member, and the fabric's client."""
    rig = TcpRig(root, arguments, port=free_ports(1)[0])
    rig.start()
    client = MemberClient(rig.endpoint, timeout_seconds=30.0)
    try:
        yield rig, client
    finally:
        await client.close()
        rig.stop()
