"""Real Memory and Block member processes, and what their holder knows of them."""

import contextlib
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path

from tasklet_runner.client.members import MemberClient
from tasklet_runner.client.stores import StoreClient
from tasklet_runner.wire.member import StateReport
from tests.support.members import MemberRig
from tests.support.stores import MEBIBYTE


@dataclass(frozen=True)
class HeldStore:
    """A bound store member: the process, the fabric's client, the state it was bound in, and the holder's client."""

    rig: MemberRig
    member: MemberClient
    state: StateReport
    store: StoreClient

    def capability(self, seconds: float = 60, **changes: object) -> str:
        return self.rig.signed(self.rig.capability(self.state, seconds, **changes))


def store_arguments(root: Path, role: str, quota: int = 64 * MEBIBYTE) -> tuple[str, ...]:
    return ("--role", role, "--store", str(root / "volume"), "--quota", str(quota))


@contextlib.asynccontextmanager
async def store_member(
    root: Path, role: str = "Memory", quota: int = 64 * MEBIBYTE, after: MemberRig | None = None
) -> AsyncIterator[tuple[MemberRig, MemberClient]]:
    """A store member that nobody holds; its volume is `root/volume`. `after`: whose keys it has, and whose place."""
    rig = MemberRig(root, store_arguments(root, role, quota))
    if after is not None:
        rig.fabric, rig.holder = after.fabric, after.holder
    rig.start()
    client = MemberClient(rig.endpoint)
    try:
        yield rig, client
    finally:
        await client.close()
        rig.stop()


@contextlib.asynccontextmanager
async def held_store(
    root: Path, role: str = "Memory", quota: int = 64 * MEBIBYTE, seconds: float = 60
) -> AsyncIterator[HeldStore]:
    """A store member that is bound and confirmed."""
    async with store_member(root, role, quota) as (rig, client):
        state = await rig.claimed(client, seconds)
        async with StoreClient(rig.endpoint, rig.signed(rig.capability(state, seconds)), rig.holder) as store:
            yield HeldStore(rig, client, state, store)
