"""What the command line says when a cluster says no, or nothing."""

import os
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
import yaml

from leasegrid.cli.exits import ExitCode
from tests.integration.cli_cluster import Desk, desk
from tests.integration.control_plane import ControlPlane, free_ports, running
from tests.support.running import Place


@pytest.fixture
def user(cluster: ControlPlane, tmp_path: Path) -> Iterator[Desk]:
    with desk(cluster, tmp_path) as made:
        yield made


def configured(user: Desk, **changes: str) -> Desk:
    """The same user with another server, or another token."""
    path = user.place.root / "other"
    config = yaml.safe_load(Path(user.place.extra["KUBECONFIG"]).read_text(encoding="utf-8"))
    if "server" in changes:
        config["clusters"][0]["cluster"]["server"] = changes["server"]
    if "token" in changes:
        config["users"][0]["user"]["token"] = changes["token"]
    path.write_text(yaml.safe_dump(config), encoding="utf-8")
    return replace(user, place=Place(user.place.root, {"KUBECONFIG": str(path)}))


def stranger(user: Desk) -> str:
    """The token of a ServiceAccount to which nothing was granted."""
    base = f"/api/v1/namespaces/{user.namespace}/serviceaccounts"
    assert user.plane.api.ask("POST", base, {"metadata": {"name": "stranger"}}).status == 201
    answer = user.plane.api.ask("POST", f"{base}/stranger/token", {"spec": {}})
    status = answer.body["status"]
    assert isinstance(status, dict)
    return str(status["token"])


@pytest.mark.unhappy("no cluster is reachable")
def test_a_cluster_that_does_not_answer_is_named_with_its_address(user: Desk) -> None:
    (port,) = free_ports(1)

    ended = configured(user, server=f"https://127.0.0.1:{port}").run("pools")

    assert ended.code == ExitCode.ENVIRONMENT
    assert f"the cluster of context 'plane' does not answer at https://127.0.0.1:{port}" in ended.error


@pytest.mark.unhappy("no kubeconfig")
def test_without_a_kubeconfig_the_way_to_name_one_is_said(user: Desk, tmp_path: Path) -> None:
    ended = user.run("pools", "--kubeconfig", str(tmp_path / "absent"))
    wrong = user.run("pools", "--context", "elsewhere")

    assert (ended.code, wrong.code) == (ExitCode.ENVIRONMENT, ExitCode.ENVIRONMENT)
    assert "there is no such file (name one with --kubeconfig or KUBECONFIG" in ended.error
    assert "cannot be used with the context 'elsewhere'" in wrong.error


@pytest.mark.unhappy("a user without rights")
def test_a_user_without_rights_is_told_the_verb_and_the_role(user: Desk) -> None:
    nobody = configured(user, token=stranger(user))

    claimed = nobody.run("claim", "work", "--pool", "cpu")
    drained = nobody.run("drain", "cpu")

    assert (claimed.code, drained.code) == (ExitCode.ENVIRONMENT, ExitCode.ENVIRONMENT)
    assert f"you may not create leases in namespace '{user.namespace}' of context 'plane'" in claimed.error
    assert "--clusterrole=leasegrid-lease-user" in claimed.error
    assert "you may not patch instancepools" in drained.error
    assert "--clusterrole=leasegrid-pool-admin" in drained.error
    assert not user.key("work").exists()


@pytest.mark.unhappy("a token that is not known")
def test_a_user_whom_the_cluster_does_not_know_is_told_to_log_in(user: Desk) -> None:
    ended = configured(user, token="forged").run("leases", "-n", "default")  # noqa: S106 - one that nobody knows

    assert ended.code == ExitCode.ENVIRONMENT
    assert "the cluster of context 'plane' does not know you" in ended.error


@pytest.mark.unhappy("a cluster without the definitions")
def test_a_cluster_without_leasegrid_is_told_apart_with_the_command_that_installs_it(tmp_path: Path) -> None:
    assets = os.environ.get("KUBEBUILDER_ASSETS")
    if not assets:
        pytest.skip("KUBEBUILDER_ASSETS is not set")
    with running(Path(assets)) as bare, desk(bare, tmp_path) as user:
        ended = user.run("claim", "work", "--pool", "cpu")

    assert ended.code == ExitCode.ENVIRONMENT
    assert "LeaseGrid is not installed in the cluster of context 'plane'" in ended.error
    assert "kubectl apply --server-side --filename crds/" in ended.error


def test_a_namespace_that_is_not_there_is_told_apart_from_a_missing_definition(user: Desk) -> None:
    ended = user.run("claim", "work", "--pool", "cpu", "-n", "no-such-namespace")

    assert ended.code == ExitCode.USAGE
    assert "there is no namespace 'no-such-namespace'" in ended.error


def test_a_lease_that_is_not_there_is_said_to_be_missing(user: Desk) -> None:
    for verb in ("renew", "terminate"):
        ended = user.run(verb, "absent")
        assert ended.code == ExitCode.USAGE
        assert f"there is no lease 'absent' in namespace '{user.namespace}'" in ended.error
