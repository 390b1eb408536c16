from pathlib import Path

import pytest

from leasegrid.local.machine import Machine, read_machine


def machine_of(root: Path, files: dict[str, str]) -> Machine:
    for name, text in ({"proc/meminfo": "MemTotal:  4194304 kB\n"} | files).items():
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_text(text)
    return read_machine(root, cores=8)


V2 = {"proc/self/cgroup": "0::/a/b\n"}
V1 = {"proc/self/cgroup": "4:memory:/a\n1:cpu,cpuacct:/a\n"}


@pytest.mark.parametrize(
    ("files", "cores", "memory"),
    [
        pytest.param({}, 8, 4 * 1024**3, id="without control groups it is all cores and all memory"),
        pytest.param(V2 | {"sys/fs/cgroup/a/b/cpu.max": "max 100000\n"}, 8, 4 * 1024**3, id="max limits nothing"),
        pytest.param(V2 | {"sys/fs/cgroup/a/b/cpu.max": "350000 100000\n"}, 3, 4 * 1024**3, id="whole cores count"),
        pytest.param(V2 | {"sys/fs/cgroup/a/cpu.max": "50000 100000\n"}, 1, 4 * 1024**3, id="at least one core"),
        pytest.param(
            V2 | {"sys/fs/cgroup/a/b/memory.max": "max\n", "sys/fs/cgroup/a/memory.max": "1048576\n"},
            8,
            1048576,
            id="a group above limits too",
        ),
        pytest.param(
            V1
            | {
                "sys/fs/cgroup/cpu,cpuacct/a/cpu.cfs_quota_us": "200000\n",
                "sys/fs/cgroup/cpu,cpuacct/a/cpu.cfs_period_us": "100000\n",
                "sys/fs/cgroup/memory/memory.limit_in_bytes": "2097152\n",
            },
            2,
            2097152,
            id="control groups of the first version limit as well",
        ),
        pytest.param(
            V1
            | {
                "sys/fs/cgroup/cpu,cpuacct/a/cpu.cfs_quota_us": "-1\n",
                "sys/fs/cgroup/cpu,cpuacct/a/cpu.cfs_period_us": "100000\n",
            },
            8,
            4 * 1024**3,
            id="a quota of -1 is none",
        ),
    ],
)
def test_what_may_be_used(tmp_path: Path, files: dict[str, str], cores: int, memory: int) -> None:
    found = machine_of(tmp_path, files)
    assert (found.cores, found.memory) == (cores, memory)


@pytest.mark.parametrize("line", ["flags\t\t: sse4_2 avx2\n", "Features\t: sse4_2 avx2\n"], ids=["x86", "Arm"])
def test_cpu_features_by_the_kernels_names(tmp_path: Path, line: str) -> None:
    assert machine_of(tmp_path, {"proc/cpuinfo": f"model\t: x\n{line}"}).cpu_features == {"sse4_2", "avx2"}


def test_this_very_machine_has_a_core_and_some_memory() -> None:
    found = read_machine()
    assert found.cores >= 1
    assert found.memory > 2**20
    assert "MiB" in found.describe()
