"""What a pod's body says."""

from typing import Any

import pytest

from leasegrid.rules.reasons import WarmupFailure
from leasegrid_operator.pools.reading import fabric_key_of, node_is_lost, read_claim, read_pod
from leasegrid_operator.pools.troubles import LONGEST_WORDS, Trouble, trouble_of
from tests.unit.operator.pools.examples import BLOCK, OWNER, ended, seen_pod, template, waiting

READY = {"type": "Ready", "status": "True", "lastTransitionTime": "2026-01-01T00:00:05Z"}


def test_a_running_pod_is_read_as_facts() -> None:
    body = seen_pod({"phase": "Running", "podIP": "10.1.2.3", "conditions": [READY]})
    body["spec"]["nodeName"] = "node-1"
    facts = read_pod(body)

    assert facts is not None
    assert (facts.name, facts.uid, facts.namespace) == ("cpu-01234-7", "pod-uid", "team")
    assert (facts.pool, facts.owner_uid, facts.node, facts.address) == ("cpu", "0123456789", "node-1", "10.1.2.3")
    assert facts.template == template().hash
    assert (facts.created, facts.ready, facts.deleting) == (1767225600.0, 1767225605.0, None)
    assert (facts.running, facts.ended, facts.trouble) == (True, False, None)


def test_a_pod_without_our_mark_is_nobodys() -> None:
    body = seen_pod()
    del body["metadata"]["labels"]["app.kubernetes.io/managed-by"]

    assert read_pod(body) is None


def test_a_pod_with_our_label_and_no_controller_belongs_to_nobody() -> None:
    facts = read_pod(seen_pod(ownerReferences=[{"uid": "somebody", "kind": "Job"}]))

    assert facts is not None
    assert facts.owner_uid == ""


def test_a_pod_that_is_being_deleted_says_until_when() -> None:
    facts = read_pod(seen_pod(deletionTimestamp="2026-01-01T00:01:00Z"))

    assert facts is not None
    assert facts.deleting == 1767225660.0


@pytest.mark.parametrize(
    ("status", "trouble"),
    [
        pytest.param({}, None, id="a new pod has none"),
        pytest.param(waiting("ContainerCreating"), None, id="one that is being started has none"),
        pytest.param(ended(0, "Completed"), None, id="one that ended well has none"),
        pytest.param(
            waiting("ErrImagePull", "manifest unknown"),
            Trouble(WarmupFailure.IMAGE, "ErrImagePull: manifest unknown"),
            id="an image that is missing",
        ),
        pytest.param(waiting("ImagePullBackOff"), Trouble(WarmupFailure.IMAGE, "ImagePullBackOff"), id="still missing"),
        pytest.param(
            waiting("CreateContainerConfigError", "secret not found"),
            Trouble(WarmupFailure.CRASH, "CreateContainerConfigError: secret not found"),
            id="a container that cannot be made",
        ),
        pytest.param(
            {
                "phase": "Pending",
                "conditions": [
                    {"type": "Initialized", "status": "True"},
                    {"type": "PodScheduled", "status": "False", "reason": "Unschedulable", "message": "0/3 nodes"},
                ],
            },
            Trouble(WarmupFailure.UNSCHEDULABLE, "0/3 nodes"),
            id="no node has room",
        ),
        pytest.param(
            ended(4, "Error", "tasklet-runner: cannot listen\n at 127.0.0.1:8080\n"),
            Trouble(WarmupFailure.CRASH, "it ended with exit code 4: tasklet-runner: cannot listen at 127.0.0.1:8080"),
            id="a crash with its last words",
        ),
        pytest.param(
            ended(137, "OOMKilled"), Trouble(WarmupFailure.CRASH, "it ended with exit code 137 (OOMKilled)"), id="OOM"
        ),
        pytest.param(
            {"phase": "Failed", "reason": "Evicted", "message": "The node was low on memory."},
            Trouble(WarmupFailure.CRASH, "it was ended by its node (Evicted): The node was low on memory."),
            id="an eviction",
        ),
        pytest.param(
            {"phase": "Failed", "reason": "OutOfcpu", "message": "Node didn't have enough resource: cpu"},
            Trouble(WarmupFailure.UNSCHEDULABLE, "the node refused it: Node didn't have enough resource: cpu"),
            id="a node that refuses it",
        ),
        pytest.param(
            {"phase": "Failed"},
            Trouble(WarmupFailure.CRASH, "it ended with exit code unknown"),
            id="an end that nobody describes",
        ),
    ],
)
def test_trouble(status: dict[str, Any], trouble: Trouble | None) -> None:
    assert trouble_of(status) == trouble


def test_of_long_words_the_end_is_kept() -> None:
    trouble = trouble_of(ended(1, "Error", "x" * 9000 + " the very reason"))

    assert trouble is not None
    assert trouble.message.endswith("the very reason")
    assert len(trouble.message) < LONGEST_WORDS + 60


@pytest.mark.parametrize(
    ("status", "lost"),
    [("True", False), ("False", False), ("Unknown", True)],
    ids=["a ready node is not", "a node that says so itself is not", "a node that nobody hears of is"],
)
def test_a_lost_node(status: str, lost: bool) -> None:
    conditions = [{"type": "DiskPressure", "status": "Unknown"}, {"type": "Ready", "status": status}]
    assert node_is_lost({"status": {"conditions": conditions}}) is lost


def test_a_claim_says_whose_it_is_and_which_volume_it_has() -> None:
    body = template(OWNER, **BLOCK).claim(3)
    assert body is not None
    body["metadata"] |= {"uid": "claim-uid", "creationTimestamp": "2026-01-01T00:00:00Z"}
    new = read_claim(body)
    bound = read_claim({**body, "spec": {**body["spec"], "volumeName": "pv-1"}})

    assert new is not None
    assert (new.name, new.owner_kind, new.owner_uid, new.volume, new.deleting) == (
        "cpu-01234-3",
        "InstancePool",
        "0123456789",
        "",
        False,
    )
    assert bound is not None
    assert bound.volume == "pv-1"
    assert read_claim({"metadata": {"name": "foreign"}}) is None


@pytest.mark.parametrize(
    ("annotations", "endpoint"),
    [
        pytest.param({}, "http://[fd00::3]:8080", id="a member without TLS"),
        pytest.param({"leasegrid.dev/tls": "own-key"}, "https://[fd00::3]:8080#unproven", id="a member with a key"),
    ],
)
def test_a_pod_says_how_its_member_is_reached(annotations: dict[str, str], endpoint: str) -> None:
    facts = read_pod(seen_pod({"phase": "Running", "podIP": "fd00::3"}, annotations=annotations))

    assert facts is not None
    assert facts.endpoint(8080) == endpoint


def test_the_key_that_a_member_obeys_stands_in_its_pods_arguments() -> None:
    arguments = ["--name", "a", "--fabric-key", "-key", "--slots", "1"]
    assert fabric_key_of({"containers": [{"args": arguments}]}) == "-key"
    assert fabric_key_of({"containers": [{"args": ["--fabric-key"]}, {}]}) == ""
