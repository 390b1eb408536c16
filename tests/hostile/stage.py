"""A member that runs one room of the corpus while others work beside it, and what must be true of it afterwards."""

import asyncio
import contextlib
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from pathlib import Path

from tasklet_runner.client.members import MemberClient
from tests.hostile.cases import Case
from tests.hostile.corpus import Room
from tests.hostile.desk import Desk, Holder
from tests.hostile.neighbours import Neighbour, Worked
from tests.hostile.running import Ended, attempt_all, made
from tests.support.members import MemberRig, member
from tests.support.small_disk import on_small_disk

FEW = 5
"""So many tasks show that a member works."""


@dataclass
class Report:
    """What one room came to. `rates`: tasks a second of each neighbour, quiet and beside the hostile; `seconds`: how
    long it stood beside them.
    """

    tried: int = 0
    faults: int = 0
    wrongs: list[str] = field(default_factory=list)
    worked: int = 0
    seconds: float = 0.0
    rates: dict[str, tuple[float, float]] = field(default_factory=dict)

    def judge(self, case: Case, end: Ended | str) -> None:
        """Count one case."""
        self.tried += 1
        self.faults += isinstance(end, Ended) and end.fault is not None
        self.wrongs += [f"{case}: {word}" for word in ([end] if isinstance(end, str) else end.wrongs(case))]

    def neighbour(self, who: str, quiet: Worked, beside: Worked) -> None:
        """Count a neighbour's work."""
        self.worked += quiet.done + beside.done
        self.wrongs += [f"{who}: {word}" for word in quiet.wrongs + beside.wrongs]
        self.rates[who] = (quiet.rate, beside.rate)
        self.seconds = beside.seconds


@dataclass(frozen=True)
class Effort:
    """`slots`: of the member; its last one works for its holder. `quiet_seconds`: of work with nothing beside it.

    `holder`, `other`: whether somebody works in that last slot, and whether another holder does at another member.
    """

    slots: int = 4
    quiet_seconds: float = 0.0
    holder: bool = True
    other: bool = True


async def play(root: Path, room: Room, effort: Effort) -> Report:
    """Run every case of the room; another holder has the same member before and after, and one more a second member."""
    report = Report()
    for name in ("hostile", "other"):
        (root / name).mkdir()
    place, arguments = root / "hostile", room.arguments(effort.slots)
    prefix = on_small_disk(place / "scratch", room.tmpfs) if room.small_scratch else ()
    async with (
        member(place, *arguments, prefix=prefix) as (rig, client),
        _elsewhere(root / "other", effort) as other,
    ):
        first = await rig.ready(client)
        before, after = Holder("before"), Holder("after")
        report.wrongs += await _visit(before, rig, client)
        async with Holder("hostile").holding(rig, client) as held:
            neighbours = {**({"in another slot": await held.another()} if effort.holder else {}), **other}
            await _beside(report, room, effort, held.desk, neighbours)
        report.wrongs += await _visit(after, rig, client)
        last = await rig.ready(client)
        if rig.process is None or rig.process.poll() is not None:
            report.wrongs.append("the member has ended")
        if (last.incarnation, last.epoch) != (first.incarnation, first.epoch + 3):
            report.wrongs.append(f"the member is another: {first} became {last}")
    return report


async def _beside(report: Report, room: Room, effort: Effort, desk: Desk, desks: dict[str, Desk]) -> None:
    neighbours = {
        who: await Neighbour.at(its, effort.slots - 1 if who == "in another slot" else 0) for who, its in desks.items()
    }
    for case in room.cases:
        made(case)
    quiet = {who: await _alone(one, effort) for who, one in neighbours.items()}
    beside: dict[str, Worked] = {}
    async with contextlib.AsyncExitStack() as stack:
        for who, one in neighbours.items():
            beside[who] = await stack.enter_async_context(one.beside())
        ends = await attempt_all(desk, room.cases, range(1 if room.small_scratch else effort.slots - 1))
    for case in room.cases:
        report.judge(case, ends[case])
    for who, one in neighbours.items():
        later = await _alone(one, effort)
        both = Worked(
            quiet[who].done + later.done, quiet[who].seconds + later.seconds, quiet[who].wrongs + later.wrongs
        )
        report.neighbour(who, both, beside[who])


async def _alone(one: Neighbour, effort: Effort) -> Worked:
    return await one.work(seconds=effort.quiet_seconds, tasks=0 if effort.quiet_seconds else FEW)


@contextlib.asynccontextmanager
async def _elsewhere(root: Path, effort: Effort) -> AsyncIterator[dict[str, Desk]]:
    if not effort.other:
        yield {}
        return
    async with member(root) as (rig, client), Holder("another").holding(rig, client) as held:
        yield {"of another holder": held.desk}


async def _visit(holder: Holder, rig: MemberRig, client: MemberClient) -> list[str]:
    """A holder that finds the member as it should be; what was wrong."""
    async with holder.holding(rig, client) as held:
        worked = await (await Neighbour.at(held.desk, 0)).work(tasks=FEW)
    return worked.wrongs


def play_room(root: Path, room: Room, effort: Effort) -> Report:
    """`play`, for callers without an event loop."""
    return asyncio.run(play(root, room, effort))
