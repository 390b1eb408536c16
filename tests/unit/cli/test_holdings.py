"""What is held, as a table; and what a run is made from."""

import os
from pathlib import Path

import pytest

from leasegrid.cli.exits import may_go_on
from leasegrid.cli.holdings import Holding, table
from leasegrid.cli.origins import origin
from leasegrid.local.books import Resource
from leasegrid.local.state import KeptLease
from tasklet_runner.plan.types import CountInput, Plan, Source, Stage, TaskletPlan
from tasklet_runner.wire.programs import Language


def kept(name: str, expires: float | None, *, process: int = 0, namespace: str = "default") -> KeptLease:
    return KeptLease(
        uid="u", resource=Resource.BLOCK, namespace=namespace, name=name, holder="", purpose="outputs", members=(),
        volume_bytes=2048, acquired=0.0, expires=expires, process=process,
    )  # fmt: skip


def test_the_table_says_what_is_held_until_when_and_by_whom() -> None:
    holdings = [
        Holding(kept("fractal", 4600.0), 3, "3 chunks, 2 KiB"),
        Holding(kept("slow", None, process=17, namespace="lab"), 1, "1 chunk, 2 KiB"),
    ]

    assert table(holdings, now=1000.0) == [
        "LEASE               RESOURCE  HOLDS            UNTIL                 USED BY",
        "fractal (outputs)   Block     3 chunks, 2 KiB  in 1 h                -",
        "lab/slow (outputs)  Block     1 chunk, 2 KiB   its job is run again  process 17",
    ]


def plan(source: Path, chunks: int = 3) -> Plan:
    tasklet = TaskletPlan(name="x", language=Language.WASM, source=Source(uri=str(source)))
    stage = Stage(name="main", tasklet=tasklet, input=CountInput(count=chunks))
    return Plan(namespace="default", name="job", stages=(stage,), waves=(("main",),))


def test_a_run_goes_on_only_from_the_same_plan_and_the_same_files(tmp_path: Path) -> None:
    module = tmp_path / "x.wasm"
    module.write_bytes(b"one")
    first = origin(plan(module))

    assert origin(plan(module)) == first
    assert origin(plan(module, chunks=4)) != first
    module.write_bytes(b"two!")
    assert origin(plan(module)) != first


def test_a_file_that_changed_within_a_mounted_directory_is_a_change(tmp_path: Path) -> None:
    inner = tmp_path / "inner.txt"
    inner.write_text("a")
    before = origin(plan(tmp_path))
    os.utime(inner, (1, 1))

    assert origin(plan(tmp_path)) != before


def test_a_file_that_is_not_there_is_no_error_here(tmp_path: Path) -> None:
    assert origin(plan(tmp_path / "none"))


@pytest.mark.parametrize(
    ("reason", "goes_on"),
    [
        pytest.param("Interrupted", True, id="after Ctrl-C"),
        pytest.param("StoreUnavailable", True, id="after a full disk"),
        pytest.param("StateDirectory", True, id="after a state directory in use"),
        pytest.param("ChunksFailed", False, id="failed chunks stay failed"),
        pytest.param("Finished", False, id="what is finished starts anew"),
    ],
)
def test_may_go_on(reason: str, goes_on: bool) -> None:
    assert may_go_on(reason) is goes_on
