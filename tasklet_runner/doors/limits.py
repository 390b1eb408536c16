"""How much a door takes on of people whom it does not know yet."""

import resource
from dataclasses import dataclass

CONNECTIONS = 4096
"""At once. A store is asked by a job's members, some hundreds with a few connections each; one costs some 10 KB."""

HEAD_BYTES = 32 * 1024
"""Of a request's line and fields: a grant or a capability of 64 members takes less than half."""

ARRIVAL_SECONDS = 10.0
"""A handshake, a head and a small body must have come by then."""

STALL_SECONDS = 30.0
STALL_BYTES = 32 * 1024
"""A peer takes or sends so many bytes in so many seconds in which it is waited for, a kilobyte a second, or is cut off:
the slowest link that people use is quicker, and retransmission gets over the longest usual loss by then.
"""

HURRY_SECONDS = 2.0
"""So long instead, while others wait for the memory that it has."""

IDLE_SECONDS = 300.0
"""A connection is kept so long between calls: the fabric keeps one to each member, so that a bind need not connect."""

DESCRIPTOR_SHARE = 0.75
"""Of a process's descriptors, what connections may have; files, slots and stores need the rest."""


@dataclass(frozen=True)
class DoorLimits:
    """The bounds of one door: see the constants."""

    connections: int = CONNECTIONS
    head_bytes: int = HEAD_BYTES
    arrival_seconds: float = ARRIVAL_SECONDS
    idle_seconds: float = IDLE_SECONDS
    stall_seconds: float = STALL_SECONDS
    stall_bytes: int = STALL_BYTES


def own_limits() -> DoorLimits:
    """The usual ones, with fewer connections where this process may open fewer descriptors."""
    soft = resource.getrlimit(resource.RLIMIT_NOFILE)[0]
    if soft == resource.RLIM_INFINITY:
        return DoorLimits()
    return DoorLimits(connections=min(CONNECTIONS, int(soft * DESCRIPTOR_SHARE)))
