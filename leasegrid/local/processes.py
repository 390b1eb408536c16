"""The member processes of one run: ordered from the zygote, known by their ids, killed when they do not answer."""

import asyncio
import os
import shutil
import signal
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import replace
from pathlib import Path

from leasegrid.leasing.leases import Held, LeaseRecord
from leasegrid.leasing.parts import Disposal
from leasegrid.leasing.roster import Member, Roster, Shape
from leasegrid.local.blocks import BlockVolume, BlockVolumes
from leasegrid.local.launching import Launched
from leasegrid.local.zygote import SpawnOrder, session_processes
from leasegrid.rules.store_sizes import INTERPRETER_BYTES
from tasklet_runner.wire.member import Role

GONE_SECONDS = 1.0
"""A member that was killed is seen to be gone within so long, or it stands in the receipt as unverified."""


STORE_GONE_SECONDS = 3.0
"""A store that was released ends by itself within so long, or is killed."""


class Processes:
    """Implements `Host`. `zygote` is replaced when it has ended unasked."""

    def __init__(self, launched: Launched, roster: Roster, fabric_key: str, volumes: BlockVolumes) -> None:
        self.runtime = launched.runtime
        self.zygote = launched.zygote
        self._roster = roster
        self._fabric_key = fabric_key
        self._volumes = volumes
        self._pids: dict[str, int] = {}
        self._numbers = 0

    def order(self, pool: str, shape: Shape, count: int) -> None:
        """Have so many members forked; they are in the roster from now on. Raises StateDirectoryError."""
        orders = [self._order(pool, shape, self._new_store(pool, shape)) for _ in range(count)]
        if orders:
            self.zygote.spawn(orders)

    def follow(self, store: BlockVolume, lease: str) -> None:
        """Have the next server of a volume forked, for its lease alone."""
        self.zygote.spawn([self._order(store.pool, store.shape, store, lease)])

    def spawned(self, member: Member, pid: int) -> None:
        """It runs, as this process."""
        self._pids[member.name] = pid
        member.started = True

    def gone(self, member: Member) -> None:
        """It does not run any more, and nothing is left of what it had in memory, though it could not wipe that."""
        self._pids.pop(member.name, None)
        if member.shape.role is Role.MEMORY:
            number = int(Path(member.endpoint).name)
            shutil.rmtree(self.runtime.member_store(number), ignore_errors=True)

    def kill(self, member: Member) -> None:
        """SIGKILL a member that does not answer, if its process is still one of this run's."""
        pid = self._pids.get(member.name, 0)
        if pid and pid in session_processes(self.zygote.pid):
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)

    async def vanish(self, record: LeaseRecord, silent: Sequence[Held]) -> Sequence[Held]:
        """On one machine there is a last word: a member that does not answer is killed, and its pool replaces it."""
        del record
        for held in silent:
            self.kill(held.member)
        await self._gone([held.member for held in silent], GONE_SECONDS)
        return [held for held in silent if not held.member.gone.is_set()]

    async def dispose(self, record: LeaseRecord, held: Sequence[Held]) -> Disposal:
        """A store is not used again: its process ends by itself, and its objects are gone with it."""
        released = [one.member for one in held if one.member.shape.role is not Role.CPU]
        self._volumes.own(record.uid, {member.name for member in released})
        mine = {one.member for one in self._volumes.of_lease(record.uid)}
        # Those that left the lease by themselves may be ending yet, and the next of their volumes may be coming up.
        others = [one for one in self._roster.all() if one.name in mine and one not in released]
        for member in others:
            if member.lease == record.uid:
                self.kill(member)
        stores = [*released, *others]
        await self._gone(stores, STORE_GONE_SECONDS)
        for member in stores:
            if not member.gone.is_set():
                self.kill(member)
        await self._gone(stores, GONE_SECONDS)
        left = tuple(member.name for member in stores if not member.gone.is_set())
        return replace(await self._volumes.dispose(record.uid), unverified=left)

    async def _gone(self, members: Sequence[Member], seconds: float) -> None:
        """Wait until these are seen to be gone, for so long at most."""
        if waits := [asyncio.ensure_future(member.gone.wait()) for member in members]:
            _, pending = await asyncio.wait(waits, timeout=seconds)
            for wait in pending:
                wait.cancel()

    def _new_store(self, pool: str, shape: Shape) -> BlockVolume | None:
        return self._volumes.make(pool, shape) if shape.role is Role.BLOCK else None

    def _order(self, pool: str, shape: Shape, store: BlockVolume | None, lease: str = "") -> SpawnOrder:
        self._numbers += 1
        endpoint = f"unix://{self.runtime.member_socket(self._numbers)}"
        name = f"{pool}-{self._numbers}"
        self._roster.add(Member(name, pool, shape, endpoint, asyncio.get_running_loop().time(), lease=lease))
        directory = self.runtime.member_store(self._numbers)
        if store is not None:
            store.member, directory = name, store.volume.store
        return SpawnOrder(
            name=name,
            listen=endpoint,
            fabric_key=self._fabric_key,
            scratch=str(self.runtime.member_scratch(self._numbers)),
            slots=shape.slots,
            memory=shape.memory + shape.tmpfs + INTERPRETER_BYTES,
            tmpfs=shape.tmpfs,
            notify=f"unix://{self.runtime.hints}",
            reuse=shape.reuse,
            cpu=shape.cpu,
            role=shape.role.value,
            store=str(directory),
            quota=shape.quota,
        )
