"""A computation with a `Durable` state: three processes' worth of steps, each acknowledged when it is kept."""

import json
import random
from pathlib import Path

from prometheus_client import CollectorRegistry

from leasegrid.sdk.durable import Durable
from leasegrid.sdk.rules import Retries
from tasklet_runner.wire.errors import LeaseGridError
from tests.support.faults.nursery import say

KEY = "estimate"
STEPS = 9
"""Of each of the processes."""

PROCESSES = 3
BLOCKS = 8


def state_after(steps: int) -> dict[str, object]:
    """What the state is after so many steps: digits that depend on all of them, and one block changed by each."""
    blocks = [random.Random(f"{number}").randbytes(4096) for number in range(BLOCKS)]
    state: dict[str, object] = {"sum": 0, "blocks": blocks}
    for step in range(steps):
        advance(state, step)
    return state


def advance(state: dict[str, object], step: int) -> None:
    """One step."""
    state["sum"] = (int(str(state["sum"])) * 6364136223846793005 + step) % 2**63
    blocks = state["blocks"]
    assert isinstance(blocks, list)
    blocks[step % BLOCKS] = random.Random(f"step {step}").randbytes(4096)


def opened(directory: Path) -> "Durable[dict[str, object]]":
    """It saves by hand and does not wait for a failing disk to recover."""
    return Durable(state_after(0), directory, KEY, retries=Retries(0), registry=CollectorRegistry())


def run(directory: str) -> None:
    """Goes on where the one before stopped; ends without a farewell, as a killed one does."""
    for _ in range(PROCESSES):
        try:
            _process(Path(directory) / "state")
        except LeaseGridError as error:
            say(json.dumps({"refused": error.code}))


def _process(directory: Path) -> None:
    with opened(directory) as durable:
        say(json.dumps({"epoch": durable.epoch}))
        for _ in range(STEPS):
            advance(durable.state, durable.step_count)
            durable.step()
            try:
                durable.save()
            except LeaseGridError as error:
                say(json.dumps({"refused": error.code}))
                continue
            say(json.dumps({"step": durable.step_count}))
