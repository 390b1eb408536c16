"""The lease under which the partitions of one stage wait: one Memory or Block member, and the grants to use it."""

import asyncio
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

from tasklet_runner.coordinator.capabilities import capabilities_by_member
from tasklet_runner.coordinator.keeping import LeaseKeeper, first_of
from tasklet_runner.coordinator.surroundings import Surroundings
from tasklet_runner.fabric.protocol import LeasedMember, LeaseRequest, LeaseView, Receipt
from tasklet_runner.plan.types import LeaseTerms, Medium, Shuffle
from tasklet_runner.wire.errors import (
    LeaseEndedError,
    LeaseGridError,
    RefusedError,
    UnreachableError,
    UnsupportedError,
)
from tasklet_runner.wire.signed import public_text, sign
from tasklet_runner.wire.statements import GetGrant, PutGrant

GRANT_SECONDS = 300
FRESH_SECONDS = 60
"""A grant to read is shown to readers for so long before another is signed."""

SUCCESSOR_SECONDS = 60.0
"""A Block lease whose member is gone waits so long for the next one on the same volume."""


UNREACHABLE_SECONDS = 20.0
"""A member that the fabric still lists, but that does not answer for so long, is lost."""

SAID_AFTER_SECONDS = 1.0
"""Most stores are there within a moment, of which nothing is said."""

_PAUSE_SECONDS = 0.5


@dataclass(frozen=True)
class StoreOrder:
    """What is wanted: for the partitions of which stage, of which job."""

    stage: str
    shuffle: Shuffle
    terms: LeaseTerms
    namespace: str
    job: str


class StoreEvents(Protocol):
    """What is heard of a store."""

    def noticed(self, text: str) -> None:
        """Something that a person may want to know."""

    def broken(self, error: BaseException) -> None:
        """A task failed in a way that nobody expected: the run cannot go on."""


class PartitionStore:
    """One lease from the moment it is asked for. `ended` is set when it is of no further use: `lost_because` says why
    its objects are gone, `impossible` why it never was.

    A Memory lease is lost with its member. A Block lease goes on with the member that follows on the same volume, at
    the next epoch, which is the term that grants name.
    """

    def __init__(self, order: StoreOrder, surroundings: Surroundings, events: StoreEvents) -> None:
        self.member: LeasedMember | None = None
        self.reachable = True
        self.ended = asyncio.Event()
        self.lost_because = ""
        self.impossible: LeaseGridError | None = None
        self._order = order
        self._surroundings = surroundings
        self._waiting: list[Callable[[], None]] = []
        self._present = asyncio.Event()
        self._absent = asyncio.Event()
        self._capability = ""
        self._news = asyncio.Event()
        self._read_grant = ""
        self._read_until = 0.0
        self._missing_since = time.monotonic()
        self._events = events
        self._lease = LeaseKeeper(surroundings, order.terms.renew_at_percent, self._follow, events.noticed)
        self._supervisor = asyncio.get_running_loop().create_task(self._supervise())
        self._supervisor.add_done_callback(self._supervisor_ended)

    @property
    def serves(self) -> bool:
        """True while a member is there that answers."""
        return self.member is not None and self.reachable

    @property
    def leased(self) -> int:
        """Members under the lease."""
        return len(self._lease.view.members) if self._lease.view is not None else 0

    @property
    def waiting_because(self) -> str:
        """Why nothing can be put or read yet, or at the moment; empty while there is nothing to be said of it."""
        if self.serves or self.ended.is_set():
            return ""
        if self.lacks_capacity:
            return f"{self.name}: {self._lease.waiting_because}"
        if time.monotonic() < self._missing_since + SAID_AFTER_SECONDS:
            return ""
        if self.member is not None:
            return f"{self.name} does not answer at {self.member.name}"
        if self._lease.view is None:
            return f"{self.name} is not there yet: a member for it is being started"
        return f"{self.name} has lost its member: another takes it over"

    @property
    def lacks_capacity(self) -> bool:
        """True while the fabric says why it has no member for it."""
        return self.member is None and not self.ended.is_set() and bool(self._lease.waiting_because)

    @property
    def receipts(self) -> list[Receipt]:
        """Of the lease, once it is released."""
        return self._lease.receipts

    @property
    def name(self) -> str:
        """How people are told of it."""
        return f"the store of {self._order.stage}'s partitions"

    def when_open(self, act: Callable[[], None]) -> None:
        """Do it at once, or as soon as a member serves; never when none does any more."""
        if self.member is not None:
            act()
        elif not self.ended.is_set():
            self._waiting.append(act)

    def put_grant(self, key_prefix: str, max_bytes: int) -> tuple[str, str]:
        """The endpoint, and leave to put so many bytes below the prefix. A member must serve."""
        uid, member = self._serving()
        expires_at = time.time() + GRANT_SECONDS
        grant = PutGrant(
            store=uid, term=member.epoch, key_prefix=key_prefix, max_bytes=max_bytes, expires_at=expires_at
        )
        return member.endpoint, sign(grant, self._surroundings.holder)

    def get_grant(self) -> tuple[str, str]:
        """The endpoint, and leave to read all that the stage put. A member must serve."""
        uid, member = self._serving()
        if time.monotonic() > self._read_until:
            expires_at = time.time() + GRANT_SECONDS
            grant = GetGrant(store=uid, term=member.epoch, key_prefix=self._order.stage, expires_at=expires_at)
            self._read_grant = sign(grant, self._surroundings.holder)
            self._read_until = time.monotonic() + FRESH_SECONDS
        return member.endpoint, self._read_grant

    def look(self) -> None:
        """A member could not reach it: the fabric is asked, and the store itself."""
        self._lease.look()
        self._news.set()

    async def close(self, reason: str) -> None:
        """Give the lease back; also one that is only just being acquired. A second call does nothing."""
        self._supervisor.cancel()
        await asyncio.wait({self._supervisor})
        self._end()
        await self._lease.await_pending()
        await self._lease.release_all(reason)

    async def _supervise(self) -> None:
        try:
            await self._lease.acquire(self._request)
            async with asyncio.TaskGroup() as tasks:
                tasks.create_task(self._lease.keep())
                tasks.create_task(self._await_successors())
                tasks.create_task(self._deliver())
        except* LeaseEndedError as ended:
            self.lost_because = str(first_of(ended))
            self._lease.let_go()
        except* UnsupportedError as error:
            self.impossible = first_of(error)
        except* LeaseGridError as error:
            self.lost_because = str(first_of(error))
            self._lease.let_go()
        self._end()

    def _supervisor_ended(self, task: asyncio.Task[None]) -> None:
        if not task.cancelled() and (error := task.exception()) is not None:
            self._events.broken(error)

    def _end(self) -> None:
        self.member = None
        self._waiting.clear()
        self.ended.set()

    def _follow(self, view: LeaseView) -> None:
        before, self.member = self.member, next(iter(view.members), None)
        if self._order.shuffle.medium is Medium.MEMORY and before is not None and not _same(before, self.member):
            self.member = None
            raise LeaseEndedError(f"its member {before.name} is gone")
        if not _same(before, self.member):
            self._read_until = 0.0
            self.reachable = True
        if self.member is None:
            if before is not None:
                self._missing_since = time.monotonic()
            self._present.clear()
            self._absent.set()
            return
        self._renewed(capabilities_by_member(view.capabilities).get(self.member.name, ""))
        self._absent.clear()
        self._present.set()
        waiting, self._waiting = self._waiting, []
        for act in waiting:
            act()

    def _renewed(self, capability: str) -> None:
        if capability != self._capability:
            self._capability = capability
            self._news.set()

    async def _deliver(self) -> None:
        """Show the member its renewals: without them it ends at its old deadline. Who does not answer is asked again;
        nobody is sent there meanwhile.
        """
        silent: tuple[LeasedMember, float] | None = None
        while True:
            await self._news.wait()
            self._news.clear()
            member = self.member
            if member is None:
                continue
            try:
                await self._surroundings.show(member, self._capability)
                silent, self.reachable = None, True
            except (UnreachableError, RefusedError) as error:
                if silent is None or not _same(silent[0], member):
                    silent = member, time.monotonic()
                    self._missing_since = silent[1]
                self._judge(member, error, time.monotonic() - silent[1])
                self._news.set()
                await asyncio.sleep(_PAUSE_SECONDS)

    def _judge(self, member: LeasedMember, error: LeaseGridError, seconds: float) -> None:
        """A member has not taken its renewal for so long. Raises LeaseEndedError when it is given up."""
        if not _same(member, self.member):
            return
        # At a volume it may be the successor that refuses, before the fabric has told of it.
        refused = isinstance(error, RefusedError) and self._order.shuffle.medium is Medium.MEMORY
        if refused or seconds > UNREACHABLE_SECONDS:
            raise LeaseEndedError(f"its member {member.name} cannot be used any more: {error}") from error
        self.reachable = False

    async def _await_successors(self) -> None:
        while True:
            await self._absent.wait()
            try:
                async with asyncio.timeout(SUCCESSOR_SECONDS):
                    await self._present.wait()
            except TimeoutError:
                raise LeaseEndedError(f"no successor of its member came in {SUCCESSOR_SECONDS:.0f} seconds") from None

    def _serving(self) -> tuple[str, LeasedMember]:
        if self.member is None or self._lease.view is None:
            raise LeaseEndedError(f"{self.name} has no member")
        return self._lease.view.uid, self.member

    def _request(self, identity: str) -> LeaseRequest:
        order = self._order
        return LeaseRequest(
            request_id=identity,
            holder_key=public_text(self._surroundings.holder),
            namespace=order.namespace,
            resource=order.shuffle.medium.value,
            size=order.shuffle.size,
            on_empty="Provision",
            ttl_seconds=order.terms.ttl_seconds,
            max_lifetime_seconds=order.terms.max_lifetime_seconds,
            holder_identity=self._surroundings.holder_identity,
            purpose=f"shuffle of {order.stage} of job {order.job}"[:253],
            parent=self._surroundings.parent,
            priority=order.terms.priority,
        )


def _same(one: LeasedMember | None, other: LeasedMember | None) -> bool:
    if one is None or other is None:
        return one is other
    return (one.name, one.incarnation, one.epoch) == (other.name, other.incarnation, other.epoch)
