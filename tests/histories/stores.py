"""The stores of one play: who serves each now, who did before, and how a killed one is followed on its volume."""

import os
import shutil
import signal
import time
from collections import defaultdict
from contextlib import suppress
from dataclasses import dataclass, field

from tests.histories.arena import Arena, Live
from tests.histories.history import Entry, Operation

BLOCK = "Block"


@dataclass
class Stores:
    """`names`: of the member that serves each store; `made`: of all that ever did, oldest first."""

    arena: Arena
    number: int
    names: dict[str, str] = field(default_factory=dict)
    made: dict[str, list[str]] = field(default_factory=lambda: defaultdict(list))
    roles: dict[str, str] = field(default_factory=dict)
    killed: set[str] = field(default_factory=set)
    _numbers: int = 0

    def serving(self, store: str) -> Live | None:
        """The member, if its process runs."""
        live = self.arena.members.get(self.names.get(store, ""))
        return live if live is not None and not live.ended.done() else None

    def every_name(self) -> list[str]:
        """Of all members that were ready."""
        return [name for names in self.made.values() for name in names]

    async def open(self, store: str, role: str) -> None:
        """The first member."""
        self.roles[store] = role
        assert await self.serve(store) is not None, f"nobody serves {store}"

    async def serve(self, store: str, path: str = "") -> Live | None:
        """One member more for the volume, at the socket `path` if one is given; None when another one has it."""
        self._numbers += 1
        name = f"{store}-{self.number}-{self._numbers}"
        began = time.monotonic()
        live = await self.arena.spawn_store(name, self.roles[store], self._volume(store), path)
        if live is None:
            return None
        self.made[store].append(name)
        self.names[store] = name
        assert live.report is not None
        self.arena.record(
            Entry(
                who="onlooker", operation=Operation.SERVES, invoked=began, completed=time.monotonic(),
                member=name, incarnation=live.report.incarnation, volume=self._volume(store),
            )
        )  # fmt: skip
        return live

    def remove(self) -> None:
        """When all have ended: what they wrote."""
        for store in self.roles:
            shutil.rmtree(self.arena.root / self._volume(store), ignore_errors=True)

    async def kill(self, store: str) -> Live | None:
        """Whoever serves a volume is no more; None when nobody does, or what it has ends with it."""
        live = self.serving(store)
        if live is None or live.report is None or self.roles[store] != BLOCK or live.name in self.killed:
            return None
        self.killed.add(live.name)
        began = time.monotonic()
        with suppress(ProcessLookupError):
            os.kill(live.pid, signal.SIGKILL)
        await live.ended
        self.arena.record(
            Entry(
                who="nemesis", operation=Operation.KILLED, invoked=began, completed=time.monotonic(),
                member=live.name, incarnation=live.report.incarnation,
            )
        )  # fmt: skip
        return live

    def _volume(self, store: str) -> str:
        return f"{store}-{self.number}.store"
