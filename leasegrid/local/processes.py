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

INTERPRETER_BYTES = 256 * 1024**2
"""A member takes so much off its memory for itself before it divides the rest among its slots."""

GONE_SECONDS = 1.0
"""A member that was killed is seen to be gone within so long, or it stands in the receipt as unverified."""


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
        waits = [asyncio.ensure_future(held.member.gone.wait()) for held in silent]
        _, pending = await asyncio.wait(waits, timeout=GONE_SECONDS)
        for wait in pending:
            wait.cancel()
        return [held for held in silent if not held.member.gone.is_set()]

    async def dispose(self, record: LeaseRecord, held: Sequence[Held]) -> Disposal:
        """A member that is not used again ends by itself and removes its own scratch; volumes are the state's."""
        del record, held
        return Disposal()

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
        )
