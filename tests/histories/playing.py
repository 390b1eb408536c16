"""Plays a schedule on an arena, and gives back its history."""

import asyncio
import itertools
import os
import signal
import time
from collections import defaultdict
from collections.abc import Awaitable, Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

import msgspec
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from tasklet_runner.fabric.protocol import LeaseView
from tasklet_runner.wire.member import MemberState
from tasklet_runner.wire.signed import decode_base64url, public_text
from tasklet_runner.wire.statements import Capability
from tests.histories.arena import Arena, Live
from tests.histories.fabric import Fabric, Granted
from tests.histories.history import Entry, Operation
from tests.histories.holders import Use
from tests.histories.operators import Named, Reign, Wanted
from tests.histories.schedule import HOLDERS, OPERATORS, WORKERS, Schedule, Step
from tests.histories.stores import BLOCK, Stores
from tests.support.faults.processes import signal_tree

STILL_SECONDS = 5.0
JOB_VALUE = "value"


@dataclass
class Play:
    """One schedule under way. `granted`: the latest word about each lease; `before`: that of its killed store."""

    arena: Arena
    fabric: Fabric
    number: int
    stores: Stores
    keys: dict[str, Ed25519PrivateKey] = field(default_factory=lambda: defaultdict(Ed25519PrivateKey.generate))
    granted: dict[str, Granted] = field(default_factory=dict)
    before: dict[str, Granted] = field(default_factory=dict)
    wanted: dict[str, Wanted] = field(default_factory=dict)
    busy: set[object] = field(default_factory=set)
    serial: Iterator[int] = field(default_factory=itertools.count)

    async def do(self, step: Step) -> None:
        """One step, whatever comes of it."""
        acts: dict[str, Callable[[Step], Awaitable[None]]] = {
            "reign": self._reign,
            "acquire": self._acquire,
            "bind": self._bind,
            "hold": self._hold,
            "stop": self._stop,
            "stop-tree": self._stop,
            "step": self._step_clock,
            "kill": self._kill,
            "crowd": self._crowd,
        }
        if step.verb in acts:
            await acts[step.verb](step)
        elif step.who in OPERATORS:
            await self._ask_operator(step)
        elif step.on in self.granted:
            await (self._order(step) if step.who == "fabric" else self._use(step))

    async def _reign(self, step: Step) -> None:
        members = tuple((name, self.arena.endpoint(step.who, name)) for name in WORKERS)
        key = self.arena.zygote.fabric.private_bytes_raw().hex()
        await self.arena.children[step.who].ask("reign", Reign(key, members, tuple(self.wanted.values())))

    async def _acquire(self, step: Step) -> None:
        wanted = Wanted(self._lease(step.on), public_text(self.keys[step.on]))
        self.wanted.setdefault(step.on, wanted)
        answer = await self.arena.children[step.who].ask("acquire", wanted)
        if (held := _granted(answer)) is not None:
            self.granted[step.on] = held
            await self._child_does(step.on.partition("/")[0], "work", self._use_of(step.on, step.on.partition("/")[0]))

    async def _ask_operator(self, step: Step) -> None:
        answer = await self.arena.children[step.who].ask(step.verb, Named(self._lease(step.on)))
        if (held := _granted(answer)) is not None:
            self.granted[step.on] = held

    async def _bind(self, step: Step) -> None:
        live = self._live(step.on)
        if live is None:
            return
        held = await self.fabric.bind(self._lease(step.on), self.keys[step.on], live, step.seconds)
        if held is not None:
            self.granted[step.on] = held

    async def _order(self, step: Step) -> None:
        live, held = self._live(step.on), self.granted[step.on]
        if live is None:
            return
        if step.verb == "release":
            await self.fabric.release(held, live)
        else:
            renewed = await self.fabric.renew(held, self.keys[step.on], live, step.seconds)
            if self.granted[step.on] is held:
                self.granted[step.on] = renewed

    async def _use(self, step: Step) -> None:
        key, text = f"{self.number}-{step.on}-{step.number}", f"{self.number}-{next(self.serial)}" * 20
        if step.verb in ("set", "read"):
            key = JOB_VALUE
        elif step.verb == "put":
            # What is put again is the same.
            text = key * 20
        use = self._use_of(step.on, step.who, before=step.before)
        term = step.number if step.verb == "open" else step.number // 100
        await self._child_does(step.who, step.verb, msgspec.structs.replace(use, key=key, text=text, term=term))

    def _use_of(self, lease: str, who: str, *, before: bool = False) -> Use:
        held = self.before.get(lease, self.granted[lease]) if before else self.granted[lease]
        endpoint = self.arena.endpoint(who, held.member) if (who, held.member) in self.arena.doors else "unix:///gone"
        return Use(
            member=held.member, incarnation=held.incarnation, epoch=held.epoch, lease=held.lease, endpoint=endpoint,
            capability=held.capability, holder=self.keys[lease].private_bytes_raw().hex(), deadline=held.deadline,
        )  # fmt: skip

    async def _child_does(self, who: str, verb: str, use: Use) -> None:
        await self.arena.children[who].ask(verb, use)

    async def _hold(self, step: Step) -> None:
        place = (step.who, self.stores.names.get(step.on, step.on))
        door = self.arena.doors.get(place)
        if door is None or place in self.busy:
            return
        self.busy.add(place)
        door.hold()
        began = time.monotonic()
        await asyncio.sleep(step.seconds)
        self._wait(Operation.HELD, began, step.who, place[1])
        door.let_go()
        self.busy.discard(place)

    async def _stop(self, step: Step) -> None:
        live = self.arena.members.get(self.stores.names.get(step.on, step.on))
        whom: object = live if live is not None else step.who
        if whom in self.busy or (live is None and step.who not in self.arena.children):
            return
        self.busy.add(whom)
        if live is not None:
            await self._stop_member(live, step)
        else:
            self.arena.children[step.who].stop()
            await asyncio.sleep(step.seconds)
            self.arena.children[step.who].go_on()
        self.busy.discard(whom)

    async def _stop_member(self, live: Live, step: Step) -> None:
        send = signal_tree if step.verb == "stop-tree" else os.kill
        try:
            with suppress(ProcessLookupError):
                send(live.pid, signal.SIGSTOP)
                if await _stands_still(live.pid):
                    began = time.monotonic()
                    await asyncio.sleep(step.seconds)
                    self._wait(Operation.STOPPED, began, "nemesis", live.name)
        finally:
            # Whatever becomes of the play: one that stands still for ever would be left behind.
            with suppress(ProcessLookupError):
                send(live.pid, signal.SIGCONT)

    async def _kill(self, step: Step) -> None:
        killed = await self.stores.kill(step.on)
        if killed is not None:
            await asyncio.sleep(step.seconds)
            await self._follow(step.on, str(killed.path) if step.number else "")

    async def _crowd(self, step: Step) -> None:
        """What takes a server for dead makes another beside it."""
        if self.stores.roles[step.on] == BLOCK:
            await self._follow(step.on)

    async def _follow(self, store: str, path: str = "") -> None:
        """As fabrics do: one more server for the volume, bound for the lease that the last one had."""
        live = await self.stores.serve(store, path)
        if live is None:
            return
        for lease, held in list(self.granted.items()):
            seconds = held.deadline - time.time()
            if lease.partition("/")[0] != store or seconds <= 0:
                continue
            self.fabric.follow(held.member, live.name)
            bound = await self.fabric.bind(held.lease, self.keys[lease], live, seconds)
            if bound is not None:
                self.before[lease], self.granted[lease] = held, bound

    async def _step_clock(self, step: Step) -> None:
        self.arena.clocks[step.on].step_clock(step.seconds)
        now = time.monotonic()
        self.arena.record(Entry(who=step.on, operation=Operation.STEPPED, invoked=now, completed=now))

    def _wait(self, operation: Operation, began: float, who: str, member: str) -> None:
        self.arena.record(Entry(who=who, operation=operation, invoked=began, completed=time.monotonic(), member=member))

    def _lease(self, name: str) -> str:
        return f"{self.number}/{name}"

    def _live(self, lease: str) -> Live | None:
        return self.stores.serving(lease.partition("/")[0])


class Player:
    """Plays schedules one after the other on one arena."""

    def __init__(self, arena: Arena) -> None:
        self._arena = arena
        self._fabric = Fabric(arena)
        self._numbers = itertools.count(1)

    async def play(self, schedule: Schedule) -> list[Entry]:
        """The history of one schedule, from ready members to ready members."""
        arena, number = self._arena, next(self._numbers)
        play = Play(arena, self._fabric, number, Stores(arena, number))
        arena.history.clear()
        for name, role in schedule.roles:
            await play.stores.open(name, role)
        replaying = asyncio.create_task(self._fabric.replay(schedule.replays))
        try:
            await _act_out(arena, play, schedule)
        finally:
            replaying.cancel()
            await asyncio.gather(replaying, return_exceptions=True)
        await arena.idle()
        await self._settle(play)
        return list(arena.history)

    async def _settle(self, play: Play) -> None:
        """Until every claim has ended by itself, and what is left of stores has gone."""
        arena = self._arena
        for name in HOLDERS:
            await arena.children[name].ask("forget", None)
        for name in (*WORKERS, *play.stores.every_name()):
            await arena.until(partial(_is_free, arena.members[name]), f"{name} is free")
        for name in play.stores.every_name():
            live = arena.members[name]
            if not live.ended.done() and live.report is not None and live.report.state is MemberState.READY:
                await self._fabric.retire(live)
            await arena.bury(name)
        play.stores.remove()
        for name in WORKERS:
            await arena.until(partial(_is_ready, arena.members[name]), f"{name} is ready")


def _is_free(live: Live) -> bool:
    return not live.bound or live.ended.done()


def _is_ready(live: Live) -> bool:
    return live.report is not None and live.report.state is MemberState.READY


async def _act_out(arena: Arena, play: Play, schedule: Schedule) -> None:
    began = time.monotonic()
    for step in schedule.steps:
        await asyncio.sleep(max(0.0, began + step.at - time.monotonic()))
        arena.beside(play.do(step))


def _granted(answer: msgspec.Raw) -> Granted | None:
    """The first member of a view; None for a refusal."""
    if bytes(answer)[:1] != b"{":
        return None
    view = msgspec.json.decode(answer, type=LeaseView)
    if not view.members or view.ended:
        return None
    member, capability = view.members[0], view.capabilities[0]
    said = msgspec.json.decode(decode_base64url(capability.split(".")[1]), type=Capability)
    return Granted(view.uid, member.name, member.incarnation, member.epoch, capability, said.deadline, said.issued_at)


async def _stands_still(pid: int) -> bool:
    """All of its threads do; False when it ended meanwhile."""
    until = time.monotonic() + STILL_SECONDS
    while time.monotonic() < until:
        try:
            states = {
                Path(f"/proc/{pid}/task/{thread}/stat").read_text().rpartition(")")[2].split()[0]
                for thread in os.listdir(f"/proc/{pid}/task")
            }
        except FileNotFoundError:
            return False
        if states <= {"T", "t"}:
            return True
        await asyncio.sleep(0.002)
    return False
