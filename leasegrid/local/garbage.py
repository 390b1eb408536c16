"""What runs have left on this machine: leases that have expired, volumes of no lease, directories of dead runs."""

import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from leasegrid.local.runtime import reap_stale, run_directories
from leasegrid.local.state import KeptLease, StateDirectory
from leasegrid.local.volumes import byte_count, serving_process


@dataclass(frozen=True)
class Remnant:
    """One thing that is over. `what` and `why` in words; `directories`: where its bytes are, absolute; `process`: who
    uses it yet (0: nobody), so that it is kept.
    """

    what: str
    why: str
    directories: tuple[str, ...] = ()
    byte_count: int = 0
    process: int = 0


@dataclass(frozen=True)
class Collected:
    """What was deleted, or would be; what is over and yet in use; leases that are not over, and their bytes."""

    deleted: tuple[Remnant, ...]
    in_use: tuple[Remnant, ...]
    leases_left: int = 0
    bytes_left: int = 0

    @property
    def byte_count(self) -> int:
        """Bytes of what was deleted."""
        return sum(one.byte_count for one in self.deleted)


def collect(state: StateDirectory, *, dry_run: bool, environment: Mapping[str, str] = os.environ) -> Collected:
    """Delete all that is over and that nobody uses. Raises StateDirectoryError."""
    found = [*_leases(state), *_strays(state), *_runs(environment)]
    kept = state.kept()
    if not dry_run:
        state.reap()
        reap_stale(environment)
    return Collected(
        deleted=tuple(one for one in found if not one.process and (dry_run or not _is_there(one))),
        in_use=tuple(one for one in found if one.process or (not dry_run and _is_there(one))),
        leases_left=len(kept),
        bytes_left=sum(lease.volume_bytes for lease in kept),
    )


def _leases(state: StateDirectory) -> list[Remnant]:
    now = state.now().wall
    return [_lease(state, lease, now) for lease in state.expired()]


def _lease(state: StateDirectory, lease: KeptLease, now: float) -> Remnant:
    name = lease.name if lease.namespace == "default" else f"{lease.namespace}/{lease.name}"
    ended = lease.expires is not None and lease.expires <= now
    return Remnant(
        what=f"lease {name}" + (f" ({lease.purpose})" if lease.purpose else ""),
        why="it has expired" if ended else "its bytes are gone",
        directories=tuple(str(state.root / one) for one in lease.directory.split()),
        byte_count=lease.volume_bytes,
        process=lease.process,
    )


def _strays(state: StateDirectory) -> list[Remnant]:
    return [
        Remnant(
            what=f"volume {state.relative(path)}",
            why="no lease has it",
            directories=(str(path),),
            byte_count=byte_count(path),
            process=serving_process(path),
        )
        for path in state.strays()
    ]


def _runs(environment: Mapping[str, str]) -> list[Remnant]:
    return [
        Remnant(f"run directory {path}", "its run is dead", (str(path),), byte_count(path))
        for path, process in run_directories(environment)
        if not process
    ]


def _is_there(one: Remnant) -> bool:
    return any(Path(path).exists() for path in one.directories)
