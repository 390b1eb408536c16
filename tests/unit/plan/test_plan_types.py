"""A plan is plain data that a successor reads from the store."""

import msgspec
import pytest

from tasklet_runner.plan.types import (
    CountInput,
    FilesInput,
    Input,
    Item,
    ItemsInput,
    LinesInput,
    Plan,
    Requirements,
    Source,
    Stage,
    StageInput,
    TaskletPlan,
)
from tasklet_runner.wire.programs import Language

TASKLET = TaskletPlan(name="t", language=Language.WASM, source=Source(uri="/t.wasm"))


def plan() -> Plan:
    inputs: dict[str, Input] = {
        "items": ItemsInput(items=(Item(value="a", requirements=Requirements(2, 1024, ("avx",))),)),
        "count": CountInput(count=3),
        "lines": LinesInput(source=Source(uri="/lines")),
        "files": FilesInput(globs=("/*.c",), root="/"),
        "gathered": StageInput(stages=("items",), gather=True),
    }
    stages = tuple(Stage(name=name, tasklet=TASKLET, input=one) for name, one in inputs.items())
    return Plan(namespace="default", name="j", stages=stages, waves=(tuple(inputs),))


def test_a_plan_is_read_back_as_it_was_written() -> None:
    assert msgspec.json.decode(msgspec.json.encode(plan()), type=Plan) == plan()


def test_a_stage_is_found_by_its_name() -> None:
    assert plan().stage("count").input == CountInput(count=3)


def test_an_unknown_stage_is_a_key_error_that_names_it() -> None:
    with pytest.raises(KeyError, match="reduce"):
        plan().stage("reduce")
