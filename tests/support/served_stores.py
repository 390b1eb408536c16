"""A store with its door on a unix socket, as a job's coordinator serves it."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from tasklet_runner.store.disk import DiskStore
from tasklet_runner.store.server import StoreServer, serve
from tests.support.stores import MEBIBYTE, opened

KEY = Ed25519PrivateKey.from_private_bytes(bytes(32))
"""Whoever signs with it is the coordinator."""

NOW = 1_000_000.0
"""What the store's clock says."""


@asynccontextmanager
async def served(tmp_path: Path, quota_bytes: int = 64 * MEBIBYTE) -> AsyncIterator[tuple[DiskStore, StoreServer]]:
    """The store `store-1` in `tmp_path/store` at term 1."""
    async with opened(tmp_path / "store", quota_bytes=quota_bytes) as store:
        server = await serve(store, tmp_path / "store.sock", KEY.public_key(), clock=lambda: NOW)
        try:
            yield store, server
        finally:
            await server.close()
    assert not (tmp_path / "store.sock").exists()
