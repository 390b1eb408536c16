"""`leasegrid submit`: jobs and graphs of files made on a cluster, with the files of this machine that they name."""

import asyncio
import json
import time
from contextlib import aclosing
from dataclasses import dataclass
from typing import Any

import click

from leasegrid.cli import words
from leasegrid.cli.cluster import POOLS, Cluster
from leasegrid.cli.cluster_runs import tell
from leasegrid.cli.documents import read_documents
from leasegrid.cli.exits import ExitCode
from leasegrid.cli.job_doors import answered, deleted, reached_store
from leasegrid.cli.job_objects import JobObject, plan_of, read_job
from leasegrid.cli.preparing import prepare
from leasegrid.cli.submissions import Submission, submissions_of
from leasegrid.cli.uploading import Parcel, check_room, deliver, pack
from leasegrid.cli.validating import say_faults
from leasegrid.cli.watching import WatchOptions, watch_all
from leasegrid.rules.unsupported import Place
from leasegrid.rules.uploads import ACCESS, UPLOADED
from tasklet_runner.client.store_access import AccessKey
from tasklet_runner.plan.types import Kind
from tasklet_runner.wire.errors import ClusterError, InvalidObjectError, LeaseGridError, NoSuchObjectError

GONE_SECONDS = 60.0
"""So long a finished job of the same name may take to be gone."""


@dataclass(frozen=True)
class SubmitOrder:
    """What is submitted, and whether to stay until it has ended."""

    submissions: tuple[Submission, ...]
    pools: tuple[dict[str, Any], ...]
    watch: WatchOptions | None
    as_json: bool


def read_order(files: tuple[str, ...], watch: WatchOptions | None, *, as_json: bool) -> SubmitOrder | None:
    """What the files have; None when they have faults, which are said then. Raises LeaseGridError."""
    documents = read_documents(files)
    prepared = prepare(documents, Place.CLUSTER)
    if prepared.faults:
        say_faults(prepared)
        return None
    submissions, pools = submissions_of(documents)
    if not submissions:
        raise InvalidObjectError("there is neither a Job nor a TaskGraph in the files", remedy="kubectl apply -f FILE")
    if prepared.leases:
        tell("the Leases of the files are left out: a lease needs its holder (leasegrid claim)")
    return SubmitOrder(submissions, pools, watch, as_json)


async def submit(cluster: Cluster, order: SubmitOrder) -> int:
    """Make everything, and stay until it has ended where that is wanted; returns the exit status."""
    for body in (*(one.body for one in order.submissions), *order.pools):
        _check_namespace(cluster, body)
    packed = [(one, await asyncio.to_thread(_packed, one)) for one in order.submissions]
    own = cluster.namespace
    for pool in order.pools:
        await _make_pool(_within(cluster, pool, own), pool)
    jobs = [await _submit(_within(cluster, one.body, own), one, parcel) for one, parcel in packed]
    if order.watch is not None:
        return await watch_all(cluster, _running(jobs), order.watch)
    if order.as_json:
        made = [{"kind": job.kind.value, "namespace": job.namespace, "name": job.name, "uid": job.uid} for job in jobs]
        click.echo(json.dumps({"context": cluster.context, "jobs": made}))
        return ExitCode.OK
    for job in jobs:
        click.echo(f"{_family(job)} {job.name}: submitted")
        click.echo(f"  follow it:    {cluster.where.command('watch', job.name)}")
        click.echo(f"  its outputs:  {cluster.where.command('results', job.name, 'DIR', context=cluster.context)}")
    return ExitCode.OK


def _running(jobs: list[JobObject]) -> list[JobObject]:
    """Those that are not suspended; the others are named."""
    for job in jobs:
        if job.raw["spec"].get("suspend"):
            tell(f"warning: {_family(job)} {job.name} is suspended (spec.suspend) and does not run")
    return [job for job in jobs if not job.raw["spec"].get("suspend")]


def _check_namespace(cluster: Cluster, body: dict[str, Any]) -> None:
    named, chosen = body["metadata"].get("namespace"), cluster.where.namespace
    if named and chosen and named != chosen:
        raise InvalidObjectError(
            f"{body['kind']} {body['metadata']['name']!r} is of namespace {named!r}, the command says {chosen!r}",
            remedy="leave out one of the two",
        )


def _within(cluster: Cluster, body: dict[str, Any], own: str) -> Cluster:
    """The cluster at the namespace of the object, which is the user's `own` where it names none."""
    cluster.namespace = body["metadata"].get("namespace") or own
    return cluster


def _packed(submission: Submission) -> Parcel:
    plan = plan_of(submission.body)
    parcel = pack(submission.plan, plan)
    check_room(parcel, plan)
    return parcel


async def _make_pool(cluster: Cluster, body: dict[str, Any]) -> None:
    _, created = await cluster.create(POOLS, body)
    name = body["metadata"]["name"]
    tell(f"pool {name}: made" if created else f"pool {name}: is there, and stays as it is")


async def _submit(cluster: Cluster, submission: Submission, parcel: Parcel) -> JobObject:
    began = time.monotonic()
    key = AccessKey()
    body = submission.body
    if parcel.uploads.places:
        annotations = {**(body["metadata"].get("annotations") or {}), ACCESS: key.public}
        body = {**body, "metadata": {**body["metadata"], "annotations": annotations}}
    making = asyncio.ensure_future(_made(cluster, submission, body))
    try:
        job = await asyncio.shield(making)
    except asyncio.CancelledError:
        # What is on its way to the server would be made there, and nobody would know of it.
        await _undo(cluster, await making)
        raise
    if not parcel.uploads.places:
        return job
    try:
        access = await answered(cluster, job, key)
        async with reached_store(cluster, access) as endpoint:
            digest = await deliver(parcel, endpoint, access.put)
        await _say_uploaded(cluster, job, digest)
    except (LeaseGridError, asyncio.CancelledError):
        # Without its files it would wait for ever, and hold a store.
        await asyncio.shield(_undo(cluster, job))
        raise
    files = words.count(len(parcel.paths), "file")
    tell(f"{job.name}: uploaded {files}, {words.size(parcel.size)}, in {words.duration(time.monotonic() - began)}")
    return job


async def _made(cluster: Cluster, submission: Submission, body: dict[str, Any]) -> JobObject:
    """The new object. One of that name that has ended, or never got its files, makes room."""
    plural, name = submission.plural, body["metadata"]["name"]
    await _check_other_kind(cluster, submission, name)
    raw, created = await cluster.create(plural, body)
    if created:
        return read_job(raw)
    old = read_job(raw)
    if old.ended is None and not old.needs_upload:
        raise InvalidObjectError(
            f"a {old.kind.value} {name!r} runs already in namespace {old.namespace!r}",
            remedy=f"wait for it ({cluster.where.command('watch', name)}), end it "
            f"({cluster.where.command('cancel', name)}), or give this one another name",
        )
    await remove(cluster, old)
    raw, created = await cluster.create(plural, body)
    if not created:
        raise InvalidObjectError(
            f"somebody else made a {old.kind.value} {name!r} at this moment",
            remedy="submit it again, or wait for theirs",
        )
    return read_job(raw)


async def _check_other_kind(cluster: Cluster, submission: Submission, name: str) -> None:
    """A Job and a TaskGraph of one name would have leases of one name."""
    plural = "jobs" if submission.plan.kind is Kind.TASK_GRAPH else "taskgraphs"
    try:
        other = read_job(await cluster.get(plural, name))
    except NoSuchObjectError:
        return
    if other.ended is None:
        raise InvalidObjectError(f"a {other.kind.value} {name!r} runs already", remedy="give this one another name")


async def remove(cluster: Cluster, job: JobObject) -> None:
    """Delete that very object, and wait until it is gone. Raises ClusterError, NoSuchObjectError."""
    try:
        await cluster.delete(job.plural, job.name, job.uid)
    except NoSuchObjectError:
        return
    try:
        async with asyncio.timeout(GONE_SECONDS), aclosing(cluster.follow(job.plural, job.name)) as seen:
            async for raw in seen:
                if raw is None or raw["metadata"]["uid"] != job.uid:
                    return
    except NoSuchObjectError:
        return
    except TimeoutError as error:
        raise ClusterError(
            f"the {job.kind.value} {job.name!r} was deleted, and is still there", remedy="wait"
        ) from error


async def _say_uploaded(cluster: Cluster, job: JobObject, digest: str) -> None:
    # The uid makes it a change of this very object: another one of the name would get files that it does not have.
    annotations = {UPLOADED: digest, ACCESS: None}
    try:
        await cluster.patch(job.plural, job.name, {"metadata": {"uid": job.uid, "annotations": annotations}})
    except (NoSuchObjectError, InvalidObjectError) as error:
        raise deleted(job) from error


async def _undo(cluster: Cluster, job: JobObject) -> None:
    try:
        await cluster.delete(job.plural, job.name, job.uid)
        tell(f"{job.name}: not submitted, and nothing of it is left")
    except (NoSuchObjectError, InvalidObjectError):
        return  # it is gone, or another one has its name
    except LeaseGridError as error:
        tell(f"{job.name}: not submitted; its object could not be deleted: {error}")


def _family(job: JobObject) -> str:
    return "job" if job.kind is Kind.JOB else "graph"
