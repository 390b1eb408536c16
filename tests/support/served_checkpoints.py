"""Calls to the checkpoints of the job's store that `served_stores` serves."""

from pathlib import Path

import msgspec

from tasklet_runner.client.checkpoints import get_checkpoint
from tasklet_runner.client.granted import StoreConnections
from tasklet_runner.wire.programs import Durable
from tasklet_runner.wire.signed import sign
from tasklet_runner.wire.statements import CheckpointGrant
from tests.support.served_stores import KEY, NOW
from tests.support.stores import MEBIBYTE

GRANT = CheckpointGrant(store="store-1", term=1, key="main/7", epoch=1, max_bytes=32 * MEBIBYTE, expires_at=NOW + 60)


def durable(endpoint: str, key: str = "main/7", **changes: object) -> Durable:
    """Where a chunk's checkpoints are, with a grant for them."""
    grant = msgspec.structs.replace(GRANT, **{"key": key, **changes})
    return Durable(endpoint, sign(grant, KEY), key)


async def kept(stores: StoreConnections, at: Durable, tmp_path: Path) -> tuple[int, bytes] | None:
    """Generation and payload of the newest one."""
    path = tmp_path / "fetched"
    found = await get_checkpoint(stores, at, path)
    return None if found is None else (found[0], path.read_bytes())
