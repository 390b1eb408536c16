"""The leases of this run: who holds which members, until when, and who waits for a change."""

import asyncio
from dataclasses import dataclass, field

from leasegrid.local.roster import Member
from leasegrid.local.signing import Signer
from tasklet_runner.fabric.protocol import LeasedMember, LeaseRequest, LeaseView, Receipt
from tasklet_runner.wire.errors import LeaseEndedError, LeaseGridError
from tasklet_runner.wire.member import Counters
from tasklet_runner.wire.statements import MAX_PRESENTATION_SECONDS, MemberGrant

FRESH_SECONDS = MAX_PRESENTATION_SECONDS * 2 / 3
"""A capability older than this is signed anew before it is shown, so that its holder can still present it."""


@dataclass(frozen=True)
class Held:
    """One member under a lease, as it was bound."""

    member: Member
    leased: LeasedMember
    grant: MemberGrant


@dataclass(eq=False)
class LeaseRecord:
    """One lease. Times are UNIX seconds of the fabric's steady clock.

    `arrived` is monotonic; `pools` may serve it, the first preferred. `provisioned`: members are made for it, so it
    waits for them whatever its `on_empty`. `settled` resolves when the first acquisition has
    succeeded or failed. `binding`: members that are being bound now; `bound` is set when there are none. `used` names
    every member that ever belonged to it; `collecting` asks those that left by themselves what they did under it.
    """

    uid: str
    request: LeaseRequest
    arrived: float
    pools: tuple[str, ...]
    provisioned: bool
    acquired: float
    deadline: float
    wanted: int
    settled: asyncio.Future[None]
    version: int = 1
    held: dict[str, Held] = field(default_factory=dict)
    used: dict[str, None] = field(default_factory=dict)
    unverified: dict[str, None] = field(default_factory=dict)
    binding: int = 0
    bound: asyncio.Event = field(default_factory=asyncio.Event)
    ended: str = ""
    waiting_because: str = ""
    counters: Counters = field(default_factory=Counters)
    scratch_bytes: int = 0
    collecting: set[asyncio.Task[object]] = field(default_factory=set)
    ending: asyncio.Task[Receipt] | None = None
    changed: asyncio.Event = field(default_factory=asyncio.Event)
    _signed: tuple[str, ...] = ()
    _signed_for: tuple[tuple[MemberGrant, ...], float] = ((), 0.0)
    _signed_at: float = 0.0

    @property
    def missing(self) -> int:
        """How many members it wants more."""
        return 0 if self.ended else max(0, self.wanted - len(self.held))

    @property
    def last_deadline(self) -> float:
        """No renewal goes further."""
        return self.acquired + self.request.max_lifetime_seconds

    def touch(self) -> None:
        """Something changed: the version rises and whoever watches wakes."""
        self.version += 1
        self.changed.set()
        self.changed = asyncio.Event()

    def hold(self, held: Held) -> None:
        """A member was bound."""
        self.held[held.member.name] = held
        self.used[held.member.name] = None

    def settle(self, error: LeaseGridError | None = None) -> None:
        """The first acquisition is over."""
        if self.settled.done():
            return
        if error is None:
            self.settled.set_result(None)
        else:
            self.settled.set_exception(error)

    def count(self, counters: Counters, scratch_bytes: int) -> None:
        """Add what a member did under this lease."""
        mine = self.counters
        self.counters = Counters(
            tasklets=mine.tasklets + counters.tasklets,
            faults=mine.faults + counters.faults,
            fuel_used=mine.fuel_used + counters.fuel_used,
            wall_milliseconds=mine.wall_milliseconds + counters.wall_milliseconds,
            killed=mine.killed + counters.killed,
        )
        self.scratch_bytes += scratch_bytes

    def view(self, signer: Signer, now: float) -> LeaseView:
        """The lease as it is now, with capabilities that can be presented."""
        return LeaseView(
            uid=self.uid,
            name=self.request.request_id,
            version=self.version,
            members=tuple(held.leased for held in self.held.values()),
            capabilities=self._capabilities(signer, now),
            expires_in=max(0.0, self.deadline - now),
            ttl_seconds=self.request.ttl_seconds,
            wanted=self.wanted,
            ended=self.ended,
            waiting_because=self.waiting_because,
        )

    def _capabilities(self, signer: Signer, now: float) -> tuple[str, ...]:
        grants = tuple(held.grant for held in self.held.values())
        if self._signed_for != (grants, self.deadline) or now - self._signed_at > FRESH_SECONDS:
            self._signed = signer.capabilities(self.uid, self.request.holder_key, grants, self.deadline)
            self._signed_for, self._signed_at = (grants, self.deadline), now
        return self._signed


class LeaseTable:
    """Leases by uid and by request id. Ended ones stay: a second release gets the same receipt."""

    def __init__(self) -> None:
        self._by_uid: dict[str, LeaseRecord] = {}
        self._by_request: dict[str, LeaseRecord] = {}

    def add(self, record: LeaseRecord) -> None:
        """A new lease."""
        self._by_uid[record.uid] = record
        self._by_request[record.request.request_id] = record

    def forget(self, record: LeaseRecord) -> None:
        """An acquisition that failed: nobody knows its uid, and the same request may be tried again."""
        self._by_uid.pop(record.uid, None)
        if self._by_request.get(record.request.request_id) is record:
            del self._by_request[record.request.request_id]

    def of_request(self, request_id: str) -> LeaseRecord | None:
        """The lease that this request made."""
        return self._by_request.get(request_id)

    def find(self, uid: str) -> LeaseRecord:
        """The lease of that uid. Raises LeaseEndedError when this run has none."""
        record = self._by_uid.get(uid)
        if record is None:
            raise LeaseEndedError(f"there is no lease {uid} in this run", remedy="acquire a new one")
        return record

    def live(self) -> list[LeaseRecord]:
        """Leases that have not ended, in order of arrival."""
        return [record for record in self._by_uid.values() if not record.ended]
