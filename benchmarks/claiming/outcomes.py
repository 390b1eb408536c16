"""What the generator says of a load, as JSON between the processes."""

import math
import statistics
from collections.abc import Sequence

import msgspec


class Claim(msgspec.Struct, frozen=True):
    """One claim: from the instant at which it was due until a watch showed capabilities; its first member's name."""

    milliseconds: float
    member: str


class Outcome(msgspec.Struct, frozen=True, kw_only=True):
    """What a load came to. `seconds`: from its first request until its last claim was usable; `failures`: in words.

    `late`: of leases that were left to expire, milliseconds from the deadline until the object said Released.
    `other`: further figures by name, each in the unit that its name says.
    """

    claims: list[Claim] = []
    seconds: float = 0.0
    failures: list[str] = []
    late: list[float] = []
    other: dict[str, float] = {}

    @property
    def latencies(self) -> list[float]:
        """Milliseconds of each claim that was served."""
        return [claim.milliseconds for claim in self.claims]


def percentile(values: Sequence[float], percent: float) -> float:
    """The value that so many percent do not pass (nearest rank); nan of nothing."""
    if not values:
        return float("nan")
    ordered = sorted(values)
    return ordered[max(0, math.ceil(len(ordered) * percent / 100) - 1)]


def median(values: Sequence[float]) -> float:
    """The median; nan of nothing."""
    return statistics.median(values) if values else float("nan")
