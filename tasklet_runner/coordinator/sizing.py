"""Pure decisions on amounts: how many tasks make a frame, how many frames a slot holds, how many members are wanted.

A frame should be ten to twenty milliseconds of work: long enough that a message costs little beside it, short enough
that the results come steadily and that little is lost with a member. The last chunks of a stage go out in ever
smaller frames (guided self-scheduling: Polychronopoulos and Kuck, 1987), so that all slots end together.
"""

FRAME_MICROSECONDS = 15_000
MAX_FRAME_TASKS = 512
MAX_FRAME_BYTES = 1024 * 1024
SHORT_TASK_MICROSECONDS = 100_000
"""Tasks of at least this length need no second frame behind the running one: the pause between two of them is too
small to see, and a chunk that waits behind another could run elsewhere.
"""


def mean_after(mean: float, wall_microseconds: int, count: int) -> float:
    """The moving mean wall time of a task after `count` more took `wall_microseconds`; a mean of 0 is unknown."""
    latest = max(wall_microseconds / count, 1.0)
    if mean <= 0:
        return latest
    weight = min(count / 16, 0.5)
    return mean + (latest - mean) * weight


def frame_tasks(previous: int, mean: float, backlog: int, slots: int) -> int:
    """How many tasks the next frame takes, at least one.

    `previous`: the largest frame so far (frames at most double), `mean`: microseconds of a task, 0 when unknown,
    `backlog`: chunks that wait, `slots`: those that could take them.
    """
    if mean <= 0:
        return 1
    by_time = int(FRAME_MICROSECONDS / mean)
    share = -(-backlog // (2 * max(slots, 1)))
    return max(1, min(by_time, 2 * previous, share, MAX_FRAME_TASKS))


def frames_in_flight(mean: float) -> int:
    """How many frames a slot holds: one while tasks are long or their length is unknown, else two."""
    return 2 if 0 < mean < SHORT_TASK_MICROSECONDS else 1


def members_wanted(parallelism: int, remaining: int, chunk_slots: int, member_slots: int) -> int:
    """How many members make `parallelism` chunks run at once, but no more than the remaining chunks can use.

    `chunk_slots`: slots that one chunk reserves; `member_slots`: slots of a member, 0 when no member is known yet;
    `remaining` below 0: unknown, so as many as allowed.
    """
    chunks = parallelism if remaining < 0 else min(parallelism, remaining)
    each = max(member_slots // chunk_slots, 1) if member_slots else 1
    return -(-chunks // each)


def surplus(held: int, wanted: int, idle: int) -> int:
    """How many idle members are given back: what is held above what is wanted, and never one that works."""
    return max(0, min(held - wanted, idle))
