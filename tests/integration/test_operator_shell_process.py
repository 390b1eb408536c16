"""The operator's process: it starts, is alive and ready, ends in good order, and says why when it cannot."""

import json
import os
import signal
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.integration.control_plane import ControlPlane, free_ports, running
from tests.integration.operator_shell import namespaced
from tests.support.cluster.plane import install_kinds

ROOT = Path(__file__).parents[2]
WAIT_SECONDS = 60


@contextmanager
def started(plane: ControlPlane, *flags: str) -> Iterator[subprocess.Popen[str]]:
    """An operator's process; its log is its stderr. Killed at the end if it still runs."""
    process = subprocess.Popen(
        [sys.executable, "-W", "error", "-m", "leasegrid_operator", f"--kubeconfig={plane.kubeconfig}", *flags],
        cwd=ROOT,
        env={**os.environ, "PYTHONPATH": f"{ROOT}:{ROOT / 'operator'}"},
        stderr=subprocess.PIPE,
        text=True,
    )
    try:
        yield process
    finally:
        process.kill()
        process.wait()
        assert process.stderr
        process.stderr.close()


def answer(port: int, path: str) -> tuple[int, str]:
    """Status and text; status 0 while nobody listens."""
    try:
        with urllib.request.urlopen(f"http://127.0.0.1:{port}{path}", timeout=10) as reply:
            return reply.status, reply.read().decode()
    except urllib.error.HTTPError as refusal:
        with refusal:
            return refusal.code, refusal.read().decode()
    except urllib.error.URLError:
        return 0, ""


def test_it_is_alive_and_ready_and_ends_at_a_signal_in_good_order(cluster: ControlPlane) -> None:
    namespace = namespaced(cluster)
    health, broker = free_ports(2)
    flags = (f"--health-port={health}", f"--broker-port={broker}", f"--own-namespace={namespace}")
    with started(cluster, *flags, "--broker-host=127.0.0.1", "--health-host=127.0.0.1", "--identity=one") as process:
        deadline = time.monotonic() + WAIT_SECONDS
        while answer(health, "/readyz") != (200, "ok") or "leasegrid_leader 1.0" not in answer(health, "/metrics")[1]:
            assert process.poll() is None, process.communicate()[1]
            assert time.monotonic() < deadline, answer(health, "/readyz")
            time.sleep(0.1)
        assert answer(health, "/healthz") == (200, "ok")
        process.send_signal(signal.SIGTERM)
        _, log = process.communicate(timeout=WAIT_SECONDS)

    assert process.returncode == 0, log
    actions = [json.loads(line)["action"] for line in log.splitlines()]
    assert actions[0] == "key-created"
    assert "leadership-acquired" in actions
    assert actions[-2:] == ["leadership-released", "operator-stopped"]
    lease = json.loads(
        cluster.kubectl("get", "lease.v1.coordination.k8s.io", "--output=json", f"--namespace={namespace}")
    )
    assert lease["items"][0]["spec"].get("holderIdentity", "") == ""


@pytest.mark.unhappy("a CRD is missing")
def test_a_missing_definition_is_named_with_the_command_that_installs_it(plane: ControlPlane) -> None:
    with (
        running(plane.assets) as empty,
        started(empty, "--broker-host=127.0.0.1", "--health-port=0", "--log-format=text") as process,
    ):
        _, log = process.communicate(timeout=WAIT_SECONDS)

    assert process.returncode == 4, log
    assert "instancepools.leasegrid.dev is not installed" in log
    assert "kubectl apply --server-side --filename crds/" in log
    assert "Traceback" not in log


@pytest.mark.unhappy("CRDs of an older version")
def test_an_older_definition_is_named_with_what_it_lacks_and_the_command_that_brings_it(plane: ControlPlane) -> None:
    with running(plane.assets) as empty:
        install_kinds(empty)
        patch = [{"op": "remove", "path": "/spec/versions/0/schema/openAPIV3Schema/properties/spec/properties/purpose"}]
        empty.kubectl("patch", "crd", "leases.leasegrid.dev", "--type=json", f"--patch={json.dumps(patch)}")
        with started(empty, "--broker-host=127.0.0.1", "--health-port=0", "--log-format=text") as process:
            _, log = process.communicate(timeout=WAIT_SECONDS)

    assert process.returncode == 4, log
    assert "leases.leasegrid.dev is older than this operator: it lacks spec.purpose" in log
    assert "helm upgrade --install leasegrid charts/leasegrid --set crds.enabled=true" in log


def test_wrong_settings_end_it_at_once_with_code_2(plane: ControlPlane) -> None:
    with started(plane, "--broker-port=x") as process:
        _, log = process.communicate(timeout=WAIT_SECONDS)

    assert process.returncode == 2, log
    assert log.startswith("leasegrid_operator: --broker-port: 'x' is no port")
