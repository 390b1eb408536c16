"""Random schedules of two operators over one namespace, of which the first is stopped past its reign and goes on.

Meanwhile people make, renew, revoke and delete leases, holders show capabilities early and late, and binds are signed
twice: for other leases, at members that somebody has. The history is that of `tests.histories`: what members have
recorded, what they answer to an onlooker and to holders, and when somebody asked for the end of a lease.
"""

import asyncio
import base64
import os
import random
import signal
import time
from collections.abc import Awaitable, Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass, field

import msgspec
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from tasklet_runner.client.members import MemberClient
from tasklet_runner.coordinator.capabilities import capabilities_by_member
from tasklet_runner.wire.errors import LeaseGridError, UnreachableError
from tasklet_runner.wire.member import StateReport
from tasklet_runner.wire.signed import public_text, sign
from tasklet_runner.wire.statements import Bind, Release
from tests.histories.history import UNKNOWN, Entry, Operation
from tests.histories.statements import entry_of, outcome_of
from tests.integration.operator_rig import Object, OperatorRig, beside, metric
from tests.support.cluster.plane import accepted
from tests.support.cluster.records import Record

MEMBERS = 4
KEPT = "kept"
"""A lease that nobody ends."""

BEFORE_SECONDS, STOPPED_SECONDS, AFTER_SECONDS = 3.0, 17.0, 4.0
LOOK_SECONDS = 0.1
DECIDED_SECONDS = 0.5
"""What a member writes down it has decided so long ago at most."""

KEY_PATH = "/api/v1/namespaces/{}/secrets/leasegrid-operator-key"


@dataclass(frozen=True)
class Act:
    """At so many seconds after the beginning of its phase. `on`: a lease's name; `number`: what else was drawn."""

    at: float
    verb: str
    on: str
    number: int = 0


def draw(seed: int) -> tuple[tuple[Act, ...], tuple[Act, ...], tuple[Act, ...]]:
    """What happens before the first operator is stopped, until it goes on, and after; the same of the same seed."""
    chance = random.Random(seed)
    phases = ((BEFORE_SECONDS, 4), (STOPPED_SECONDS, 10), (AFTER_SECONDS, 4))
    first, second, third = (tuple(_acts(chance, number, *phase)) for number, phase in enumerate(phases))
    kept = (Act(0.0, "make", KEPT, 120), Act(2.0, "show", KEPT))
    return (*kept, *first), second, third


def _acts(chance: random.Random, phase: int, seconds: float, leases: int) -> Iterator[Act]:
    for number in range(leases):
        name, begin = f"lease-{phase}-{number}", chance.uniform(0, seconds * 0.8)
        yield Act(begin, "make", name, chance.choice((2, 3, 4, 6)))
        for _ in range(chance.randrange(1, 4)):
            yield Act(begin + chance.uniform(0.3, 4), "show", name)
        if chance.random() < 0.7:
            verb = chance.choice(("renew", "renew", "delete", "revoke"))
            yield Act(begin + chance.uniform(0.3, 3), verb, name, chance.randrange(60))
        if chance.random() < 0.7:
            yield Act(chance.uniform(0, seconds), "bind", name, chance.getrandbits(16))
        if chance.random() < 0.7:
            yield Act(chance.uniform(0, seconds), "replay", name, chance.getrandbits(16))


@dataclass
class Stage:
    """One schedule under way. `uids`: of the leases; `over`: since when they may end; `shown`: what holders had."""

    rig: OperatorRig
    key: Ed25519PrivateKey
    entries: list[Entry] = field(default_factory=list)
    keys: dict[str, Ed25519PrivateKey] = field(default_factory=dict)
    uids: dict[str, str] = field(default_factory=dict)
    over: dict[str, float] = field(default_factory=dict)
    shown: list[tuple[str, str, str]] = field(default_factory=list)
    clients: dict[str, MemberClient] = field(default_factory=dict)
    reports: dict[str, StateReport] = field(default_factory=dict)

    async def do(self, act: Act) -> None:
        """One act, whatever comes of it."""
        acts: dict[str, Callable[[Act], Awaitable[None]]] = {
            "make": self._make,
            "show": self._show,
            "renew": self._renew,
            "revoke": self._end,
            "delete": self._end,
            "bind": self._bind,
            "replay": self._replay,
        }
        await asyncio.sleep(act.at)
        if act.verb == "make" or act.on in self.uids:
            await acts[act.verb](act)

    async def look_on(self) -> None:
        """Until cancelled: ask all members what they are."""
        while True:
            await asyncio.gather(*(self._look(name) for name in self.clients))
            await asyncio.sleep(LOOK_SECONDS)

    async def reach_members(self) -> None:
        """Learn where they are."""
        for pod in await beside(lambda: self.rig.all("pods")):
            endpoint = f"http://{pod['status']['podIP']}:8080"
            self.clients[pod["metadata"]["name"]] = MemberClient(endpoint, timeout_seconds=5.0)
        await asyncio.gather(*(self._look(name) for name in self.clients))

    async def close(self) -> None:
        """Hang up."""
        await asyncio.gather(*(client.close() for client in self.clients.values()))

    async def release_unasked(self) -> None:
        """What no operator may do: release a lease that nobody has ended. Nobody writes it down, either."""
        uid = self.uids[KEPT]
        name, report = next((name, one) for name, one in self.reports.items() if one.lease_uid == uid)
        order = Release(lease_uid=uid, member=name, incarnation=report.incarnation, epoch=report.epoch)
        await self.clients[name].release(sign(order, self.key))
        await self._look(name)

    def history(self) -> list[Entry]:
        """All that is known up to now."""
        offset = time.time() - time.monotonic()
        recorded = [entry for record in self.rig.records() for entry in self._recorded(record, offset)]
        return [*self.entries, *recorded]

    def _recorded(self, record: Record, offset: float) -> Iterator[Entry]:
        claim = {"member": record.member, "incarnation": record.incarnation, "epoch": record.epoch}
        whose = {"lease": record.lease, "holder": record.holder}
        times = {"issued_at": record.issued_at, "deadline": record.issued_at + record.seconds}
        at = record.monotonic
        if record.event == "bound":
            # From the instant that its signer counts from: the fabric may end it when that clock says so.
            begin = min(record.issued_at - offset, at)
            yield _entry(Operation.BIND, record.member, (begin, at), **claim, **whose, **times)
            if (since := self.over.get(record.lease)) is not None:
                order = _entry(Operation.RELEASE, "people", (since, since), **claim, lease=record.lease)
                yield msgspec.structs.replace(order, outcome=UNKNOWN)
        elif record.event == "extended":
            yield _entry(Operation.RENEW, record.member, (at - DECIDED_SECONDS, at), **claim, **whose, **times)
        elif record.event == "ended":
            yield _entry(Operation.STATE, record.member, (at, at), **claim)

    async def _look(self, name: str) -> None:
        invoked = time.monotonic()
        with suppress(UnreachableError):
            self.reports[name] = report = await self.clients[name].state()
            self.entries.append(
                _entry(
                    Operation.STATE, "onlooker", (invoked, time.monotonic()), member=report.member,
                    incarnation=report.incarnation, epoch=report.epoch, lease=report.lease_uid,
                )
            )  # fmt: skip

    async def _make(self, act: Act) -> None:
        self.keys[act.on] = holder = Ed25519PrivateKey.generate()
        spec = {"ttlSeconds": act.number, "holderKey": public_text(holder), "queueTimeoutSeconds": 60}
        made = await beside(lambda: self.rig.lease(act.on, **spec))
        self.uids[act.on] = str(made["metadata"]["uid"])

    async def _end(self, act: Act) -> None:
        self.over.setdefault(self.uids[act.on], time.monotonic())
        if act.verb == "delete":
            await beside(lambda: self.rig.delete("leases", act.on))
        else:
            await self._change(act.on, {"revoke": {"graceSeconds": 0}})

    async def _renew(self, act: Act) -> None:
        await self._change(act.on, {"renewTime": f"2001-01-01T00:00:{act.number:02d}.000000Z"})

    async def _change(self, name: str, spec: dict[str, object]) -> None:
        path, content = self.rig.path("leases", name), "application/merge-patch+json"
        # It may be gone by now.
        await beside(lambda: self.rig.plane.api.ask("PATCH", path, {"spec": spec}, content))

    async def _show(self, act: Act) -> None:
        status = await beside(lambda: self.rig.status("leases", act.on))
        for member, capability in capabilities_by_member(status.get("capabilities") or ()).items():
            self.shown.append((act.on, member, capability))
            await self._say(act.on, member, "renew", capability)

    async def _replay(self, act: Act) -> None:
        if self.shown:
            name, member, capability = self.shown[act.number % len(self.shown)]
            await self._say(name, member, "renew", capability)

    async def _bind(self, act: Act) -> None:
        """Another one at a member, for the epoch that is or the next: whoever wins, and the operators have to see."""
        member = sorted(self.reports)[act.number % len(self.reports)]
        report, now = self.reports[member], time.time()
        order = Bind(
            lease_uid=self.uids[act.on], holder_key=public_text(self.keys[act.on]), member=member,
            incarnation=report.incarnation, epoch=report.epoch + min(1, act.number % 4), issued_at=now,
            deadline=now + 2,
        )  # fmt: skip
        entry = await self._say(act.on, member, "bind", sign(order, self.key))
        if entry.ok or not entry.heard:
            # No operator has asked for it: each may undo it.
            undo = {"operation": Operation.RELEASE, "outcome": UNKNOWN, "who": "operators"}
            self.entries.append(msgspec.structs.replace(entry, **undo))

    async def _say(self, name: str, member: str, verb: str, statement: str) -> Entry:
        entry, outcome = entry_of(f"holder of {name}", member, verb, statement, time.monotonic()), UNKNOWN
        try:
            await getattr(self.clients[member], verb)(statement)
            outcome = "ok"
        except LeaseGridError as error:
            outcome = outcome_of(error)
        done = msgspec.structs.replace(entry, outcome=outcome, completed=time.monotonic())
        self.entries.append(done)
        return done


@dataclass(frozen=True)
class Played:
    """`history`: to be judged; `betrayed`: the same, and a lease was released that nobody had ended."""

    history: list[Entry]
    betrayed: list[Entry]


async def play(rig: OperatorRig, seed: int) -> Played:
    """One schedule on a rig without replicas. Raises AssertionError when the second operator does not take over."""
    await beside(lambda: _open(rig))
    secret: Object = accepted(rig.plane.api.ask("GET", KEY_PATH.format(rig.namespace)))
    stage = Stage(rig, Ed25519PrivateKey.from_private_bytes(base64.b64decode(secret["data"]["ed25519"])))
    await stage.reach_members()
    looking = asyncio.create_task(stage.look_on())
    try:
        await _act_out(stage, seed)
        history = await asyncio.to_thread(stage.history)
        await stage.release_unasked()
        return Played(history, await asyncio.to_thread(stage.history))
    finally:
        looking.cancel()
        await asyncio.gather(looking, return_exceptions=True)
        await stage.close()


async def _act_out(stage: Stage, seed: int) -> None:
    before, stopped, after = draw(seed)
    chance, first = random.Random(seed), stage.rig.replicas["a"]
    acting = [asyncio.create_task(stage.do(act)) for act in before]
    await asyncio.sleep(chance.uniform(1.0, BEFORE_SECONDS))
    os.kill(first.pid, signal.SIGSTOP)
    acting += [asyncio.create_task(stage.do(act)) for act in stopped]
    await beside(lambda: stage.rig.until_leads("b"))
    await asyncio.sleep(chance.uniform(0, 2.0))
    os.kill(first.pid, signal.SIGCONT)
    acting += [asyncio.create_task(stage.do(act)) for act in after]
    await asyncio.gather(*acting)
    await beside(
        lambda: stage.rig.wait(lambda: metric(first, "leasegrid_leader"), lambda leads: not leads, "one leads")
    )


def _open(rig: OperatorRig) -> None:
    rig.start("a")
    rig.until_leads("a")
    rig.start("b")
    rig.pool(MEMBERS)
    rig.until_members(ready=MEMBERS)


def _entry(operation: Operation, who: str, instants: tuple[float, float], **words: object) -> Entry:
    invoked, completed = instants
    return Entry(operation=operation, who=who, invoked=invoked, completed=completed, **words)  # type: ignore[arg-type]  # the callers' words are of the fields' types
