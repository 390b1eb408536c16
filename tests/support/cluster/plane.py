"""What tests set up on a control plane: our kinds, namespaces, rights, tokens, storage classes, quotas."""

import json
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from leasegrid.api.definitions import KINDS
from tests.integration.api_client import Answer, Body
from tests.integration.control_plane import ControlPlane, kubeconfig_of

CRDS = Path(__file__).parents[3] / "crds"
PATIENCE_SECONDS = 60
ALL_OF_OURS = ({"apiGroups": ["leasegrid.dev"], "resources": ["*"], "verbs": ["*"]},)
"""The rules of a role that may do everything with our kinds, and nothing else."""


def until(condition: Callable[[], object], what: str, seconds: float = PATIENCE_SECONDS) -> None:
    """Wait until the condition holds. Raises AssertionError, saying what did not happen."""
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, f"in {seconds} s it did not happen: {what}"
        time.sleep(0.05)


def accepted(answer: Answer) -> Body:
    """The body of a yes. Raises AssertionError with what a no says."""
    assert answer.accepted, f"{answer.status}: {answer.message}"
    return answer.body


def install_kinds(plane: ControlPlane) -> None:
    """Apply crds/, and wait until all kinds are served."""
    plane.kubectl("apply", "--server-side", "--filename", str(CRDS))
    paths = [f"/apis/leasegrid.dev/v1alpha1/{kind.plural}" for kind in KINDS]
    until(lambda: all(plane.api.ask("GET", path).accepted for path in paths), "our kinds are served")


def make_namespace(plane: ControlPlane, name: str, *, level: str = "") -> str:
    """A namespace in which pods can be made; returns its name. Needs a plane with controllers.

    `level`: the API refuses pods that this level of pod security (`restricted`) does not allow.
    """
    labels = {"pod-security.kubernetes.io/enforce": level} if level else {}
    make(plane, "/api/v1/namespaces", "v1", "Namespace", {"metadata": {"name": name, "labels": labels}})
    until_pods_can_be_made(plane, name)
    return name


def until_pods_can_be_made(plane: ControlPlane, namespace: str = "default") -> None:
    """Wait for the account that every pod has; the controllers make it."""
    path = f"/api/v1/namespaces/{namespace}/serviceaccounts/default"
    until(lambda: plane.api.ask("GET", path).accepted, f"{namespace} has its default account")


def make(plane: ControlPlane, path: str, version: str, kind: str, rest: dict[str, Any]) -> Body:
    """Make an object, or leave the one of its name as it is; returns what the server keeps."""
    answer = plane.api.ask("POST", path, {"apiVersion": version, "kind": kind, **rest})
    if answer.status == 409:
        return accepted(plane.api.ask("GET", f"{path}/{rest['metadata']['name']}"))
    return accepted(answer)


def grant(plane: ControlPlane, namespace: str, user: str, rules: Sequence[dict[str, Any]] = ALL_OF_OURS) -> None:
    """Rights of a user in one namespace. A service account's user is `system:serviceaccount:NAMESPACE:NAME`."""
    group = "rbac.authorization.k8s.io"
    name = "tests-" + user.replace(":", "-")
    path = f"/apis/{group}/v1/namespaces/{namespace}"
    metadata = {"metadata": {"name": name}}
    make(plane, f"{path}/roles", f"{group}/v1", "Role", {**metadata, "rules": list(rules)})
    subjects = [{"apiGroup": group, "kind": "User", "name": user}]
    reference = {"apiGroup": group, "kind": "Role", "name": name}
    bound = {**metadata, "subjects": subjects, "roleRef": reference}
    make(plane, f"{path}/rolebindings", f"{group}/v1", "RoleBinding", bound)


def account_token(plane: ControlPlane, namespace: str, name: str, audience: str = "leasegrid") -> str:
    """A service account, made if need be, and a token of it for that audience, good for an hour."""
    accounts = f"/api/v1/namespaces/{namespace}/serviceaccounts"
    make(plane, accounts, "v1", "ServiceAccount", {"metadata": {"name": name}})
    wanted = {"audiences": [audience], "expirationSeconds": 3600}
    request = {"apiVersion": "authentication.k8s.io/v1", "kind": "TokenRequest", "spec": wanted}
    status = accepted(plane.api.ask("POST", f"{accounts}/{name}/token", request))["status"]
    assert isinstance(status, dict)
    return str(status["token"])


def account_user(namespace: str, name: str) -> str:
    """How rights name a service account."""
    return f"system:serviceaccount:{namespace}:{name}"


def write_kubeconfig(plane: ControlPlane, path: Path, token: str, namespace: str = "default") -> Path:
    """A kubeconfig for the user of a token."""
    path.write_text(json.dumps(kubeconfig_of(plane.speaking_as(token), namespace)), encoding="utf-8")
    return path


def storage_class(plane: ControlPlane, name: str, *, reclaim: str = "Delete", binding: str = "Immediate") -> None:
    """A class whose volumes are directories of this machine, made and deleted by the controllers.

    `binding` may be `WaitForFirstConsumer`: the kubelet does the scheduler's part.
    """
    rest = {"provisioner": "kubernetes.io/host-path", "reclaimPolicy": reclaim, "volumeBindingMode": binding}
    path = "/apis/storage.k8s.io/v1/storageclasses"
    make(plane, path, "storage.k8s.io/v1", "StorageClass", {"metadata": {"name": name}, **rest})


def quota(plane: ControlPlane, namespace: str, **hard: str) -> None:
    """A ResourceQuota, for instance `pods="3"`; returns when the controllers have counted for the first time."""
    path = f"/api/v1/namespaces/{namespace}/resourcequotas"
    rest = {"metadata": {"name": "tests"}, "spec": {"hard": hard}}
    make(plane, path, "v1", "ResourceQuota", rest)

    def counted() -> bool:
        status = plane.api.ask("GET", f"{path}/tests").body.get("status", {})
        return isinstance(status, dict) and set(status.get("used", {})) == set(hard)

    until(counted, "the quota is counted")
