"""One round of admission: what is left of the supplies while claims are served in order."""

import heapq
from collections.abc import Sequence

from leasegrid.api.enums import OnEmpty
from leasegrid.rules.admission_words import behind, empty_pool, head, timed_out, why_never
from leasegrid.rules.choosing import satisfies
from leasegrid.rules.claims import Admission, Claim, Grant, Place, Provision, Refusal, Supply, Take


class Round:
    """The state of one decision; it lives for one call of `admission.admit` and is seen by nobody else."""

    def __init__(self, supplies: Sequence[Supply], now: float) -> None:
        self._supplies = supplies
        self._now = now
        self._free = [supply.ready for supply in supplies]
        self._kept_for_waiting: set[int] = set()
        self._taken: dict[str, dict[str, int]] = {}
        self._refusals: list[Refusal] = []
        self._queue: list[Claim] = []
        self._provisions: list[Provision] = []
        self._timeouts: list[float] = []

    def serve(self, claim: Claim) -> None:
        """Give a first-comer its minimum or nothing; what remains waits or is refused."""
        usable = self._usable(claim)
        refusal = None if claim.on_empty is OnEmpty.PROVISION else why_never(claim, self._supplies, usable)
        if refusal is not None:
            self._refusals.append(refusal)
        elif sum(self._free[index] for index in usable) >= claim.minimum:
            self._take(claim, usable, claim.minimum if claim.elastic else claim.count)
        else:
            self._leave_waiting(claim, usable)

    def grow(self, ordered: Sequence[Claim]) -> None:
        """Give elastic leases what no waiting one could use: higher priority first, then whoever has fewest."""
        for index in self._kept_for_waiting:
            self._free[index] = 0
        hungry = [
            (-claim.priority, held, place, claim)
            for place, claim in enumerate(ordered)
            if claim.elastic and (held := self._held(claim)) and held < claim.count
        ]
        heapq.heapify(hungry)
        while hungry:
            priority, held, place, claim = heapq.heappop(hungry)
            if self._take(claim, self._usable(claim), 1) and held + 1 < claim.count:
                heapq.heappush(hungry, (priority, held + 1, place, claim))

    def outcome(self) -> Admission:
        """The decision as plain data."""
        return Admission(
            grants=tuple(
                Grant(uid, tuple(Take(pool, count) for pool, count in takes.items()))
                for uid, takes in self._taken.items()
            ),
            refusals=tuple(self._refusals),
            queue=tuple(self._place(position, claim) for position, claim in enumerate(self._queue, start=1)),
            provisions=tuple(self._provisions),
            wake_at=min(self._timeouts, default=None),
        )

    def _usable(self, claim: Claim) -> list[int]:
        """Supplies that would do, in the claim's order of preference, smaller shapes of a pool first."""
        fitting = [
            (_preference(claim, supply, index), index)
            for index, supply in enumerate(self._supplies)
            if _is_open_to(supply, claim) and not supply.draining and satisfies(supply.shape, claim.needs)
        ]
        return [index for _, index in sorted(fitting)]

    def _held(self, claim: Claim) -> int:
        return claim.bound + sum(self._taken.get(claim.uid, {}).values())

    def _take(self, claim: Claim, usable: list[int], most: int) -> int:
        taken = 0
        for index in usable:
            count = min(self._free[index], most - taken)
            if count:
                self._free[index] -= count
                takes = self._taken.setdefault(claim.uid, {})
                takes[self._supplies[index].pool] = takes.get(self._supplies[index].pool, 0) + count
                taken += count
        return taken

    def _leave_waiting(self, claim: Claim, usable: list[int]) -> None:
        if claim.on_empty is OnEmpty.FAIL:
            self._refusals.append(empty_pool(claim, self._supplies, usable, self._free))
            return
        deadline = claim.arrived + claim.queue_timeout_seconds
        if self._now >= deadline:
            self._refusals.append(timed_out(claim, self._supplies, usable))
            return
        self._timeouts.append(deadline)
        if claim.on_empty is OnEmpty.PROVISION:
            self._provision(claim)
        else:
            self._enqueue(claim, usable)

    def _provision(self, claim: Claim) -> None:
        missing = claim.count - claim.provisioning
        if missing > 0:
            self._provisions.append(Provision(claim.uid, missing))

    def _enqueue(self, claim: Claim, usable: list[int]) -> None:
        if not self._queue:
            for index in usable:
                self._free[index] = 0
        self._queue.append(claim)
        self._kept_for_waiting.update(usable)

    def _place(self, position: int, claim: Claim) -> Place:
        if position == 1:
            return head(claim, self._supplies, self._usable(claim))
        return behind(claim, position, len(self._queue))


def _is_open_to(supply: Supply, claim: Claim) -> bool:
    if supply.owner:
        return supply.owner == claim.uid
    return not claim.pools or supply.pool in claim.pools


def _preference(claim: Claim, supply: Supply, index: int) -> tuple[int, tuple[int, int, tuple[str, ...]]]:
    shape = (supply.shape.slots, supply.shape.memory, supply.shape.cpu_features)
    if supply.owner:
        return (-1, shape)
    return (claim.pools.index(supply.pool) if claim.pools else index, shape)
