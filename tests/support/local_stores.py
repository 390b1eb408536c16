"""Leases of Memory and Block stores on one machine, for tests: acquired and opened in two lines."""

import json
import subprocess
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from leasegrid.api.pool import InstancePool
from leasegrid.local.fabric import LocalFabric
from tasklet_runner.client.stores import StoreClient
from tasklet_runner.fabric.protocol import LeasedMember, LeaseRequest, LeaseView
from tasklet_runner.wire.signed import public_text
from tests.support.stores import MEBIBYTE


@dataclass(frozen=True)
class LeasedStore:
    """A lease of one store: how it was acquired, the holder's client of it, and its key."""

    view: LeaseView
    client: StoreClient
    holder: Ed25519PrivateKey

    @property
    def member(self) -> LeasedMember:
        return self.view.members[0]

    def client_of(self, view: LeaseView) -> StoreClient:
        """Of the store as the lease has it by now."""
        return StoreClient(view.members[0].endpoint, view.capabilities[0], self.holder)


def store_request(
    name: str, holder: Ed25519PrivateKey, resource: str = "Memory", size: int = 16 * MEBIBYTE, **changes: object
) -> LeaseRequest:
    """A request of one store of so many bytes that is made for it."""
    fields: dict[str, object] = {"on_empty": "Provision", "resource": resource, "size": size} | changes
    return LeaseRequest(request_id=name, holder_key=public_text(holder), **fields)  # type: ignore[arg-type]


def store_pool(name: str, resource: str, size: str = "16Mi", **spec: object) -> InstancePool:
    """A pool of a file, of stores of so many bytes."""
    return InstancePool.model_validate(
        {
            "apiVersion": "leasegrid.dev/v1alpha1",
            "kind": "InstancePool",
            "metadata": {"name": name},
            "spec": {"resource": resource, "storage": {"size": size}} | spec,
        }
    )


@asynccontextmanager
async def leased_store(
    fabric: LocalFabric, resource: str = "Memory", *, name: str = "store", **changes: object
) -> AsyncIterator[LeasedStore]:
    """A store that is leased on this fabric; at the end its client is closed, and the lease is as the test left it."""
    holder = Ed25519PrivateKey.generate()
    view = await fabric.acquire(store_request(name, holder, resource, **changes))  # type: ignore[arg-type]
    async with StoreClient(view.members[0].endpoint, view.capabilities[0], holder) as client:
        yield LeasedStore(view, client, holder)


def doomed_run(directory: Path, **changes: object) -> "subprocess.Popen[str]":
    """A process with a fabric on the state below this directory, which holds the Block lease `data` with one object
    until it is killed. Blocking.
    """
    process = subprocess.Popen(
        [sys.executable, "-m", "tests.support.doomed_run", str(directory), json.dumps(changes)],
        stdout=subprocess.PIPE,
        text=True,
    )
    assert process.stdout is not None
    said = process.stdout.readline()
    process.stdout.close()
    assert said == "held\n", said
    return process
