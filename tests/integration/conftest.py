"""The control plane that all tests of this tier share, and when the tier cannot run."""

import json
import os
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml

from leasegrid.api.definitions import KINDS
from tests.integration.control_plane import ControlPlane, PlaneOptions, User, running
from tests.integration.operator_rig import OperatorRig, operator_rig
from tests.support.cluster.plane import install_kinds, until_pods_can_be_made

DEFINITIONS = "/apis/apiextensions.k8s.io/v1/customresourcedefinitions"
CRDS = Path(__file__).parents[2] / "crds"
TENANT = User("tenant", "tenant-of-the-tests")
"""Tests grant rights to this one."""
STRANGER = User("stranger", "stranger-to-the-tests")
"""Nobody ever grants anything to this one."""
NO_ASSETS = (
    "KUBEBUILDER_ASSETS is not set: this tier needs a folder with etcd, kube-apiserver and kubectl "
    "(setup-envtest use -p path prints one)"
)


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """One line that says why, in place of one for each test."""
    if not os.environ.get("KUBEBUILDER_ASSETS"):
        terminalreporter.write_line(f"integration: {NO_ASSETS}")


@pytest.fixture(scope="session")
def plane() -> Iterator[ControlPlane]:
    """A control plane in which nothing is installed yet."""
    assets = os.environ.get("KUBEBUILDER_ASSETS")
    if not assets and os.environ.get("CI"):
        pytest.exit(NO_ASSETS, returncode=1)
    if not assets:
        pytest.skip(NO_ASSETS)
    with running(Path(assets)) as started:
        yield started


@pytest.fixture(scope="session")
def controlled(plane: ControlPlane) -> Iterator[ControlPlane]:
    """Another one, with controllers, our kinds, and two users without rights."""
    options = PlaneOptions(controllers=True, prepare=install_kinds, users=(TENANT, STRANGER))
    with running(plane.assets, options=options) as started:
        until_pods_can_be_made(started)
        yield started


@pytest.fixture
def mortal(plane: ControlPlane) -> Iterator[ControlPlane]:
    """One like it for a single test, which takes its server away: the controllers need a minute to get over it."""
    with running(plane.assets, options=PlaneOptions(controllers=True, prepare=install_kinds)) as started:
        until_pods_can_be_made(started)
        yield started


@pytest.fixture
def rig(controlled: ControlPlane, tmp_path: Path) -> Iterator[OperatorRig]:
    """A namespace of its own with stand-in members, in which a test starts replicas of the operator."""
    with operator_rig(controlled, tmp_path) as made:
        yield made


@pytest.fixture(scope="session")
def cluster(plane: ControlPlane) -> ControlPlane:
    """The control plane with crds/ applied and all kinds served."""
    plane.kubectl("apply", "--server-side", "--filename", str(CRDS))
    deadline = time.monotonic() + 60
    while not _is_served(plane):
        assert time.monotonic() < deadline, "the kinds are not served"
        time.sleep(0.1)
    return plane


def _is_served(plane: ControlPlane) -> bool:
    """True once requests, the list of kinds that kubectl reads, and the document behind `explain` know them all."""
    if not all(plane.api.ask("GET", objects(kind.plural)).accepted for kind in KINDS):
        return False
    described = json.dumps(plane.api.ask("GET", "/openapi/v3/apis/leasegrid.dev/v1alpha1").body)
    known = plane.kubectl("api-resources", "--api-group=leasegrid.dev", "--output=name").split()
    return len(known) == len(KINDS) and all(f"v1alpha1.{kind.name}" in described for kind in KINDS)


def objects(plural: str, name: str = "") -> str:
    """The path of a kind's objects in the default namespace, or of one of them."""
    path = f"/apis/leasegrid.dev/v1alpha1/namespaces/default/{plural}"
    return f"{path}/{name}" if name else path


def documents(path: Path) -> list[dict[str, object]]:
    """The YAML documents of a file."""
    return [one for one in yaml.safe_load_all(path.read_text(encoding="utf-8")) if one is not None]
