"""Writes checkpoints under two keys into slots, full ones and deltas, by two writers, and acknowledges each."""

import json
import random
import zlib
from collections.abc import Callable
from functools import cache, partial
from pathlib import Path
from typing import TypeVar

from tasklet_runner.durable.deltas import changed_runs, encode
from tasklet_runner.durable.slots import Draft, Slots
from tasklet_runner.wire.errors import RefusedError
from tests.support.faults.nursery import say

KEYS = ("main/0", "other")
ROUNDS = 10
"""Of each writer: enough for a compaction."""

BLOCK = 4096

Value = TypeVar("Value")


@cache
def payload(key: str, generation: int) -> bytes:
    """What a checkpoint holds: of 12 blocks one or two change each time; every fourth generation grows or shrinks."""
    blocks = 12 + (-1, 0, 2, 0)[generation // 4 % 4]
    changing = {zlib.crc32(f"{key} {since}".encode()) % blocks: since for since in range(generation + 1)}
    body = (random.Random(f"{key} {number} {changing.get(number, 0)}").randbytes(BLOCK) for number in range(blocks))
    return b"".join(body) + f"{key} {generation}".encode()


def run(directory: str) -> None:
    """Two writers, one after the other."""
    place = Path(directory) / "checkpoints"
    _tried(place.mkdir)
    if place.is_dir():
        for _ in range(2):
            for key in KEYS:
                _write(Slots(place, key), key)


def _write(slots: Slots, key: str) -> None:
    epoch, newest = _tried(slots.next_epoch), _tried(lambda: slots.newest)
    if isinstance(epoch, _Failed) or isinstance(newest, _Failed):
        return
    say(json.dumps({"key": key, "epoch": epoch}))
    first = kept = newest.generation if newest else 0
    for generation in range(first + 1, first + 1 + ROUNDS):
        draft = Draft(generation, epoch, len(payload(key, generation)))
        if not isinstance(_tried(partial(_save, slots, draft, kept, key)), _Failed):
            say(json.dumps({"key": key, "generation": generation, "epoch": epoch}))
            kept = generation


def _save(slots: Slots, draft: Draft, kept: int, key: str) -> None:
    new = payload(key, draft.generation)
    if kept:
        old = payload(key, kept)
        delta = encode(changed_runs(old, new), new)
        if slots.room_for_delta(len(delta)):
            slots.append(draft, kept, delta)
            return
    slots.write(draft, new)


class _Failed:
    """The disk did not do it, and said so."""


def _tried(step: Callable[[], Value]) -> Value | _Failed:
    try:
        return step()
    except (OSError, RefusedError):
        return _Failed()
