"""What a figure was measured on: a number without its conditions is a rumour."""

import importlib.metadata
import os
import platform
import subprocess
from pathlib import Path


def conditions() -> list[tuple[str, str]]:
    """Name and value of each condition of this run."""
    return [
        ("processor", f"{_cpu()}, {len(os.sched_getaffinity(0))} cores"),
        ("memory", f"{os.sysconf('SC_PAGE_SIZE') * os.sysconf('SC_PHYS_PAGES') / 2**30:.0f} GiB"),
        ("load before", " ".join(f"{load:.2f}" for load in os.getloadavg())),
        ("system", f"{platform.system()} {platform.release()}, Python {platform.python_version()}"),
        ("versions", ", ".join(f"{name} {_version(name)}" for name in ("wasmtime", "aiohttp", "ray", "distributed"))),
        ("commit", _commit()),
    ]


def _cpu() -> str:
    for line in Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines():
        if line.startswith("model name"):
            return line.partition(":")[2].strip()
    return platform.machine()


def _version(name: str) -> str:
    try:
        return importlib.metadata.version(name)
    except importlib.metadata.PackageNotFoundError:
        return "absent"


def _commit() -> str:
    run = subprocess.run(["git", "rev-parse", "--short", "HEAD"], check=False, capture_output=True, text=True)
    return run.stdout.strip() or "unknown"
