"""Native code that came with an image: compiled when it was built, for any CPU of its architecture.

Native code is run as it is, so the folder is believed only as far as our own code is: it and the file must belong to
root or to the owner of this source, and be writable by nobody else. A file is named for its module and for the engine
that it was compiled for; after an upgrade of wasmtime it has another name and is not found.
"""

import os
import stat
import tempfile
from collections.abc import Callable
from pathlib import Path

import wasmtime

from tasklet_runner.sandbox.engine import new_engine, new_portable_engine, portable_fingerprint
from tasklet_runner.sandbox.loading import load_module
from tasklet_runner.sandbox.native import serialize
from tasklet_runner.sandbox.python_runtime import runtime_path
from tasklet_runner.wire.errors import InputError
from tasklet_runner.wire.programs import DEFAULT_PYTHON_RUNTIME

FOLDER_VARIABLE = "LEASEGRID_PRECOMPILED"
"""An environment variable, set by the image: the folder of `precompile`."""

_OTHERS_WRITE = stat.S_IWGRP | stat.S_IWOTH


def precompile_python(folder: Path) -> Path:
    """Compile the Python interpreter into the folder; the file. Raises what `precompile` and `runtime_path` raise."""
    return precompile(runtime_path(), DEFAULT_PYTHON_RUNTIME, folder)


def precompile(wasm: Path, digest: str, folder: Path) -> Path:
    """Compile a module of one's own, whose SHA-256 (hex) this is, into the folder; the file, tried and readable by all.

    There are no bounds on time and memory: not for modules of others.

    Raises:
        InputError: the module cannot be compiled, or the file not be written.
        FaultError: the code does not load.
    """
    try:
        folder.mkdir(mode=0o755, parents=True, exist_ok=True)
        module = wasmtime.Module(new_portable_engine(), wasm.read_bytes())
        with tempfile.NamedTemporaryFile(dir=folder, delete=False) as file:
            serialize(module, file.write)
            os.fchmod(file.fileno(), 0o444)
        path = folder / _name(digest)
        os.replace(file.name, path)
    except (OSError, wasmtime.WasmtimeError) as error:
        raise InputError(f"{wasm} cannot be compiled into {folder}: {error}", remedy="see the reason") from error
    _try(path)
    return path


def open_precompiled(digest: str) -> int | None:
    """A descriptor of the module's native code, the caller's to close; None when the image has none for this engine."""
    folder = os.environ.get(FOLDER_VARIABLE)
    if not folder:
        return None
    try:
        there = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    except OSError:
        return None
    try:
        return _opened(there, _name(digest)) if _is_trusted(there, stat.S_ISDIR) else None
    finally:
        os.close(there)


def _opened(folder: int, name: str) -> int | None:
    try:
        code = os.open(name, os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC, dir_fd=folder)
    except OSError:
        return None
    if _is_trusted(code, stat.S_ISREG):
        return code
    os.close(code)
    return None


def _is_trusted(descriptor: int, is_kind: Callable[[int], bool]) -> bool:
    found = os.fstat(descriptor)
    owners = {0, os.stat(__file__).st_uid}
    return is_kind(found.st_mode) and found.st_uid in owners and not found.st_mode & _OTHERS_WRITE


def _name(digest: str) -> str:
    return f"{digest}.{portable_fingerprint()}.cwasm"


def _try(path: Path) -> None:
    code = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        load_module(new_engine(), code)
    finally:
        os.close(code)
