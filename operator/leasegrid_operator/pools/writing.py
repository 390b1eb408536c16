"""The pool controller's writes: pods and claims made, and ended, each tried until it stands or is refused for good."""

import asyncio
from collections.abc import Callable, Coroutine
from dataclasses import dataclass

from leasegrid.rules.reasons import WarmupFailure
from leasegrid.rules.refill import PENDING_SECONDS
from leasegrid_operator.cluster import Cluster
from leasegrid_operator.errors import (
    AlreadyExistsError,
    ClusterError,
    ConflictError,
    NotFoundError,
    QuotaExceededError,
    ServerUnavailableError,
)
from leasegrid_operator.pools.naming import member_name
from leasegrid_operator.pools.pods import MemberTemplate
from leasegrid_operator.pools.troubles import Trouble
from leasegrid_operator.resources import CLAIMS, PODS, ObjectKey, Resource

AT_ONCE = 20
"""Requests under way: beyond it an API server answers more slowly, not more often."""

PAUSE_SECONDS = 1.0
"""While the API server is away, the same name is tried again: whether it was made before cannot be known."""

GIVE_UP_SECONDS = PENDING_SECONDS - 10.0
"""For as long the name counts as a member; before that is over the tries are."""

AGAIN_SECONDS = 5.0
"""An object whose end was asked for and is still there without a mark of it is asked for again."""


@dataclass(frozen=True)
class Doomed:
    """One object that is to end, and only that one."""

    resource: Resource
    key: ObjectKey
    uid: str


@dataclass(frozen=True)
class Made:
    """What a creation came to: `trouble` says why it was refused. One that neither stands nor was refused was given
    up, as the API server was away for too long.
    """

    name: str
    stands: bool
    trouble: Trouble | None = None


class Writer:
    """Writes beside the loop that decides; needs a running event loop."""

    def __init__(self, cluster: Cluster) -> None:
        self._cluster = cluster
        self._slots = asyncio.Semaphore(AT_ONCE)
        self._tasks: set[asyncio.Task[None]] = set()
        self._doomed: dict[Doomed, float] = {}

    def make(self, template: MemberTemplate, number: int, made: Callable[[Made], None]) -> str:
        """Make a member's claim, if it has one, and its pod; returns the name, and calls `made` at the end."""
        name = member_name(template.owner.name, template.owner.uid, number)
        self.beside(self._make(template, number, name, made))
        return name

    def end(self, doomed: Doomed) -> None:
        """Delete the object; a second call does nothing for a while, and then asks again."""
        now = asyncio.get_running_loop().time()
        if now >= self._doomed.get(doomed, 0.0):
            self._doomed[doomed] = now + AGAIN_SECONDS
            self.beside(self._end(doomed))

    def ended(self, doomed: Doomed) -> None:
        """The object is gone, or on its way."""
        self._doomed.pop(doomed, None)

    def beside(self, work: Coroutine[None, None, None]) -> None:
        """Do something while the loop goes on."""
        task = asyncio.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def close(self) -> None:
        """Give up what is under way."""
        for task in list(self._tasks):
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    async def _make(self, template: MemberTemplate, number: int, name: str, made: Callable[[Made], None]) -> None:
        trouble: Trouble | None = None
        stands = False
        try:
            async with asyncio.timeout(GIVE_UP_SECONDS):
                if (claim := template.claim(number)) is not None:
                    await self._create(CLAIMS, claim)
                await self._create(PODS, template.pod(number))
            stands = True
        except TimeoutError:
            trouble = None
        except QuotaExceededError as error:
            trouble = Trouble(WarmupFailure.QUOTA, str(error))
        except ClusterError as error:
            trouble = Trouble(WarmupFailure.REFUSED, str(error))
        made(Made(name, stands, trouble))

    async def _create(self, resource: Resource, body: dict[str, object]) -> None:
        while True:
            try:
                async with self._slots:
                    await self._cluster.create(resource, body)
            except AlreadyExistsError:
                # Names are ours alone: it was made by a try whose answer was lost. A foreign one is never seen as a
                # member, and its name is given up after a while.
                return
            except ServerUnavailableError:
                await asyncio.sleep(PAUSE_SECONDS)
            else:
                return

    async def _end(self, doomed: Doomed) -> None:
        try:
            async with self._slots:
                await self._cluster.delete(doomed.resource, doomed.key, uid=doomed.uid)
        except (NotFoundError, ConflictError):
            # It has gone, and perhaps another has its name.
            self.ended(doomed)
        except ClusterError:
            # It stays on the list: whoever wants its end asks again at the next look.
            return
