"""Bytes on the disk, or on their way, that are not what was written: never taken for what they are not."""

import asyncio
import hashlib
import random
import shutil
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path

from tasklet_runner.durable.deltas import changed_runs, encode
from tasklet_runner.durable.slots import Draft, Slots
from tasklet_runner.store.disk import DiskStore
from tasklet_runner.store.protocol import NewObject
from tasklet_runner.wire.errors import CheckpointDamagedError, CheckpointVersionError, LeaseGridError, ProtocolError
from tasklet_runner.wire.signed import verify
from tasklet_runner.wire.work import decode_to_holder, decode_to_member
from tasklet_runner.wire.work import encode as encode_message
from tests.fuzz.of_statements import KEY as KEY_OF_STATEMENTS
from tests.fuzz.of_statements import SIGNED
from tests.fuzz.of_work import TO_HOLDER, TO_MEMBER
from tests.soak.tally import Findings, Tally, doubled, lost, wrong
from tests.support.faults.corruption import corruptions

KEY = "main/0"
OLD, NEW = (1, 2, 3), (4, 5, 6)
"""Generations in the older slot and in the newer one: a full checkpoint and two deltas each."""

SLOT_BYTES = 20_000
OBJECTS = {f"main/{number}/1/stdout": 70_000 + number for number in range(4)} | {"main/9/1/stdout": 900}


def checkpoints(root: Path, tries: int, seed: int, tally: Tally) -> None:
    """One file of two slots is damaged, or one of each: what is restored was written, and never nothing."""
    chance = random.Random(seed)
    whole = root / "whole"
    files = _written(whole)
    directory = root / "damaged"
    shutil.copytree(whole, directory)
    for number in range(tries):
        both = chance.random() < 0.25
        damaged = [chance.choice(files[slot]) for slot in (("a", "b") if both else (chance.choice("ab"),))]
        how = [_damage(directory / name, chance) for name in damaged]
        tally.judge(f"{number}: {list(zip(damaged, how, strict=True))}", _restored(directory, both=both))
        for name in damaged:
            shutil.copyfile(whole / name, directory / name)


def payload(generation: int) -> bytes:
    """What a generation holds: a block of the one before is another."""
    body = bytearray(hashlib.shake_128(b"body").digest(SLOT_BYTES))
    for number in range(generation + 1):
        body[number * 1000 : number * 1000 + 100] = hashlib.shake_128(f"{number}".encode()).digest(100)
    return bytes(body)


def _written(directory: Path) -> dict[str, list[str]]:
    """Fill both slots; the names of each slot's files."""
    directory.mkdir()
    slots = Slots(directory, KEY)
    for generations in (OLD, NEW):
        _write_chain(slots, generations)
    names = sorted(path.name for path in directory.iterdir() if not path.name.endswith((".epoch", ".lock")))
    assert len(names) == 4, names
    return {slot: [name for name in names if f".{slot}" in name] for slot in "ab"}


def _write_chain(slots: Slots, generations: Sequence[int]) -> None:
    first, *others = generations
    slots.write(Draft(first, 1, SLOT_BYTES), payload(first))
    for generation in others:
        delta = encode(changed_runs(payload(generation - 1), payload(generation)), payload(generation))
        slots.append(Draft(generation, 1, SLOT_BYTES), generation - 1, delta)


def _damage(path: Path, chance: random.Random) -> str:
    ((how, bad),) = corruptions(path.read_bytes(), 1, chance)
    path.write_bytes(bad)
    return how


def _restored(directory: Path, *, both: bool) -> Findings:
    try:
        reading = Slots(directory, KEY).open()
    except (CheckpointDamagedError, CheckpointVersionError) as error:
        return Findings() if both else lost([f"nothing is restored though one slot is whole: {error}"])
    if reading is None:
        return lost(["it says that there never was a checkpoint"])
    with reading:
        generation, data = reading.generation, b"".join(reading.pieces())
    if generation not in (*OLD, *NEW) or data != payload(generation):
        return doubled([f"damaged bytes are accepted as generation {generation}"])
    least = min(OLD) if both else max(OLD)
    return lost([f"generation {generation}, though {least} is whole"] if generation < least else [])


def objects(root: Path, tries: int, seed: int, tally: Tally) -> None:
    """A file of a store's objects is damaged: they are read as they were, or the reader is told."""
    asyncio.run(_objects(root / "store", tries, random.Random(seed), tally))


async def _objects(directory: Path, tries: int, chance: random.Random, tally: Tally) -> None:
    store = DiskStore.open(directory, uid="store-1", quota_bytes=1 << 30, term=1)
    contents = {key: hashlib.shake_128(key.encode()).digest(size) for key, size in OBJECTS.items()}
    await store.write([NewObject(key, data) for key, data in contents.items()], [])
    files = sorted(path for path in (directory / "files").rglob("*") if path.is_file())
    for number in range(tries):
        path = chance.choice(files)
        good = path.read_bytes()
        how = _damage(path, chance)
        findings = Findings()
        for key, data in contents.items():
            try:
                findings += wrong([] if await store.read(key) == data else [f"{key} is read with other bytes"])
            except LeaseGridError:
                continue
        tally.judge(f"{number}: {how}", findings)
        path.write_bytes(good)
    await store.close()


def capabilities(_: Path, tries: int, seed: int, tally: Tally) -> None:
    """A capability, or another signed statement, is changed: nobody takes it for one, of whatever kind."""
    kinds = {type(statement) for statement in SIGNED.values()}

    def accepted(data: bytes) -> bool:
        return any(
            _reads(partial(verify, data.decode("latin-1"), kind, KEY_OF_STATEMENTS.public_key())) for kind in kinds
        )

    _refused(list(SIGNED), tries, random.Random(seed), tally, accepted)


def frames(_: Path, tries: int, seed: int, tally: Tally) -> None:
    """A message between a holder and a member is changed: neither reads it, also where it is but an input's byte."""

    def accepted(data: bytes) -> bool:
        return _reads(partial(decode_to_member, data)) or _reads(partial(decode_to_holder, data))

    _refused([*map(encode_message, (*TO_MEMBER, *TO_HOLDER))], tries, random.Random(seed), tally, accepted)


def _refused(
    good: Sequence[bytes], tries: int, chance: random.Random, tally: Tally, accepted: Callable[[bytes], bool]
) -> None:
    for number in range(tries):
        ((how, bad),) = corruptions(chance.choice(good), 1, chance)
        tally.judge(f"{number}: {how}", doubled(["it is accepted"] if accepted(bad) else []))


def _reads(read: Callable[[], object]) -> bool:
    try:
        read()
    except ProtocolError:
        return False
    return True
