"""What a load cost: CPU time of processes, writes that the operator counts, puts that etcd counts."""

import re
import urllib.request
from dataclasses import dataclass

import psutil

_SAMPLE = re.compile(r"^(\w+)(\{[^}]*\})? (\S+)$", re.MULTILINE)


@dataclass(frozen=True)
class Counts:
    """At one instant. CPU times are in seconds; `lease_writes` are those of Leases by the operator, `writes` are all
    of its writes (pools, events and its own election besides).
    """

    operator_cpu: float
    server_cpu: float
    store_cpu: float
    lease_writes: float
    writes: float
    puts: float

    def since(self, before: "Counts") -> "Counts":
        """The difference."""
        return Counts(
            self.operator_cpu - before.operator_cpu,
            self.server_cpu - before.server_cpu,
            self.store_cpu - before.store_cpu,
            self.lease_writes - before.lease_writes,
            self.writes - before.writes,
            self.puts - before.puts,
        )


@dataclass(frozen=True)
class Sources:
    """Process ids, and URLs that end before `/metrics`."""

    operator: int
    server: int
    store: int
    operator_metrics: str
    store_metrics: str

    def read(self) -> Counts:
        """Now."""
        operator, store = samples(self.operator_metrics), samples(self.store_metrics)
        return Counts(
            operator_cpu=cpu_seconds(self.operator),
            server_cpu=cpu_seconds(self.server),
            store_cpu=cpu_seconds(self.store),
            lease_writes=sum(_of_leases(operator)),
            writes=sum(value for name, value in operator.items() if name.startswith("leasegrid_api_writes_total")),
            puts=store.get("etcd_mvcc_put_total", 0.0) + store.get("etcd_mvcc_delete_total", 0.0),
        )


def _of_leases(operator: dict[str, float]) -> list[float]:
    """Status, creations and deletions of Leases; the election's own record is patched otherwise."""
    verbs = ("patch_status", "create", "delete")
    return [
        value
        for name, value in operator.items()
        if name.startswith("leasegrid_api_writes_total{")
        and 'kind="Lease"' in name
        and any(f'verb="{verb}"' in name for verb in verbs)
    ]


def samples(address: str) -> dict[str, float]:
    """The samples of a `/metrics` page, by name with labels."""
    with urllib.request.urlopen(f"{address}/metrics", timeout=10) as page:  # noqa: S310 - an address of ours
        text = page.read().decode()
    return {name + labels: float(value) for name, labels, value in _SAMPLE.findall(text)}


def cpu_seconds(pid: int) -> float:
    """User and system time of a process so far."""
    times = psutil.Process(pid).cpu_times()
    return float(times.user + times.system)


def memory_bytes(pid: int) -> tuple[int, int]:
    """Resident and proportional set size."""
    full = psutil.Process(pid).memory_full_info()
    return int(full.rss), int(full.pss)
