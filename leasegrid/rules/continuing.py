"""Whether a run may go on from the chunks of an earlier one: what was changed since it was begun. Pure.

What is compared is what the outputs of a chunk depend on. Everything else may be changed between two runs of one job:
`parallelism`, `minParallelism`, `lease`, `retry`, `priority`, `maxFailedChunks`, `cache`, `activeDeadlineSeconds`,
`suspend`, `dataSecretRef`, `output` but for `store`, an item's `requirements`, a shuffle's `medium`, `mode` and `size`.
"""

from collections.abc import Iterable, Iterator, Mapping

import msgspec

from tasklet_runner.plan.types import (
    CountInput,
    FilesInput,
    Input,
    ItemsInput,
    Kind,
    LinesInput,
    Plan,
    Shuffle,
    Stage,
    TaskletPlan,
)
from tasklet_runner.wire.programs import Language

SHOWN = 8
"""So many changes are named, the others counted."""

_VALUE_CHARACTERS = 60


class FileState(msgspec.Struct, frozen=True, array_like=True):
    """A file as a run found it: bytes, time of change in nanoseconds, SHA-256 in hex where it was read (of one that
    lies elsewhere: what its server says that differs when the content does).

    `is_input`: its content is in the ids of the chunks, which are compared one by one.
    """

    size: int
    changed: int
    digest: str = ""
    is_input: bool = False


class Origin(msgspec.Struct, frozen=True):
    """What a run was begun from: its plan, and the state of every local file that the plan names, by path."""

    plan: Plan
    files: dict[str, FileState]


def changes(before: Origin, now: Origin) -> tuple[str, ...]:
    """What forbids to go on, each as `<field path or file>: <what>`; empty when nothing does."""
    return (*_plan_changes(before.plan, now.plan), *_file_changes(before.files, now.files))


def in_words(found: Iterable[str]) -> str:
    """The changes in one line."""
    named = list(found)
    rest = f" and {len(named) - SHOWN} more" if len(named) > SHOWN else ""
    return "; ".join(named[:SHOWN]) + rest


def _plan_changes(before: Plan, now: Plan) -> Iterator[str]:
    was, current = dict(_fields(before)), dict(_fields(now))
    gone, new = set(_places(before)) - set(_places(now)), set(_places(now)) - set(_places(before))
    yield from (f"{place}: it was there" for place in sorted(gone))
    yield from (f"{place}: it was not there" for place in sorted(new))
    for path in [*was, *(path for path in current if path not in was)]:
        if path.startswith(tuple(f"{place}." for place in gone | new)) or was.get(path) == current.get(path):
            continue
        one, other = _shown(was.get(path)), _shown(current.get(path))
        yield f"{path}: was {one}, is {other}" if one != other else f"{path}: it was changed"


def _file_changes(before: Mapping[str, FileState], now: Mapping[str, FileState]) -> Iterator[str]:
    for path in sorted(before.keys() | now.keys()):
        was, current = before.get(path), now.get(path)
        if was is None or current is None:
            yield f"{path}: {'it was not there' if was is None else 'it is gone'}"
        elif was.digest and current.digest:
            if was.digest != current.digest:
                yield f"{path}: its content was changed"
        elif was.size != current.size:
            yield f"{path}: had {was.size:,} bytes, has {current.size:,}"
        elif was.changed != current.changed and not (was.is_input and current.is_input):
            yield f"{path}: it was written again"


def _places(plan: Plan) -> Iterator[str]:
    return (_place(plan, stage) for stage in plan.stages)


def _place(plan: Plan, stage: Stage) -> str:
    """Where a stage stands in the object that the user wrote."""
    if plan.kind is Kind.TASK_GRAPH:
        return f"spec.tasks[{stage.name}]"
    return "spec" if stage is plan.stages[0] else f"spec.{stage.name}"


def _fields(plan: Plan) -> Iterator[tuple[str, object]]:
    yield "kind", plan.kind.value
    yield "spec.output.store", plan.output.store
    for stage in plan.stages:
        place = _place(plan, stage)
        yield from _tasklet(f"{place}.tasklet", stage.tasklet)
        if plan.kind is Kind.TASK_GRAPH:
            yield f"{place}.dependsOn", stage.depends_on
            yield from _shuffle(f"{place}.shuffle", stage.shuffle)
        yield from _input(f"{place}.input", stage.input)


def _tasklet(place: str, tasklet: TaskletPlan) -> Iterator[tuple[str, object]]:
    source, limits = tasklet.source, tasklet.limits
    local = source.uri.startswith("/")
    if tasklet.language is Language.PYTHON:
        yield f"{place}.python.source.{'inline' if source.inline is not None else 'path'}", source.inline or source.uri
        yield f"{place}.python.mode", tasklet.mode.value
        yield f"{place}.python.wheels", tuple(wheel.uri for wheel in tasklet.wheels)
    else:
        yield f"{place}.module.{'path' if local else 'url'}", source.inline or source.uri
    if not local:  # the content of a local file is compared itself
        yield f"{place}.module.sha256", source.digest
    yield f"{place}.args", tasklet.arguments
    yield f"{place}.env", tasklet.environment
    yield f"{place}.mounts", tuple((mount.path, mount.source.uri) for mount in tasklet.mounts)
    yield f"{place}.fuel", limits.fuel
    yield f"{place}.memory", limits.memory
    yield f"{place}.wallSeconds", limits.wall_seconds
    yield f"{place}.maxOutput", limits.max_output
    yield f"{place}.outputFiles", tasklet.output_files
    yield f"{place}.durable", tasklet.durable


def _shuffle(place: str, shuffle: Shuffle | None) -> Iterator[tuple[str, object]]:
    if shuffle is not None:
        yield f"{place}.partitions", shuffle.partitions
        yield f"{place}.by", shuffle.by.value


def _input(place: str, given: Input) -> Iterator[tuple[str, object]]:
    match given:
        case CountInput():
            yield f"{place}.count", given.count
        case ItemsInput():
            yield from ((f"{place}.items[{number}].value", item.value) for number, item in enumerate(given.items))
            yield f"{place}.shards", given.shards
        case LinesInput():
            local = given.source.uri.startswith("/")
            yield f"{place}.lines.{'path' if local else 'uri'}", given.source.uri
            yield f"{place}.lines.perChunk", given.per_chunk
            yield f"{place}.shards", given.shards
        case FilesInput():
            yield f"{place}.files.globs", given.globs
            yield f"{place}.files.root", given.root
            yield f"{place}.shards", given.shards
        case _:
            yield f"{place}.from", given.stages
            yield f"{place}.gather", given.gather


def _shown(value: object) -> str:
    if value is None:
        return "not there"
    text = msgspec.json.encode(value).decode()
    return text if len(text) <= _VALUE_CHARACTERS else f"{text[: _VALUE_CHARACTERS - 1]}…"
