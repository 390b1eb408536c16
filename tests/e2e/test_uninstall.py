"""`helm uninstall`, as docs/install.md has it: first while leases are held, then until nothing is left."""

import json

import pytest

from tests.e2e.doors import StoreLease
from tests.e2e.kind_rig import SYSTEM, Kind
from tests.e2e.rooms import SMALL, Room
from tests.support.running import REPOSITORY

TTL_SECONDS = 40
BLOCK = {"resource": "Block", "storage": {"size": "8Mi"}}
CHATTER = ("events", "events.events.k8s.io", "nodes", "componentstatuses")
"""Kinds that tell what was: a node lists its images, an event names what it was about."""


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
    default.leasegrid("claim", "owned", "--pool", "cpu", "--ttl", str(TTL_SECONDS))
    default.lease("charted", poolRefs=[{"name": "of-the-chart"}], ttlSeconds=900)
    (charted,) = default.until_bound("charted")

    default.leasegrid("renew", "owned")
    cluster.run("helm", "uninstall", "leasegrid", "--namespace", SYSTEM, "--wait")
    hello = REPOSITORY / "examples" / "cluster" / "hello.py"
    ran = ("exec", "owned", str(hello))
    assert default.leasegrid(*ran) == "hello from a leased worker\n"
    default.until_gone("pods", charted)
    assert default.condition("lglease", "charted", "Bound")["reason"] == "MembersLost"
    cluster.wait(
        lambda: cluster.refusal("leasegrid", *ran),
        lambda said: "LeaseExpired" in said,
        "the member has ended the lease by itself",
    )


def test_what_is_deleted_after_the_operator_is_collected_and_nothing_is_left_in_the_cluster(cluster: Kind) -> None:
    for kind in ("lglease", "lgpool"):
        cluster.kubectl("delete", kind, "--all", "--all-namespaces")
    kinds = ("instancepools", "leases", "jobs", "taskgraphs")
    cluster.kubectl("delete", "crd", *(f"{kind}.leasegrid.dev" for kind in kinds))
    cluster.kubectl("delete", "namespace", SYSTEM)
    cluster.wait(lambda: everything_of_ours(cluster), lambda left: not left, "nothing of ours is left")


def everything_of_ours(cluster: Kind) -> list[str]:
    """What the cluster has, of any kind, in which our name stands anywhere; volumes and claims of any kind, besides."""
    kinds = cluster.kubectl("api-resources", "--verbs=list", "--output=name").split()
    asked = ",".join(kind for kind in kinds if kind not in CHATTER)
    found = cluster.objects(asked, "--all-namespaces")
    volumes = ("PersistentVolume", "PersistentVolumeClaim")
    return [
        f"{one['kind']} {one['metadata'].get('namespace', '')}/{one['metadata']['name']}"
        for one in found
        if "leasegrid" in json.dumps(one).lower() or one["kind"] in volumes
    ]
