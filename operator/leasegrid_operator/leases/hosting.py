"""The end of leases on pods: members that do not answer, and what belonged to members that are not used again."""

import asyncio
from collections.abc import Sequence
from typing import Protocol

from leasegrid.leasing.binding import Binder
from leasegrid.leasing.leases import Held, LeaseRecord
from leasegrid.leasing.parts import Disposal
from leasegrid.leasing.signing import SteadyClock

GRACE_SECONDS = 1.0
"""A member has freed itself so long after the last deadline that it could know, though nobody can ask it."""

FIRST_PAUSE_SECONDS = 0.25
LONGEST_PAUSE_SECONDS = 4.0


class Reaper(Protocol):
    """Deletes what belongs to a lease alone."""

    async def reap(self, record: LeaseRecord, held: Sequence[Held]) -> Disposal:
        """Delete pods and volumes of a lease that is over, of these members and of earlier ones; returns when they are
        seen to be gone, or after a bounded time.
        """
        ...


class PodHost:
    """Implements `Host`."""

    def __init__(self, binder: Binder, clock: SteadyClock, reaper: Reaper) -> None:
        self._binder = binder
        self._clock = clock
        self._reaper = reaper

    async def vanish(self, record: LeaseRecord, silent: Sequence[Held]) -> Sequence[Held]:
        """Ask again until it answers, its pod is gone, or its deadline and a grace are over. Nothing is forced: of a
        node that is not heard of nobody knows what runs there.
        """
        left, pause = list(silent), FIRST_PAUSE_SECONDS
        while left and self._clock.now() < record.deadline + GRACE_SECONDS:
            await asyncio.sleep(pause)
            pause = min(LONGEST_PAUSE_SECONDS, pause * 2)
            left = [one for one in left if not one.member.gone.is_set()]
            freed = await self._binder.release(record, left)
            left = [one.held for one in freed if one.unverified]
        return [one for one in left if not one.member.gone.is_set()]

    async def dispose(self, record: LeaseRecord, held: Sequence[Held]) -> Disposal:
        """All that is the lease's own goes, whether a member held it at the end or not; what is used again stays."""
        return await self._reaper.reap(record, [one for one in held if one.member.shape.reuse != "Reset"])
