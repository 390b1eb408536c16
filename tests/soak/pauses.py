"""Processes are stopped past every deadline and continued: what they held is fenced, nothing late becomes visible."""

import asyncio
import random
import time
from collections.abc import Awaitable, Callable, Coroutine
from contextlib import suppress
from pathlib import Path

from tasklet_runner.client.work import WorkConnection
from tasklet_runner.wire.errors import LeaseGridError
from tasklet_runner.wire.programs import Task
from tasklet_runner.wire.work import Ended, Run, ToHolder
from tests.soak.jobs import LONGEST_SECONDS, KnownJob
from tests.soak.tally import Findings, Tally, doubled, wrong
from tests.support import wat
from tests.support.faults.processes import member_processes, stopped
from tests.support.members import leased, prepare
from tests.support.running import Place, Running, wait_until
from tests.support.store_members import held_store

LEASE_SECONDS = 3.0
TTL_SECONDS = 3
ROLES = ("Memory", "Block")
PAST_SECONDS = 1.5
"""So long after a deadline a stopped process is continued."""

Attempt = Callable[[Path, int], Coroutine[object, object, Findings]]


def jobs(root: Path, tries: int, seed: int, tally: Tally) -> None:
    """In turn a member with its slots, and the whole command, are stopped for longer than their leases last."""
    chance = random.Random(seed)
    for number in range(tries):
        job = KnownJob(Place(root / f"job-{number}"), TTL_SECONDS)
        whom = (_member, _command)[number % 2]
        with job.started() as running:
            _await_store(job.place, running)
            time.sleep(chance.uniform(0.2, 1.5))
            pid = whom(job.place.root, running, chance)
            if pid:
                with stopped(pid, tree=whom is _member):
                    time.sleep(TTL_SECONDS + PAST_SECONDS)
            ended = running.wait(LONGEST_SECONDS)
        tally.judge(f"job {number}, {whom.__name__}", job.judge(ended, undisturbed=False), faults=int(pid > 0))


def _await_store(place: Place, running: Running) -> None:
    index = place.state / "leasegrid" / "jobs" / "default" / "known" / "store" / "index.db"
    wait_until(lambda: index.exists() or running.process.poll() is not None, 60, "the job's store")


def _command(root: Path, running: Running, chance: random.Random) -> int:
    return running.pid if running.process.poll() is None else 0


def _member(root: Path, running: Running, chance: random.Random) -> int:
    found = sorted(process.pid for process in member_processes(root))
    return chance.choice(found) if found else 0


def members(root: Path, tries: int, tally: Tally) -> None:
    """A member that is stopped past its deadline while a tasklet runs frees itself; its old holder is a stranger."""
    for number, findings in enumerate(asyncio.run(_together(root, "member", _stalled_member, tries))):
        tally.judge(f"member {number}", findings)


async def _stalled_member(place: Path, _: int) -> Findings:
    async with leased(place, seconds=LEASE_SECONDS) as (rig, client, connection):
        state = await client.state()
        old = rig.signed(rig.capability(state, LEASE_SECONDS))
        await prepare(connection, wat.sleep(60_000))
        await connection.send(Run(0, 1, 0, (Task(0, 1, "0-x"),)))
        assert rig.process is not None
        with stopped(rig.process.pid, tree=True):
            await asyncio.sleep(LEASE_SECONDS + PAST_SECONDS)
        findings = wrong(await _opened(rig.work(state, old), "its old capability opened a connection"))
        free = await rig.ready(client)
        if free.epoch != state.epoch or free.lease_uid:
            findings += doubled([f"it is at epoch {free.epoch}, held by {free.lease_uid!r}"])
        said = await _heard(connection)
        findings += doubled(f"its old holder heard {message}" for message in said if not isinstance(message, Ended))
        again = await rig.claimed(client)
        if again.epoch != state.epoch + 1:
            findings += doubled([f"the next claim has epoch {again.epoch} after {state.epoch}"])
        return findings + wrong(await _opened(rig.work(state, old), "the old capability opened a later claim"))


async def _heard(connection: WorkConnection) -> list[ToHolder]:
    """Everything that comes until the connection ends."""
    said: list[ToHolder] = []
    with suppress(LeaseGridError):
        async for message in connection:
            said.append(message)
    return said


def stores(root: Path, tries: int, tally: Tally) -> None:
    """A put that waits at the door of a stopped store until its lease is over is not taken."""
    for number, findings in enumerate(asyncio.run(_together(root, "store", _late_put, tries))):
        tally.judge(f"store {number}", findings)


async def _together(root: Path, name: str, attempt: Attempt, tries: int) -> list[Findings]:
    """All tries at once: they do nothing but wait."""
    places = [root / f"{name}-{number}" for number in range(tries)]
    for place in places:
        place.mkdir()
    return await asyncio.gather(*(attempt(place, number) for number, place in enumerate(places)))


async def _late_put(place: Path, number: int) -> Findings:
    async with held_store(place, ROLES[number % 2], seconds=LEASE_SECONDS) as held:
        await held.store.put("early", b"in time")
        assert held.rig.process is not None
        with stopped(held.rig.process.pid, tree=True):
            late = asyncio.create_task(_opened(held.store.put("late", b"too late"), "a put was taken after the end"))
            await asyncio.sleep(LEASE_SECONDS + PAST_SECONDS)
        findings = doubled(await late)
        # Whoever comes after the put comes after the end.
        return findings + doubled(await _opened(held.store.get("early"), "it is readable after the end"))


async def _opened(attempt: Awaitable[object], what: str) -> list[str]:
    """The finding, when what must be refused is not."""
    try:
        await attempt
    except LeaseGridError:
        return []
    return [what]
