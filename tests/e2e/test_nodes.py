"""Nodes and the API server go and come back under leases; who holds elsewhere notices nothing."""

import secrets
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.e2e.kind_rig import SYSTEM, Kind, Object
from tests.e2e.rooms import Room, room

LONG, SHORT = 900, 30
CHUNKS, FIRST = 90, 6
SLOW = "import time; time.sleep(1); print(input())"
HOST = "kubernetes.io/hostname"
DRAIN = ("--ignore-daemonsets", "--delete-emptydir-data", "--force", "--timeout=180s")
OPERATOR = (f"--namespace={SYSTEM}",)


@pytest.fixture(scope="module")
def nodes(cluster: Kind) -> Iterator[Room]:
    """A namespace with a pool on each worker, of the worker's name."""
    with room(cluster, f"nodes-{secrets.token_hex(3)}") as made:
        for node in cluster.workers:
            made.pool(node, 2, template={"nodeSelector": {HOST: node}})
        for node in cluster.workers:
            made.until_members(node, ready=2)
        yield made


@pytest.fixture(autouse=True)
def _whole(nodes: Room) -> Iterator[None]:
    yield
    nodes.kubectl("delete", "lglease", "--all", "--wait=false")
    nodes.kubectl("uncordon", *nodes.cluster.workers)
    nodes.kubectl("wait", "node", "--all", "--for=condition=Ready", "--timeout=180s")
    spread(nodes.cluster)
    for node in nodes.cluster.workers:
        nodes.until_members(node, ready=2)


def spread(cluster: Kind) -> None:
    """Let the replicas of the operator stand on different nodes again: a drain has put them together."""
    while True:
        cluster.kubectl(*OPERATOR, "rollout", "status", "deployment/leasegrid-operator", "--timeout=180s")
        leader = cluster.leader
        found = cluster.objects("pods", *OPERATOR, "--selector=app.kubernetes.io/component=operator")
        running = {one["metadata"]["name"]: one["spec"]["nodeName"] for one in found if not going(one)}
        if len(set(running.values())) > 1:
            return
        cluster.kubectl(*OPERATOR, "delete", "pod", *(name for name in running if name != leader))


def going(pod: Object) -> bool:
    """Whether it has ended, or is told to."""
    return "deletionTimestamp" in pod["metadata"] or pod["status"]["phase"] in ("Failed", "Succeeded")


def held_on(nodes: Room, node: str, name: str, seconds: int) -> dict[str, int]:
    """A lease of a member on that node, bound; the member with its epoch."""
    nodes.lease(name, poolRefs=[{"name": node}], ttlSeconds=seconds)
    return nodes.until_bound(name)


def node_of(cluster: Kind, pod: str) -> str:
    """The node that a pod of the operator stands on."""
    found: Object = cluster.objects("pods", f"--namespace={SYSTEM}", f"--field-selector=metadata.name={pod}")[0]
    return str(found["spec"]["nodeName"])


@contextmanager
def stopped_dead(cluster: Kind, node: str) -> Iterator[None]:
    """For the time of the block nothing runs on the node, and nobody is told."""
    cluster.run("docker", "pause", node)
    try:
        yield
    finally:
        cluster.run("docker", "unpause", node)


@contextmanager
def steady_job(nodes: Room, doomed: str, safe: str) -> Iterator[None]:
    """A job at work on one node, for a minute or so; its store is on the other, to which it may go, too."""
    nodes.pool("stores", 1, resource="Block", storage={"size": "128Mi"}, template={"nodeSelector": {HOST: safe}})
    nodes.until_members("stores", ready=1)
    nodes.apply(
        "Job",
        "steady",
        {
            "tasklet": {"python": {"source": {"inline": SLOW}}},
            "input": {"items": [{"value": f"{number}"} for number in range(CHUNKS)]},
            "parallelism": 2,
            "lease": {"poolRefs": [{"name": doomed}, {"name": safe}]},
            "output": {"size": "64Mi"},
        },
    )
    nodes.cluster.wait(lambda: succeeded(nodes), lambda done: done >= FIRST, "the job is at work")
    try:
        yield
    finally:
        nodes.kubectl("delete", "lgjob/steady", "lgpool/stores", "--wait=false")
        nodes.until_gone("lgpool", "stores")


def succeeded(nodes: Room) -> int:
    """Chunks of the job that are done."""
    return int(nodes.status("lgjob", "steady").get("chunks", {}).get("succeeded", 0))


def check_whole(nodes: Room, directory: Path) -> None:
    """The job ends, and every chunk has its own output, once."""
    nodes.until_said("lgjob", "steady", "Complete")
    assert succeeded(nodes) == CHUNKS
    nodes.leasegrid("results", "steady", str(directory))
    found = {path.parent.name: path.read_text(encoding="ascii") for path in directory.glob("*/stdout")}
    assert found == {f"{number}": f"{number}\n" for number in range(CHUNKS)}


@pytest.mark.unhappy("a node is drained while a job runs on it")
def test_a_job_goes_on_elsewhere_when_its_coordinators_node_is_drained(nodes: Room, tmp_path: Path) -> None:
    doomed, safe = nodes.cluster.workers
    with steady_job(nodes, doomed, safe):
        nodes.kubectl("drain", doomed, *DRAIN)
        assert succeeded(nodes) < CHUNKS, "it is not over yet"
        check_whole(nodes, tmp_path)
        nodes.kubectl("uncordon", doomed)


@pytest.mark.unhappy("a node is stopped dead while a job runs on it")
def test_a_job_goes_on_elsewhere_when_its_coordinators_node_is_stopped_dead(nodes: Room, tmp_path: Path) -> None:
    safe = node_of(nodes.cluster, nodes.cluster.leader)
    (doomed,) = [node for node in nodes.cluster.workers if node != safe]
    with steady_job(nodes, doomed, safe):
        with stopped_dead(nodes.cluster, doomed):
            assert succeeded(nodes) < CHUNKS, "it is not over yet"
            check_whole(nodes, tmp_path)
        assert nodes.status("lgjob", "steady")["coordinatorGeneration"] > 1


@pytest.mark.unhappy("a node is drained under leases")
def test_an_elastic_lease_goes_on_elsewhere_when_a_node_is_drained(nodes: Room) -> None:
    first, second = nodes.cluster.workers
    pools = [{"name": first}, {"name": second}]
    nodes.lease("elastic", poolRefs=pools, count=1, elastic=True, ttlSeconds=LONG)
    (member,) = nodes.until_bound("elastic")
    stays = held_on(nodes, second, "stays", LONG)
    nodes.kubectl("drain", first, *DRAIN)
    nodes.cluster.wait(
        lambda: nodes.held("elastic"), lambda held: held and member not in held, "the lease has another member"
    )
    assert nodes.held("stays") == stays
    nodes.kubectl("uncordon", first)


@pytest.mark.unhappy("a node is stopped dead under leases")
def test_a_lease_on_a_dead_node_ends_unverified_while_the_other_node_serves_and_is_completed_later(
    nodes: Room,
) -> None:
    alive = node_of(nodes.cluster, nodes.cluster.leader)
    (dead,) = [node for node in nodes.cluster.workers if node != alive]
    (lost,) = held_on(nodes, dead, "lost", SHORT)
    with stopped_dead(nodes.cluster, dead):
        nodes.until_said("lglease", "lost", "Released", "Unverified")
        assert nodes.status("lglease", "lost")["receipt"]["unverified"] == [lost]
        assert held_on(nodes, alive, "served", LONG)
    nodes.until_said("lglease", "lost", "Released", "Expired")
    assert nodes.released("lost")["unverified"] == []


@pytest.mark.unhappy("the operator's node is gone: another takes over")
def test_when_the_leaders_node_stops_dead_another_replica_takes_over_and_leases_live(nodes: Room) -> None:
    before = nodes.cluster.leader
    dead = node_of(nodes.cluster, before)
    (alive,) = [node for node in nodes.cluster.workers if node != dead]
    held = held_on(nodes, alive, "held", LONG)
    with stopped_dead(nodes.cluster, dead):
        nodes.cluster.wait(lambda: nodes.cluster.leader, lambda now: now not in ("", before), "another leads")
        assert held_on(nodes, alive, "next", LONG)
        assert nodes.held("held") == held


@pytest.mark.unhappy("the API server is restarted under leases")
def test_when_the_api_server_is_restarted_leases_live_and_claims_go_on_by_themselves(nodes: Room) -> None:
    node = nodes.cluster.workers[0]
    held = held_on(nodes, node, "held", LONG)
    plane = f"{nodes.cluster.name}-control-plane"
    nodes.cluster.run("docker", "exec", plane, "pkill", "--exact", "kube-apiserver")
    nodes.cluster.wait(lambda: held_on(nodes, node, "next", LONG), bool, "a lease is bound by the restarted server")
    assert nodes.held("held") == held
