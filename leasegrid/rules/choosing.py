"""Which ready member a claim takes: the smallest shape that satisfies it, and of that the one that is ready longest."""

import heapq
from dataclasses import dataclass

from tasklet_runner.plan.types import Requirements


@dataclass(frozen=True)
class Offer:
    """A ready member: its shape (slots, bytes of memory, CPU features) and since when it is ready, in seconds of any
    one clock.
    """

    name: str
    shape: Requirements
    ready_since: float


def satisfies(shape: Requirements, needs: Requirements) -> bool:
    """True when a member of this shape has all that is needed."""
    return not unmet(shape, needs)


def unmet(shape: Requirements, needs: Requirements) -> tuple[str, ...]:
    """What a member of this shape lacks, in words; empty when it will do."""
    lacking = []
    if needs.slots > shape.slots:
        lacking.append(f"{needs.slots} slots (it has {shape.slots})")
    if needs.memory > shape.memory:
        lacking.append(f"{needs.memory} bytes of memory (it has {shape.memory})")
    missing = sorted(set(needs.cpu_features) - set(shape.cpu_features))
    if missing:
        lacking.append(f"the CPU features {', '.join(missing)}")
    return tuple(lacking)


class ReadyIndex:
    """The ready members of one pool. A claim takes O(log n) and a look at each shape, of which a pool has one or two.

    Members that leave are struck out at once, and their entries are dropped from the heaps when they come to the top.
    """

    def __init__(self) -> None:
        self._offers: dict[str, Offer] = {}
        self._heaps: dict[Requirements, list[tuple[float, str]]] = {}
        self._counts: dict[Requirements, int] = {}

    def __len__(self) -> int:
        return len(self._offers)

    def __contains__(self, name: str) -> bool:
        return name in self._offers

    def add(self, offer: Offer) -> None:
        """A member is ready; one that is known already is taken as newly offered."""
        self.remove(offer.name)
        self._offers[offer.name] = offer
        self._counts[offer.shape] = self._counts.get(offer.shape, 0) + 1
        heapq.heappush(self._heaps.setdefault(offer.shape, []), (offer.ready_since, offer.name))

    def remove(self, name: str) -> Offer | None:
        """A member is not ready any more; None when it was not listed."""
        offer = self._offers.pop(name, None)
        if offer is None:
            return None
        self._counts[offer.shape] -= 1
        if not self._counts[offer.shape]:
            del self._counts[offer.shape], self._heaps[offer.shape]
        return offer

    def count(self, needs: Requirements) -> int:
        """How many ready members would do."""
        return sum(count for shape, count in self._counts.items() if satisfies(shape, needs))

    def shapes(self) -> tuple[tuple[Requirements, int], ...]:
        """Every shape with its number of ready members, smallest first."""
        return tuple(sorted(self._counts.items()))

    def take(self, needs: Requirements) -> Offer | None:
        """Take the member that a claim gets, or None."""
        fitting = [shape for shape in self._heaps if satisfies(shape, needs)]
        return self._oldest(min(fitting)) if fitting else None

    def _oldest(self, shape: Requirements) -> Offer:
        heap = self._heaps[shape]
        while True:
            since, name = heapq.heappop(heap)
            offer = self._offers.get(name)
            if offer is not None and offer.shape == shape and offer.ready_since == since:
                self.remove(name)
                return offer
