"""What a program is started with: arguments, environment and directories, prepared once and filled per chunk."""

import os
import shutil
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Self

from tasklet_runner.sandbox.expansion import (
    MAX_EXPANDED,
    Template,
    chunk_values,
    compile_arguments,
    compile_environment,
    too_long,
)
from tasklet_runner.sandbox.native import WasiSettings, char_array
from tasklet_runner.wire.programs import Language, Mode, Program, Task

SCRIPT_DIRECTORY = "/tasklet"
"""Where a Python file stands inside the sandbox, read-only."""

SCRIPT_TIMES = (4102444800, 946684800)
"""Access and modification of that file in UNIX seconds, the same for every run of it: 2100, so that the kernel never
finds it out of date and moves it, and 2000.
"""

PYTHON_ENVIRONMENT = (
    ("PYTHONHASHSEED", "0"),  # sets and dicts of strings in the same order each time
    ("PYTHONDONTWRITEBYTECODE", "1"),
    ("PYTHONUTF8", "1"),
)
"""What Python programs get unless their own environment says otherwise."""

LOOP_ENVIRONMENT = (*PYTHON_ENVIRONMENT, ("PYTHONUNBUFFERED", "1"))  # a reply must not wait in a buffer


@dataclass
class Command:
    """The C arrays of one program's arguments and environment, with the places in them that differ by chunk."""

    settings: WasiSettings
    argument_templates: tuple[tuple[int, Template], ...]
    value_templates: tuple[tuple[int, Template], ...]

    @classmethod
    def of(cls, program: Program, stdout: Path, stderr: Path) -> Self:
        """The command of a program; `settings.preopens` is left to the caller."""
        environment = compile_environment(_environment(program))
        arguments = [Template((text,)) for text in _leading_arguments(program)]
        arguments += compile_arguments(program.arguments, environment)
        values = list(environment.values())
        settings = WasiSettings(
            argv=char_array(_constants(arguments)),
            env_names=char_array([name.encode() for name in environment]),
            env_values=char_array(_constants(values)),
            stdout=bytes(stdout),
            stderr=bytes(stderr),
        )
        return cls(settings, _varying(arguments), _varying(values))

    def fill(self, task: Task) -> None:
        """Put this chunk's values where they belong; costs nothing for a program that uses none.

        Raises FaultError (CapacityExceeded) for what is too long with them.
        """
        if self.argument_templates or self.value_templates:
            values = chunk_values(task.index, task.attempt, task.chunk_id, task.path)
            varying = (template for _, template in (*self.argument_templates, *self.value_templates))
            if sum(template.length(values) for template in varying) > MAX_EXPANDED:
                raise too_long()
            for position, template in self.argument_templates:
                self.settings.argv[position] = template.fill(values).encode()
            for position, template in self.value_templates:
                self.settings.env_values[position] = template.fill(values).encode()


def install_script(program: Program, source: Path, directory: Path) -> None:
    """Put the Python file into a directory of its own, under the name that its tracebacks will show."""
    directory.mkdir()
    script = directory / PurePosixPath(_script_path(program)).name
    shutil.copyfile(source, script)
    # CPython reads the times of the file that it runs, and their digits cost fuel. The kernel's own time of change
    # cannot be set: it makes a hundred units of difference between some members.
    for path in (script, directory):
        os.utime(path, SCRIPT_TIMES)


def _environment(program: Program) -> tuple[tuple[str, str], ...]:
    if program.language is not Language.PYTHON:
        return program.environment
    return (LOOP_ENVIRONMENT if program.mode is Mode.LOOP else PYTHON_ENVIRONMENT) + program.environment


def _leading_arguments(program: Program) -> tuple[str, ...]:
    return (program.name, _script_path(program)) if program.language is Language.PYTHON else (program.name,)


def _script_path(program: Program) -> str:
    name = PurePosixPath(program.name).name.removesuffix(".py") or "tasklet"
    return f"{SCRIPT_DIRECTORY}/{name}.py"


def _constants(templates: list[Template]) -> list[bytes]:
    return [template.fill({}).encode() if template.constant else b"" for template in templates]


def _varying(templates: list[Template]) -> tuple[tuple[int, Template], ...]:
    return tuple((index, template) for index, template in enumerate(templates) if not template.constant)
