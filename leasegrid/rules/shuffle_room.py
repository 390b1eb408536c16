"""Whether the partitions of a plan ever fit into one machine's memory: what waits for itself is refused. Pure."""

from collections.abc import Iterator

from tasklet_runner.plan.types import Medium, Plan, StageInput


def never_fitting(plan: Plan, room: int) -> tuple[str, ...]:
    """The stages whose Memory stores stand together at some time and exceed so many bytes; empty when all goes well.

    A store stands from the start of the stage that fills it to the end of the last one that reads it, and one wave ends
    before the next begins. So a stage may wait for stores that a stage of its own wave will give back, but not for
    those that it reads itself or that are read later.
    """
    sizes = dict(_memory_stores(plan))
    held: set[str] = set()
    ended: set[str] = set()
    for wave in plan.waves:
        waiting = [name for name in wave if name in sizes]
        ended |= set(wave) - set(waiting)
        held = _still_read(plan, held, ended)
        # The smallest first: when even that one finds no room, none of the others does.
        for name in sorted(waiting, key=lambda name: sizes[name]):
            held.add(name)
            if sum(sizes[one] for one in held) > room:
                return tuple(stage.name for stage in plan.stages if stage.name in held)
            ended.add(name)
            held = _still_read(plan, held, ended)
    return ()


def _memory_stores(plan: Plan) -> Iterator[tuple[str, int]]:
    for stage in plan.stages:
        if stage.shuffle is not None and stage.shuffle.medium is Medium.MEMORY:
            yield stage.name, stage.shuffle.size


def _still_read(plan: Plan, held: set[str], ended: set[str]) -> set[str]:
    to_come = [stage for stage in plan.stages if stage.name not in ended]
    return held & {name for stage in to_come if isinstance(stage.input, StageInput) for name in stage.input.stages}
