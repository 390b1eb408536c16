"""Stand-ins on the real control plane: to their fabric and their holder they are members."""

import asyncio
import time
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import pytest
from aiohttp import web
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from tasklet_runner.client.members import MemberClient
from tasklet_runner.client.work import WorkConnection
from tasklet_runner.wire.errors import RefusedError, SignatureError
from tasklet_runner.wire.member import MemberState, StateReport
from tasklet_runner.wire.signed import public_text, sign
from tasklet_runner.wire.statements import Bind, Capability, Confirm, MemberGrant, Release, Retire
from tests.integration.control_plane import ControlPlane
from tests.support.cluster.beside import StandIns, stand_ins_beside
from tests.support.cluster.member_pods import command_pod, member_pod
from tests.support.cluster.plane import accepted, make_namespace, until
from tests.support.cluster.records import holders, violations

NAMESPACE = "stand-ins"
PODS = f"/api/v1/namespaces/{NAMESPACE}/pods"
FABRIC = Ed25519PrivateKey.generate()
HOLDER = Ed25519PrivateKey.generate()
PATIENCE_SECONDS = 30

Object = dict[str, Any]


@pytest.fixture(scope="module")
def stand_ins(controlled: ControlPlane, tmp_path_factory: pytest.TempPathFactory) -> Iterator[StandIns]:
    make_namespace(controlled, NAMESPACE)
    records = tmp_path_factory.mktemp("rig") / "records.jsonl"
    with stand_ins_beside(controlled.kubeconfig, records, namespace=NAMESPACE, nodes="node-s") as started:
        yield started


@dataclass(frozen=True)
class Member:
    """Where a test finds a member."""

    name: str
    endpoint: str
    incarnation: str = ""


def started(plane: ControlPlane, name: str, **options: str) -> Member:
    """A member's pod, and how to reach it."""
    accepted(plane.api.ask("POST", PODS, member_pod(name, public_text(FABRIC), **options)))
    until(lambda: ready(plane, name), f"{name} is ready")
    return Member(name, f"http://{status(plane, name)['podIP']}:8080")


def status(plane: ControlPlane, name: str) -> Object:
    found: Object = plane.api.ask("GET", f"{PODS}/{name}").body
    state: Object = found["status"]
    return state


def ready(plane: ControlPlane, name: str) -> bool:
    conditions = {one["type"]: one["status"] for one in status(plane, name).get("conditions", [])}
    return conditions.get("Ready") == "True"


def bind(state: StateReport, lease: str, seconds: float = 60) -> str:
    now = time.time()
    return sign(
        Bind(
            lease_uid=lease,
            holder_key=public_text(HOLDER),
            member=state.member,
            incarnation=state.incarnation,
            epoch=state.epoch + 1,
            issued_at=now,
            deadline=now + seconds,
        ),
        FABRIC,
    )


async def reaches(client: MemberClient, wanted: MemberState) -> StateReport:
    async with asyncio.timeout(PATIENCE_SECONDS):
        while True:
            state = await client.state()
            if state.state is wanted:
                return state
            await asyncio.sleep(0.01)


def test_a_stand_in_is_bound_confirmed_released_and_ready_again(controlled: ControlPlane, stand_ins: StandIns) -> None:
    member = started(controlled, "released")

    async def lease() -> None:
        async with MemberClient(member.endpoint) as client:
            state = await client.state()
            bound = await client.bind(bind(state, "lease-r"))
            words = {"lease_uid": "lease-r", "member": member.name, "incarnation": state.incarnation, "epoch": 1}
            await client.confirm(sign(Confirm(**words), FABRIC))  # type: ignore[arg-type]  # words of the fields' types
            assert (bound.epoch, (await client.state()).confirmed) == (1, True)
            with pytest.raises(RefusedError, match="bound to another lease"):
                await client.bind(bind(await client.state(), "lease-other"))
            await client.release(sign(Release(**words), FABRIC))  # type: ignore[arg-type]  # as above
            await reaches(client, MemberState.READY)

    asyncio.run(lease())
    events = [one.event for one in stand_ins.records() if one.member == member.name]
    assert events == ["started", "ready", "bound", "ended", "ready"]
    assert violations(stand_ins.records()) == []


def test_a_forged_bind_is_refused(controlled: ControlPlane, stand_ins: StandIns) -> None:
    member = started(controlled, "forged")

    async def forge() -> None:
        async with MemberClient(member.endpoint) as client:
            statement = bind(await client.state(), "lease-f")
            with pytest.raises((RefusedError, SignatureError), match="not signed"):
                await client.bind(statement[:-8] + "AAAAAAA" + statement[-1])

    asyncio.run(forge())


def test_a_lease_ends_at_its_deadline_and_the_record_says_how_late(
    controlled: ControlPlane, stand_ins: StandIns
) -> None:
    member = started(controlled, "expires")

    async def lease() -> None:
        async with MemberClient(member.endpoint) as client:
            await client.bind(bind(await client.state(), "lease-e", seconds=2))
            await reaches(client, MemberState.READY)

    asyncio.run(lease())
    mine = [one for one in stand_ins.records() if one.member == member.name]
    assert [one.event for one in mine] == ["started", "ready", "bound", "ended", "ready"]
    assert holders(mine[:3]) == {member.name: "lease-e"}
    ended = mine[3]
    assert (ended.lease, ended.reason) == ("lease-e", "LeaseExpired")
    assert ended.late >= 0


def test_a_holder_opens_its_connection_with_its_key(controlled: ControlPlane, stand_ins: StandIns) -> None:
    member = started(controlled, "holder")

    async def work() -> None:
        async with MemberClient(member.endpoint) as client:
            state = await client.state()
            await client.bind(bind(state, "lease-h"))
            now = time.time()
            capability = Capability(
                lease_uid="lease-h",
                holder_key=public_text(HOLDER),
                members=(MemberGrant(member.name, state.incarnation, 1),),
                issued_at=now,
                deadline=now + 60,
                expires_at=now + 60,
            )
            address = Member(member.name, member.endpoint, state.incarnation)
            connection = await WorkConnection.open(address, sign(capability, FABRIC), HOLDER)
            assert connection.hello.member == member.name
            await connection.close()
            assert (await client.state()).confirmed

    asyncio.run(work())


def test_hints_reach_the_fabric_and_a_retired_member_ends_its_pod(
    controlled: ControlPlane, stand_ins: StandIns
) -> None:
    last_word = asyncio.Event()

    async def hear(request: web.Request) -> web.Response:
        if (await request.json())["state"] == "terminated":
            last_word.set()
        return web.Response(status=204)

    async def retire() -> None:
        application = web.Application()
        application.router.add_post("/v1/hints", hear)
        runner = web.AppRunner(application)
        await runner.setup()
        site = web.TCPSite(runner, "127.0.0.1", 0)
        await site.start()
        port = runner.addresses[0][1]
        member = await asyncio.to_thread(started, controlled, "hints", notify=f"http://127.0.0.1:{port}/v1/hints")
        async with MemberClient(member.endpoint) as client:
            state = await client.state()
            statement = Retire(member=member.name, incarnation=state.incarnation, epoch=0)
            await client.retire(sign(statement, FABRIC))
            await asyncio.wait_for(last_word.wait(), PATIENCE_SECONDS)
        await runner.cleanup()

    asyncio.run(retire())
    until(lambda: status(controlled, "hints")["phase"] == "Succeeded", "the pod has ended")


def test_a_killed_stand_in_answers_nobody_and_its_pod_fails(controlled: ControlPlane, stand_ins: StandIns) -> None:
    member = started(controlled, "killed")

    stand_ins.say("kill", f"{NAMESPACE}/killed")

    until(lambda: status(controlled, "killed")["phase"] == "Failed", "its end is reported")
    with pytest.raises(ConnectionRefusedError):
        asyncio.run(asyncio.open_connection(member.endpoint.removeprefix("http://").partition(":")[0], 8080))


def test_images_and_deletes_work_as_with_processes(controlled: ControlPlane, stand_ins: StandIns) -> None:
    accepted(controlled.api.ask("POST", PODS, command_pod("crashing", "sleep", "60", image="crash:7")))
    started(controlled, "deleted")

    accepted(controlled.api.ask("DELETE", f"{PODS}/deleted"))

    until(lambda: controlled.api.ask("GET", f"{PODS}/deleted").status == 404, "the deleted one is gone")
    until(lambda: status(controlled, "crashing")["phase"] == "Failed", "the other one has crashed")
