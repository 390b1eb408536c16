"""The fabric's hand where no engine is asked: signs orders for stores, delivers them, and sends old ones again."""

import asyncio
import random
import time
from dataclasses import dataclass

import msgspec
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from tasklet_runner.wire.errors import LeaseGridError
from tasklet_runner.wire.signed import public_text, sign
from tasklet_runner.wire.statements import Bind, Capability, Confirm, MemberGrant, Release, Retire
from tests.histories.arena import Arena, Live
from tests.histories.history import OK, UNKNOWN
from tests.histories.statements import entry_of, outcome_of

Said = tuple[str, str, str]
"""Member, verb, and the signed statement."""

KEPT_STATEMENTS = 60
"""So many of earlier schedules are sent again in later ones."""


@dataclass(frozen=True)
class Granted:
    """A claim as its holder knows it. `deadline`: as the capability has it."""

    lease: str
    member: str
    incarnation: str
    epoch: int
    capability: str
    deadline: float
    issued_at: float

    @property
    def grant(self) -> MemberGrant:
        """As statements name it."""
        return MemberGrant(self.member, self.incarnation, self.epoch)


class Fabric:
    """Signs by the zygote's key, as the operators do."""

    def __init__(self, arena: Arena) -> None:
        self._arena = arena
        self._key = arena.zygote.fabric
        self._old: list[Said] = []
        self._followed: dict[str, str] = {}

    def follow(self, killed: str, successor: str) -> None:
        """What was said to the one may come to the other from now on."""
        self._followed[killed] = successor

    async def bind(self, lease: str, holder: Ed25519PrivateKey, live: Live, seconds: float) -> Granted | None:
        """Bind for a lease of so many seconds and confirm it; None when the member refused."""
        assert live.report is not None
        now, report = time.time(), live.report
        grant = MemberGrant(live.name, report.incarnation, report.epoch + 1)
        order = Bind(
            lease_uid=lease, holder_key=public_text(holder), member=grant.member, incarnation=grant.incarnation,
            epoch=grant.epoch, issued_at=now, deadline=now + seconds,
        )  # fmt: skip
        if await self._say(live, (live.name, "bind", sign(order, self._key))) != OK:
            return None
        confirm = Confirm(lease_uid=lease, member=grant.member, incarnation=grant.incarnation, epoch=grant.epoch)
        await self._say(live, (live.name, "confirm", sign(confirm, self._key)))
        return self._granted(lease, holder, grant, (now, now + seconds))

    async def renew(self, held: Granted, holder: Ed25519PrivateKey, live: Live, seconds: float) -> Granted:
        """Until so many seconds after the bind."""
        renewed = self._granted(held.lease, holder, held.grant, (held.issued_at, held.issued_at + seconds))
        await self._say(live, (held.member, "renew", renewed.capability))
        return renewed

    async def release(self, held: Granted, live: Live) -> None:
        """End it."""
        grant = held.grant
        order = Release(lease_uid=held.lease, member=grant.member, incarnation=grant.incarnation, epoch=grant.epoch)
        await self._say(live, (held.member, "release", sign(order, self._key)))

    async def retire(self, live: Live) -> None:
        """End a member that nobody holds."""
        assert live.report is not None
        order = Retire(member=live.name, incarnation=live.report.incarnation, epoch=live.report.epoch)
        await self._say(live, (live.name, "retire", sign(order, self._key)))

    async def _say(self, live: Live, said: Said) -> str:
        self._arena.statements.put_nowait(said)
        return await self._order("fabric", live, said)

    async def _order(self, who: str, live: Live, said: Said) -> str:
        """Send an order and write it down, by the member that it names, whoever gets it; the outcome."""
        member, verb, statement = said
        entry, outcome = entry_of(who, member, verb, statement, time.monotonic()), UNKNOWN
        try:
            await getattr(live.orders, verb)(statement)
            outcome = OK
        except LeaseGridError as error:
            outcome = outcome_of(error)
        finally:
            self._arena.record(msgspec.structs.replace(entry, outcome=outcome, completed=time.monotonic()))
        return outcome

    async def replay(self, seed: int) -> None:
        """Until cancelled: what is said goes to its member again, beside it or later, and in another order."""
        chance = random.Random(seed)
        for statement in chance.sample(self._old, min(8, len(self._old))):
            self._again(statement, chance.uniform(0, 1.5))
        while True:
            said = await self._arena.statements.get()
            self._old = [*self._old[-KEPT_STATEMENTS:], said]
            for late in (0.0, chance.uniform(0, 0.6), chance.uniform(0.6, 2.0)):
                if chance.random() < 0.3:
                    self._again(said, late)

    def _again(self, said: Said, late: float) -> None:
        self._arena.beside(self._resend(said, late))

    async def _resend(self, said: Said, late: float) -> None:
        await asyncio.sleep(late)
        # What was meant for a member that was killed comes to the next one of its volume.
        live = self._arena.members.get(self._followed.get(said[0], said[0]))
        if live is not None and not live.ended.done():
            await self._order("replayer", live, said)

    def _granted(
        self, lease: str, holder: Ed25519PrivateKey, grant: MemberGrant, times: tuple[float, float]
    ) -> Granted:
        issued_at, deadline = times
        capability = Capability(
            lease_uid=lease, holder_key=public_text(holder), members=(grant,), issued_at=issued_at, deadline=deadline,
            expires_at=issued_at + 60,
        )  # fmt: skip
        signed = sign(capability, self._key)
        return Granted(lease, grant.member, grant.incarnation, grant.epoch, signed, deadline, issued_at)
