"""What a run of a job finds done by an earlier one, beside the chunks that each stage finds committed."""

from collections.abc import Mapping

import msgspec

from tasklet_runner.coordinator.progress import StageProgress, StageState
from tasklet_runner.coordinator.shuffles import readers_of, shuffled_inputs
from tasklet_runner.plan.types import Plan, Stage
from tasklet_runner.store.protocol import JobStore, all_commits
from tasklet_runner.wire.errors import InputError

_PROGRAMS = "programs"
"""The record of what each stage runs."""


def done_record(name: str) -> str:
    """The name of the record that a shuffled stage leaves in the job's store when its partitions are whole."""
    return f"partitions of {name}"


async def require_same_programs(plan: Plan, store: JobStore, programs: Mapping[str, str]) -> None:
    """Outputs of one stage come of one program, wherever that was fetched from. `programs`: the `program_key` of each
    stage, which is written down.

    Raises InputError when chunks are done that another one did; StoreError.
    """
    written = await store.get_value(_PROGRAMS)
    before = msgspec.json.decode(written, type=dict[str, str]) if written else {}
    changed = [name for name, key in programs.items() if before.get(name, key) != key]
    if changed and any([await store.commits(stage.name, 0, 1) for stage in plan.stages]):
        raise InputError(
            f"what {changed[0]} runs is not what it ran as chunks of this job were done: its module, its text, "
            "a mount, a wheel or the interpreter is another",
            remedy="put it back as it was to go on with that run, or begin anew, which deletes it: --restart",
        )
    await store.put_value(_PROGRAMS, msgspec.json.encode(programs))


async def find_done(plan: Plan, store: JobStore) -> dict[str, StageProgress]:
    """The stages that need not run, and what is known of them. Raises StoreError."""
    seen = {stage.name: await _committed(stage, store) for stage in plan.stages if shuffled_inputs(plan, stage)}
    done = done_before(plan, {name: progress.done for name, progress in seen.items()})
    return {name: await _shown(plan.stage(name), seen, store) for name in done}


def done_before(plan: Plan, committed: Mapping[str, int]) -> frozenset[str]:
    """The stages of a resumed run that need not run, from how many chunks of each are `committed`.

    Partitions end with their run, so a shuffled stage runs again, whatever was committed of it, as long as a stage
    that reads it has chunks to do; then the chunks of that reader which are committed stay. Where all who read it are
    done it does not run, and those readers need not look either.
    """
    done: set[str] = set()
    for stage in reversed(_in_waves(plan)):
        if stage.shuffle is not None:
            finished = all(reader in done for reader in readers_of(plan, stage.name))
        else:
            producers = shuffled_inputs(plan, stage)
            shuffle = plan.stage(producers[0]).shuffle if producers else None
            finished = shuffle is not None and committed.get(stage.name, 0) >= shuffle.partitions
        if finished:
            done.add(stage.name)
    return frozenset(name for name in done if not _looks(plan, plan.stage(name), done))


def _in_waves(plan: Plan) -> list[Stage]:
    return [plan.stage(name) for wave in plan.waves for name in wave]


def _looks(plan: Plan, stage: Stage, done: set[str]) -> bool:
    """True for a reader whose producers run all the same, for another's sake: it compares what is committed."""
    return stage.shuffle is None and not done.issuperset(shuffled_inputs(plan, stage))


async def _shown(stage: Stage, seen: Mapping[str, StageProgress], store: JobStore) -> StageProgress:
    if stage.shuffle is None:
        return seen[stage.name]
    record = await store.get_value(done_record(stage.name))
    shown = msgspec.json.decode(record, type=StageProgress) if record else StageProgress(name=stage.name)
    return msgspec.structs.replace(shown, resumed=shown.done)


async def _committed(stage: Stage, store: JobStore) -> StageProgress:
    succeeded = failed = 0
    async for commit in all_commits(store, stage.name):
        succeeded += commit.fault is None
        failed += commit.fault is not None
    state = StageState.FAILED if failed > stage.max_failed_chunks else StageState.SUCCEEDED
    done = succeeded + failed
    return StageProgress(name=stage.name, state=state, total=done, succeeded=succeeded, failed=failed, resumed=done)
