"""Helm and a control plane for the chart's tests, and when the tier cannot run."""

import os
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.chart.charting import CHART, NAMESPACE, RELEASE, Chart
from tests.integration.control_plane import ControlPlane, PlaneOptions, running
from tests.support.cluster.plane import make_namespace, until_pods_can_be_made

NEEDED = (
    "this tier needs helm, on the PATH or in KUBEBUILDER_ASSETS, a folder with etcd, kube-apiserver, "
    "kube-controller-manager and kubectl (setup-envtest use -p path prints one)"
)
POLICY = """
apiVersion: audit.k8s.io/v1
kind: Policy
omitStages: [RequestReceived]
rules:
- level: Metadata
  userGroups: ["system:serviceaccounts"]
- level: None
"""


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """One line that says why, in place of one for each test."""
    if missing():
        terminalreporter.write_line(f"chart: {missing()}")


def missing() -> str:
    """Why the tier cannot run; empty when it can."""
    if not os.environ.get("KUBEBUILDER_ASSETS"):
        return f"KUBEBUILDER_ASSETS is not set: {NEEDED}"
    return "" if helm() else f"there is no helm: {NEEDED}"


def helm() -> str | None:
    """Where helm is."""
    return shutil.which("helm", path=f"{os.environ.get('KUBEBUILDER_ASSETS', '')}:{os.environ['PATH']}")


@pytest.fixture(scope="session")
def chart(tmp_path_factory: pytest.TempPathFactory) -> Chart:
    """The chart of this repository, rendered by helm."""
    why = missing()
    if why and os.environ.get("CI"):
        pytest.exit(why, returncode=1)
    if why:
        pytest.skip(why)
    return Chart(str(helm()), tmp_path_factory.mktemp("helm"))


@pytest.fixture(scope="session")
def audit(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The audit log of `plane`: each request of a service account."""
    return tmp_path_factory.mktemp("audit") / "audit.jsonl"


@pytest.fixture(scope="session")
def plane(chart: Chart, audit: Path) -> Iterator[ControlPlane]:
    """A control plane with controllers, in which nothing of ours is installed."""
    policy = audit.with_name("policy.yaml")
    policy.write_text(POLICY, encoding="utf-8")
    flags = (f"--audit-policy-file={policy}", f"--audit-log-path={audit}", "--audit-log-mode=blocking-strict")
    with running(Path(os.environ["KUBEBUILDER_ASSETS"]), options=PlaneOptions(True, server_flags=flags)) as started:
        until_pods_can_be_made(started)
        yield started


@pytest.fixture(scope="session")
def installed(chart: Chart, plane: ControlPlane) -> ControlPlane:
    """`plane` with a release in a namespace of level restricted; its hooks do not run, as nothing here runs pods."""
    make_namespace(plane, NAMESPACE, level="restricted")
    chart.on(plane, "install", RELEASE, str(CHART), "--no-hooks")
    return plane
