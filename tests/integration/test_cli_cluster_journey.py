"""What a user does, from a warm pool to nothing left, by the command line alone: a real operator, real members."""

import json
import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from leasegrid.cli.exits import ExitCode
from tests.integration.cli_cluster import Desk, desk
from tests.integration.control_plane import free_ports, running
from tests.support import wat
from tests.support.cluster.beside import kubelet_beside
from tests.support.cluster.operators import operator_beside
from tests.support.cluster.plane import install_kinds, until_pods_can_be_made
from tests.support.running import wait_until

WARM_SECONDS = 60.0
POOL = {"targetSize": 2, "maxSize": 2, "resources": {"cpu": "1", "memory": "1Gi"}}


@pytest.fixture
def user(tmp_path: Path) -> Iterator[Desk]:
    """A user of a cluster in which an operator runs, and which has a pool of two warm members."""
    assets = os.environ.get("KUBEBUILDER_ASSETS")
    if not assets:
        pytest.skip("KUBEBUILDER_ASSETS is not set")
    broker, health = free_ports(2)
    # A plane of its own: the operator and the kubelet would act on the objects of other tests.
    with running(Path(assets), controllers=True) as plane:
        install_kinds(plane)
        with desk(plane, tmp_path) as made:
            until_pods_can_be_made(plane, made.namespace)
            with kubelet_beside(plane.kubeconfig), operator_beside(plane.kubeconfig, tmp_path, (broker, health)):
                made.make("InstancePool", "instancepools", "cpu", POOL)
                wait_until(lambda: ready(made) == 2, WARM_SECONDS, "two warm members")
                yield made


def ready(user: Desk) -> int:
    status = user.get("instancepools", "cpu").get("status", {})
    return int(status.get("members", {}).get("ready", 0))


def test_from_a_warm_pool_to_nothing_left(user: Desk, tmp_path: Path) -> None:
    module = tmp_path / "echo.wasm"
    module.write_bytes(wat.echo())

    claimed = json.loads(user.run("claim", "work", "--pool", "cpu", "--count", "2", "--json").out)["lease"]
    assert (claimed["state"], len(claimed["members"])) == ("Bound", 2)
    held = json.loads(user.run("top", "--json").out)["members"]
    assert [(one["pool"], one["member"]) for one in held] == [("cpu", name) for name in sorted(claimed["members"])]

    assert user.feed(b"hello\n", "exec", "work", str(module)).stdout == b"hello\n"
    assert "renewed, expires in" in user.run("renew", "work").out

    refused = user.run("claim", "more", "--pool", "cpu")
    assert refused.code == ExitCode.NO_CAPACITY
    assert "refused: PoolEmpty: 1 member is needed at once, pool 'cpu' has 0 ready (raise" in refused.error

    with user.start("claim", "next", "--pool", "cpu", "--on-empty", "Queue") as waiting:
        waiting.wait_for_text("waiting, number 1 in the queue: HeadOfQueue")
        assert "lease work: released 2 members in" in user.run("release", "work", "--context", "plane").out
        assert "lease next: bound 1 member after" in waiting.wait().out
    assert "1 member freed at once" in user.run("terminate", "next").out

    ran = user.feed(b"again\n", "exec", "--claim", "--pool", "cpu", str(module))
    assert ran.stdout == b"again\n"
    assert b"released 1 member in" in ran.stderr

    assert user.run("drain", "cpu", "--wait").out == "pool cpu: drained; no member is left\n"
    late = user.run("claim", "late", "--pool", "cpu")
    assert "Draining" in late.error
    assert not list((user.place.state / "leasegrid").rglob("holders/*/*/*"))
