"""With how many members a job on a cluster starts: its coordinator's lease, which its workers share, has them at once
or none. Pure.
"""

from tasklet_runner.plan.types import CountInput, ItemsInput, Plan, Stage


def least_members(plan: Plan) -> int:
    """`minParallelism`, which stages of the first wave have, but no more than such a stage is known to have chunks."""
    return max(1, *(_least(stage) for stage in plan.stages))


def _least(stage: Stage) -> int:
    chunks = _chunks(stage)
    return stage.min_parallelism if chunks is None else min(stage.min_parallelism, chunks)


def _chunks(stage: Stage) -> int | None:
    """How many there will be; None where an input is to be read first."""
    given = stage.input
    if isinstance(given, CountInput):
        return given.count
    if isinstance(given, ItemsInput):
        return min(len(given.items), given.shards or len(given.items))
    return None
