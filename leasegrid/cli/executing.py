"""`leasegrid exec`: one tasklet run on one member of a lease, with this process's stdin, stdout and stderr."""

import asyncio
import json
import sys
import tempfile
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import click

from leasegrid.cli import exec_reports, lease_entries
from leasegrid.cli.claiming import Order, check_live, made, settled
from leasegrid.cli.cluster import LEASES, Cluster
from leasegrid.cli.cluster_options import Where
from leasegrid.cli.cluster_runs import run_on_cluster, tell
from leasegrid.cli.exec_programs import ExecOrder, ReadyWork, read_work
from leasegrid.cli.exits import ExitCode
from leasegrid.cli.holders import place_of
from leasegrid.cli.lease_objects import ENDED, LeaseObject, Phase, read_lease
from leasegrid.cli.lease_verbs import released, renewed
from leasegrid.cli.reaching import Reached, reached
from tasklet_runner.coordinator.capabilities import capabilities_by_member
from tasklet_runner.wire.errors import (
    ClusterError,
    FaultError,
    LeaseEndedError,
    LeaseGridError,
    RefusedError,
    UnreachableError,
)
from tasklet_runner.wire.faults import Fault, FaultKind
from tasklet_runner.wire.programs import Outcome
from tasklet_runner.wire.work import Ended, NotRun, Prepare, Prepared, PrepareFailed, Refused, Renew, Results, Run

_RENEW_SHARE = 0.6
_RETRY_SECONDS = 2.0


def execute(where: Where, lease: str | Order, order: ExecOrder, *, as_json: bool) -> int:
    """Run the tasklet on the lease of that name, or on one that is claimed for it; returns the exit status."""
    # Before anything is claimed, and outside the event loop: stdin may be a pipe in which nobody writes for long.
    stdin = b"" if sys.stdin.isatty() else sys.stdin.buffer.read()
    with tempfile.TemporaryDirectory(prefix="leasegrid-") as directory:
        work = read_work(order, stdin, Path(directory))
        return run_on_cluster(where, lambda cluster: _execute(cluster, lease, work, as_json=as_json))


async def _execute(cluster: Cluster, lease: str | Order, work: ReadyWork, *, as_json: bool) -> int:
    if isinstance(lease, str):
        outcome, member = await _run_on(cluster, _usable(read_lease(await cluster.get(LEASES, lease))), work)
    else:
        async with _claimed(cluster, lease) as held:
            outcome, member = await _run_on(cluster, held, work)
    outcome = exec_reports.told(outcome)
    _show(outcome, member, as_json=as_json)
    return ExitCode.OK if outcome.fault is None else ExitCode.CHUNKS_FAILED


@asynccontextmanager
async def _claimed(cluster: Cluster, order: Order) -> AsyncIterator[LeaseObject]:
    """A lease for the time of the block; whatever ends it, it is released."""
    lease, place = await made(cluster, order)
    lease = await settled(cluster, lease, place)
    check_live(lease, place)
    try:
        yield lease
    finally:
        place.remove()
        try:
            ended = await released(cluster, lease, 0)
            tell(lease_entries.receipt_line(ended) if ended is not None else f"lease {lease.name}: released")
        except LeaseGridError as error:
            tell(f"lease {lease.name}: it could not be released and ends at its deadline: {error}")


def _usable(lease: LeaseObject) -> LeaseObject:
    if lease.phase is Phase.BOUND:
        return lease
    if lease.phase in ENDED:
        raise LeaseEndedError(
            f"the lease {lease.name!r} has ended: {lease.why}", remedy="claim another: leasegrid claim"
        )
    why = f": {lease.why}" if lease.why else ""
    raise LeaseEndedError(f"the lease {lease.name!r} is not bound yet{why}", remedy="wait until it is, and try again")


async def _run_on(cluster: Cluster, lease: LeaseObject, work: ReadyWork) -> tuple[Outcome, str]:
    key = place_of(cluster.context, lease.namespace, lease.name).key_of(lease)
    async with reached(cluster, lease, key) as found:
        keeping = asyncio.ensure_future(_keep(cluster, found))
        try:
            return await _outcome(found, work), found.member
        except UnreachableError as error:
            raise ClusterError(str(error), remedy="run it again; another member may answer") from error
        finally:
            keeping.cancel()
            await asyncio.gather(keeping, return_exceptions=True)


async def _keep(cluster: Cluster, found: Reached) -> None:
    """Renew the lease, and show the member the renewal, for as long as the tasklet runs."""
    lease, left = found.lease, found.connection.seconds_left
    while True:
        await asyncio.sleep(max(_RETRY_SECONDS, left * _RENEW_SHARE))
        try:
            lease = await renewed(cluster, lease)
            await found.connection.send(Renew(capabilities_by_member(lease.status.capabilities)[found.member]))
            left = max(0.0, (lease.expires or 0.0) - time.time())
        except (LeaseEndedError, UnreachableError, KeyError):
            return  # the member itself says what ends the run
        except LeaseGridError as error:
            tell(f"lease {lease.name}: not renewed, trying again: {error}")
            left = 0.0


async def _outcome(found: Reached, work: ReadyWork) -> Outcome:
    connection = found.connection
    for blob in work.blobs:
        for piece in blob.pieces():
            await connection.send(piece)
    await connection.send(Prepare(0, work.program))
    async for message in connection:
        if isinstance(message, PrepareFailed):
            return Outcome(fault=message.fault)
        if isinstance(message, Prepared):
            await connection.send(Run(0, 1, 0, (work.task,)))
        elif isinstance(message, Results) and message.results:
            return message.results[0].outcome
        elif isinstance(message, (Ended, Refused, NotRun)):
            raise _stopped(found, message)
    raise UnreachableError(f"{found.member} closed the connection before the tasklet had ended")


def _stopped(found: Reached, message: Ended | Refused | NotRun) -> LeaseGridError:
    if isinstance(message, Ended):
        why = f"the lease {found.lease.name!r} has ended at {found.member!r}: {message.reason}"
        return LeaseEndedError(why, remedy="claim another, with a longer --ttl: leasegrid claim")
    if isinstance(message, Refused):
        return RefusedError(message.reason, f"{found.member}: {message.cause}", remedy=message.remedy)
    lost = Fault(kind=FaultKind.DISCONNECTED, message=f"{found.member} ended the tasklet's slot", remedy="run it again")
    return FaultError(lost)


def _show(outcome: Outcome, member: str, *, as_json: bool) -> None:
    if as_json:
        click.echo(json.dumps(exec_reports.document(outcome, member)))
        return
    sys.stdout.buffer.write(outcome.stdout)
    sys.stdout.buffer.flush()
    stderr = outcome.stderr if outcome.fault is None else outcome.fault.stderr.encode()
    if outcome.fault is not None and stderr and not stderr.endswith(b"\n"):
        stderr += b"\n"
    sys.stderr.buffer.write(stderr)
    sys.stderr.buffer.flush()
    for line in exec_reports.fault_lines(outcome.fault) if outcome.fault is not None else ():
        click.echo(line, err=True)
