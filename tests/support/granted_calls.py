"""Calls to a store under a grant, each over a connection of its own: what a test makes one of."""

from collections.abc import Sequence
from pathlib import Path

from tasklet_runner.client.batches import Source
from tasklet_runner.client.stores import StoreConnections
from tasklet_runner.wire.store import ObjectInfo


async def put_object(endpoint: str, grant: str, key: str, path: Path) -> ObjectInfo:
    """See `StoreConnections.put_object`."""
    async with StoreConnections() as stores:
        return await stores.put_object(endpoint, grant, key, path)


async def put_batch(endpoint: str, grant: str, objects: Sequence[tuple[str, Source]]) -> tuple[ObjectInfo, ...]:
    """See `StoreConnections.put_batch`."""
    async with StoreConnections() as stores:
        return await stores.put_batch(endpoint, grant, objects)


async def get_batch_to_file(endpoint: str, grant: str, keys: Sequence[str], path: Path) -> int:
    """See `StoreConnections.get_batch_to_file`."""
    async with StoreConnections() as stores:
        return await stores.get_batch_to_file(endpoint, grant, keys, path)
