"""Opens slots after a fault and compares the newest checkpoint with what was acknowledged."""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path

from tasklet_runner.durable.slots import Draft, Slots
from tasklet_runner.wire.errors import LeaseGridError, StoreFencedError
from tests.soak.driving import Scenario
from tests.soak.slots_child import KEYS, payload
from tests.soak.tally import Findings, doubled, lost, wrong


def judge(directory: Path, said: Sequence[str]) -> Findings:
    """A checkpoint that was acknowledged is durable, so a power cut is judged as a kill is."""
    spoken = [json.loads(line) for line in said]
    return sum((_judge(directory / "checkpoints", key, spoken) for key in KEYS), Findings())


def _judge(directory: Path, key: str, spoken: Sequence[Mapping[str, object]]) -> Findings:
    mine = [line for line in spoken if line["key"] == key]
    acknowledged = max((int(str(line.get("generation", 0))) for line in mine), default=0)
    epoch = max((int(str(line["epoch"])) for line in mine), default=0)
    slots = Slots(directory, key)
    try:
        reading = slots.open()
        if reading is None:
            return lost([f"{key}: nothing is there, {acknowledged} was acknowledged"] if acknowledged else [])
        with reading:
            found, data = reading.generation, b"".join(reading.pieces())
        findings = _fenced(slots, key, epoch, found)
    except (LeaseGridError, OSError) as error:
        return lost([f"{key}: {error}"])
    if found < acknowledged:
        findings += lost([f"{key}: generation {found} is restored, {acknowledged} was acknowledged"])
    if data != payload(key, found):
        findings += wrong([f"{key}: generation {found} is not what was written"])
    # Where an older writer got something in, it is no longer known what stands there.
    return findings or _goes_on(slots, key, found)


def _fenced(slots: Slots, key: str, epoch: int, generation: int) -> Findings:
    """An older writer that wakes up now gets nothing in."""
    if epoch < 2:
        return Findings()
    try:
        slots.write(Draft(generation + 1, epoch - 1, 3), b"old")
    except StoreFencedError:
        return Findings()
    return doubled([f"{key}: epoch {epoch - 1} could write beside {epoch}"])


def _goes_on(slots: Slots, key: str, generation: int) -> Findings:
    """The next writer's checkpoints count."""
    epoch = slots.next_epoch()
    for number in (generation + 1, generation + 2):
        new = payload(key, number)
        slots.write(Draft(number, epoch, len(new)), new)
        reading = slots.open()
        assert reading is not None
        with reading:
            if b"".join(reading.pieces()) != new:
                return wrong([f"{key}: what is written after {generation} is not read"])
    return Findings()


SLOTS = Scenario("tests.soak.slots_child:run", judge, judge)
"""Full checkpoints and deltas of two keys, with compactions, by two writers."""
