"""No byte that was not written is ever accepted: the older slot serves, and when there is none it is said."""

import hashlib
import random
import struct
from collections.abc import Callable
from pathlib import Path

import pytest

from tasklet_runner.durable.format import HEADER_BYTES, VERSION
from tasklet_runner.durable.slots import Slots
from tasklet_runner.wire.errors import CheckpointDamagedError, CheckpointVersionError, RefusedError
from tests.support.checkpoints import KEY, kept, log, overwrite, save, save_delta, slot
from tests.support.faults.corruption import corruptions

FIRST, SECOND = b"the older one, of sixty bytes.".ljust(60, b"1"), b"the newer one".ljust(60, b"2")
BLOCK = 4096


def _two_small_slots(directory: Path) -> bytes:
    """Generation 1 in slot a, 2 in slot b; returns the bytes of slot b."""
    slots = Slots(directory, KEY, durable=False)
    save(slots, 1, FIRST)
    save(slots, 2, SECOND)
    return slot(directory, "b").read_bytes()


def _found(directory: Path) -> tuple[int, bytes] | None:
    return kept(Slots(directory, KEY, durable=False))


def _flipped(whole: bytes, at: int) -> bytes:
    return whole[:at] + bytes([whole[at] ^ 0x10]) + whole[at + 1 :]


def _torn(whole: bytes, at: int) -> bytes:
    """The first bytes came to the disk, behind them stands what the slot held before."""
    return whole[:at] + bytes(len(whole) - at)


def _torn_behind(whole: bytes, at: int) -> bytes:
    """The other way round: the last bytes came."""
    return bytes(at) + whole[at:]


DAMAGES = [
    pytest.param(_flipped, id="flipped"),
    pytest.param(lambda whole, at: whole[:at], id="truncated"),
    pytest.param(_torn, id="torn"),
    pytest.param(lambda whole, at: _torn_behind(whole, at + 1), id="torn from behind"),
]


@pytest.mark.unhappy("every byte of a small slot is torn, truncated and flipped")
@pytest.mark.parametrize("damage", DAMAGES)
def test_at_every_byte_the_older_slot_serves(damage: Callable[[bytes, int], bytes], tmp_path: Path) -> None:
    whole = _two_small_slots(tmp_path)
    assert _found(tmp_path) == (2, SECOND)
    for at in range(len(whole)):
        if (damaged := damage(whole, at)) == whole:
            continue
        overwrite(slot(tmp_path, "b"), damaged)
        slots = Slots(tmp_path, KEY, durable=False)
        assert kept(slots) == (1, FIRST)
        assert len(slots.skipped) == 1


@pytest.mark.unhappy("every byte of a log of deltas is torn, truncated and flipped")
@pytest.mark.parametrize("damage", DAMAGES)
def test_at_every_byte_of_a_log_the_deltas_before_it_serve(
    damage: Callable[[bytes, int], bytes], tmp_path: Path
) -> None:
    slots, states = Slots(tmp_path, KEY, durable=False), [bytes(20 * BLOCK)]
    save(slots, 1, states[0])
    for generation in (2, 3):
        states.append(states[-1] + b"grown by %d" % generation)
        save_delta(slots, generation, states[-2], states[-1])
    whole = log(tmp_path, "a").read_bytes()
    first_end = whole.index(b"grown by 2") + len(b"grown by 2")
    for at in range(len(whole)):
        if (damaged := damage(whole, at)) == whole:
            continue
        overwrite(log(tmp_path, "a"), damaged)
        generation, payload = _found(tmp_path) or (0, b"")
        assert payload == states[generation - 1]
        assert generation < 3
        if damage in (_flipped, _torn) and at >= first_end:
            assert generation == 2


@pytest.mark.unhappy("10,000 random corruptions of slots and deltas")
def test_of_10_000_random_corruptions_none_is_accepted(tmp_path: Path) -> None:
    chance, slots = random.Random(20_261_122), Slots(tmp_path, KEY, durable=False)
    states = {1: chance.randbytes(500)}
    save(slots, 1, states[1])
    states[2] = chance.randbytes(5000)
    save(slots, 2, states[2])
    for generation in (3, 4):
        states[generation] = states[generation - 1] + chance.randbytes(80)
        save_delta(slots, generation, states[generation - 1], states[generation])
    older, newer, deltas = (path.read_bytes() for path in _places(tmp_path))
    for path, whole, newest, count in zip(
        _places(tmp_path), (older, newer, deltas), (4, 1, 3), (2_000, 4_000, 4_000), strict=True
    ):
        for what, damaged in corruptions(whole, count, chance):
            overwrite(path, damaged)
            generation, payload = _found(tmp_path) or (0, b"")
            assert payload == states.get(generation), what
            # Whatever follows behind the last byte of a file is no damage.
            assert generation <= newest or damaged.startswith(whole), what
        overwrite(path, whole)
        assert _found(tmp_path) == (4, states[4])


def _places(directory: Path) -> tuple[Path, Path, Path]:
    return slot(directory, "a"), slot(directory, "b"), log(directory, "b")


@pytest.mark.unhappy("both slots of a checkpoint are damaged")
def test_when_no_slot_is_whole_it_is_said_and_nothing_is_taken_instead(tmp_path: Path) -> None:
    whole = _two_small_slots(tmp_path)
    slot(tmp_path, "a").write_bytes(_flipped(slot(tmp_path, "a").read_bytes(), 200))
    slot(tmp_path, "b").write_bytes(whole[:100])
    slots = Slots(tmp_path, KEY)
    for call in (slots.open, lambda: slots.newest, lambda: save(slots, 3, b"over it")):
        with pytest.raises(CheckpointDamagedError, match=r"no checkpoint of 'main/7' is whole.*\.a.*\.b.*delete"):
            call()
    slots.delete()
    assert _found(tmp_path) is None


@pytest.mark.unhappy("the only slot of a checkpoint is damaged")
def test_a_single_slot_that_is_not_whole_is_not_taken_for_none(tmp_path: Path) -> None:
    save(Slots(tmp_path, KEY), 1, FIRST)
    slot(tmp_path, "a").write_bytes(b"")
    with pytest.raises(CheckpointDamagedError):
        _found(tmp_path)


@pytest.mark.unhappy("a first checkpoint that was cut short")
def test_a_first_checkpoint_that_was_cut_short_is_none(tmp_path: Path) -> None:
    slots = Slots(tmp_path, KEY)
    slot(tmp_path, "a").with_name(f"{slot(tmp_path, 'a').name}.new").write_bytes(b"half a header")
    assert kept(slots) is None
    save(slots, 1, FIRST)
    assert _found(tmp_path) == (1, FIRST)


@pytest.mark.unhappy("a checkpoint of a later release")
def test_a_slot_of_a_later_format_is_refused_with_both_versions(tmp_path: Path) -> None:
    whole = bytearray(_two_small_slots(tmp_path))
    struct.pack_into("<H", whole, 8, VERSION + 1)
    fields = bytes(whole[: HEADER_BYTES - 32])
    slot(tmp_path, "b").write_bytes(fields + hashlib.sha256(fields).digest() + bytes(whole[HEADER_BYTES:]))
    with pytest.raises(CheckpointVersionError, match="has format version 2; this release reads version 1"):
        _found(tmp_path)


def test_a_damaged_epoch_is_that_of_the_newest_checkpoint(tmp_path: Path) -> None:
    slots = Slots(tmp_path, KEY)
    slots.fence(9)
    save(slots, 1, FIRST, epoch=9)
    (tmp_path / "main%2F7.epoch").write_bytes(b"nonsense")
    assert Slots(tmp_path, KEY).epoch == 9


def test_what_is_written_after_a_damage_counts(tmp_path: Path) -> None:
    slots, state = Slots(tmp_path, KEY), bytes(20 * BLOCK)
    save(slots, 1, state)
    save_delta(slots, 2, state, state + b"2")
    log(tmp_path, "a").write_bytes(_flipped(log(tmp_path, "a").read_bytes(), 170))
    again = Slots(tmp_path, KEY)
    assert kept(again) == (1, state)
    assert "delta of generation 2" in again.skipped[0]
    save_delta(again, 2, state, state + b"again")
    assert _found(tmp_path) == (2, state + b"again")
    with pytest.raises(RefusedError, match="not new"):
        save(again, 2, b"third")
