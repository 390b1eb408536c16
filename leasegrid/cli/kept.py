"""What the state directory keeps of a run: its plan, its outputs, and the report that its timeline is drawn from."""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import TypeVar

import msgspec

from leasegrid.cli.stores import FINISHED, PLAN, REPORT
from leasegrid.local.state import StateDirectory
from leasegrid.local.volumes import Volume
from tasklet_runner.coordinator.progress import RunReport
from tasklet_runner.plan.types import Plan
from tasklet_runner.store.disk import DiskStore
from tasklet_runner.store.inspection import committed_chunks
from tasklet_runner.wire.errors import StateDirectoryError

T = TypeVar("T")


@dataclass(frozen=True)
class KeptRun:
    """A run whose store is open. `report` None: it was killed before it could write one."""

    store: DiskStore
    plan: Plan
    finished: bool
    report: RunReport | None


def split_name(text: str) -> tuple[str, str]:
    """Namespace and name of `[NAMESPACE/]JOB`."""
    namespace, _, name = text.rpartition("/")
    return namespace or "default", name


def hold_kept(state: StateDirectory, namespace: str, name: str) -> Volume:
    """The volume of a kept run, for this process alone.

    Raises StateDirectoryError: nothing of it is kept, or a command uses it.
    """
    state.reap()
    kept = [lease for lease in state.kept() if lease.directory == f"jobs/{namespace}/{name}"]
    if not kept or not committed_chunks(state.root / kept[0].directory / "store"):
        raise StateDirectoryError(
            f"no outputs of a job {namespace}/{name} are kept in {state.root}",
            remedy="leasegrid leases lists what is kept; for a job on a cluster name it with --context",
        )
    return state.hold_job(namespace, name)


async def with_kept(volume: Volume, use: Callable[[KeptRun], Awaitable[T]]) -> T:
    """What `use` makes of a kept run. Raises StateDirectoryError, StoreError."""
    # A quota bounds what is written, and nothing is.
    store = DiskStore.open(volume.store, uid="export", quota_bytes=0, term=volume.term)
    try:
        written = await store.get_value(PLAN)
        if written is None:
            raise StateDirectoryError(f"the store in {volume.store} has no plan", remedy="run the job again")
        report = await store.get_value(REPORT)
        run = KeptRun(
            store,
            msgspec.json.decode(written, type=Plan),
            await store.get_value(FINISHED) is not None,
            msgspec.json.decode(report, type=RunReport) if report is not None else None,
        )
        return await use(run)
    finally:
        await store.close()
