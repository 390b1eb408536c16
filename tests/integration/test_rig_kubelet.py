"""The rig's kubelet on the real control plane: what tests of the operator may take for granted."""

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psutil
import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from tasklet_runner.wire.signed import public_text
from tests.integration.control_plane import ControlPlane
from tests.support.cluster.beside import KubeletBeside, kubelet_beside
from tests.support.cluster.kubelet import KubeletSettings
from tests.support.cluster.member_pods import command_pod, member_pod
from tests.support.cluster.plane import accepted, until

PODS = "/api/v1/namespaces/default/pods"

Object = dict[str, Any]


@pytest.fixture(scope="module")
def beside(controlled: ControlPlane) -> Iterator[KubeletBeside]:
    """A kubelet with two nodes of four cores."""
    settings = KubeletSettings(nodes=("node-a", "node-b"), cpu="4")
    with kubelet_beside(controlled.kubeconfig, settings=settings) as kubelet:
        yield kubelet


def make(plane: ControlPlane, pod: Object) -> str:
    """Makes the pod; its name."""
    accepted(plane.api.ask("POST", PODS, pod))
    return str(pod["metadata"]["name"])


def status(plane: ControlPlane, name: str) -> Object:
    found: Object = accepted(plane.api.ask("GET", f"{PODS}/{name}"))
    state: Object = found["status"]
    return state


def is_ready(plane: ControlPlane, name: str) -> bool:
    return condition(status(plane, name), "Ready").get("status") == "True"


def condition(state: Object, kind: str) -> Object:
    return next((one for one in state.get("conditions", []) if one["type"] == kind), {})


def waiting_reason(plane: ControlPlane, name: str) -> str:
    statuses = status(plane, name).get("containerStatuses", [{}])
    return str(statuses[0].get("state", {}).get("waiting", {}).get("reason", ""))


def exit_code(plane: ControlPlane, name: str) -> int:
    code: int = status(plane, name)["containerStatuses"][0]["state"]["terminated"]["exitCode"]
    return code


def is_gone(plane: ControlPlane, name: str) -> bool:
    return plane.api.ask("GET", f"{PODS}/{name}").status == 404


def test_a_member_runs_at_its_own_address_until_its_pod_is_deleted(
    controlled: ControlPlane, beside: KubeletBeside
) -> None:
    name = make(controlled, member_pod("member", public_text(Ed25519PrivateKey.generate())))
    until(lambda: is_ready(controlled, name), "the member is ready")
    pid = beside.do(lambda kubelet: kubelet.pid(name))
    state = status(controlled, name)

    (listening,) = {one.laddr for one in psutil.Process(pid).net_connections("tcp") if one.status == "LISTEN"}
    assert listening == (state["podIP"], 8080)
    assert state["podIP"].startswith("127.")

    accepted(controlled.api.ask("DELETE", f"{PODS}/{name}"))
    until(lambda: is_gone(controlled, name), "the pod is gone")
    assert not psutil.pid_exists(pid)


@pytest.mark.parametrize(
    ("command", "phase", "code"),
    [
        pytest.param(("true",), "Succeeded", 0, id="that ends well has succeeded"),
        pytest.param(("python", "-c", "raise SystemExit(3)"), "Failed", 3, id="that ends badly has failed"),
        pytest.param(("/no/such/program",), "Failed", 127, id="that is not there has failed"),
    ],
)
def test_a_command(
    controlled: ControlPlane, beside: KubeletBeside, command: tuple[str, ...], phase: str, code: int
) -> None:
    name = make(controlled, command_pod(f"ends-{code}", *command))

    until(lambda: status(controlled, name).get("phase") == phase, f"{name} is {phase}")
    assert exit_code(controlled, name) == code


def test_the_image_decides_how_a_pod_fails(controlled: ControlPlane, beside: KubeletBeside) -> None:
    missing = make(controlled, command_pod("missing", "sleep", "60", image="missing:1"))
    crashing = make(controlled, command_pod("crashing", "sleep", "60", image="crash:7"))

    until(lambda: waiting_reason(controlled, missing) == "ImagePullBackOff", "the missing image is said")
    until(lambda: status(controlled, crashing)["phase"] == "Failed", "the other has crashed")
    assert exit_code(controlled, crashing) == 7


def test_a_pod_that_fits_no_node_says_so_and_starts_when_there_is_room(
    controlled: ControlPlane, beside: KubeletBeside
) -> None:
    first, second, third = (make(controlled, command_pod(f"large-{n}", "sleep", "60", cpu="3")) for n in range(3))
    until(lambda: is_ready(controlled, first) and is_ready(controlled, second), "two of three run")

    until(lambda: condition(status(controlled, third), "PodScheduled"), "the third is judged")
    scheduled = condition(status(controlled, third), "PodScheduled")
    assert (scheduled["status"], scheduled["reason"]) == ("False", "Unschedulable")
    assert "2 Insufficient cpu" in scheduled["message"]

    controlled.api.ask("DELETE", f"{PODS}/{first}", {"gracePeriodSeconds": 0})
    until(lambda: is_ready(controlled, third), "the third runs in the first one's place")
    for name in (second, third):
        controlled.api.ask("DELETE", f"{PODS}/{name}", {"gracePeriodSeconds": 0})


def test_a_killed_process_is_reported_with_all_it_forked(controlled: ControlPlane, beside: KubeletBeside) -> None:
    name = make(controlled, command_pod("forks", "sh", "-c", "sleep 60 & echo $!; wait"))
    until(lambda: beside.do(lambda kubelet: kubelet.log(name)).strip(), "it has forked")
    forked = int(beside.do(lambda kubelet: kubelet.log(name)))

    beside.do(lambda kubelet: kubelet.kill(name))

    until(lambda: status(controlled, name)["phase"] == "Failed", "its end is reported")
    assert exit_code(controlled, name) == 137
    until(lambda: not psutil.pid_exists(forked), "what it forked is gone too")


def test_who_does_not_heed_sigterm_is_killed_after_the_grace(controlled: ControlPlane, beside: KubeletBeside) -> None:
    code = (
        "import signal, time; signal.signal(signal.SIGTERM, signal.SIG_IGN); print('deaf', flush=True); time.sleep(60)"
    )
    name = make(controlled, command_pod("deaf", "python", "-c", code))
    until(lambda: "deaf" in beside.do(lambda kubelet: kubelet.log(name)), "it is deaf")
    pid = beside.do(lambda kubelet: kubelet.pid(name))

    accepted(controlled.api.ask("DELETE", f"{PODS}/{name}", {"gracePeriodSeconds": 1}))

    until(lambda: is_gone(controlled, name), "the pod is gone")
    assert not psutil.pid_exists(pid)


def test_pods_are_evicted_through_the_api_and_by_their_node(controlled: ControlPlane, beside: KubeletBeside) -> None:
    drained, pressed = (make(controlled, command_pod(name, "sleep", "60")) for name in ("drained", "pressed"))
    until(lambda: is_ready(controlled, drained) and is_ready(controlled, pressed), "both run")

    assert beside.run(lambda kubelet: kubelet.evict(drained)) == 201
    beside.do(lambda kubelet: kubelet.evict_by_node(pressed))

    until(lambda: is_gone(controlled, drained), "the drained one is gone")
    until(lambda: status(controlled, pressed).get("reason") == "Evicted", "the other one stays as evicted")
    assert status(controlled, pressed)["phase"] == "Failed"


def test_a_node_that_is_cut_off_reports_nothing_until_it_is_back(
    controlled: ControlPlane, beside: KubeletBeside
) -> None:
    name = make(controlled, command_pod("cut-off", "sleep", "60"))
    until(lambda: is_ready(controlled, name), "it runs")
    node = accepted(controlled.api.ask("GET", f"{PODS}/{name}"))["spec"]["nodeName"]  # type: ignore[index]  # JSON
    pid = beside.do(lambda kubelet: kubelet.pid(name))

    beside.run(lambda kubelet: kubelet.stop_node(str(node), "killed"))

    assert condition(status_of_node(controlled, str(node)), "Ready")["status"] == "Unknown"
    until(lambda: not psutil.pid_exists(pid), "its process is dead")
    accepted(controlled.api.ask("DELETE", f"{PODS}/{name}", {"gracePeriodSeconds": 1}))
    assert status(controlled, name)["phase"] == "Running"
    beside.run(lambda kubelet: kubelet.start_node(str(node)))
    until(lambda: is_gone(controlled, name), "the returned node lets it go")


def status_of_node(plane: ControlPlane, name: str) -> Object:
    found: Object = accepted(plane.api.ask("GET", f"/api/v1/nodes/{name}"))
    state: Object = found["status"]
    return state


def test_nothing_is_left_of_a_kubelet(controlled: ControlPlane) -> None:
    before = {child.pid for child in psutil.Process().children(recursive=True)}
    # Other processes of the machine may have kubelets too.
    own = f"leasegrid-kubelet-{os.getpid()}-*"
    made = set(Path("/dev/shm").glob(own))  # noqa: S108 - where the kubelet's own directories are
    settings = KubeletSettings(nodes=("node-c",))
    with kubelet_beside(controlled.kubeconfig, settings=settings) as other:
        body = command_pod("left", "sleep", "60")
        body["spec"]["nodeName"] = "node-c"
        name = make(controlled, body)
        until(lambda: is_ready(controlled, name), "it runs")
        pid = other.do(lambda kubelet: kubelet.pid(name))

    assert not psutil.pid_exists(pid)
    assert {child.pid for child in psutil.Process().children(recursive=True)} <= before
    assert set(Path("/dev/shm").glob(own)) <= made  # noqa: S108 - as above
