"""The wall clock steps by hours, both ways, under jobs, members and Block leases: nothing ends early or late."""

import asyncio
import json
import os
import random
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path

from tasklet_runner.client.members import MemberClient
from tasklet_runner.wire.member import MemberState
from tests.soak.jobs import LONGEST_SECONDS, Disturbing, KnownJob
from tests.soak.tally import Findings, Tally, doubled, lost
from tests.support.faults.control import Control
from tests.support.local_stores import doomed_run
from tests.support.members import MemberRig
from tests.support.running import Place

HOUR = 3600.0
STEPS = (-48 * HOUR, -5 * HOUR, -1.5 * HOUR, 0.0, 1.5 * HOUR, 5 * HOUR, 48 * HOUR)
LEASE_SECONDS = 4.0
BLOCK_SECONDS = 3
LATE_SECONDS = 1.0
"""A lease ends by its deadline and so much."""

BUSY_SECONDS = 20.0
"""Besides, this machine may be so late with any process: what is later is a finding."""


def jobs(root: Path, tries: int, seed: int, tally: Tally) -> None:
    """Jobs with leases of ten seconds, and a clock that steps some times a second: nothing runs twice."""
    for number in range(tries):
        control = Control(root / f"control-{number}")
        job = KnownJob(Place(root / f"job-{number}", control.environment))

        def step(chance: random.Random, control: Control = control) -> int:
            control.step_clock(chance.choice(STEPS))
            return 1

        with job.started() as running, Disturbing(step, (0.05, 0.4), seed + number) as steps:
            ended = running.wait(LONGEST_SECONDS)
        tally.judge(f"job {number}", job.judge(ended, undisturbed=True), faults=steps.faults)
        control.close()


def members(root: Path, steps: Sequence[float], tally: Tally) -> None:
    """Members whose clocks step right after their binds free themselves at their deadlines, not sooner, not later."""
    for step, held in zip(steps, asyncio.run(_all_held(root, steps)), strict=True):
        findings = lost([f"it was free {LEASE_SECONDS - held:.1f} s too soon"] if held < LEASE_SECONDS - 0.2 else [])
        late = held - LEASE_SECONDS - LATE_SECONDS
        findings += doubled([f"it was held {late:.1f} s too long"] if late > BUSY_SECONDS else [])
        tally.judge(f"a member and a step of {step / HOUR} h", findings)


async def _all_held(root: Path, steps: Sequence[float]) -> list[float]:
    for number in range(len(steps)):
        (root / f"member-{number}").mkdir()
    return await asyncio.gather(*(_held(root / f"member-{number}", step) for number, step in enumerate(steps)))


async def _held(place: Path, step: float) -> float:
    """For how many seconds a lease was held, by the clock that does not step."""
    control = Control(place / "control")
    rig = MemberRig(place)
    with environment(control.environment):
        rig.start()
    client = MemberClient(rig.endpoint)
    try:
        state = await rig.ready(client)
        began = time.monotonic()
        await client.bind(rig.signed(rig.bind(state, LEASE_SECONDS)))
        await client.confirm(rig.confirm(await client.state()))
        control.step_clock(step)
        while (await client.state()).state is MemberState.CLAIMED:  # noqa: ASYNC110 - another process, which tells no test
            await asyncio.sleep(0.02)
        return time.monotonic() - began
    finally:
        await client.close()
        rig.stop()
        control.close()


def blocks(root: Path, steps: Sequence[float], tally: Tally) -> None:
    """A Block lease of a killed command, and the next command on a machine whose clock has stepped."""
    for number, step in enumerate(steps):
        place = root / f"block-{number}"
        place.mkdir()
        control = Control(root / f"block-control-{number}")
        process = doomed_run(place, ttl_seconds=BLOCK_SECONDS)
        process.kill()
        process.wait()
        control.step_clock(step)
        kept = _reaped(place, control)
        findings = lost([] if kept else ["its bytes are gone before its holder could renew it"])
        findings += _ends(place, control)
        tally.judge(f"a Block lease and a step of {step / HOUR} h", findings)
        control.close()


def _ends(place: Path, control: Control) -> Findings:
    """It is given its time once more, and then it is over."""
    until = time.monotonic() + 3 * BLOCK_SECONDS + BUSY_SECONDS
    while _reaped(place, control):
        if time.monotonic() > until:
            return doubled(["it lives on after the time that nobody renewed"])
        time.sleep(0.5)
    return Findings()


_REAP = """\
import json, sys
from pathlib import Path
from leasegrid.local.state import StateDirectory
state = StateDirectory(Path(sys.argv[1]) / "state")
state.reap()
print(json.dumps([lease.name for lease in state.kept()]))
"""


def _reaped(place: Path, control: Control) -> list[str]:
    """What is kept after the next command has looked."""
    command = [sys.executable, "-c", _REAP, str(place)]
    done = subprocess.run(
        command, env={**os.environ, **control.environment}, capture_output=True, text=True, check=True, timeout=60
    )
    return list(json.loads(done.stdout))


@contextmanager
def environment(changes: Mapping[str, str]) -> Iterator[None]:
    """What processes that are started in the block find in their environment."""
    before = {name: os.environ.get(name) for name in changes}
    os.environ.update(changes)
    try:
        yield
    finally:
        for name, value in before.items():
            if value is None:
                del os.environ[name]
            else:
                os.environ[name] = value
