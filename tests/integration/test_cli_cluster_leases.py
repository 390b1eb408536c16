"""`leasegrid claim`, `renew`, `release`, `terminate` and `leases` on a real API server."""

import json
import signal
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from leasegrid.cli.exits import ExitCode
from tests.integration.cli_cluster import (
    PATIENCE_SECONDS,
    Desk,
    bound_status,
    condition,
    desk,
    instant,
    mode,
    released_status,
)
from tests.integration.control_plane import ControlPlane
from tests.support.running import wait_until

MEMBER = {"name": "cpu-1a2b3-0", "endpoint": "http://10.1.2.3:8080", "node": "node-1", "epoch": 1}
EMPTY = "1 member is needed at once, pool 'cpu' has 0 ready (raise spec.targetSize of the pool to at least 1)"


@pytest.fixture
def user(cluster: ControlPlane, tmp_path: Path) -> Iterator[Desk]:
    with desk(cluster, tmp_path) as made:
        yield made


def test_a_claim_says_why_it_waits_then_whom_it_got_and_what_to_do_next(user: Desk) -> None:
    with user.start("claim", "work", "--pool", "cpu", "--count", "1", "--on-empty", "Queue", "--ttl", "90") as running:
        lease = user.appeared("work")
        user.say(
            "leases", "work", {"queuePosition": 2, "conditions": [condition("Bound", False, "BehindOthers", "2 of 2")]}
        )
        running.wait_for_text("waiting, number 2 in the queue: BehindOthers: 2 of 2")
        user.say("leases", "work", bound_status(MEMBER))
        ended = running.wait()

    assert ended.code == 0, ended
    assert "lease work: bound 1 member after" in ended.out
    assert "cpu-1a2b3-0  http://10.1.2.3:8080  node-1" in ended.out
    assert "expires in" in ended.out
    assert "leasegrid exec work FILE" in ended.out
    assert "leasegrid release work --context plane" in ended.out
    assert {"poolRefs": [{"name": "cpu"}], "ttlSeconds": 90, "onEmpty": "Queue"}.items() <= lease["spec"].items()
    assert len(lease["spec"]["holderKey"]) == 43
    assert mode(user.key("work")) == 0o600


@pytest.mark.unhappy("PoolEmptyError at once")
def test_a_refused_claim_ends_with_the_reason_and_the_remedy_and_leaves_no_key(user: Desk) -> None:
    with user.start("claim", "work", "--pool", "cpu", "--json") as running:
        user.appeared("work")
        conditions = [condition("Bound", False, "PoolEmpty", EMPTY), condition("Released", True, "PoolEmpty", EMPTY)]
        user.say("leases", "work", {"conditions": conditions})
        ended = running.wait()

    assert ended.code == ExitCode.NO_CAPACITY, ended
    assert f"the lease 'work' was refused: PoolEmpty: {EMPTY}" in ended.error
    found = json.loads(ended.out)["lease"]
    assert (found["state"], found["reason"], found["message"]) == ("Refused", "PoolEmpty", EMPTY)
    assert not user.key("work").exists()


def test_a_claim_that_is_not_waited_for_returns_with_the_lease_as_json(user: Desk) -> None:
    ended = user.run("claim", "--no-wait", "--json", "--cpu", "2", "--memory", "1Gi", "--purpose", "trial")

    found = json.loads(ended.out)["lease"]
    spec = user.get("leases", found["name"])["spec"]
    assert spec["requirements"]["cpu"] == "2"
    assert spec["requirements"]["memory"] == "1Gi"
    assert (found["state"], found["purpose"], found["resource"]) == ("Pending", "trial", "CPU")
    assert Path(found["holderKeyFile"]) == user.key(found["name"])


def test_the_same_claim_again_finds_its_lease_and_another_of_that_name_is_refused(user: Desk) -> None:
    first = user.run("claim", "work", "--pool", "cpu", "--no-wait", "--json")
    again = user.run("claim", "work", "--pool", "cpu", "--no-wait", "--json")
    other = user.run("claim", "work", "--pool", "cpu", "--count", "7", "--no-wait")

    assert json.loads(first.out)["lease"]["uid"] == json.loads(again.out)["lease"]["uid"]
    assert other.code == ExitCode.USAGE
    assert "there is a lease 'work'" in other.error
    assert "leasegrid terminate work" in other.error
    assert user.key("work").exists()


def test_all_faults_of_a_claim_are_said_before_anything_is_made(user: Desk) -> None:
    ended = user.run("claim", "work", "--count", "0", "--ttl", "0", "--pool", "cpu", "--cpu", "2")

    assert ended.code == ExitCode.USAGE
    for path in ("spec.count", "spec.ttlSeconds", "spec.requirements"):
        assert path in ended.error
    assert not user.key("work").exists()


@pytest.mark.unhappy("Ctrl-C while a claim waits")
def test_ctrl_c_withdraws_a_claim_that_waits(user: Desk) -> None:
    with user.start("claim", "work", "--pool", "cpu") as running:
        user.appeared("work")
        user.say("leases", "work", {"conditions": [condition("Bound", False, "HeadOfQueue", "0 of 1 are ready")]})
        running.wait_for_text("HeadOfQueue")
        running.send(signal.SIGINT)
        ended = running.wait()

    assert ended.code == ExitCode.INTERRUPTED, ended
    assert "lease work: withdrawn" in ended.error
    assert not user.get("leases", "work")
    assert not user.key("work").exists()


def test_a_lease_that_nobody_judges_is_said_to_wait_for_an_operator(user: Desk) -> None:
    with user.start("claim", "work", "--pool", "cpu") as running:
        running.wait_for_text("no operator has judged it yet")
        running.send(signal.SIGTERM)
        assert running.wait().code == ExitCode.TERMINATED


def test_a_renewal_changes_renew_time_and_says_until_when_the_lease_runs(user: Desk) -> None:
    user.make("Lease", "leases", "work", {"count": 1})
    user.say("leases", "work", bound_status(MEMBER))
    with user.start("renew", "work") as running:
        wait_until(lambda: "renewTime" in user.get("leases", "work")["spec"], PATIENCE_SECONDS, "the renewal")
        later = {"renewTime": instant(time.time() + 1), "expireTime": instant(time.time() + 300)}
        user.say("leases", "work", later)
        ended = running.wait()

    assert ended.code == 0, ended
    assert "lease work: renewed, expires in 4 min " in ended.out or "in 5 min" in ended.out


@pytest.mark.unhappy("renewal after expiry")
def test_a_lease_that_has_ended_is_not_renewed(user: Desk) -> None:
    user.make("Lease", "leases", "work", {"count": 1})
    user.say("leases", "work", bound_status(MEMBER) | released_status("Expired"))

    ended = user.run("renew", "work")

    assert ended.code == ExitCode.NO_CAPACITY
    assert "the lease 'work' has ended: Expired" in ended.error


def test_a_release_revokes_waits_and_prints_the_receipt(user: Desk) -> None:
    user.run("claim", "work", "--pool", "cpu", "--no-wait")
    user.say("leases", "work", bound_status(MEMBER))
    with user.start("release", "work", "--context", "plane", "--grace", "3") as running:
        wait_until(lambda: "revoke" in user.get("leases", "work")["spec"], PATIENCE_SECONDS, "the revocation")
        assert user.get("leases", "work")["spec"]["revoke"] == {"graceSeconds": 3}
        user.say("leases", "work", released_status())
        ended = running.wait()

    assert ended.code == 0, ended
    assert ended.out == "lease work: released 1 member in 12 ms, held for 5 s, 0 left behind\n"
    assert not user.key("work").exists()
    again = user.run("release", "work", "--context", "plane")
    assert again.out == ended.out
    anew = user.run("claim", "work", "--pool", "cpu")
    assert "there is a lease 'work' in namespace" in anew.error
    assert "it has ended, and its object is still there" in anew.error


def test_a_terminated_lease_is_gone_at_once(user: Desk) -> None:
    user.run("claim", "work", "--pool", "cpu", "--no-wait")

    ended = user.run("terminate", "work")

    assert "lease work: deleted; 0 members freed at once" in ended.out
    assert not user.get("leases", "work")
    assert not user.key("work").exists()


def test_leases_of_a_cluster_and_of_one_machine_have_the_same_keys_and_the_plugin_means_the_cluster(
    user: Desk,
) -> None:
    user.make("Lease", "leases", "work", {"count": 1, "holderIdentity": "ada", "poolRefs": [{"name": "store"}]})
    user.make("InstancePool", "instancepools", "store", {"resource": "Block", "storage": {"size": "1Gi"}})
    user.say("leases", "work", bound_status(MEMBER))

    table = user.as_plugin("leases").out
    (found,) = json.loads(user.run("leases", "--context", "plane", "--json").out)["leases"]
    local = json.loads(user.run("leases", "--json").out)

    assert table.splitlines()[0].split() == ["LEASE", "STATE", "MEMBERS", "HOLDER", "EXPIRES", "AGE", "WHY"]
    assert table.splitlines()[1].startswith("work   Bound  1 of 1   ada     in ")
    assert (found["resource"], found["members"], found["nodes"]) == (
        "Block",
        ["cpu-1a2b3-0"],
        {"cpu-1a2b3-0": "node-1"},
    )
    assert local["leases"] == []
    assert user.as_plugin("leases", "--local").out.startswith("nothing is held in ")
