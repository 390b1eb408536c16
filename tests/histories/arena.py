"""What a schedule is played on: real members, two operators, two holders, doors between them, and whoever looks on."""

import asyncio
import re
import time
from collections.abc import AsyncIterator, Callable, Coroutine, Iterator
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path

import msgspec

from tasklet_runner.client.members import MemberClient
from tasklet_runner.wire.errors import LeaseGridError
from tasklet_runner.wire.member import Hint, MemberState, StateReport
from tests.histories.children import Child, Said
from tests.histories.history import Entry, Operation
from tests.histories.schedule import CLOCKS, HOLDERS, OPERATORS, WORKERS
from tests.soak.clocks import environment
from tests.support.cuttable import DoorOfSocket
from tests.support.faults.control import Control
from tests.support.stores import MEBIBYTE
from tests.support.zygotes import ZygoteRig

LOOK_SECONDS = 0.08
PATIENCE_SECONDS = 60.0
ERRORS = "errors"
_EXPECTED = re.compile(r"tasklet-runner: (the store in \S+ is in use by process|cannot listen at unix://)")
"""What a member says that is one too many for its volume, or its address."""


@dataclass(eq=False)
class Live:
    """A member's process. `report`: what it said last; `ended` is set with its exit status."""

    name: str
    path: Path
    pid: int
    client: MemberClient
    orders: MemberClient
    ended: asyncio.Future[int]
    report: StateReport | None = None
    was_ready: bool = False
    looking: "asyncio.Task[None] | None" = None

    @property
    def bound(self) -> bool:
        """It says that it is."""
        return self.report is not None and bool(self.report.lease_uid)


@dataclass(eq=False)
class Arena:
    """Everything that runs. `heard` gets statements before they are sent; `history` is what is written down."""

    root: Path
    zygote: ZygoteRig
    clocks: dict[str, Control]
    children: dict[str, Child] = field(default_factory=dict)
    members: dict[str, Live] = field(default_factory=dict)
    doors: dict[tuple[str, str], DoorOfSocket] = field(default_factory=dict)
    history: list[Entry] = field(default_factory=list)
    statements: "asyncio.Queue[tuple[str, str, str]]" = field(default_factory=asyncio.Queue)
    _spawned: "dict[str, asyncio.Future[int]]" = field(default_factory=dict)
    _ended: "dict[str, asyncio.Future[int]]" = field(default_factory=dict)
    _read_errors: int = 0
    _reading: "asyncio.Task[None] | None" = None
    _tasks: "set[asyncio.Task[object]]" = field(default_factory=set)

    def record(self, entry: Entry) -> None:
        """One more."""
        self.history.append(entry)

    def hear(self, said: Said) -> None:
        """What a child says."""
        if said.entry is not None:
            self.record(said.entry)
        if said.statement is not None:
            self.statements.put_nowait(said.statement)

    async def spawn(self, name: str, path: str = "", **changes: object) -> Live:
        """A member that is ready or has ended, at a socket of its own or this one, with a door for each child."""
        loop = asyncio.get_running_loop()
        self._spawned[name] = loop.create_future()
        self._ended[name] = ended = loop.create_future()
        endpoint = f"unix://{path or self.zygote.root / f'{name}.sock'}"
        self.zygote.spawn(name, listen=endpoint, **changes)
        clients = MemberClient(endpoint, timeout_seconds=5.0), MemberClient(endpoint, timeout_seconds=5.0)
        live = Live(name, Path(endpoint.removeprefix("unix://")), await self._spawned[name], *clients, ended)
        self.members[name] = live
        live.looking = loop.create_task(self._look_on(live))
        for who in (*OPERATORS, *HOLDERS):
            self.doors[who, name] = opened = DoorOfSocket(str(live.path))
            await opened.open()
        await self.until(lambda: live.was_ready or live.ended.done(), f"{name} ready")
        return live

    async def spawn_store(self, name: str, role: str, volume: str, path: str = "") -> Live | None:
        """A store member that is ready; None when another one serves the volume."""
        live = await self.spawn(name, path, role=role, store=str(self.root / volume), quota=4 * MEBIBYTE)
        if live.was_ready:
            return live
        await self.bury(name)
        return None

    def endpoint(self, who: str, member: str) -> str:
        """Where this child finds the member."""
        return f"http://127.0.0.1:{self.doors[who, member].port}"

    async def bury(self, name: str) -> None:
        """A member's process has ended, or does soon: close what led to it."""
        live = self.members[name]
        await asyncio.wait_for(asyncio.shield(live.ended), PATIENCE_SECONDS)
        del self.members[name]
        if live.looking is not None:
            await live.looking
        for who in (*OPERATORS, *HOLDERS):
            await self.doors.pop((who, name)).close()
        await asyncio.gather(live.client.close(), live.orders.close())

    async def until(self, condition: Callable[[], object], what: str) -> None:
        """Wait until it is so. Raises AssertionError."""
        try:
            async with asyncio.timeout(PATIENCE_SECONDS):
                while not condition():  # noqa: ASYNC110 - other processes tell nobody
                    await asyncio.sleep(0.01)
        except TimeoutError:
            raise AssertionError(f"it did not happen: {what}") from None

    async def _look_on(self, live: Live) -> None:
        """Ask the member again and again what it is, and tell operators as its own hints would."""
        while not live.ended.done():
            await self._look(live)
            await asyncio.sleep(LOOK_SECONDS)

    async def _look(self, live: Live) -> None:
        before, invoked = live.report, time.monotonic()
        try:
            report = await live.client.state()
        except LeaseGridError:
            return
        if report.member != live.name:
            # Another has the address; who looks for that one writes down what it says.
            return
        live.report = report
        live.was_ready |= report.state is MemberState.READY
        self.record(
            Entry(
                who="onlooker", operation=Operation.STATE, invoked=invoked, completed=time.monotonic(),
                member=report.member, incarnation=report.incarnation, epoch=report.epoch, lease=report.lease_uid,
            )
        )  # fmt: skip
        self._count_slots(live, report)
        if before is None or (before.state, before.epoch) != (report.state, report.epoch):
            self._hint(report)

    def _count_slots(self, live: Live, report: StateReport) -> None:
        if not report.slots:
            return
        invoked = time.monotonic()
        slots = tuple(sorted(_running_below(live.pid)))
        self.record(
            Entry(
                who="onlooker", operation=Operation.SLOTS, invoked=invoked, completed=time.monotonic(),
                member=live.name, incarnation=report.incarnation, slots=slots,
            )
        )  # fmt: skip

    def _hint(self, report: StateReport) -> None:
        hint = Hint(
            member=report.member, incarnation=report.incarnation, epoch=report.epoch, state=report.state,
            reason=report.reason,
        )  # fmt: skip
        # Stores are bound without an engine.
        for name in OPERATORS if report.slots else ():
            if name in self.children:
                self.beside(self.children[name].ask("hint", hint))

    def complaint(self) -> str:
        """What members have said on standard error since this was asked last, and nobody expects."""
        with (self.root / ERRORS).open("r", errors="replace") as said:
            said.seek(self._read_errors)
            lines = said.read().splitlines()
            self._read_errors = said.tell()
        return "\n".join(line for line in lines if not _EXPECTED.match(line))

    def beside(self, work: Coroutine[object, object, object]) -> "asyncio.Task[object]":
        """Do it, and be done with it before the arena closes."""
        task = asyncio.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        return task

    async def idle(self) -> None:
        """Wait until nothing is under way beside. Raises AssertionError."""
        while self._tasks:
            done, waiting = await asyncio.wait(self._tasks, timeout=PATIENCE_SECONDS)
            assert done, f"still under way: {waiting}"
            for task in done:
                task.result()

    async def _listen(self) -> None:
        """What the zygote says."""
        reader, writer = await asyncio.open_unix_connection(sock=self.zygote.control.dup())
        try:
            while line := await reader.readline():
                self._zygote_said(msgspec.json.decode(line, type=dict[str, object]))
        finally:
            writer.close()
            with suppress(ConnectionError):
                await writer.wait_closed()

    def _zygote_said(self, said: dict[str, object]) -> None:
        if "spawned" in said:
            self._spawned.pop(str(said["spawned"])).set_result(int(str(said["pid"])))
            return
        assert "exited" in said, f"the zygote says {said}"
        name, status = str(said["exited"]), int(str(said["status"]))
        live = self.members.get(name)
        # One that never was ready has promised nothing: whoever waited for it sees that.
        if status and live is not None and live.was_ready and live.report is not None and self._reading is not None:
            now = time.monotonic()
            self.record(
                Entry(
                    who="onlooker", operation=Operation.DIED, invoked=now, completed=now, outcome=str(status),
                    member=name, incarnation=live.report.incarnation,
                )
            )  # fmt: skip
        self._ended.pop(name).set_result(status)

    async def open(self) -> None:
        """Start everything."""
        self._reading = asyncio.create_task(self._listen())
        for name in WORKERS:
            assert (await self.spawn(name, slots=1)).was_ready, f"{name} has ended"
        for name in OPERATORS:
            self.children[name] = await self._child(name, "operators", name)
        for name in HOLDERS:
            self.children[name] = await self._child(name, "holders", "holders")
        for name, child in self.children.items():
            # They import for a while; no schedule begins before all can act.
            await child.ask("forget" if name in HOLDERS else "hint", None)

    async def _child(self, name: str, module: str, clock: str) -> Child:
        return await Child.start(name, f"tests.histories.{module}", self.clocks[clock].environment, self.hear)

    async def close(self) -> None:
        """End everything, in order."""
        children, self.children = self.children, {}
        await self.idle()
        for child in children.values():
            await child.close()
        self.zygote.end_life()
        for name in list(self.members):
            await self.bury(name)
        if self._reading is not None:
            await self._reading


@asynccontextmanager
async def arena(root: Path, module: str = "tasklet_runner") -> AsyncIterator[Arena]:
    """An arena whose members are this program's; nothing of it is left when the block has ended."""
    clocks = {name: Control(root / f"clock-{name}") for name in CLOCKS}
    with environment(clocks["members"].environment), (root / ERRORS).open("wb") as errors:
        zygote = await asyncio.to_thread(ZygoteRig, root, module, errors)
    made = Arena(root, zygote, clocks)
    try:
        await made.open()
        yield made
    finally:
        try:
            await made.close()
        finally:
            await asyncio.to_thread(zygote.close)
            for clock in clocks.values():
                clock.close()


def _running_below(pid: int) -> Iterator[str]:
    """`pid:start` of each process that the member has started and that has not ended; see proc(5)."""
    with suppress(FileNotFoundError, ProcessLookupError):
        for child in Path(f"/proc/{pid}/task/{pid}/children").read_text().split():
            with suppress(FileNotFoundError, ProcessLookupError):
                # The name before it stands in parentheses and may hold anything.
                fields = Path(f"/proc/{child}/stat").read_text().rpartition(")")[2].split()
                if fields[0] not in "ZX":
                    yield f"{child}:{fields[19]}"
