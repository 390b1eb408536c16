"""The operator put together."""

import logging

from leasegrid_operator.logs import Action, log
from leasegrid_operator.observing import Body
from leasegrid_operator.settings import Settings
from leasegrid_operator.shell import attended, opened

_logger = logging.getLogger(__name__)


async def run(settings: Settings) -> None:
    """Until a signal. Raises what `opened` raises."""
    async with opened(settings) as shell, attended(shell, _Nobody()):
        log(_logger, logging.INFO, Action.STARTED, "the operator has started", identity=settings.identity)
        await shell.stop.wait()
    log(_logger, logging.INFO, Action.STOPPED, "the operator has stopped", identity=settings.identity)


class _Nobody:
    """Observes nothing."""

    def pool_seen(self, namespace: str, body: Body, deleted: bool) -> None:
        """Ignored."""

    def lease_seen(self, namespace: str, body: Body, deleted: bool) -> None:
        """Ignored."""

    def pod_seen(self, namespace: str, body: Body, deleted: bool) -> None:
        """Ignored."""

    def claim_seen(self, namespace: str, body: Body, deleted: bool) -> None:
        """Ignored."""

    def node_seen(self, namespace: str, body: Body, deleted: bool) -> None:
        """Ignored."""
