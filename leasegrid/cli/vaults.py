"""Where compiled code of a job is kept: beside its cache where it has one, else for the run alone.

The code of the interpreter is kept in any case, and once: it belongs to the installation, not to a job or its cache,
and takes seconds. Only a job that has modules of its own beside it keeps all its code beside its cache.
"""

import os
from pathlib import Path

from leasegrid.local.keys import private_file
from leasegrid.local.state import StateDirectory
from tasklet_runner.coordinator.code import KEY_BYTES, CodeVault
from tasklet_runner.plan.types import Plan
from tasklet_runner.wire.errors import StateDirectoryError
from tasklet_runner.wire.programs import DEFAULT_PYTHON_RUNTIME, Language

_KEY = "code-key"
_SUFFIX = ".code"


def open_vault(state: StateDirectory, plan: Plan, scratch: Path) -> CodeVault:
    """The vault of one job; `scratch` is the run's own directory. Raises StateDirectoryError."""
    languages = {stage.tasklet.language for stage in plan.stages}
    caches = [stage.cache for stage in plan.stages if stage.cache is not None]
    if caches and languages != {Language.PYTHON}:
        return CodeVault(_made(state.root / "caches" / caches[0].name / "code"), _key(state))
    if Language.PYTHON in languages:
        return CodeVault(_made(state.root / "code" / "_interpreter"), _key(state))
    return CodeVault(_made(scratch / "code"))


def tidy_vault(state: StateDirectory) -> None:
    """Leave nothing of any job in the interpreter's vault."""
    for path in (state.root / "code" / "_interpreter").glob(f"*{_SUFFIX}"):
        if not path.name.startswith(DEFAULT_PYTHON_RUNTIME):
            path.unlink(missing_ok=True)


def _made(directory: Path) -> Path:
    try:
        directory.mkdir(mode=0o700, parents=True, exist_ok=True)
    except OSError as error:
        raise StateDirectoryError(
            f"{directory} for compiled code cannot be made: {error.strerror}", remedy="check rights and free space"
        ) from error
    return directory


def _key(state: StateDirectory) -> bytes:
    path = state.root / _KEY
    try:
        key = path.read_bytes()
    except FileNotFoundError:
        key = private_file(path, os.urandom(KEY_BYTES))
    except OSError as error:
        raise StateDirectoryError(f"{path} cannot be read: {error.strerror}", remedy="check its rights") from error
    if len(key) != KEY_BYTES:
        raise StateDirectoryError(f"{path} is damaged", remedy="delete it; compiled code is then made anew")
    return key
