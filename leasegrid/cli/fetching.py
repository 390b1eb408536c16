"""What is read of a job's store on a cluster: its outputs into a directory, and what its failed chunks said."""

import time
from pathlib import Path

import msgspec

from leasegrid.cli.cluster import Cluster
from leasegrid.cli.endings import Exported
from leasegrid.cli.exporting import export_outputs
from leasegrid.cli.job_doors import admitted, reached_store
from leasegrid.cli.job_objects import JobObject, outputs_of
from leasegrid.cli.lease_objects import instant_of
from leasegrid.cli.places import check_directory
from leasegrid.rules.uploads import FETCHED
from tasklet_runner.client.granted_store import GrantedStore
from tasklet_runner.coordinator.progress import MAX_FAILURES_KEPT, ChunkFailure
from tasklet_runner.plan.types import Kind, Layout, Plan
from tasklet_runner.store.exporting import ResultsDirectory
from tasklet_runner.store.protocol import all_commits
from tasklet_runner.wire.errors import StoreError


async def fetch(cluster: Cluster, job: JobObject, directory: Path, layout: Layout | None) -> Exported:
    """Write the outputs into the directory, checked, and say so in the object, so that the store is released.

    `layout` None: the job's own. Raises ResultsError, StoreError, ClusterError.
    """
    check_directory(directory)
    if job.status.outputs:
        return _from_object(job, directory)
    plan = _laid_out(job.plan(), layout)
    access = await admitted(cluster, job)
    async with reached_store(cluster, access) as endpoint, GrantedStore(endpoint, access.get) as store:
        exported = await export_outputs(store, plan, directory)
    require_all(job, plan, exported)
    annotations = {FETCHED: instant_of(time.time())}
    await cluster.patch(job.plural, job.name, {"metadata": {"uid": job.uid, "annotations": annotations}})
    return exported


async def failures_of(cluster: Cluster, job: JobObject) -> tuple[ChunkFailure, ...]:
    """What the failed chunks ended with, in the order of stages and indexes; the first ones of very many.

    Raises StoreError, ClusterError.
    """
    failures: list[ChunkFailure] = []
    access = await admitted(cluster, job)
    async with reached_store(cluster, access) as endpoint, GrantedStore(endpoint, access.get) as store:
        for stage in job.plan().stages:
            async for record in all_commits(store, stage.name):
                if record.fault is None:
                    continue
                failures.append(
                    ChunkFailure(
                        stage=record.stage,
                        index=record.index,
                        chunk_id=record.chunk_id,
                        attempts=record.attempt,
                        fault=record.fault,
                    )
                )
                if len(failures) == MAX_FAILURES_KEPT:
                    return tuple(failures)
    return tuple(failures)


def require_all(job: JobObject, plan: Plan, exported: Exported) -> None:
    """The store is released when its outputs are here: never for less than the object says that there are.

    Raises StoreError.
    """
    counts = [job.status.chunks]
    if plan.kind is not Kind.JOB:
        delivered = {stage.name for stage in plan.sinks}
        counts = [one.chunks for one in job.status.tasks if one.name in delivered]
    succeeded = sum(one.succeeded for one in counts)
    if exported.chunks < succeeded:
        raise StoreError(
            f"{succeeded} chunks of {job.name!r} have succeeded, and its store gave the outputs of {exported.chunks}",
            remedy=f"what it gave is in {exported.directory}, and the store is kept: try again",
        )


def _laid_out(plan: Plan, layout: Layout | None) -> Plan:
    if layout is None:
        return plan
    return msgspec.structs.replace(plan, output=msgspec.structs.replace(plan.output, layout=layout))


def _from_object(job: JobObject, directory: Path) -> Exported:
    """As `export_outputs` lays out the stdout of chunks by their indexes."""
    files = [(f"{one.task}/{one.index}/stdout".removeprefix("/"), one.data) for one in outputs_of(job)]
    with ResultsDirectory(directory) as results:
        results.write(files)
        results.sync()
    return Exported(str(directory), len(files), sum(len(data) for _, data in files))
