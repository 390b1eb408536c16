"""The member processes of one run: ordered from the zygote, known by their ids, killed when they do not answer."""

import asyncio
import os
import signal
from collections.abc import Sequence
from contextlib import suppress

from leasegrid.leasing.leases import Held, LeaseRecord
from leasegrid.leasing.parts import Disposal
from leasegrid.leasing.roster import Member, Roster, Shape
from leasegrid.local.runtime import RuntimeDirectory
from leasegrid.local.zygote import SpawnOrder, Zygote, session_processes
from leasegrid.rules.store_sizes import INTERPRETER_BYTES
from tasklet_runner.wire.member import Role

GONE_SECONDS = 1.0
"""A member that was killed is seen to be gone within so long, or it stands in the receipt as unverified."""


STORE_GONE_SECONDS = 3.0
"""A store that was released ends by itself within so long, or is killed."""


class Processes:
    """Implements `Host`. `zygote` is replaced when it has ended unasked."""

    def __init__(self, runtime: RuntimeDirectory, zygote: Zygote, roster: Roster, fabric_key: str) -> None:
        self.runtime = runtime
        self.zygote = zygote
        self._roster = roster
        self._fabric_key = fabric_key
        self._pids: dict[str, int] = {}
        self._numbers = 0

    def order(self, pool: str, shape: Shape, count: int) -> None:
        """Have so many members forked; they are in the roster from now on."""
        orders = [self._order(pool, shape) for _ in range(count)]
        if orders:
            self.zygote.spawn(orders)

    def spawned(self, member: Member, pid: int) -> None:
        """It runs, as this process."""
        self._pids[member.name] = pid
        member.started = True

    def gone(self, member: Member) -> None:
        """It does not run any more."""
        self._pids.pop(member.name, None)

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
        del record
        stores = [one.member for one in held if one.member.shape.role is not Role.CPU]
        await self._gone(stores, STORE_GONE_SECONDS)
        for member in stores:
            if not member.gone.is_set():
                self.kill(member)
        await self._gone(stores, GONE_SECONDS)
        return Disposal(unverified=tuple(member.name for member in stores if not member.gone.is_set()))

    async def _gone(self, members: Sequence[Member], seconds: float) -> None:
        """Wait until these are seen to be gone, for so long at most."""
        if waits := [asyncio.ensure_future(member.gone.wait()) for member in members]:
            _, pending = await asyncio.wait(waits, timeout=seconds)
            for wait in pending:
                wait.cancel()

    def _order(self, pool: str, shape: Shape) -> SpawnOrder:
        self._numbers += 1
        endpoint = f"unix://{self.runtime.member_socket(self._numbers)}"
        name = f"{pool}-{self._numbers}"
        self._roster.add(Member(name, pool, shape, endpoint, asyncio.get_running_loop().time()))
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
            store=str(self.runtime.member_store(self._numbers)) if shape.role is not Role.CPU else "",
            quota=shape.quota,
        )
