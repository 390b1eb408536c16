"""What this machine has: cores, memory, CPU features, as far as the control groups of this process let it use them.

Sources: cgroup v2 `cpu.max` and `memory.max`, cgroup v1 `cpu.cfs_quota_us` and `memory.limit_in_bytes` (kernel
documentation, admin-guide/cgroup-v2 and cgroup-v1), `/proc/meminfo`, `/proc/cpuinfo`.
"""

import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

ROOT = Path("/")


@dataclass(frozen=True)
class Machine:
    """What may be used: whole cores (at least one), memory in bytes, CPU features by the kernel's names."""

    cores: int
    memory: int
    cpu_features: frozenset[str] = frozenset()

    def describe(self) -> str:
        """The machine in words, for messages."""
        noun = "core" if self.cores == 1 else "cores"
        return f"{self.cores} {noun} and {self.memory // 2**20} MiB of memory"


def read_machine(root: Path = ROOT, *, cores: int = 0) -> Machine:
    """This machine; `root` is where `proc` and `sys` stand, `cores` (0: those this process may run on) caps them."""
    available = cores or len(os.sched_getaffinity(0))
    groups = _control_groups(root)
    quotas = [quota for group in groups for quota in _core_quota(group)]
    limits = [limit for group in groups for limit in _memory_limit(group)]
    return Machine(
        cores=max(1, int(min([float(available), *quotas]))),
        memory=min([_total_memory(root), *limits]),
        cpu_features=_cpu_features(root),
    )


def _control_groups(root: Path) -> list[Path]:
    """The directories of this process's control groups and of all groups above them, which limit it too."""
    found = []
    for line in _text(root / "proc/self/cgroup").splitlines():
        _, controllers, path = line.split(":", 2)
        if controllers == "" or {"cpu", "memory"} & set(controllers.split(",")):
            base = root / "sys/fs/cgroup" / controllers
            inner = PurePosixPath(path).relative_to("/")
            found += [base / group for group in (inner, *inner.parents)]
    return found


def _core_quota(group: Path) -> Iterator[float]:
    words = _text(group / "cpu.max").split()
    if len(words) == 2 and words[0] != "max":
        yield int(words[0]) / int(words[1])
    quota, period = _text(group / "cpu.cfs_quota_us").strip(), _text(group / "cpu.cfs_period_us").strip()
    if quota and period and int(quota) > 0:
        yield int(quota) / int(period)


def _memory_limit(group: Path) -> Iterator[int]:
    for name in ("memory.max", "memory.limit_in_bytes"):
        limit = _text(group / name).strip()
        if limit and limit != "max":
            yield int(limit)


def _total_memory(root: Path) -> int:
    for line in _text(root / "proc/meminfo").splitlines():
        if line.startswith("MemTotal:"):
            return int(line.split()[1]) * 1024
    return os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")


def _cpu_features(root: Path) -> frozenset[str]:
    """Of the first core: `flags` on x86, `Features` on Arm."""
    for line in _text(root / "proc/cpuinfo").splitlines():
        name, _, value = line.partition(":")
        if name.strip() in {"flags", "Features"}:
            return frozenset(value.split())
    return frozenset()


def _text(path: Path) -> str:
    """A file's text; empty when there is none, as most of these files exist on some kernels only."""
    try:
        return path.read_text(encoding="ascii", errors="replace")
    except OSError:
        return ""
