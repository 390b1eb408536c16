"""The tier's own promises: real controllers when asked, nothing left behind, and a clear line when it cannot run."""

import os
import subprocess
import sys
import time
from pathlib import Path

import psutil
import pytest

from tests.integration.conftest import NO_ASSETS
from tests.integration.control_plane import ControlPlane, running

CONFIG_MAPS = "/api/v1/namespaces/default/configmaps"
ROOT = Path(__file__).parents[2]


def config_map(plane: ControlPlane, name: str, owner: dict[str, str] | None = None) -> dict[str, str]:
    """Makes one, and returns what an owner reference to it says."""
    owners = {"ownerReferences": [owner]} if owner else {}
    body = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": name, **owners}}
    answer = plane.api.ask("POST", CONFIG_MAPS, body)
    assert answer.accepted, answer.message
    metadata = answer.body["metadata"]
    assert isinstance(metadata, dict)
    return {"apiVersion": "v1", "kind": "ConfigMap", "name": name, "uid": metadata["uid"]}


def test_controllers_collect_what_an_owner_leaves_and_nothing_is_left_of_the_plane(plane: ControlPlane) -> None:
    before = {child.pid for child in psutil.Process().children(recursive=True)}
    with running(plane.assets, controllers=True) as other:
        owner = config_map(other, "owner")
        config_map(other, "owned", owner)
        assert other.api.ask("DELETE", f"{CONFIG_MAPS}/owner").accepted

        deadline = time.monotonic() + 60
        while other.api.ask("GET", f"{CONFIG_MAPS}/owned").accepted:
            assert time.monotonic() < deadline, "the owned object is still there"
            time.sleep(0.2)

    assert not other.directory.exists()
    assert {child.pid for child in psutil.Process().children(recursive=True)} <= before
    assert not other.api.is_ready()


@pytest.mark.parametrize(
    ("extra", "status", "words"),
    [
        pytest.param({}, 0, (f"integration: {NO_ASSETS}", "1 skipped"), id="is skipped in one line"),
        pytest.param({"CI": "true"}, 1, (f"Exit: {NO_ASSETS}",), id="fails where CI is set"),
    ],
)
def test_without_binaries_the_tier(extra: dict[str, str], status: int, words: tuple[str, ...]) -> None:
    kept = {name: value for name, value in os.environ.items() if name not in {"CI", "KUBEBUILDER_ASSETS"}}
    test = f"{__file__}::test_controllers_collect_what_an_owner_leaves_and_nothing_is_left_of_the_plane"
    command = [sys.executable, "-m", "pytest", "-p", "no:cacheprovider", test]
    ended = subprocess.run(command, cwd=ROOT, env={**kept, **extra}, capture_output=True, text=True, check=False)

    said = ended.stdout + ended.stderr
    assert ended.returncode == status, said
    assert all(word in said for word in words), said
