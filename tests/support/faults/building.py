"""The preloaded library, built once per version of its source."""

import hashlib
import os
import shutil
import subprocess
import sys
from functools import cache
from importlib.util import find_spec
from pathlib import Path

from tests.support.running import REPOSITORY

_SOURCES = Path(__file__).parent
_FLAGS = ("-O2", "-shared", "-fPIC", "-Wall", "-Wextra", "-Werror", "-pthread")


@cache
def library() -> Path:
    """Where the library is; RuntimeError when this machine has no compiler, or the compiler's words as an error."""
    code = b"".join(path.read_bytes() for path in sorted(_SOURCES.glob("*.[ch]")))
    compiler = _compiler()
    digest = hashlib.sha256(b"\0".join([code, *map(str.encode, (*compiler, *_FLAGS))])).hexdigest()[:16]
    built = REPOSITORY / "build" / "faults" / f"faults-{digest}.so"
    if not built.exists():
        built.parent.mkdir(parents=True, exist_ok=True)
        partial = built.with_suffix(f".{os.getpid()}")
        command = [*compiler, *_FLAGS, "-o", str(partial), str(_SOURCES / "preloaded.c")]
        done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=100)
        assert done.returncode == 0, done.stderr
        partial.rename(built)
    return built


def _compiler() -> tuple[str, ...]:
    """The machine's own, which knows the machine's own libc; otherwise the one that is a Python package."""
    if (found := shutil.which("cc")) is not None:
        return (found,)
    if find_spec("ziglang") is not None:
        return (sys.executable, "-m", "ziglang", "cc")
    raise RuntimeError("no C compiler: install one (cc), or ziglang from the dev group")
