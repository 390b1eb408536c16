"""Overload: a member, a store and a broker under thousands of connections, slow and half-open ones, and floods."""

import asyncio
import sys
from asyncio.subprocess import PIPE
from dataclasses import dataclass, replace
from pathlib import Path
from uuid import uuid4

import msgspec
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from tasklet_runner.client.stores import StoreClient
from tasklet_runner.doors.limits import own_limits
from tasklet_runner.fabric.broker import ClusterFabric
from tasklet_runner.fabric.calls import BrokerAccess
from tasklet_runner.wire.leases import LeaseRequest
from tasklet_runner.wire.signed import public_text
from tasklet_runner.wire.store import OBJECTS_PATH, SESSION_HEADER
from tests.soak.storms import LONGEST_SECONDS, MEBIBYTE, Figures, Scene, Stage, among, closed, fetched, told
from tests.soak.tally import Tally, wrong
from tests.support.broker import token_file
from tests.support.broker_child import FLOODED, POLITE, token_of
from tests.support.store_members import store_arguments
from tests.support.storm import Storm, most_connections
from tests.support.tcp_members import tcp_member

MEMBER_GROWTH = 200 * MEBIBYTE
STORE_GROWTH = 300 * MEBIBYTE
BROKER_GROWTH = 250 * MEBIBYTE
"""Of the server's process under everything at once: the budgets of its door are 64 MiB in and 64 MiB out, thousands of
connections cost some tens, and an allocator keeps what it had.
"""

UPGRADE = (
    "Upgrade: websocket",
    "Connection: Upgrade",
    "Sec-WebSocket-Version: 13",
    "Sec-WebSocket-Key: c3Rvcm0tc3Rvcm0tc3Rvcg==",
)
MANY = 40
"""Objects of 8 MiB that are put at once."""

HOLDER_KEY = public_text(Ed25519PrivateKey.generate())
FRAME = "\x82\xff\0\0\0\0\x00\x7f\xff\xff\0\0\0\0"
"""The head of a frame of 8 MiB."""


@dataclass(frozen=True)
class Effort:
    """`crowd`, `rest` and `few`: connections of the largest storm, of the other large ones, and of those in which each
    costs more. `slow`: of readers and writers at a store, who wait for memory until those before them were cut off.
    `calls`: polite ones. `half_open`: waits until a server gives up whoever says half a thing. `times`: so
    much longer than quiet ones may polite calls take under load, p99 by p99; 0: nothing is said of speed.
    """

    crowd: int
    rest: int
    few: int
    slow: int
    calls: int
    object_bytes: int
    half_open: bool
    times: float = 0.0


SHORT = Effort(crowd=10_000, rest=2_500, few=45, slow=45, calls=5, object_bytes=384 * MEBIBYTE, half_open=False)
LONG = Effort(
    crowd=10_000, rest=10_000, few=2_000, slow=200, calls=300, object_bytes=1024 * MEBIBYTE, half_open=True, times=10.0
)


def member(root: Path, effort: Effort, tally: Tally) -> Figures:
    """A member's door; the polite one is the fabric, which leases the member and gives it back."""
    return asyncio.run(_member(root, effort, tally))


async def _member(root: Path, effort: Effort, tally: Tally) -> Figures:
    async with tcp_member(root) as (rig, client):
        await rig.ready(client)
        assert rig.process is not None

        async def leased() -> None:
            state = await rig.claimed(client)
            await client.release(rig.signed(rig.capability(state)))

        stage = Stage(rig.process.pid, rig.port, leased, MEMBER_GROWTH)
        await stage.calm(effort.calls)
        for scene in member_scenes(rig.port, effort):
            await stage.play(scene, tally)
        tally.judge("the member", wrong([] if rig.process.poll() is None else ["it has ended"]), faults=0)
        return stage.figures


def too_many(storm: Storm) -> tuple[str, ...]:
    """What some of them are told, of one address, when they are more than its share of a door."""
    return ("429",) if storm.count > own_limits().connections // 2 else ()


def member_scenes(port: int, effort: Effort) -> list[Scene]:
    """What strangers do to any door of a member."""
    storm = Storm(port, effort.few)
    crowd = replace(storm, count=most_connections(effort.crowd))
    rest = replace(storm, count=most_connections(effort.rest))
    half_body = fetched("/v1/bind", "Content-Length: 9000", body="{", method="POST")
    scenes = [
        Scene(
            "asks for the state", replace(crowd, said=fetched("/v1/state")), told("200", *too_many(crowd)), effort.calls
        ),
        Scene("says nothing", replace(rest, answered=False), among("silent", "429"), effort.calls),
        Scene("asks for the metrics", replace(storm, said=fetched("/metrics")), told("200")),
        Scene(
            "sends a head without end",
            replace(storm, said="GET / HTTP/1.1\r\nX: ", padding=100_000),
            closed("431"),
            closes=True,
        ),
        Scene(
            "sends a large body",
            replace(storm, said=fetched("/v1/bind", "Content-Length: 1000000", method="POST"), padding=1_000_000),
            told("413"),
        ),
        Scene(
            "sends what is no HTTP", replace(storm, said="\x16\x03\x01 nonsense\r\n\r\n"), closed("400"), closes=True
        ),
        Scene("leaves in the midst of a body", replace(storm, said=half_body, answered=False), among("silent", "408")),
        Scene(
            "sends a large frame before any proof",
            replace(storm, count=effort.few // 3, said=fetched("/v1/work", *UPGRADE, body=FRAME), padding=2 * MEBIBYTE),
            closed("101"),
            closes=True,
        ),
    ]
    if effort.half_open:
        scenes += half_open_scenes(storm, half_body)
    return scenes


def half_open_scenes(storm: Storm, half_body: str) -> list[Scene]:
    """Who says half a thing is closed by the server in its own time."""
    silent = replace(storm, answered=False)
    return [
        Scene("says nothing until it is closed", silent, closed(), closes=True),
        Scene("says half a head until it is closed", replace(silent, said="GET /v1/st"), closed(), closes=True),
        Scene("says half a body until it is closed", replace(silent, said=half_body), closed("408"), closes=True),
        Scene(
            "upgrades and proves nothing",
            replace(silent, said=fetched("/v1/work", *UPGRADE)),
            closed("101"),
            closes=True,
        ),
    ]


def store(root: Path, effort: Effort, tally: Tally) -> Figures:
    """A store's door, and large objects; the polite one puts and gets small ones."""
    return asyncio.run(_store(root, effort, tally))


async def _store(root: Path, effort: Effort, tally: Tally) -> Figures:
    arguments = store_arguments(root, "Memory", quota=4 * effort.object_bytes)
    async with tcp_member(root, *arguments) as (rig, client):
        state = await rig.claimed(client, 900)
        assert rig.process is not None
        async with StoreClient(rig.endpoint, rig.signed(rig.capability(state, 900)), rig.holder) as held:
            numbers = iter(range(10**9))

            async def kept() -> None:
                key = f"polite/{next(numbers)}"
                await held.put(key, b"p" * 1000)
                assert await held.get(key) == b"p" * 1000

            stage = Stage(rig.process.pid, rig.port, kept, STORE_GROWTH)
            await stage.calm(effort.calls)
            await _large(root, stage, held, effort, tally)
            for scene in await store_scenes(rig.port, held, effort):
                await stage.play(scene, tally)
            tally.judge("the store", wrong([] if rig.process.poll() is None else ["it has ended"]), faults=0)
            return stage.figures


async def _large(root: Path, stage: Stage, held: StoreClient, effort: Effort, tally: Tally) -> None:
    """An object that no memory may hold goes in and comes out; then many at once that together would not fit."""
    source, found = root / "source", root / "found"
    with source.open("wb") as file:
        file.truncate(effort.object_bytes)
    await held.put("large", source)
    info = await held.get_file("large", found)
    size = found.stat().st_size
    found.unlink()
    faults = [] if size == info.size == effort.object_bytes else [f"{size} bytes came back"]
    tally.judge("one large object", stage.remembered() + wrong(faults))
    with source.open("r+b") as file:
        file.truncate(8 * MEBIBYTE)
    await asyncio.gather(*(held.put(f"many/{number}", source) for number in range(MANY)))
    source.unlink()
    tally.judge("many objects at once", stage.remembered(), faults=MANY)


async def store_scenes(port: int, held: StoreClient, effort: Effort) -> list[Scene]:
    """Strangers at the door, and the holder's own readers and writers who are slow."""
    token = await held.calls.session.token(held.calls.connected())
    shown = f"{SESSION_HEADER}: {token}"
    storm = Storm(port, effort.few)
    rest = replace(storm, count=most_connections(effort.rest))
    put = fetched(f"{OBJECTS_PATH}half", shown, f"Content-Length: {64 * MEBIBYTE}", method="PUT")
    return [
        Scene(
            "strangers ask for an object",
            replace(rest, said=fetched(f"{OBJECTS_PATH}large")),
            told("401", *too_many(rest)),
            effort.calls,
        ),
        Scene(
            "strangers put",
            replace(storm, said=put.replace(token, "stolen"), padding=100_000),
            told("401"),
            effort.calls,
        ),
        Scene(
            "readers read a byte a second",
            replace(
                storm,
                count=effort.slow,
                said=fetched(f"{OBJECTS_PATH}large", shown),
                sips=True,
                answered=False,
            ),
            closed("200"),
            effort.calls,
            closes=True,
        ),
        Scene(
            "writers stop",
            replace(storm, count=effort.slow // 3, said=put, padding=300_000, answered=False),
            closed("408"),
            effort.calls,
            closes=True,
        ),
    ]


def broker(root: Path, effort: Effort, tally: Tally) -> Figures:
    """The broker's door; the polite one claims and releases in a namespace of its own."""
    return asyncio.run(_broker(root, effort, tally))


async def _broker(root: Path, effort: Effort, tally: Tally) -> Figures:
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "tests.support.broker_child"), stdin=PIPE, stdout=PIPE
    )
    assert process.stdin is not None
    assert process.stdout is not None
    try:
        async with asyncio.timeout(LONGEST_SECONDS):
            port = int(await process.stdout.readline())
        access = BrokerAccess(
            (f"http://127.0.0.1:{port}",), token_file(root, token_of(POLITE)), Ed25519PrivateKey.generate(), POLITE
        )
        async with ClusterFabric(access) as fabric:
            stage = Stage(process.pid, port, lambda: _claimed(fabric), BROKER_GROWTH)
            await stage.calm(effort.calls)
            for scene in broker_scenes(port, effort):
                await stage.play(scene, tally)
        tally.judge("the broker", wrong([] if process.returncode is None else ["it has ended"]), faults=0)
        return stage.figures
    finally:
        process.stdin.close()
        async with asyncio.timeout(LONGEST_SECONDS):
            await process.wait()


async def _claimed(fabric: ClusterFabric) -> None:
    view = await fabric.acquire(LeaseRequest(request_id=uuid4().hex, holder_key=HOLDER_KEY, namespace=POLITE))
    await fabric.release(view.uid)


def broker_scenes(port: int, effort: Effort) -> list[Scene]:
    """Crowds and floods of another namespace, and slow and half-open peers."""
    storm = Storm(port, effort.few)
    crowd = replace(storm, count=most_connections(effort.crowd))
    rest = replace(storm, count=most_connections(effort.rest))
    leases = f"/v1/namespaces/{FLOODED}/leases"
    token = f"X-Leasegrid-Token: {token_of('{n}')}"
    body = msgspec.json.encode({"requestId": "a", "holderKey": HOLDER_KEY}).decode()
    claim = fetched(leases, token, f"Content-Length: {len(body)}", body=body, method="POST")
    scenes = [
        Scene("a crowd claims", replace(crowd, said=claim), told("200", *too_many(crowd)), effort.calls),
        Scene(
            "a crowd waits for its leases",
            replace(rest, answered=False, said=fetched(f"{leases}/u1?version=1", token)),
            told("silent", "429"),
            effort.calls,
        ),
        Scene("a flood of claims", replace(storm, said=claim, repeats=True), told("200"), effort.calls),
        Scene(
            "a flood of strangers",
            replace(storm, said=claim.replace("holder-", "nobody-"), repeats=True),
            told("401"),
            effort.calls,
        ),
        Scene(
            "sends a head without end",
            replace(storm, said="GET / HTTP/1.1\r\nX: ", padding=100_000),
            closed("431"),
            closes=True,
        ),
        Scene(
            "sends a large body",
            replace(storm, said=fetched(leases, token, "Content-Length: 1000000", method="POST"), padding=1_000_000),
            told("413"),
        ),
    ]
    if effort.half_open:
        half = fetched(leases, token, "Content-Length: 900", body="{", method="POST")
        silent = replace(storm, answered=False)
        scenes += [
            Scene("says nothing until it is closed", silent, closed(), closes=True),
            Scene("says half a head until it is closed", replace(silent, said="GET /v1/st"), closed(), closes=True),
            Scene("says half a body until it is closed", replace(silent, said=half), closed("400"), closes=True),
        ]
    return scenes


SERVERS = {"a member": member, "a store": store, "the broker": broker}


def campaign(root: Path, effort: Effort, server: str, tally: Tally) -> None:
    """One of the `SERVERS`; its figures are printed."""
    figures = SERVERS[server](root, effort, tally)
    sys.stdout.write(f"{server}: {figures}\n")
    sys.stdout.flush()
    if effort.times:
        tally.judge(f"polite calls to {server}", figures.too_slow(effort.times), faults=0)
