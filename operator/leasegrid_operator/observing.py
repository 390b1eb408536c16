"""What the operator is told about the cluster: the face between the watches and those who decide."""

from collections.abc import Mapping
from typing import Any, Protocol

Body = Mapping[str, Any]
"""An object as the API server sent it. It is shared with others: read it, never change it."""


class Observer(Protocol):
    """Told of each object at the start, then of each change, and last of its deletion (with its last body).

    Called in the event loop: notes what was seen and returns at once, never waits, never raises. What one event
    says may be lost or come twice; the object's latest body is what counts. `namespace` is where the object lives.
    """

    def pool_seen(self, namespace: str, body: Body, deleted: bool) -> None:
        """An InstancePool."""

    def lease_seen(self, namespace: str, body: Body, deleted: bool) -> None:
        """A Lease of leasegrid.dev."""

    def job_seen(self, namespace: str, body: Body, deleted: bool) -> None:
        """A Job of leasegrid.dev, or a TaskGraph."""

    def pod_seen(self, namespace: str, body: Body, deleted: bool) -> None:
        """A Pod with the label app.kubernetes.io/managed-by=leasegrid."""

    def claim_seen(self, namespace: str, body: Body, deleted: bool) -> None:
        """A PersistentVolumeClaim with that label."""

    def node_seen(self, namespace: str, body: Body, deleted: bool) -> None:
        """A Node; the namespace is empty."""
