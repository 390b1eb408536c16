"""Modules of a few lines are compiled here for real, each once per session, and run in a Runner of their own."""

import os
import tempfile
from collections.abc import Callable, Iterator
from functools import cache
from pathlib import Path
from typing import Any

import msgspec
import pytest
import wasmtime

from tasklet_runner.sandbox.compiling import CompileBounds, CompileChild
from tasklet_runner.sandbox.engine import new_engine
from tasklet_runner.sandbox.running import Places, Runner
from tasklet_runner.wire.programs import Language, Limits, Outcome, Program, Task

RunWat = Callable[..., Outcome]

SMALL = Limits(fuel=1_000_000, memory=1024 * 1024, wall_seconds=5, max_output=1000)

_TOOL = Program(name="tool", language=Language.WASM, source="00", limits=SMALL)


@cache
def compiled(wat: str) -> int:
    """A descriptor of the native code; lives as long as the session."""
    with tempfile.NamedTemporaryFile(suffix=".wasm") as file:
        Path(file.name).write_bytes(wasmtime.wat2wasm(wat))
        return CompileChild.start(Path(file.name), CompileBounds(memory=512 * 1024 * 1024)).finish()


@pytest.fixture(scope="session")
def engine() -> wasmtime.Engine:
    return new_engine()


@pytest.fixture
def places() -> Iterator[Places]:
    """On tmpfs, where slots have theirs; some of these tests make thousands of files."""
    memory = "/dev/shm" if os.access("/dev/shm", os.W_OK) else None  # noqa: S108 - a directory of our own below it
    with tempfile.TemporaryDirectory(dir=memory) as name:
        root = Path(name)
        yield Places(scratch=root / "scratch", held=root / "held", source=root / "source.py", blobs=root / "blobs")


@pytest.fixture
def open_runner(engine: wasmtime.Engine, places: Places) -> Iterator[Callable[..., Runner]]:
    """A runner of a text module; keywords are fields of its Program."""
    runners: list[Runner] = []

    def make(wat: str, **fields: Any) -> Runner:  # noqa: ANN401 - the fields of Program, each of its own type
        program = msgspec.structs.replace(_TOOL, **fields)
        runners.append(Runner(engine, program, code_fd=compiled(wat), places=places))
        return runners[-1]

    yield make
    for runner in runners:
        runner.close()
    assert os.listdir(places.scratch) == []


@pytest.fixture
def run(open_runner: Callable[..., Runner]) -> RunWat:
    """Run a text module once; keywords are fields of its Program, `task` replaces the empty task."""

    def once(wat: str, task: Task | None = None, **fields: Any) -> Outcome:  # noqa: ANN401 - as above
        return open_runner(wat, **fields).run(task or Task(0, 1, "0-aa"))

    return once
