"""Leases of Memory and Block stores on one machine, for tests: acquired and opened in two lines."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from leasegrid.local.fabric import LocalFabric
from tasklet_runner.client.stores import StoreClient
from tasklet_runner.fabric.protocol import LeasedMember, LeaseRequest, LeaseView
from tasklet_runner.wire.signed import public_text
from tests.support.stores import MEBIBYTE


@dataclass(frozen=True)
class LeasedStore:
    """A lease of one store: how it was acquired, and the holder's client of it."""

    view: LeaseView
    client: StoreClient

    @property
    def member(self) -> LeasedMember:
        return self.view.members[0]


def store_request(
    name: str, holder: Ed25519PrivateKey, resource: str = "Memory", size: int = 16 * MEBIBYTE, **changes: object
) -> LeaseRequest:
    """A request of one store of so many bytes that is made for it."""
    fields: dict[str, object] = {"on_empty": "Provision", "resource": resource, "size": size} | changes
    return LeaseRequest(request_id=name, holder_key=public_text(holder), **fields)  # type: ignore[arg-type]


@asynccontextmanager
async def leased_store(
    fabric: LocalFabric, resource: str = "Memory", *, name: str = "store", **changes: object
) -> AsyncIterator[LeasedStore]:
    """A store that is leased on this fabric; at the end its client is closed, and the lease is as the test left it."""
    holder = Ed25519PrivateKey.generate()
    view = await fabric.acquire(store_request(name, holder, resource, **changes))  # type: ignore[arg-type]
    async with StoreClient(view.members[0].endpoint, view.capabilities[0], holder) as client:
        yield LeasedStore(view, client)
