"""A cluster of three nodes, shaken for minutes under claims, jobs and graphs, and what is left of it afterwards."""

import base64
import random
import re
import secrets
import time
from collections.abc import Iterator

import pytest

from tests.e2e.figures import Figures
from tests.e2e.kind_rig import SYSTEM, Kind
from tests.e2e.readme import everything, name_of
from tests.e2e.rooms import Room, room
from tests.e2e.soaking.judging import left_over, strangers, two_holders
from tests.e2e.soaking.streams import Streams, again_and_again
from tests.e2e.soaking.troubles import Shaker
from tests.soak.tally import Tally
from tests.support import wat
from tests.support.background import Background

SIZE = 6
CHUNK_MILLISECONDS = 300
REST_SECONDS = (2.0, 8.0)
MEMBER = re.compile(r"tasklet_runner member .*--name (\S+)")


@pytest.fixture
def shaken(cluster: Kind) -> Iterator[Room]:
    """A namespace with a pool on both workers, volumes, and a module that sleeps and copies."""
    with room(cluster, f"soak-{secrets.token_hex(3)}") as made:
        module = base64.b64encode(wat.slow_echo(CHUNK_MILLISECONDS)).decode()
        metadata = {"name": "echo", "namespace": made.namespace}
        cluster.apply({"apiVersion": "v1", "kind": "ConfigMap", "metadata": metadata, "binaryData": {"module": module}})
        made.pool("cpu", SIZE)
        made.pool("stores", 1, resource="Block", storage={"size": "8Mi"})
        made.until_members("cpu", ready=SIZE)
        made.until_members("stores", ready=1)
        yield made


@pytest.mark.unhappy("operators, members, nodes, the API server and the network between nodes fail at random")
def test_a_shaken_cluster_loses_nothing_does_nothing_twice_and_is_clean_afterwards(
    shaken: Room, figures: Figures, pytestconfig: pytest.Config
) -> None:
    seconds, seed = 60 * float(pytestconfig.getoption("--soak-minutes")), int(pytestconfig.getoption("--soak-seed"))
    before = names(shaken)
    shaker, streams = Shaker(shaken, random.Random(seed)), Streams(shaken, random.Random(seed + 1))
    with (
        Background(again_and_again(streams.claim), "claims"),
        Background(again_and_again(streams.job), "jobs"),
        Background(again_and_again(streams.graph), "graphs"),
        Background(again_and_again(streams.observe), "observer"),
    ):
        shake(shaker, seconds)
        whole(shaken)
    tally = Tally("a shaken cluster")
    for name, findings in streams.ended.items():
        tally.judge(name, findings, faults=0)
    tally.judge("all leases", two_holders(streams.seen), faults=sum(shaker.done.values()))
    shaken.until_empty()
    # A claim is gone before its volume: that takes the provisioner a pod of its own.
    shaken.cluster.wait(lambda: volumes(shaken), lambda left: not left, "no volume of the namespace is left")
    tally.judge("objects", left_over(before, names(shaken)), faults=0)
    tally.judge("processes", strangers(running(shaken), pods(shaken)), faults=0)
    for what, count in sorted(shaker.done.items()):
        figures.say(f"soak: {what}", str(count))
    for why in shaker.missed:
        figures.say("soak: a trouble that could not be made", why[:200])
    figures.say("soak: jobs that said that their store in memory was lost", str(len(streams.told)))
    figures.say(f"soak: seed {seed}, binds seen {len(streams.seen)}", str(tally))
    assert tally.clean, tally
    assert any(name.startswith("job") for name in streams.ended), "no job came to its end"
    assert any(name.startswith("graph") for name in streams.ended), "no graph came to its end"


def shake(shaker: Shaker, seconds: float) -> None:
    """One trouble after the other, with rests in between."""
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        shaker.shake()
        time.sleep(shaker.chance.uniform(*REST_SECONDS))


def whole(room: Room) -> None:
    """Wait until the cluster is what it was: its nodes, the operator, the pool."""
    ready = ("wait", "node", "--all", "--for=condition=Ready", "--timeout=10s")
    room.cluster.wait(lambda: room.kubectl(*ready), bool, "all nodes are ready")
    rollout = (f"--namespace={SYSTEM}", "rollout", "status", "deployment/leasegrid-operator", "--timeout=10s")
    room.cluster.wait(lambda: room.cluster.kubectl(*rollout), bool, "the operator is there")


def names(room: Room) -> set[str]:
    """Every object of the namespace, and every volume, by what it is known as."""
    own = [one for one in everything(room.cluster) if one["metadata"].get("namespace") == room.namespace]
    return set(map(name_of, own + room.cluster.objects("persistentvolumes")))


def volumes(room: Room) -> list[str]:
    """The names of the volumes that claims of the namespace have or had."""
    found = room.cluster.objects("persistentvolumes")
    return [
        one["metadata"]["name"] for one in found if one["spec"].get("claimRef", {}).get("namespace") == room.namespace
    ]


def running(room: Room) -> list[str]:
    """The names of all members whose processes run on the nodes."""
    found: set[str] = set()
    for node in room.cluster.workers:
        processes = room.cluster.run("docker", "exec", node, "ps", "-eo", "args")
        found.update(MEMBER.findall(processes))
    return sorted(found)


def pods(room: Room) -> list[str]:
    """The names of all pods."""
    return [one["metadata"]["name"] for one in room.cluster.objects("pods", "--all-namespaces")]
