"""An operator: the lease engine of one reign after another, beside members that another operator uses, too.

`python -m tests.histories.operators NAME` obeys `reign`, `hint`, `acquire`, `renew`, `release`. It
writes down every order that it gives a member. It believes in its reign until it is told of another: nothing but the
members keeps one that was stopped from going on.
"""

import asyncio
import sys
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass

import msgspec
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from leasegrid.api.pool import InstancePoolSpec
from leasegrid.leasing.binding import Binder
from leasegrid.leasing.engine import LeaseEngine
from leasegrid.leasing.parts import Parts
from leasegrid.leasing.pools import Pool
from leasegrid.leasing.roster import MEMBER_TIMEOUT_SECONDS, Member, Roster, Shape
from leasegrid.leasing.signing import Signer, SteadyClock
from tasklet_runner.client.members import MemberClient
from tasklet_runner.fabric.protocol import LeaseRequest, LeaseView
from tasklet_runner.wire.errors import LeaseGridError
from tasklet_runner.wire.member import Hint
from tests.histories.children import Mouth, Order, Said, obey_all
from tests.histories.statements import entry_of, outcome_of
from tests.support.lease_engine import Books

POOL = "cpu"
SHAPE = Shape(slots=1, memory=1 << 20, tmpfs=1 << 20, cpu=1000)


class Reign(msgspec.Struct, frozen=True):
    """Begin anew. `key`: the fabric's, in hex; `leases`: those that live, as the API server would list them."""

    key: str
    members: tuple[tuple[str, str], ...]
    leases: tuple["Wanted", ...] = ()


class Wanted(msgspec.Struct, frozen=True):
    """A lease of the pool."""

    name: str
    holder_key: str
    ttl_seconds: int = 1
    count: int = 1

    @property
    def request(self) -> LeaseRequest:
        """For the engine."""
        return LeaseRequest(
            request_id=self.name, holder_key=self.holder_key, on_empty="Queue", count=self.count,
            ttl_seconds=self.ttl_seconds, queue_timeout_seconds=1,
        )  # fmt: skip


class Named(msgspec.Struct, frozen=True):
    """Whom or what an order is about, and where it is reached."""

    name: str
    endpoint: str = ""


@dataclass(eq=False)
class WatchedMember(Member):
    """Whatever is ordered of it is written down."""

    mouth: Mouth | None = None
    who: str = ""

    def reach(self) -> MemberClient:
        """See `Member`."""
        if self._client is None and self.mouth is not None and self.endpoint:
            self._client = WatchedClient(self.endpoint, self.who, self.name, self.mouth)
        return super().reach()


class WatchedClient(MemberClient):
    """Says what is signed before it is sent, and what came of it."""

    def __init__(self, endpoint: str, who: str, member: str, mouth: Mouth) -> None:
        super().__init__(endpoint, timeout_seconds=MEMBER_TIMEOUT_SECONDS)
        self._who, self._member, self._mouth = who, member, mouth

    async def _post(self, verb, statement, kind):  # type: ignore[no-untyped-def]  # noqa: ANN001, ANN202 - as the overridden
        self._mouth.say(Said(statement=(self._member, verb, statement)))
        entries = entry_of(self._who, self._member, verb, statement, time.monotonic())
        outcome = "unknown"
        try:
            reply = await super()._post(verb, statement, kind)
            outcome = "ok"
            return reply
        except LeaseGridError as error:
            outcome = outcome_of(error)
            raise
        finally:
            self._mouth.record(msgspec.structs.replace(entries, outcome=outcome, completed=time.monotonic()))


class Operator:
    """One process; an engine per reign."""

    def __init__(self, name: str, mouth: Mouth) -> None:
        self.name = name
        self._mouth = mouth
        self._engine: LeaseEngine | None = None
        self._over = asyncio.Event()
        self._keeping: asyncio.Task[None] | None = None
        self._acts: dict[str, Callable[[msgspec.Raw], Awaitable[object]]] = {
            "reign": self._reign,
            "hint": self._hint,
            "acquire": self._acquire,
            "renew": self._renew,
            "release": self._release,
        }

    async def obey(self, order: Order) -> object:
        """The answer; what the engine refuses is its code, and who does not reign does nothing."""
        if self._engine is None and order.verb != "reign":
            return "NotLeader"
        try:
            return await self._acts[order.verb](order.words)
        except LeaseGridError as error:
            return error.code

    async def close(self) -> None:
        """End the reign."""
        engine, keeping = self._engine, self._keeping
        self._engine = self._keeping = None
        if engine is None or keeping is None:
            return
        self._over.set()
        keeping.cancel()
        await asyncio.gather(keeping, return_exceptions=True)
        await engine.close()
        await asyncio.gather(*(member.hang_up() for member in engine.parts.roster.all()))

    async def _reign(self, words: msgspec.Raw) -> None:
        asked = msgspec.json.decode(words, type=Reign)
        await self.close()
        woken, clock, self._over = asyncio.Event(), SteadyClock(), asyncio.Event()
        signer = Signer(Ed25519PrivateKey.from_private_bytes(bytes.fromhex(asked.key)), clock)
        roster, books = Roster(asyncio.get_running_loop().time()), Books()
        pool = Pool(POOL, InstancePoolSpec(target_size=1, max_size=100), SHAPE)
        parts = Parts({POOL: pool}, roster, Binder(roster, signer), signer, clock, books, books, woken.set)
        engine = LeaseEngine(parts, books)
        await asyncio.gather(*(self._enter(engine, Named(*member)) for member in asked.members))
        await _take_over(engine, asked.leases)
        # Nobody acquires before it goes by the clock of the one before.
        self._engine, self._keeping = engine, asyncio.create_task(engine.keeper.run(woken))

    @property
    def engine(self) -> LeaseEngine:
        """Of the reign that is."""
        assert self._engine is not None, "it does not reign"
        return self._engine

    async def _enter(self, engine: LeaseEngine, named: Named) -> None:
        member = WatchedMember(
            named.name, POOL, SHAPE, named.endpoint, 0.0, started=True, mouth=self._mouth, who=self.name
        )
        engine.parts.roster.add(member)
        await engine.parts.binder.ask(member)

    async def _hint(self, words: msgspec.Raw) -> None:
        self.engine.keeper.hinted(msgspec.json.decode(words, type=Hint))

    async def _acquire(self, words: msgspec.Raw) -> LeaseView | str:
        wanted, engine, over = msgspec.json.decode(words, type=Wanted), self.engine, self._over
        record = engine.parts.table.of_request(wanted.name) or engine.enter(
            engine.record(wanted.name, wanted.request, (POOL,), provisioned=False)
        )
        ended = asyncio.create_task(_until(over))
        await asyncio.wait({record.settled, ended}, return_when=asyncio.FIRST_COMPLETED)
        ended.cancel()
        if not record.settled.done():
            # Whoever asked has to ask the next reign.
            return "NotLeader"
        record.settled.result()
        return engine.view(record)

    async def _renew(self, words: msgspec.Raw) -> LeaseView:
        view = await self.engine.renew(msgspec.json.decode(words, type=Named).name)
        record = self.engine.parts.table.find(view.uid)
        await self.engine.parts.binder.deliver(record, view.capabilities)
        return view

    async def _release(self, words: msgspec.Raw) -> None:
        await self.engine.release(msgspec.json.decode(words, type=Named).name)


async def _take_over(engine: LeaseEngine, leases: tuple[Wanted, ...]) -> None:
    """As the operator does: go on with the clock of the one before, adopt what members say they are bound to."""
    claimed = {
        member.report.lease_uid: member
        for member in engine.parts.roster.all()
        if member.report is not None and member.report.lease_uid
    }
    now = asyncio.get_running_loop().time()
    for member in claimed.values():
        if member.report is not None:
            engine.parts.clock.follow(member.report.signers_clock, now)
    for lease in leases:
        held = claimed.get(lease.name)
        if held is not None and held.report is not None:
            record = engine.record(lease.name, lease.request, (POOL,), provisioned=False)
            record.deadline = min(engine.parts.clock.now() + held.report.seconds_left, record.last_deadline)
            await engine.adopt(record, [held])


async def _until(event: asyncio.Event) -> None:
    await event.wait()


async def main(name: str) -> None:
    """Until standard input ends."""
    mouth = Mouth()
    operator = Operator(name, mouth)
    await obey_all(mouth, operator.obey)
    await operator.close()


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1]))
