"""Slots with checkpoints whose payloads are known, for tests that look at what is left of them."""

from pathlib import Path

from tasklet_runner.durable.deltas import changed_runs, encode
from tasklet_runner.durable.slots import Draft, Slots

KEY = "main/7"


def kept(slots: Slots) -> tuple[int, bytes] | None:
    """Generation and payload of the newest checkpoint."""
    reading = slots.open()
    if reading is None:
        return None
    with reading:
        return reading.generation, b"".join(reading.pieces())


def save(slots: Slots, generation: int, payload: bytes, epoch: int = 1) -> None:
    """A full checkpoint."""
    slots.write(Draft(generation, epoch, len(payload)), payload)


def save_delta(slots: Slots, generation: int, old: bytes, new: bytes, epoch: int = 1) -> None:
    """A delta to the generation before."""
    slots.append(Draft(generation, epoch, len(new)), generation - 1, encode(changed_runs(old, new), new))


def slot(directory: Path, letter: str) -> Path:
    """The file of a slot of KEY."""
    return directory / f"main%2F7.{letter}"


def log(directory: Path, letter: str) -> Path:
    """The file with the deltas of a slot of KEY."""
    return directory / f"main%2F7.{letter}.deltas"


def overwrite(path: Path, data: bytes) -> None:
    """Put other bytes into a file: in its place, for a file that is made anew waits for the disk on some systems."""
    with path.open("r+b") as file:
        file.write(data)
        file.truncate()
