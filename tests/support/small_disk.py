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
    if command := on_small_disk(directory, megabytes << 20):
        return _run([*command, *python])
    limit = f"import resource; resource.setrlimit(resource.RLIMIT_FSIZE, ({megabytes << 20}, {resource.RLIM_INFINITY}))"
    return _run([*python[:2], f"{limit}\n{code}", str(directory)])


def on_small_disk(directory: Path, size: int) -> tuple[str, ...]:
    """What to put before a command, so that this directory is a tmpfs of so many bytes for it; empty where the kernel
    does not let us.
    """
    namespace = _namespace()
    if namespace is None:
        return ()
    directory.mkdir(parents=True, exist_ok=True)
    mount = 'mount -t tmpfs -o size="$1" none "$2" && shift 2 && exec "$@"'
    return (*namespace, "sh", "-c", mount, "sh", str(size), str(directory))


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
