"""What is done next about a store that a living lease owns: who serves its volume. Pure.

A volume has one server at a time. A lost one is followed by another on the same volume, which is bound to the same
lease at the next epoch; no other lease ever gets it.
"""

from enum import Enum

from tasklet_runner.wire.member import MemberState


class Step(Enum):
    """What is done."""

    REST = "rest"
    FOLLOW = "follow"
    BIND = "bind"
    ADOPT = "adopt"
    END = "end"


def next_step(*, held: bool, lacking: int, server: MemberState | None) -> Step:
    """`held`: its server is bound to the lease, as far as the lease knows; `lacking`: members that the lease is short
    of; `server`: the state of the newest one, None for one that is gone, or that nobody has seen yet.

    A lease that is short of nobody has given this store back.
    """
    if held:
        return Step.REST
    if server is None:
        return Step.FOLLOW if lacking > 0 else Step.END
    if lacking > 0 and server is MemberState.READY:
        return Step.BIND
    # Its bind was taken for a failed one: the answer was lost.
    return Step.ADOPT if lacking > 0 and server is MemberState.CLAIMED else Step.REST
