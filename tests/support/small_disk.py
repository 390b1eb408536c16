"""Run Python code in a child process whose directory stands on a file system of a few megabytes.

Where the kernel lets us, a tmpfs in a mount namespace of the child's own (it vanishes with the child); elsewhere the
child may not make any file larger than that (RLIMIT_FSIZE), which fails in the same places with another errno.
"""

import os
import resource
import shutil
import subprocess
import sys
from pathlib import Path

from tests.support.running import REPOSITORY


def run_on_small_disk(code: str, directory: Path, megabytes: int) -> str:
    """Run the code with `sys.argv[1]` the directory; returns what it printed, AssertionError when it failed."""
    directory.mkdir(exist_ok=True)
    python = [sys.executable, "-c", code, str(directory)]
    if (namespace := _namespace()) is not None:
        mount = 'mount -t tmpfs -o size="$1" none "$2" && shift 2 && exec "$@"'
        command = [*namespace, "sh", "-c", mount, "sh", f"{megabytes}m", str(directory), *python]
        return _run(command)
    limit = f"import resource; resource.setrlimit(resource.RLIMIT_FSIZE, ({megabytes << 20}, {resource.RLIM_INFINITY}))"
    return _run([*python[:2], f"{limit}\n{code}", str(directory)])


def _namespace() -> list[str] | None:
    if shutil.which("unshare") is None:
        return None
    for candidate in (["unshare", "--mount"], ["unshare", "--mount", "--map-root-user"]):
        trial = subprocess.run(
            [*candidate, "sh", "-c", "mount -t tmpfs none /mnt"], capture_output=True, check=False, timeout=30
        )
        if trial.returncode == 0:
            return candidate
    return None


def _run(command: list[str]) -> str:
    ended = subprocess.run(
        command,
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
        env={**os.environ, "PYTHONPATH": str(REPOSITORY)},
    )
    assert ended.returncode == 0, f"{ended.stdout}\n{ended.stderr}"
    return ended.stdout
