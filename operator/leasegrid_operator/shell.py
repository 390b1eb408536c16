"""The operator's shell: what stands around its engine, in the order in which it starts and ends.

async with opened(settings) as shell:
    async with attended(shell, observer) as reception:
        ...                       # the engine, the broker
        await shell.stop.wait()   # a signal, or whoever sets it
"""

import asyncio
import logging
import time
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from leasegrid_operator.cluster import Cluster, Write, connected
from leasegrid_operator.handlers import watch
from leasegrid_operator.health import Health, serving
from leasegrid_operator.keys import installation_key
from leasegrid_operator.leadership import Clocks, Leadership
from leasegrid_operator.leading import Candidate
from leasegrid_operator.logs import Action, log
from leasegrid_operator.metrics import OperatorMetrics
from leasegrid_operator.observing import Observer
from leasegrid_operator.progress import WatchProgress
from leasegrid_operator.reception import WATCHED, Reception, Scope
from leasegrid_operator.settings import Settings
from leasegrid_operator.startup import check_definitions

_NOT_LISTED = "the first lists are not complete"

_logger = logging.getLogger(__name__)


@dataclass
class Beginning:
    """Why this replica cannot serve yet. What is refused later makes it no less ready: others may have that right."""

    listed: bool = False
    refused: Mapping[str, str] = field(default_factory=dict)

    def faults(self) -> tuple[str, ...]:
        """In words; empty when it can serve."""
        return () if self.listed else (_NOT_LISTED, *sorted(self.refused.values()))


@dataclass(frozen=True)
class Shell:
    """What the engine is given. Set `stop` to end the process in good order; signals set it too.

    `health_port` is where health and metrics are served: of interest where any free port was asked for.
    """

    settings: Settings
    cluster: Cluster
    key: Ed25519PrivateKey
    metrics: OperatorMetrics
    leadership: Leadership
    progress: WatchProgress
    health_port: int
    beginning: Beginning = field(default_factory=Beginning)
    stop: asyncio.Event = field(default_factory=asyncio.Event)


@asynccontextmanager
async def opened(settings: Settings) -> AsyncIterator[Shell]:
    """Connected, with the definitions there and the key read; health and metrics are served from here on.

    Raises:
        SettingsError: no way to the API server, or a Secret without a key.
        MissingDefinitionError: names what is not installed, and the command.
        ClusterError: the API server does not answer, or refuses.
        OSError: the port of health and metrics is taken.
    """
    metrics = OperatorMetrics()
    progress = WatchProgress(WATCHED, time.monotonic())

    def told(write: Write) -> None:
        metrics.wrote(write)
        if write.accepted and write.version:
            progress.written(write.resource, write.version, time.monotonic())

    beginning = Beginning()
    health = Health(lambda: progress.stalled(time.monotonic()), beginning.faults, metrics.registry)
    async with connected(settings.kubeconfig, told=told) as cluster:
        await check_definitions(cluster)
        key = await installation_key(cluster, settings.own_namespace)
        candidate = Candidate(settings.identity, settings.advertised_address)
        clocks = Clocks(time.monotonic, lambda: datetime.now(UTC))
        leadership = Leadership(cluster, settings.own_namespace, candidate, clocks)
        async with serving(health, settings.health_host, settings.health_port) as port:
            yield Shell(settings, cluster, key, metrics, leadership, progress, port, beginning)


@asynccontextmanager
async def attended(shell: Shell, observer: Observer) -> AsyncIterator[Reception]:
    """The observer is told what happens, and this replica stands for election once it knows all that is there.

    At the end the watches stop first, and leadership is given back last.
    """
    reception = Reception(observer, Scope(shell.settings.namespaces, time.monotonic), shell.progress)
    shell.beginning.refused = reception.refused
    async with asyncio.TaskGroup() as tasks:
        election = tasks.create_task(_stand(shell, reception))
        watching = tasks.create_task(watch(reception, shell.cluster.credentials, shell.settings.namespaces, shell.stop))
        try:
            yield reception
        finally:
            shell.stop.set()
            await asyncio.wait([watching])
            election.cancel()


async def _stand(shell: Shell, reception: Reception) -> None:
    await reception.listed.wait()
    shell.beginning.listed = True
    log(_logger, logging.INFO, Action.LISTED, "all objects that were there are known")
    async with asyncio.TaskGroup() as tasks:
        tasks.create_task(_show_leadership(shell))
        tasks.create_task(shell.leadership.run())


async def _show_leadership(shell: Shell) -> None:
    while True:
        shell.metrics.leads(shell.leadership.is_leader)
        await shell.leadership.changed()
