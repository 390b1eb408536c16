"""`helm uninstall`, as docs/install.md has it: first while leases are held, then until nothing is left."""

import asyncio
import functools
import json

import pytest

from tasklet_runner.client.members import MemberClient
from tasklet_runner.wire.member import MemberState
from tests.e2e.conftest import kept_cluster
from tests.e2e.doors import StoreLease, forwarded
from tests.e2e.kind_rig import SYSTEM, Kind, Object
from tests.e2e.readme import Journey, everything, name_of
from tests.e2e.rooms import SMALL, Room
from tests.support.running import REPOSITORY

SHORT, LONG = 45, 900
HELLO = str(REPOSITORY / "examples" / "cluster" / "hello.py")
BLOCK = {"resource": "Block", "storage": {"size": "8Mi"}}


@pytest.fixture(scope="module", autouse=True)
def _own(request: pytest.FixtureRequest) -> None:
    """A cluster that is to be left is not emptied."""
    if kept_cluster(request.config):
        pytest.skip("this cluster is to be left as it is")


@pytest.mark.unhappy("uninstall while leases are held")
def test_leases_on_own_pools_go_on_until_their_deadlines_without_an_operator_and_pools_of_the_chart_go(
    cluster: Kind,
) -> None:
    default = Room(cluster, "default")
    pools = [{"name": "of-the-chart", "namespace": "default", "spec": {**SMALL, "targetSize": 1, "maxSize": 1}}]
    upgrade = ("upgrade", "leasegrid", "charts/leasegrid", "--namespace", SYSTEM, "--reuse-values", "--wait")
    cluster.run("helm", *upgrade, "--set-json", f"pools={json.dumps(pools)}")
    default.until_members("of-the-chart", ready=1)
    default.pool("block", 1, **BLOCK)
    default.until_members("block", ready=1)
    StoreLease(default, "stored").acquire("block")
    default.lease("charted", poolRefs=[{"name": "of-the-chart"}], ttlSeconds=LONG)
    (charted,) = default.until_bound("charted")
    default.leasegrid("claim", "owned", "--pool", "cpu", "--ttl", str(LONG))
    default.leasegrid("claim", "brief", "--pool", "cpu", "--ttl", str(SHORT))

    cluster.run("helm", "uninstall", "leasegrid", "--namespace", SYSTEM, "--wait")
    assert default.leasegrid("exec", "owned", HELLO) == "hello from a leased worker\n"
    default.until_gone("pods", charted)
    free = functools.partial(member_state, default, *default.held("brief"))
    cluster.wait(free, lambda state: state is MemberState.READY, "a member has ended its lease by itself")


def member_state(room: Room, member: str) -> MemberState:
    """What a member says of itself."""

    async def asked(url: str) -> MemberState:
        async with MemberClient(url) as client:
            return (await client.state()).state

    with forwarded(room.cluster, room.namespace, member) as url:
        return asyncio.run(asked(url))


def test_what_is_deleted_after_the_operator_is_collected_and_nothing_is_left_in_the_cluster(
    cluster: Kind, journey: Journey
) -> None:
    for kind in ("lglease", "lgpool"):
        cluster.kubectl("delete", kind, "--all", "--all-namespaces")
    kinds = ("instancepools", "leases", "jobs", "taskgraphs")
    cluster.kubectl("delete", "crd", *(f"{kind}.leasegrid.dev" for kind in kinds))
    cluster.kubectl("delete", "namespace", SYSTEM)
    cluster.wait(lambda: ours(everything(cluster)) - journey.before, lambda left: not left, "nothing of ours is left")


def ours(found: list[Object]) -> set[str]:
    """The names of those in which our name stands anywhere, and of all volumes and their claims."""
    volumes = ("PersistentVolume", "PersistentVolumeClaim")
    return {name_of(one) for one in found if "leasegrid" in json.dumps(one).lower() or one["kind"] in volumes}
