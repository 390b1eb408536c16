"""Which member fetches which partition ahead, and which partition a member reads next: pure."""

import heapq
from collections import Counter
from collections.abc import Iterable, Mapping


def assign(partitions: int, slots: Mapping[str, int], before: Mapping[int, str]) -> dict[int, str]:
    """The member that follows each partition, none when there is no member; in balance by the members' `slots`.

    What was assigned `before` stays where it is, as far as the balance allows.
    """
    total = sum(slots.values())
    if not total:
        return {}
    share = {member: -(-partitions * count // total) for member, count in slots.items()}
    assigned: dict[int, str] = {}
    load: Counter[str] = Counter()
    for partition in range(partitions):
        member = before.get(partition, "")
        if load[member] < share.get(member, 0):
            assigned[partition] = member
            load[member] += 1
    order = {member: position for position, member in enumerate(slots)}
    lightest = [((load[member] + 1) / slots[member], order[member], member) for member in slots if slots[member]]
    heapq.heapify(lightest)
    for partition in range(partitions):
        if partition not in assigned:
            _, position, member = lightest[0]
            assigned[partition] = member
            load[member] += 1
            heapq.heapreplace(lightest, ((load[member] + 1) / slots[member], position, member))
    return dict(sorted(assigned.items()))


def best(partitions: Iterable[int], followed: Mapping[int, str], member: str) -> int:
    """The position of the partition that this member should read next, of those that wait, at least one.

    One that it follows; else the first that nobody does; else the last, which its own follower would come to last.
    """
    free = last = -1
    for position, partition in enumerate(partitions):
        follower = followed.get(partition, "")
        if follower == member:
            return position
        if free < 0 and not follower:
            free = position
        last = position
    return free if free >= 0 else last
