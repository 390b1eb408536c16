"""`leasegrid pools`, `top` and `drain` on a real API server."""

import json
import signal
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from leasegrid.cli.exits import ExitCode
from tests.integration.cli_cluster import PATIENCE_SECONDS, Desk, bound_status, condition, desk
from tests.integration.control_plane import ControlPlane
from tests.support.running import wait_until


@pytest.fixture
def user(cluster: ControlPlane, tmp_path: Path) -> Iterator[Desk]:
    with desk(cluster, tmp_path) as made:
        yield made


def pool_status(generation: int = 1, *, ready: int = 2, claimed: int = 1, capped: bool = False) -> dict[str, Any]:
    """What the operator says of a pool."""
    conditions = [
        {**condition("Ready", True, "MembersReady"), "observedGeneration": generation},
        {**condition("CappedByMax", capped, "MaxSize" if capped else "WithinMax"), "observedGeneration": generation},
    ]
    members = {"warming": 0, "ready": ready, "claimed": claimed, "resetting": 0, "fenced": 0}
    return {"replicas": ready + claimed, "effectiveTarget": 3, "members": members, "conditions": conditions}


def pool(user: Desk, name: str, capped: bool = False) -> str:
    """A pool with a status; the first characters of its uid, as they stand in its members' names."""
    made = user.make("InstancePool", "instancepools", name, {"targetSize": 3})
    user.say("instancepools", name, pool_status(capped=capped))
    return str(made["metadata"]["uid"][:5])


def test_pools_show_what_they_have_and_what_is_not_as_it_should_be(user: Desk) -> None:
    pool(user, "cpu")
    pool(user, "wide", capped=True)

    shown = user.run("pools", "--context", "plane").out.splitlines()
    found = json.loads(user.run("pools", "--json").out)["pools"]

    assert shown[0].split()[:6] == ["POOL", "RESOURCE", "MODE", "TARGET", "READY", "CLAIMED"]
    assert shown[1].split() == ["cpu", "CPU", "Active", "3", "2", "1", "0", "0", "0", "MembersReady"]
    assert shown[2].endswith("CappedByMax (MaxSize)")
    assert [one["members"]["ready"] for one in found] == [2, 2]


def test_top_shows_who_holds_which_member_of_which_pool(user: Desk) -> None:
    first = pool(user, "cpu")
    user.make("Lease", "leases", "work", {"count": 1, "holderIdentity": "ada", "purpose": "training"})
    member = {"name": f"cpu-{first}-7", "endpoint": "http://10.1.2.3:8080", "node": "node-1", "epoch": 4}
    user.say("leases", "work", bound_status(member))

    lines = user.run("top").out.splitlines()
    (held,) = json.loads(user.run("top", "--json").out)["members"]

    assert lines[0] == "cpu (CPU): 1 member held; 2 ready, 0 warming, 0 resetting, 0 fenced"
    assert lines[1].split() == ["POOL", "MEMBER", "LEASE", "HOLDER", "AGE", "EXPIRES", "NODE", "PURPOSE"]
    assert lines[2].startswith(f"cpu   cpu-{first}-7  work   ada ")
    assert lines[2].endswith("node-1  training")
    assert (held["pool"], held["lease"], held["holder"], held["node"]) == ("cpu", "work", "ada", "node-1")


def test_top_that_watches_shows_changes_until_ctrl_c(user: Desk) -> None:
    pool(user, "cpu")
    with user.start("top", "--watch") as running:
        running.wait_for_text("2 ready")
        user.say("instancepools", "cpu", pool_status(ready=1))
        running.wait_for_text("1 ready")
        running.send(signal.SIGINT)
        assert running.wait().code == ExitCode.INTERRUPTED


def test_a_drain_waits_until_only_claimed_members_are_left_and_can_be_undone(user: Desk) -> None:
    pool(user, "cpu")
    with user.start("drain", "cpu", "--wait") as running:
        wait_until(lambda: _mode(user) == "Draining", PATIENCE_SECONDS, "the mode")
        user.say("instancepools", "cpu", pool_status(generation=2, ready=2))
        running.wait_for_text("2 unclaimed members left")
        user.say("instancepools", "cpu", pool_status(generation=2, ready=0))
        ended = running.wait()
    undone = user.run("drain", "cpu", "--undo")

    assert ended.out == "pool cpu: drained but for 1 member under lease, until released\n"
    assert (undone.code, _mode(user)) == (0, "Active")


def _mode(user: Desk) -> object:
    return user.get("instancepools", "cpu")["spec"].get("operatingMode")


def test_a_pool_that_is_not_there_is_named_with_a_way_to_see_those_that_are(user: Desk) -> None:
    ended = user.run("drain", "no-such-pool")

    assert ended.code == ExitCode.USAGE
    assert "there is no instancepool 'no-such-pool' in namespace" in ended.error
    assert "kubectl get instancepools.leasegrid.dev" in ended.error
