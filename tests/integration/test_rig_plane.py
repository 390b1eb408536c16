"""What tests set up on the control plane works as on any cluster: volumes, quotas, rights, tokens, restarts."""

from collections.abc import Iterator
from itertools import count
from pathlib import Path
from typing import Any

import pytest

from tests.integration.api_client import ApiClient
from tests.integration.conftest import STRANGER, TENANT
from tests.integration.control_plane import ControlPlane
from tests.support.cluster.beside import KubeletBeside, kubelet_beside
from tests.support.cluster.kubelet import KubeletSettings
from tests.support.cluster.member_pods import command_pod, pod
from tests.support.cluster.plane import (
    accepted,
    account_token,
    account_user,
    grant,
    make,
    make_namespace,
    quota,
    storage_class,
    until,
    write_kubeconfig,
)

VOLUMES = "/api/v1/persistentvolumes"

Object = dict[str, Any]

_numbers = count(1)


@pytest.fixture(scope="module")
def beside(controlled: ControlPlane) -> Iterator[KubeletBeside]:
    with kubelet_beside(controlled.kubeconfig, settings=KubeletSettings(nodes=("node-p",))) as kubelet:
        yield kubelet


@pytest.fixture
def namespace(controlled: ControlPlane) -> Iterator[str]:
    """An own namespace; its pods are ended at once afterwards."""
    name = make_namespace(controlled, f"plane-{next(_numbers)}")
    yield name
    controlled.api.ask("DELETE", f"/api/v1/namespaces/{name}/pods?gracePeriodSeconds=0")


def phase(plane: ControlPlane, namespace: str, name: str) -> str:
    found: Object = plane.api.ask("GET", f"/api/v1/namespaces/{namespace}/pods/{name}").body
    return str(found["status"]["phase"])


def claim(plane: ControlPlane, namespace: str, name: str, storage: str) -> None:
    spec = {
        "accessModes": ["ReadWriteOnce"],
        "storageClassName": storage,
        "resources": {"requests": {"storage": "1Gi"}},
    }
    path = f"/api/v1/namespaces/{namespace}/persistentvolumeclaims"
    make(plane, path, "v1", "PersistentVolumeClaim", {"metadata": {"name": name}, "spec": spec})


def writing_pod(claimed: str) -> Object:
    container = {
        "name": "main",
        "image": "any",
        "command": ["sh", "-c", 'echo kept > "$0"', "/store/word"],
        "volumeMounts": [{"name": "store", "mountPath": "/store"}],
    }
    return pod("writer", container, volumes=[{"name": "store", "persistentVolumeClaim": {"claimName": claimed}}])


@pytest.mark.parametrize(
    ("reclaim", "binding", "remains"),
    [
        pytest.param("Delete", "Immediate", False, id="is deleted with its claim"),
        pytest.param("Delete", "WaitForFirstConsumer", False, id="is made for the first consumer"),
        pytest.param("Retain", "Immediate", True, id="stays where the class retains"),
    ],
)
def test_a_volume_is_a_directory_that(
    controlled: ControlPlane, beside: KubeletBeside, namespace: str, reclaim: str, binding: str, *, remains: bool
) -> None:
    storage = f"{reclaim}-{binding}".lower()
    storage_class(controlled, storage, reclaim=reclaim, binding=binding)
    claim(controlled, namespace, "data", storage)
    accepted(controlled.api.ask("POST", f"/api/v1/namespaces/{namespace}/pods", writing_pod("data")))
    until(lambda: phase(controlled, namespace, "writer") == "Succeeded", "the pod has written")
    path = f"/api/v1/namespaces/{namespace}/persistentvolumeclaims/data"
    bound: Object = accepted(controlled.api.ask("GET", path))
    volume: Object = accepted(controlled.api.ask("GET", f"{VOLUMES}/{bound['spec']['volumeName']}"))
    directory = Path(volume["spec"]["hostPath"]["path"])
    assert (directory / "word").read_text() == "kept\n"

    controlled.api.ask("DELETE", f"/api/v1/namespaces/{namespace}/pods/writer")
    controlled.api.ask("DELETE", path)

    until(lambda: controlled.api.ask("GET", path).status == 404, "the claim is gone")
    if remains:
        name = f"{VOLUMES}/{volume['metadata']['name']}"
        until(lambda: controlled.api.ask("GET", name).body["status"]["phase"] == "Released", "it is released")  # type: ignore[index]  # JSON
        assert (directory / "word").exists()
        controlled.api.ask("DELETE", name)
        (directory / "word").unlink()
        directory.rmdir()
    until(lambda: not directory.exists(), "the directory is gone")


def test_a_quota_refuses_the_pod_that_is_too_much(controlled: ControlPlane, namespace: str) -> None:
    quota(controlled, namespace, pods="1")
    path = f"/api/v1/namespaces/{namespace}/pods"

    accepted(controlled.api.ask("POST", path, command_pod("first", "sleep", "60")))
    refused = controlled.api.ask("POST", path, command_pod("second", "sleep", "60"))

    assert refused.status == 403
    assert "exceeded quota" in refused.message


def test_a_tenant_has_the_rights_that_were_granted_and_a_stranger_none(
    controlled: ControlPlane, namespace: str, tmp_path: Path
) -> None:
    path = f"/apis/leasegrid.dev/v1alpha1/namespaces/{namespace}/leases"
    tenant, stranger = controlled.speaking_as(TENANT.token), controlled.speaking_as(STRANGER.token)
    grant(controlled, namespace, TENANT.name)

    until(lambda: tenant.ask("GET", path).accepted, "the grant holds")
    assert stranger.ask("GET", path).status == 403
    assert tenant.ask("GET", f"/api/v1/namespaces/{namespace}/pods").status == 403
    config = write_kubeconfig(controlled, tmp_path / "kubeconfig", TENANT.token, namespace)
    assert controlled.kubectl(f"--kubeconfig={config}", "get", "leases.leasegrid.dev") == ""


def test_a_service_account_has_a_token_for_our_audience(controlled: ControlPlane, namespace: str) -> None:
    token = account_token(controlled, namespace, "worker")
    review = {"token": token, "audiences": ["leasegrid"]}
    body = {"apiVersion": "authentication.k8s.io/v1", "kind": "TokenReview", "spec": review}

    answer: Object = accepted(controlled.api.ask("POST", "/apis/authentication.k8s.io/v1/tokenreviews", body))

    assert answer["status"]["user"]["username"] == account_user(namespace, "worker")


def test_the_server_comes_back_with_all_it_had_and_the_kubelet_goes_on(
    controlled: ControlPlane, beside: KubeletBeside, namespace: str
) -> None:
    path = f"/api/v1/namespaces/{namespace}/pods"
    accepted(controlled.api.ask("POST", path, command_pod("before", "sleep", "60")))
    until(lambda: phase(controlled, namespace, "before") == "Running", "the pod runs")

    controlled.stop_server(kill=True)
    assert not controlled.api.is_ready()
    beside.do(lambda kubelet: kubelet.kill(f"{namespace}/before"))
    controlled.start_server()

    until(lambda: phase(controlled, namespace, "before") == "Failed", "what happened meanwhile is reported")
    until(lambda: _made(controlled.api, path, command_pod("after", "sleep", "60")), "pods can be made again")
    until(lambda: phase(controlled, namespace, "after") == "Running", "new pods run")


def _made(api: ApiClient, path: str, body: Object) -> bool:
    return api.ask("POST", path, body).status in (201, 409)
