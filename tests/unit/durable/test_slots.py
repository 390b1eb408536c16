"""Two slots and their deltas: the newest comes back, one whole checkpoint stands at every instant, nothing is left."""

import os
import random
from collections.abc import Callable
from pathlib import Path

import pytest

from tasklet_runner.durable.reading import CheckpointReplacedError
from tasklet_runner.durable.slots import Draft, Slots
from tasklet_runner.wire.checkpoints import FULL_WANTED
from tasklet_runner.wire.errors import ProtocolError, RefusedError, StoreFencedError
from tests.support.checkpoints import KEY, kept, log, save, save_delta, slot

BLOCK = 4096


def test_before_the_first_checkpoint_there_is_none(tmp_path: Path) -> None:
    slots = Slots(tmp_path, KEY)
    assert (slots.newest, slots.epoch, slots.used_bytes, kept(slots)) == (None, 0, 0, None)
    slots.delete()


def test_full_ones_go_into_the_slots_by_turns(tmp_path: Path) -> None:
    slots = Slots(tmp_path, KEY)
    for generation in range(1, 6):
        save(slots, generation, b"%d" % generation * generation)
        assert kept(Slots(tmp_path, KEY)) == (generation, b"%d" % generation * generation)
    assert slot(tmp_path, "a").read_bytes().endswith(b"55555")
    assert slot(tmp_path, "b").read_bytes().endswith(b"4444")
    assert sorted(os.listdir(tmp_path)) == ["main%2F7.a", "main%2F7.b"]


@pytest.mark.parametrize("seed", range(8))
def test_whatever_is_written_in_whatever_order_the_last_one_comes_back(seed: int, tmp_path: Path) -> None:
    chance, slots, payload = random.Random(seed), Slots(tmp_path, KEY, durable=False), b""
    for generation in range(1, 40):
        old, changed = payload, bytearray(payload)
        for _ in range(chance.randrange(4)):
            if changed:
                changed[chance.randrange(len(changed))] ^= 1
        what = chance.randrange(6)
        if what == 0 or not changed:
            changed += chance.randbytes(chance.randrange(1, 20 * BLOCK))
        if what == 1:
            del changed[chance.randrange(len(changed) + 1) :]
        payload = bytes(changed)
        try:
            save_delta(slots, generation, old, payload)
        except RefusedError:
            save(slots, generation, payload)
        if chance.random() < 0.3:
            slots = Slots(tmp_path, KEY, durable=False)
        assert kept(slots) == (generation, payload)


def test_deltas_are_taken_until_they_have_half_the_bytes_of_what_they_build_on(tmp_path: Path) -> None:
    slots, payload = Slots(tmp_path, KEY), bytes(20 * BLOCK)
    save(slots, 1, payload)
    for generation in (2, 3):
        changed = payload[:-1] + b"%d" % generation
        save_delta(slots, generation, payload, changed)
        payload = changed
    assert slots.room_for_delta(BLOCK)
    with pytest.raises(RefusedError) as caught:
        save_delta(slots, 4, payload, bytes(10 * BLOCK) + b"x" * 10 * BLOCK)
    assert caught.value.reason == FULL_WANTED
    assert not slots.room_for_delta(10 * BLOCK)
    assert kept(slots) == (3, payload)
    assert log(tmp_path, "a").stat().st_size < 10 * BLOCK


def test_after_a_full_one_the_deltas_of_an_earlier_round_are_not_taken_for_its_own(tmp_path: Path) -> None:
    slots, payload = Slots(tmp_path, KEY), bytes(20 * BLOCK)
    save(slots, 1, payload)
    for generation in (2, 3, 4):
        save_delta(slots, generation, payload, payload[:-1] + b"%d" % generation)
        payload = payload[:-1] + b"%d" % generation
    for generation in (5, 6):
        save(slots, generation, payload)
    # The log of slot a begins anew: behind its first record stands what the deltas of generation 3 and 4 left.
    save_delta(slots, 7, payload, payload[:-1] + b"7")
    assert slots.newest is not None
    assert slots.newest.generation == 7
    assert kept(Slots(tmp_path, KEY)) == (7, payload[:-1] + b"7")


@pytest.mark.parametrize(
    ("generation", "base", "reason"),
    [
        pytest.param(3, 1, "Conflict", id="another base than the newest"),
        pytest.param(2, 1, "Conflict", id="a generation that is there"),
        pytest.param(1, 0, "Conflict", id="an old generation"),
    ],
)
def test_a_delta_to_something_else_is_refused(generation: int, base: int, reason: str, tmp_path: Path) -> None:
    slots = Slots(tmp_path, KEY)
    for number in (1, 2):
        save(slots, number, bytes(20 * BLOCK))
    with pytest.raises(RefusedError) as caught:
        slots.append(Draft(generation, 1, 20 * BLOCK), base, bytes(8))
    assert caught.value.reason == reason
    with pytest.raises(ProtocolError, match="are no delta"):
        slots.append(Draft(3, 1, 20 * BLOCK), 2, b"nonsense" * 3)


def test_a_delta_before_the_first_checkpoint_is_refused(tmp_path: Path) -> None:
    with pytest.raises(RefusedError, match="is not of generation 0"):
        Slots(tmp_path, KEY).append(Draft(1, 1, 10), 0, bytes(8))


def test_a_generation_that_is_there_is_refused(tmp_path: Path) -> None:
    slots = Slots(tmp_path, KEY)
    save(slots, 5, b"five")
    with pytest.raises(RefusedError, match=r"generation 5 .* is not new"):
        save(slots, 5, b"other")
    assert kept(slots) == (5, b"five")


@pytest.mark.unhappy("an older epoch that writes checkpoints")
def test_who_writes_with_a_lower_epoch_is_fenced_and_told_what_to_do(tmp_path: Path) -> None:
    older, newer = Slots(tmp_path, KEY), Slots(tmp_path, KEY)
    first = older.next_epoch()
    save(older, 1, bytes(20 * BLOCK), first)
    second = newer.next_epoch()
    assert second == first + 1
    writes: tuple[Callable[[], object], ...] = (
        lambda: save(older, 2, b"late", first),
        lambda: save_delta(older, 2, bytes(20 * BLOCK), bytes(20 * BLOCK - 1), first),
        lambda: older.fence(first),
        lambda: older.delete(first),
    )
    for write in writes:
        with pytest.raises(StoreFencedError, match=r"under epoch 2, which is later than 1.*end this one"):
            write()
    save(newer, 2, b"on", second)
    assert kept(Slots(tmp_path, KEY)) == (2, b"on")


def test_a_fence_stands_before_anything_is_written_and_after_the_process(tmp_path: Path) -> None:
    Slots(tmp_path, KEY).fence(7)
    Slots(tmp_path, KEY).fence(7)
    assert Slots(tmp_path, KEY).epoch == 7
    assert Slots(tmp_path, KEY).next_epoch() == 8


def test_the_later_epoch_counts_more_than_the_greater_generation(tmp_path: Path) -> None:
    slots = Slots(tmp_path, KEY)
    save(slots, 1, b"first", epoch=1)
    save(slots, 2, b"second", epoch=3)
    assert kept(Slots(tmp_path, KEY)) == (2, b"second")


def test_keys_of_all_kinds_stand_side_by_side_and_nothing_is_left_of_a_deleted_one(tmp_path: Path) -> None:
    keys = ["main/7", "main/7.a", "main", ".", "..", "a.deltas", "ü/😀", "%2E"]
    for number, key in enumerate(keys):
        slots = Slots(tmp_path, key)
        slots.next_epoch()
        save(slots, 1, b"%d" % number)
        save(slots, 2, b"%d" % number * 9000)
        save_delta(slots, 3, b"%d" % number * 9000, b"%d" % number * 9000 + b"end")
    for number, key in enumerate(keys):
        slots = Slots(tmp_path, key)
        assert kept(slots) == (3, b"%d" % number * 9000 + b"end")
        slots.delete()
        assert kept(slots) is None
    assert os.listdir(tmp_path) == []


@pytest.mark.parametrize("key", ["", "x" * 181, "😀" * 16], ids=["empty", "too long", "too long when encoded"])
def test_what_can_be_no_key_is_refused(key: str, tmp_path: Path) -> None:
    with pytest.raises(ProtocolError, match="1 to 180"):
        Slots(tmp_path, key)


def test_a_reader_beside_a_writer_gets_what_it_opened_or_is_told_to_read_again(tmp_path: Path) -> None:
    slots = Slots(tmp_path, KEY)
    first = os.urandom(3 * 1024 * 1024)
    save(slots, 1, first)
    reading = Slots(tmp_path, KEY).open()
    assert reading is not None
    with reading:
        pieces = reading.pieces()
        begun = next(pieces)
        save(slots, 2, b"b" * len(first))
        begun += next(pieces)
        assert begun == first[: len(begun)]
        save(slots, 3, b"c" * len(first))
        with pytest.raises(CheckpointReplacedError, match=r"generation 1 .* was replaced"):
            next(pieces)


def test_a_writer_that_gives_up_leaves_the_newest_as_it_is(tmp_path: Path) -> None:
    slots = Slots(tmp_path, KEY)
    for generation in (1, 2, 3):
        save(slots, generation, b"%d" % generation * 1000)
    writer = slots.begin(Draft(4, 1, 5000))
    writer.write(b"half" * 500)
    with pytest.raises(ProtocolError, match="5,000 bytes was announced and 2,000 came"):
        slots.finish(writer, Draft(4, 1, 5000), writer.digest())
    writer.abandon()
    assert kept(slots) == kept(Slots(tmp_path, KEY)) == (3, b"3" * 1000)
    assert slot(tmp_path, "b").stat().st_size == 0
    save(slots, 4, b"whole")
    assert kept(Slots(tmp_path, KEY)) == (4, b"whole")


def test_what_was_asked_twice_is_known(tmp_path: Path) -> None:
    slots = Slots(tmp_path, KEY)
    save(slots, 1, b"one")
    assert slots.newest is not None
    assert slots.is_kept(Draft(1, 1, 3), slots.newest.digest)
    assert not slots.is_kept(Draft(1, 1, 3), bytes(16))
    assert not slots.is_kept(Draft(1, 2, 3), slots.newest.digest)


def test_what_a_kill_left_behind_goes_with_the_rest(tmp_path: Path) -> None:
    for name in ("a.new", "b.new", "epoch.new", "b.deltas"):
        (tmp_path / f"main%2F7.{name}").write_bytes(b"left behind")
    slots = Slots(tmp_path, KEY)
    assert (kept(slots), slots.epoch) == (None, 0)
    save(slots, 1, b"first")
    assert slots.next_epoch() == 2
    assert kept(Slots(tmp_path, KEY)) == (1, b"first")
    slots.delete()
    assert os.listdir(tmp_path) == []
