"""How a room is shared by groups that nobody knows beforehand; pure."""


def has_room(mine: int, present: int, total: int) -> bool:
    """Whether one more of a group may come in that has `mine` of the `present` ones in a room for `total`.

    A group may have as many as are still free: alone it gets half of the room, and each of n greedy groups 1/(n+1), so
    that there is always a place for a newcomer. Source: dynamic thresholds (A. Choudhury and E. Hahne, "Dynamic Queue
    Length Thresholds for Shared-Memory Packet Switches", IEEE/ACM Transactions on Networking 6(2), 1998), factor 1.
    """
    return mine < total - present
