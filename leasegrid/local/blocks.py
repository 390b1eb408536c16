"""The volumes of Block members of one run: which lease each belongs to, and which member serves it.

A volume is made for a member, belongs to the first lease that the member is bound to, and is never another's. It is
deleted with its lease; one that no lease has taken goes with its member.
"""

import asyncio
from collections.abc import Container, Iterable
from dataclasses import dataclass

from leasegrid.leasing.parts import Disposal
from leasegrid.leasing.roster import Shape
from leasegrid.local.books import LeaseRow
from leasegrid.local.state import StateDirectory
from leasegrid.local.volumes import Volume


@dataclass(eq=False)
class BlockVolume:
    """`member`: the name of its newest server, empty before the first; `lease`: whose it is, or empty.

    `resumed`: an earlier run has left it, and its lease waits for it; `made`: servers since the last one that was
    bound; `rest_until`: monotonic; `work`: what is under way for it.
    """

    volume: Volume
    pool: str
    shape: Shape
    member: str = ""
    lease: str = ""
    resumed: bool = False
    made: int = 0
    rest_until: float = 0.0
    work: "asyncio.Task[None] | None" = None

    @property
    def busy(self) -> bool:
        """True while something is done about it."""
        return self.work is not None and not self.work.done()


class BlockVolumes:
    """All volumes of one run. Calls are short and blocking, but for `dispose`."""

    def __init__(self, state: StateDirectory) -> None:
        self._state = state
        self._volumes: list[BlockVolume] = []
        self._given_back: dict[str, Disposal] = {}
        self._spared: set[str] = set()

    def all(self) -> list[BlockVolume]:
        """Every volume, oldest first."""
        return list(self._volumes)

    def of_lease(self, uid: str) -> list[BlockVolume]:
        """The volumes of one lease, oldest first."""
        return [one for one in self._volumes if one.lease == uid]

    def make(self, pool: str, shape: Shape) -> BlockVolume:
        """A new volume for a member of this pool. Raises StateDirectoryError."""
        made = BlockVolume(self._state.make_store(), pool, shape)
        self._volumes.append(made)
        return made

    def resume(self, row: LeaseRow, pool: str, shape: Shape) -> int:
        """Take the volumes of a lease of an earlier run; how many there are.

        Raises StateDirectoryError when another run has them.
        """
        found = self._state.hold_stores(row)
        self._volumes += [BlockVolume(volume, pool, shape, lease=row.uid, resumed=True) for volume in found]
        return len(found)

    def own(self, uid: str, members: Container[str]) -> None:
        """What these members serve is the lease's own from now on."""
        for one in self._volumes:
            if not one.lease and one.member in members:
                one.lease = uid

    def write_down(self, row: LeaseRow, ttl: float) -> None:
        """A lease as it is now, on its volumes and in the books; a renewal gives it `ttl` seconds."""
        self._state.enter_all([one.volume for one in self.of_lease(row.uid)], row, ttl)

    def spare(self, uid: str) -> None:
        """The lease cannot be served now; what it has is kept for a later run."""
        self._spared.add(uid)

    def is_spared(self, uid: str) -> bool:
        """True for a lease of which nothing is deleted."""
        return uid in self._spared

    def delete(self, one: BlockVolume) -> None:
        """Delete a volume that nobody needs any more; what it was counts in its lease's receipt."""
        self._volumes.remove(one)
        freed = one.volume.delete()
        if one.lease:
            before = self._given_back.get(one.lease, Disposal())
            self._given_back[one.lease] = Disposal(before.volumes + 1, before.volume_bytes + freed)

    async def dispose(self, uid: str) -> Disposal:
        """Delete all that a lease has, now that nobody serves it."""
        mine = self.of_lease(uid)
        await asyncio.gather(*(one.work for one in mine if one.work is not None), return_exceptions=True)
        if uid in self._spared:
            self._let_go(mine)
            return Disposal()
        self._volumes = [one for one in self._volumes if one not in mine]
        freed = [await asyncio.to_thread(one.volume.delete) for one in mine]
        before = self._given_back.pop(uid, Disposal())
        return Disposal(before.volumes + len(freed), before.volume_bytes + sum(freed))

    def close(self) -> None:
        """The run ends: nothing of it stays but what was spared."""
        for one in self.all():
            if one.lease in self._spared:
                self._let_go([one])
            else:
                self.delete(one)

    def _let_go(self, volumes: Iterable[BlockVolume]) -> None:
        for one in volumes:
            self._volumes.remove(one)
            one.volume.release()
