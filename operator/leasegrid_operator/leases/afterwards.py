"""What is left to do for a lease's object once the lease is over: to say what has been seen since, and to go."""

import asyncio
import logging
from collections.abc import Callable, Coroutine, Iterable
from dataclasses import dataclass

from leasegrid.api.lease import LeaseSpec
from leasegrid_operator.cluster import Cluster
from leasegrid_operator.errors import ClusterError, ConflictError, NotFoundError
from leasegrid_operator.leases.files import LeaseFile
from leasegrid_operator.leases.timers import Timers
from leasegrid_operator.logs import Action, log
from leasegrid_operator.resources import LEASES

logger = logging.getLogger(__name__)

DELETE_AGAIN_SECONDS = 5.0

Unseen = Callable[[str, str], bool]
"""Asked by a lease's uid and a name of its receipt: True while nobody knows of that one's end."""


@dataclass(frozen=True)
class Afterwards:
    """`wall` gives UNIX seconds; `timers` go by the event loop's clock. `beside` runs what must wait, `mark` has a
    status written.
    """

    cluster: Cluster
    wall: Callable[[], float]
    timers: Timers
    beside: Callable[[Coroutine[None, None, None]], None]
    mark: Callable[[str], None]

    def keep(self, file: LeaseFile) -> None:
        """Its object stays for `ttlSecondsAfterReleased`, as that stands when the time comes. Again: no matter."""
        if not file.kept:
            file.kept = True
            released_at = file.facts.written.released_at or self.wall()
            self._wait(file, released_at)

    def verify(self, files: Iterable[LeaseFile], unseen: Unseen) -> None:
        """Write down what has been seen after all of leases that ended unverified; call it about once a second."""
        for file in [one for one in files if one.unverified and not one.removed]:
            left = tuple(name for name in file.unverified if unseen(file.uid, name))
            if left != file.unverified:
                file.left = left
                self.mark(file.uid)

    def _wait(self, file: LeaseFile, released_at: float) -> None:
        seconds = released_at + _kept_seconds(file) - self.wall()
        self.timers.at(_now() + seconds, lambda: self._let_go(file, released_at))

    def _let_go(self, file: LeaseFile, released_at: float) -> None:
        if released_at + _kept_seconds(file) > self.wall():
            self._wait(file, released_at)
        elif not file.removed:
            self.beside(self._delete(file, released_at))

    async def _delete(self, file: LeaseFile, released_at: float) -> None:
        try:
            await self.cluster.delete(LEASES, file.facts.key, uid=file.uid)
        except (NotFoundError, ConflictError):
            return  # it is gone already, and perhaps another of its name is there
        except ClusterError as error:
            log(logger, logging.WARNING, Action.WRITE_FAILED, str(error), lease=str(file.facts.key))
            self.timers.at(_now() + DELETE_AGAIN_SECONDS, lambda: self._let_go(file, released_at))


def _kept_seconds(file: LeaseFile) -> float:
    """One whose spec cannot be read says why for as long as others do."""
    return (file.facts.spec or LeaseSpec()).ttl_seconds_after_released


def _now() -> float:
    return asyncio.get_running_loop().time()
