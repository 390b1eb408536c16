"""The leases of one namespace: who holds which members, until when, and who waits for a change."""

import asyncio
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass, field

from leasegrid.leasing.roster import Member
from leasegrid.leasing.signing import LeaseTerm, Signer
from tasklet_runner.fabric.protocol import LeasedMember, LeaseRequest, LeaseView, Receipt
from tasklet_runner.wire.errors import LeaseEndedError, LeaseGridError
from tasklet_runner.wire.member import Counters
from tasklet_runner.wire.statements import MAX_PRESENTATION_SECONDS, MemberGrant

FRESH_SECONDS = MAX_PRESENTATION_SECONDS * 2 / 3
"""A capability older than this is signed anew before it is shown, so that its holder can still present it."""

ENDED_KEPT = 4096
"""So many ended leases are remembered, so that a second release gets the same receipt."""


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
    waits for them whatever its `on_empty`. `settled` resolves when the first acquisition has succeeded or failed.
    `binding`: members that are being bound now; `bound` is set when there are none. `used` names every member that
    ever belonged to it; `unverified`: those that did not answer their release; `collecting` asks those that left by
    themselves what they did under it. `expiring`: its deadline has come, and its members are asked.
    `awaited`: lost members that will be followed by others on the same volumes. `queue_position`: its place in the
    queue, from 1; 0 when it does not queue. `on_touch` hears of every change.
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
    unverified: dict[str, Held] = field(default_factory=dict)
    binding: int = 0
    awaited: int = 0
    bound: asyncio.Event = field(default_factory=asyncio.Event)
    ended: str = ""
    expiring: bool = False
    waiting_because: str = ""
    queue_position: int = 0
    counters: Counters = field(default_factory=Counters)
    scratch_bytes: int = 0
    collecting: set[asyncio.Task[object]] = field(default_factory=set)
    ending: asyncio.Task[Receipt] | None = None
    changed: asyncio.Event = field(default_factory=asyncio.Event)
    on_touch: "Callable[[LeaseRecord], None]" = field(default=lambda record: None)
    _signed: tuple[str, ...] = ()
    _signed_for: tuple[tuple[MemberGrant, ...], float] = ((), 0.0)
    _signed_at: float = 0.0

    @property
    def missing(self) -> int:
        """How many members it wants more."""
        return 0 if self.ended else max(0, self.wanted - len(self.held) - self.awaited)

    @property
    def wants(self) -> bool:
        """True when it should get more members: it waits for its first, or it is elastic and below its count."""
        grows = not self.settled.done() or self.request.elastic
        return bool(self.missing) and grows and not self.expiring

    @property
    def last_deadline(self) -> float:
        """No renewal goes further."""
        return self.acquired + self.request.max_lifetime_seconds

    def touch(self) -> None:
        """Something changed: the version rises and whoever watches wakes."""
        self.version += 1
        self.changed.set()
        self.changed = asyncio.Event()
        self.on_touch(self)

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
        self.counters = self.counters.plus(counters)
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
            term = LeaseTerm(self.deadline, self.request.ttl_seconds, self.last_deadline)
            self._signed = signer.capabilities(self.uid, self.request.holder_key, grants, term)
            self._signed_for, self._signed_at = (grants, self.deadline), now
        return self._signed


class LeaseTable:
    """Leases by uid and by request id. Those that want members are kept apart: a queue is looked at again and again."""

    def __init__(self) -> None:
        self._live: dict[str, LeaseRecord] = {}
        self._ended: OrderedDict[str, LeaseRecord] = OrderedDict()
        self._by_request: dict[str, LeaseRecord] = {}
        self._wanting: dict[str, LeaseRecord] = {}
        self._children: dict[str, dict[str, LeaseRecord]] = {}

    def add(self, record: LeaseRecord) -> None:
        """A new lease."""
        self._live[record.uid] = record
        self._by_request[record.request.request_id] = record
        if record.request.parent:
            self._children.setdefault(record.request.parent, {})[record.uid] = record
        record.on_touch = self._refile
        self._refile(record)

    def forget(self, record: LeaseRecord) -> None:
        """An acquisition that failed: nobody knows its uid, and the same request may be tried again."""
        for leases in (self._live, self._ended, self._wanting, self._children.get(record.request.parent, {})):
            leases.pop(record.uid, None)
        self.free_name(record)

    def free_name(self, record: LeaseRecord) -> None:
        """The same request is another lease from now on; this one is known by its uid alone."""
        if self._by_request.get(record.request.request_id) is record:
            del self._by_request[record.request.request_id]

    def of_request(self, request_id: str) -> LeaseRecord | None:
        """The lease that this request made."""
        return self._by_request.get(request_id)

    def get(self, uid: str) -> LeaseRecord | None:
        """The lease of that uid that has not ended, or None."""
        return self._live.get(uid)

    def known(self, uid: str) -> LeaseRecord | None:
        """The lease of that uid, an ended one too, or None."""
        return self._live.get(uid) or self._ended.get(uid)

    def find(self, uid: str) -> LeaseRecord:
        """The lease of that uid, an ended one too. Raises LeaseEndedError when it is not known (any more)."""
        record = self.known(uid)
        if record is None:
            raise LeaseEndedError(f"there is no lease {uid} here", remedy="acquire a new one")
        return record

    def live(self) -> list[LeaseRecord]:
        """Leases that have not ended, in order of arrival."""
        return list(self._live.values())

    def wanting(self) -> list[LeaseRecord]:
        """Leases that should get more members, in no order."""
        return list(self._wanting.values())

    def children(self, parent: str) -> list[LeaseRecord]:
        """The live leases whose parent has this name; they end with it."""
        return list(self._children.get(parent, {}).values())

    def __len__(self) -> int:
        return len(self._live)

    def _refile(self, record: LeaseRecord) -> None:
        if record.wants and record.uid in self._live:
            self._wanting[record.uid] = record
        else:
            self._wanting.pop(record.uid, None)
        if record.ended and self._live.pop(record.uid, None) is not None:
            self._retire(record)

    def _retire(self, record: LeaseRecord) -> None:
        siblings = self._children.get(record.request.parent, {})
        siblings.pop(record.uid, None)
        if not siblings:
            self._children.pop(record.request.parent, None)
        self._ended[record.uid] = record
        while len(self._ended) > ENDED_KEPT:
            _, oldest = self._ended.popitem(last=False)
            self.free_name(oldest)
