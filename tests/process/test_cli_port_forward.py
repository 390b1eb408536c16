"""The way to a member through the API server: a small server that speaks `pods/portforward`, and a real member."""

import asyncio
import struct
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path

import pytest
import yaml
from aiohttp import WSMsgType, web

from leasegrid.cli.cluster import Cluster, opened
from leasegrid.cli.cluster_options import Where
from leasegrid.cli.forwarding import forwarded
from tasklet_runner.client.work import WorkConnection
from tasklet_runner.wire.errors import UnreachableError
from tests.support import wat
from tests.support.members import Address, MemberRig, member, prepare, run

POD_PORT = 8080


class PortForwards:
    """`pods/portforward` as a kubelet serves it, to a unix socket. `asked`: the ports and subprotocols of requests."""

    def __init__(self, socket: Path) -> None:
        self.asked: list[tuple[str, str]] = []
        self.complaint = ""
        self._socket = socket

    async def serve(self, request: web.Request) -> web.StreamResponse:
        """One connection."""
        self.asked.append((request.query["ports"], request.headers["Sec-WebSocket-Protocol"]))
        if request.match_info["pod"] == "forbidden":
            return web.Response(status=403, text="pods/portforward is forbidden")
        socket = web.WebSocketResponse(protocols=("v4.channel.k8s.io",))
        await socket.prepare(request)
        for channel in (b"\x00", b"\x01"):
            await socket.send_bytes(channel + struct.pack("<H", POD_PORT))
        if self.complaint:
            await socket.send_bytes(b"\x01" + self.complaint.encode())
            await socket.close()
            return socket
        reader, writer = await asyncio.open_unix_connection(self._socket)
        back = asyncio.ensure_future(_back(reader, socket))
        async for message in socket:
            if message.type is WSMsgType.BINARY and message.data[0] == 0:
                writer.write(message.data[1:])
        writer.close()
        await back
        return socket


async def _back(reader: asyncio.StreamReader, socket: web.WebSocketResponse) -> None:
    while data := await reader.read(8192):
        await socket.send_bytes(b"\x00" + data)
    await socket.close()


@asynccontextmanager
async def api_server(root: Path, socket: Path) -> AsyncIterator[tuple[PortForwards, Cluster]]:
    """The server, and a cluster whose kubeconfig names it."""
    forwards = PortForwards(socket)
    app = web.Application()
    app.router.add_get("/api/v1/namespaces/lab/pods/{pod}/portforward", forwards.serve)
    runner = web.AppRunner(app, shutdown_timeout=1)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    host, port = runner.addresses[0][:2]
    config = {
        "current-context": "c",
        "users": [{"name": "u", "user": {}}],
        "clusters": [{"name": "c", "cluster": {"server": f"http://{host}:{port}"}}],
        "contexts": [{"name": "c", "context": {"cluster": "c", "user": "u", "namespace": "lab"}}],
    }
    path = root / "kubeconfig"
    path.write_text(yaml.safe_dump(config), encoding="utf-8")
    try:
        async with opened(Where(kubeconfig=str(path))) as cluster:
            yield forwards, cluster
    finally:
        await runner.cleanup()


def test_a_module_runs_on_a_member_behind_a_port_forward(tmp_path: Path) -> None:
    async def scenario() -> None:
        async with member(tmp_path) as (rig, client), api_server(tmp_path, tmp_path / "m.sock") as (server, cluster):
            state = await rig.claimed(client)
            capability = rig.signed(rig.capability(state))
            async with forwarded(lambda: cluster.port("m0", POD_PORT)) as forward:
                address = replace(rig.address(state), endpoint=forward.endpoint)
                connection = await WorkConnection.open(address, capability, rig.holder)
                # More than one piece of a forwarded connection, each way.
                await prepare(connection, wat.echo() + bytes([0, 3, 1, 0x61, 0]))
                results, _ = await run(connection, 3)
                await connection.close()
            assert [result.outcome.stdout for result in results] == [b"input 0\n", b"input 1\n", b"input 2\n"]
            assert server.asked == [(str(POD_PORT), "v4.channel.k8s.io")]
            assert not Path(forward.endpoint.removeprefix("unix://")).parent.exists()

    asyncio.run(scenario())


@pytest.mark.unhappy("a port-forward that is forbidden")
def test_a_port_forward_that_is_refused_says_why(tmp_path: Path) -> None:
    async def scenario() -> list[str]:
        async with (
            api_server(tmp_path, tmp_path / "m.sock") as (_, cluster),
            forwarded(lambda: cluster.port("forbidden", POD_PORT)) as forward,
        ):
            await _fails(forward.endpoint)
            return forward.trouble

    (said,) = asyncio.run(scenario())
    assert "you may not get pods/portforward in namespace 'lab'" in said


@pytest.mark.unhappy("a port-forward to a pod that is gone")
def test_what_the_kubelet_says_of_a_port_forward_is_repeated(tmp_path: Path) -> None:
    async def scenario() -> list[str]:
        async with (
            api_server(tmp_path, tmp_path / "m.sock") as (server, cluster),
            forwarded(lambda: cluster.port("m0", POD_PORT)) as forward,
        ):
            server.complaint = "no container runs in the pod"
            await _fails(forward.endpoint)
            return forward.trouble

    assert asyncio.run(scenario()) == ["no container runs in the pod"]


async def _fails(endpoint: str) -> None:
    with pytest.raises(UnreachableError):
        await WorkConnection.open(Address("m0", endpoint, "x"), "", MemberRig(Path()).holder)
