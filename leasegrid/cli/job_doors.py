"""The way into the store of a job: asked for in the job's object, then straight to the member, or by a port-forward."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import aclosing, asynccontextmanager
from urllib.parse import urlsplit

import aiohttp
import msgspec

from leasegrid.cli.cluster import Cluster
from leasegrid.cli.cluster_runs import tell
from leasegrid.cli.forwarding import forwarded
from leasegrid.cli.job_objects import JobObject, read_job
from leasegrid.cli.reaching import DIRECT_SECONDS
from leasegrid.rules.reasons import ConditionType, JobReason
from leasegrid.rules.uploads import ACCESS, FETCHED
from tasklet_runner.client.granted import connect
from tasklet_runner.client.store_access import AccessKey
from tasklet_runner.client.transport import base_url
from tasklet_runner.wire.decoding import UNREADABLE
from tasklet_runner.wire.errors import (
    ClusterError,
    InvalidObjectError,
    LeaseGridError,
    NoSuchObjectError,
    RefusedError,
    StoreError,
    UnreachableError,
)
from tasklet_runner.wire.pins import pinned, split_pin
from tasklet_runner.wire.store import CHALLENGE_PATH, ChallengeReply
from tasklet_runner.wire.store_access import StoreAccess

NOTICE_SECONDS = 10.0
"""Who has no answer by then is told what it waits for."""

GONE_SECONDS = 15.0
"""A job that has ended and does not answer by then has no store any more."""


async def admitted(cluster: Cluster, job: JobObject) -> StoreAccess:
    """Ask for a way into the store, and wait for it.

    Raises NoSuchObjectError: the object was deleted; StoreError: it ended, and its store is gone; ClusterError.
    """
    if job.ended is not None and (FETCHED in job.annotations or job.status.result_location):
        raise _gone(job)
    key = AccessKey()
    await cluster.patch(job.plural, job.name, {"metadata": {"annotations": {ACCESS: key.public}}})
    return await answered(cluster, job, key)


async def answered(cluster: Cluster, job: JobObject, key: AccessKey) -> StoreAccess:
    """Wait for the answer to a question that stands in the object; raises what `admitted` does."""
    latest = [job]
    telling = asyncio.ensure_future(_tell_waiting(latest))
    try:
        async with asyncio.timeout(GONE_SECONDS if job.ended is not None else None):
            return await _answer(cluster, latest, key)
    except TimeoutError as error:
        raise _gone(latest[0]) from error
    finally:
        telling.cancel()


async def _answer(cluster: Cluster, latest: list[JobObject], key: AccessKey) -> StoreAccess:
    job = latest[0]
    async with aclosing(cluster.follow(job.plural, job.name)) as seen:
        async for raw in seen:
            if raw is None or raw["metadata"]["uid"] != job.uid:
                raise deleted(job)
            latest[0] = read_job(raw)
            said = latest[0].status.access
            if said is not None and said.key == key.public:
                return key.open(said.sealed)
            if latest[0].ended is not None and job.ended is None:
                raise _ended_early(latest[0])
    raise deleted(job)


async def _tell_waiting(latest: list[JobObject]) -> None:
    await asyncio.sleep(NOTICE_SECONDS)
    said = latest[0].condition(ConditionType.PROGRESSING)
    why = said.message if said is not None else "no operator has looked at it yet"
    tell(f"{latest[0].name}: waiting for its store: {why}")


def deleted(job: JobObject) -> NoSuchObjectError:
    """The error for an object that was there."""
    return NoSuchObjectError(f"the {job.kind.value} {job.name!r} was deleted", remedy="submit it again")


def _ended_early(job: JobObject) -> LeaseGridError:
    ended = job.ended
    reason, message = (ended.reason, ended.message) if ended is not None else ("", "")
    if reason == JobReason.INVALID_SPEC:
        return InvalidObjectError(message, remedy="correct what it names")
    return StoreError(f"{job.name!r} ended before its store was there: {reason}: {message}", remedy="submit it again")


def _gone(job: JobObject) -> StoreError:
    ended = job.ended
    how = f"{ended.reason}: {ended.message}" if ended is not None else "it has no store"
    if job.status.result_location:
        return StoreError(
            f"the outputs of {job.name!r} were copied, and its store is gone",
            remedy=f"they are at {job.status.result_location}",
        )
    return StoreError(
        f"the store of {job.name!r} is not there any more: {how.removesuffix(': ')}",
        remedy="its outputs were fetched, or spec.output.retainSeconds are over; submit it again",
    )


@asynccontextmanager
async def reached_store(cluster: Cluster, access: StoreAccess) -> AsyncIterator[str]:
    """The endpoint at which this machine reaches the store, for the time of the block.

    Raises ClusterError: there is no way there, or the store refuses.
    """
    try:
        if await _is_there(access.endpoint, access.member):
            yield access.endpoint
            return
        port = urlsplit(access.endpoint).port or 80
        async with forwarded(lambda: cluster.port(access.member, port)) as forward:
            try:
                yield pinned(forward.endpoint, split_pin(access.endpoint)[1])
            except UnreachableError as error:
                raise _unreachable(access, "; ".join(forward.trouble) or str(error)) from error
    except UnreachableError as error:
        raise _unreachable(access, str(error)) from error
    except RefusedError as error:
        raise ClusterError(
            f"the store {access.member!r} refused: {error.reason}: {error.cause}", remedy=error.remedy or "try again"
        ) from error


async def _is_there(endpoint: str, member: str) -> bool:
    """Whether that very member answers there: another network may have the same addresses."""
    try:
        url = base_url(endpoint, "store") + CHALLENGE_PATH
        async with asyncio.timeout(DIRECT_SECONDS), connect(endpoint) as http, http.get(url) as response:
            return msgspec.json.decode(await response.read(), type=ChallengeReply).member == member
    except (aiohttp.ClientError, OSError, TimeoutError, *UNREADABLE):
        return False


def _unreachable(access: StoreAccess, why: str) -> ClusterError:
    return ClusterError(
        f"the store {access.member!r} can be reached neither at {access.endpoint} nor by a port-forward: {why}",
        remedy="check that its pod runs, and that you may get and create pods/portforward in this namespace",
    )
