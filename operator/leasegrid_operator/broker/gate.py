"""Who may come in: what the broker asks of the API server."""

from dataclasses import dataclass
from typing import Protocol

GROUP, RESOURCE = "leasegrid.dev", "leases"
USER_ROLE = "leasegrid-lease-user"
"""The ClusterRole that gives every verb that holders need."""


@dataclass(frozen=True)
class Identity:
    """Whom a token belongs to, as the TokenReview says; `extra` as (name, values)."""

    username: str
    uid: str = ""
    groups: tuple[str, ...] = ()
    extra: tuple[tuple[str, tuple[str, ...]], ...] = ()


@dataclass(frozen=True)
class Access:
    """One verb on leases.leasegrid.dev in one namespace."""

    verb: str
    namespace: str


class Gate(Protocol):
    """Asks the API server; each call is one request to it. Raises UnreachableError when it does not answer."""

    async def review_token(self, token: str) -> Identity | None:
        """Whose token this is (TokenReview with the audience `leasegrid`); None: nobody's, or for another audience."""
        ...

    async def review_access(self, identity: Identity, access: Access) -> bool:
        """Whether it may (SubjectAccessReview on leases.leasegrid.dev)."""
        ...
