"""Restores a `Durable` after a fault: the state must be that of an acknowledged step or a later one, digit by digit."""

import json
from collections.abc import Sequence
from pathlib import Path

from tasklet_runner.wire.errors import LeaseGridError
from tests.soak.driving import Scenario
from tests.soak.durable_child import PROCESSES, STEPS, opened, state_after
from tests.soak.tally import Findings, doubled, lost, wrong


def judge(directory: Path, said: Sequence[str]) -> Findings:
    """A saved state survives a power cut, so a cut is judged as a kill is."""
    spoken = [json.loads(line) for line in said]
    acknowledged = max((line["step"] for line in spoken if "step" in line), default=0)
    epoch = max((line["epoch"] for line in spoken if "epoch" in line), default=0)
    try:
        with opened(directory / "state") as durable:
            findings = doubled([f"epoch {durable.epoch} was given out twice"] if durable.epoch <= epoch else [])
            if durable.step_count < acknowledged:
                return findings + lost([f"step {durable.step_count} is restored, {acknowledged} was kept"])
            if durable.step_count > STEPS * PROCESSES or durable.state != state_after(durable.step_count):
                findings += wrong([f"the state of step {durable.step_count} is none that there was"])
            return findings
    except LeaseGridError as error:
        return lost([f"{acknowledged} steps: {error}"])


DURABLE = Scenario("tests.soak.durable_child:run", judge, judge)
"""`Durable` of the SDK over a directory, opened three times, saved after each step."""
