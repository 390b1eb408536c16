"""One command on a cluster: the event loop, the signals, and the connection around it."""

import asyncio
from collections.abc import Awaitable, Callable

import click

from leasegrid.cli.cluster import Cluster, opened
from leasegrid.cli.cluster_options import Where
from leasegrid.cli.interrupts import raise_on_signals
from leasegrid.cli.signals import Stops

Work = Callable[[Cluster], Awaitable[int]]


def run_on_cluster(where: Where, work: Work) -> int:
    """Do the work on the cluster that the options name; returns the exit status.

    The first signal cancels the work, which undoes what it began; the second ends the process at once.
    """
    raise_on_signals()
    return asyncio.run(_run(where, work))


def tell(line: str) -> None:
    """A line for people, beside what goes to stdout."""
    click.echo(f"leasegrid: {line}", err=True)


async def _run(where: Where, work: Work) -> int:
    doing = asyncio.ensure_future(_work(where, work))
    stops = Stops(lambda _: _stop(doing), lambda: None)
    stops.listen()
    try:
        return await doing
    except asyncio.CancelledError:
        if not stops.received:
            raise
        return stops.status


async def _work(where: Where, work: Work) -> int:
    async with opened(where) as cluster:
        return await work(cluster)


def _stop(doing: "asyncio.Future[int]") -> None:
    doing.cancel()
