"""Which waiting leases get members now, which wait in which place, and which are refused. See `claims` for the rules in
words.
"""

from collections.abc import Sequence

from leasegrid.rules.admission_round import Round
from leasegrid.rules.claims import Admission, Claim, Supply


def admit(claims: Sequence[Claim], supplies: Sequence[Supply], now: float) -> Admission:
    """The whole decision of this instant; run again after it was applied, it grants nothing more."""
    ordered = in_order(claims)
    current = Round(supplies, now)
    for claim in ordered:
        if not claim.admitted:
            current.serve(claim)
    current.grow(ordered)
    return current.outcome()


def in_order(claims: Sequence[Claim]) -> list[Claim]:
    """Higher priority first, then earlier arrival; the uid decides between equals, so that every replica agrees."""
    return sorted(claims, key=lambda claim: (-claim.priority, claim.arrived, claim.uid))
