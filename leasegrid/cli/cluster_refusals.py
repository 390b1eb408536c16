"""What the API server's no means for a person: why, and what to do about it. Pure.

The body of a refusal is a `Status` of meta/v1, or plain text for a path that the server does not serve at all.
"""

import json
from dataclasses import dataclass
from typing import Any

from tasklet_runner.wire.errors import ClusterError, InvalidObjectError, LeaseGridError, NoSuchObjectError

GROUP = "leasegrid.dev"
ALREADY_EXISTS = "AlreadyExists"
_LONGEST = 600


@dataclass(frozen=True)
class Request:
    """What was asked for: verb and resource in the words of RBAC; `name` is empty for a list."""

    verb: str
    plural: str
    name: str
    namespace: str
    context: str

    @property
    def subject(self) -> str:
        """The object, for a message."""
        kind = self.plural.split("/")[0].removesuffix("s")
        return f"{kind} {self.name!r}" if self.name else self.plural

    @property
    def place(self) -> str:
        """Where, for a message."""
        return f"namespace {self.namespace!r} of context {self.context!r}"


def status_of(body: str) -> dict[str, Any]:
    """The `Status` in a body; empty when it is none."""
    try:
        found = json.loads(body)
    except ValueError:
        return {}
    return found if isinstance(found, dict) else {}


def refusal(status: int, body: str, request: Request) -> LeaseGridError:
    """The error that an answer with this status is."""
    said = status_of(body)
    message = str(said.get("message") or body.strip() or f"status {status}")[:_LONGEST]
    if status == 401:
        return ClusterError(
            f"the cluster of context {request.context!r} does not know you: {message}",
            remedy=f"log in again, or choose another context; kubectl auth whoami --context {request.context} tries it",
        )
    if status == 403:
        return _forbidden(message, request)
    if status == 404:
        return _missing(said, message, request)
    if status in (400, 409, 422):
        return _invalid(said, message, request)
    return ClusterError(
        f"the API server of context {request.context!r} did not {request.verb} {request.subject}: {message}",
        remedy="try again; if it stays so, ask whoever runs the cluster",
    )


def _forbidden(message: str, request: Request) -> LeaseGridError:
    role = _role(request)
    cause = f"you may not {request.verb} {request.plural} in {request.place}: {message}"
    if request.plural.startswith("pods"):
        return ClusterError(
            cause, remedy=f"ask for the verbs get and create on {request.plural} there, or run this within the cluster"
        )
    return ClusterError(
        cause,
        remedy=f"ask for the ClusterRole {role} there: kubectl create rolebinding {role} --clusterrole={role} "
        f"--user=YOU --namespace={request.namespace}",
    )


def _role(request: Request) -> str:
    if request.plural == "instancepools" and request.verb not in ("get", "list", "watch"):
        return "leasegrid-pool-admin"
    return "leasegrid-lease-user"


def _missing(said: dict[str, Any], message: str, request: Request) -> LeaseGridError:
    details = said.get("details") or {}
    if not details.get("name") and request.plural in ("leases", "instancepools", "jobs", "taskgraphs"):
        return ClusterError(
            f"LeaseGrid is not installed in the cluster of context {request.context!r}: it serves no "
            f"{request.plural}.{GROUP}",
            remedy="install its definitions: kubectl apply --server-side --filename crds/ (the chart brings them too), "
            "or choose another context",
        )
    if details.get("kind") == "namespaces":
        return NoSuchObjectError(
            f"there is no namespace {request.namespace!r} in the cluster of context {request.context!r}",
            remedy=f"name another with -n, or make it: kubectl create namespace {request.namespace}",
        )
    remedy = f"kubectl get {request.plural}.{GROUP} --namespace {request.namespace} shows what there is"
    if request.plural.startswith("pods"):
        return NoSuchObjectError(f"there is no {request.subject} in {request.place}: {message}")
    return NoSuchObjectError(f"there is no {request.subject} in {request.place}", remedy=remedy)


def _invalid(said: dict[str, Any], message: str, request: Request) -> LeaseGridError:
    causes = (said.get("details") or {}).get("causes") or []
    faults = [f"{one.get('field', '')}: {one.get('message', '')}" for one in causes if isinstance(one, dict)]
    return InvalidObjectError(
        f"the API server takes no such {request.subject}: {'; '.join(faults) or message}",
        remedy="correct what it names",
    )
