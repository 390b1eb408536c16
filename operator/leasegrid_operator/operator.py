"""The operator put together: shell, world, broker, and a reign for as long as this replica leads."""

import asyncio
import logging
import time

from leasegrid.leasing.signing import Signer, SteadyClock
from leasegrid_operator.broker.app import make_broker
from leasegrid_operator.broker.limits import Limits
from leasegrid_operator.broker.rates import Rate
from leasegrid_operator.broker.serving import BrokerServer
from leasegrid_operator.desk import OperatorDesk
from leasegrid_operator.estate import Allowed
from leasegrid_operator.jobs.ordering import Brokers
from leasegrid_operator.leases.keeping import Office
from leasegrid_operator.logs import Action, log
from leasegrid_operator.metrics import MemberFigures
from leasegrid_operator.pools.templates import MemberSettings
from leasegrid_operator.reign import Reign
from leasegrid_operator.rooms import Premises
from leasegrid_operator.settings import Settings, provision_spec
from leasegrid_operator.shell import Shell, attended, opened
from leasegrid_operator.tls import ServerTls, renewed, server_tls
from leasegrid_operator.world import World

logger = logging.getLogger(__name__)

LOOK_SECONDS = 0.5


async def run(settings: Settings) -> None:
    """Run until a signal. Raises what `shell.opened` raises."""
    async with opened(settings) as shell:
        world = World()
        tls = await server_tls(settings, shell.cluster)
        premises = _premises(shell, tls)
        desk = OperatorDesk(shell.leadership, shell.key, premises, world)
        limits = Limits(caller=Rate(settings.caller_requests_per_second, 2 * settings.caller_requests_per_second))
        shell.metrics.look_at(lambda: desk.reign.figures() if desk.reign is not None else MemberFigures())
        broker = make_broker(desk, shell.cluster, limits, shell.metrics.answered)
        context = tls.context if tls is not None else None
        server = BrokerServer(broker, limits, settings.broker_host, settings.broker_port, context)
        shell.metrics.look_at_door(server)
        async with attended(shell, world), server, renewed(tls):
            log(logger, logging.INFO, Action.STARTED, "the operator has started", identity=settings.identity)
            await _reign_while_leading(shell, world, desk, premises)
    log(logger, logging.INFO, Action.STOPPED, "the operator has stopped", identity=settings.identity)


def _premises(shell: Shell, tls: ServerTls | None) -> Premises:
    clock = SteadyClock()
    signer = Signer(shell.key, clock)
    settings = shell.settings
    members = MemberSettings(
        image=settings.member_image,
        fabric_key=signer.public,
        notify=settings.hints_address,
        image_pull_policy=settings.member_pull_policy.value,
        priority_class=settings.member_priority_class,
        tls=tls is not None,
        notify_ca=tls.authority if tls is not None else "",
        notify_name=settings.broker_name,
    )
    office = Office(shell.cluster.fenced(lambda: shell.leadership.is_leader), shell.metrics, time.time)
    allowed = Allowed(provision_spec(settings), settings.max_members_per_lease)
    brokers = Brokers(
        (settings.service_address or settings.advertised_address,), tls.authority if tls is not None else ""
    )
    return Premises(office, signer, clock, members, allowed, shell.key, brokers)


async def _abdicate(reign: Reign, world: World, desk: OperatorDesk) -> None:
    world.sight = desk.reign = None
    await reign.close()


async def _something(shell: Shell, stopping: asyncio.Task[bool]) -> None:
    """Wait until leadership may be another, the operator stops, or a while is over: leadership also ends by time."""
    changed = asyncio.create_task(shell.leadership.changed())
    await asyncio.wait({changed, stopping}, timeout=LOOK_SECONDS, return_when=asyncio.FIRST_COMPLETED)
    changed.cancel()


async def _reign_while_leading(shell: Shell, world: World, desk: OperatorDesk, premises: Premises) -> None:
    """Begin to decide when leadership comes, cease when it goes; until the operator stops."""
    stopping = asyncio.create_task(shell.stop.wait())
    reign: Reign | None = None
    try:
        while not stopping.done():
            if shell.leadership.is_leader and reign is None:
                reign = Reign(premises)
                desk.reign = reign
                await reign.begin(world)
            elif not shell.leadership.is_leader and reign is not None:
                await _abdicate(reign, world, desk)
                reign = None
            await _something(shell, stopping)
    finally:
        if reign is not None:
            await _abdicate(reign, world, desk)
        stopping.cancel()
