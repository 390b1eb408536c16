"""Who may come in: what the broker asks of the API server."""

from collections.abc import Sequence
from typing import Protocol

from leasegrid_operator.cluster import Access, Reviewed

USER_ROLE = "leasegrid-lease-user"
"""The ClusterRole that gives every verb that holders need."""


class Gate(Protocol):
    """Asks the API server; each call is one request to it. Raises ClusterError. `Cluster` is one."""

    async def review_token(self, token: str, audiences: Sequence[str]) -> Reviewed:
        """Whom a token speaks for, if it is meant for one of these audiences."""
        ...

    async def review_access(self, access: Access) -> bool:
        """Whether the cluster's rules allow it."""
        ...
