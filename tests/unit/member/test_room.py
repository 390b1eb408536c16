"""Who gets room for a fetched input, and when: in order, beside the blobs, and never all of it early."""

import asyncio
from pathlib import Path

import pytest

from tasklet_runner.member.blobs import BlobShelf
from tasklet_runner.member.room import FetchRoom
from tasklet_runner.wire.errors import FaultError, RefusedError
from tasklet_runner.wire.faults import FaultKind
from tasklet_runner.wire.work import Blob


def room(capacity: int = 100, *, blobs: int = 0) -> tuple[FetchRoom, BlobShelf]:
    shelf = BlobShelf(Path("nowhere"), capacity)
    shelf.used = blobs
    return FetchRoom(shelf), shelf


@pytest.mark.parametrize(
    ("blobs", "held", "wanted", "granted"),
    [
        pytest.param(0, 0, 100, True, id="the first input may take all of it"),
        pytest.param(0, 0, 101, False, id="more than all is too much"),
        pytest.param(30, 0, 70, True, id="the first may take what the blobs leave"),
        pytest.param(30, 0, 71, False, id="what the blobs have is taken"),
        pytest.param(0, 20, 30, True, id="a second one goes into the free half"),
        pytest.param(0, 20, 31, False, id="a second one goes into no more than that"),
        pytest.param(0, 60, 1, False, id="beside a large one there is no second"),
        pytest.param(0, 100, 0, False, id="not even an empty one"),
    ],
)
def test_room_is_taken_at_once_or_not(blobs: int, held: int, wanted: int, granted: bool) -> None:
    async def story() -> None:
        rooms, shelf = room(blobs=blobs)
        assert not held or rooms.try_take(held)
        assert rooms.try_take(wanted) is granted
        assert shelf.used == blobs + held + (wanted if granted else 0)

    asyncio.run(story())


def test_room_is_given_in_the_order_of_asking_and_nobody_slips_past_who_waits() -> None:
    async def story() -> None:
        rooms, shelf = room()
        assert rooms.try_take(80)
        order: list[int] = []

        async def take(size: int) -> None:
            await rooms.take(size)
            order.append(size)

        waiting = [asyncio.create_task(take(size)) for size in (45, 3, 2)]
        await asyncio.sleep(0)
        assert not rooms.try_take(1)
        assert order == []
        rooms.give_back(80)
        await asyncio.gather(*waiting)
        assert order == [45, 3, 2]
        assert shelf.used == 50

    asyncio.run(story())


def test_who_gives_up_waiting_lets_the_next_one_in() -> None:
    async def story() -> None:
        rooms, shelf = room()
        assert rooms.try_take(80)
        first, second = asyncio.create_task(rooms.take(90)), asyncio.create_task(rooms.take(10))
        await asyncio.sleep(0)
        first.cancel()
        rooms.give_back(80)
        await second
        assert first.cancelled()
        assert shelf.used == 10
        assert rooms.try_take(40)

    asyncio.run(story())


@pytest.mark.unhappy("an input larger than what the blobs leave")
def test_what_can_never_fit_is_told_with_both_numbers() -> None:
    async def story() -> None:
        rooms, _ = room(blobs=40)
        with pytest.raises(FaultError) as caught:
            await rooms.take(61)
        fault = caught.value.fault
        assert (fault.kind, fault.transient) == (FaultKind.CAPACITY_EXCEEDED, False)
        assert "61 bytes" in fault.message
        assert "40 of 100" in fault.message
        assert fault.remedy

    asyncio.run(story())


@pytest.mark.parametrize(
    ("blobs", "held", "wanted", "granted"),
    [
        pytest.param(0, 0, 50, True, id="what nobody has asked for may take half"),
        pytest.param(0, 0, 51, False, id="and no more than that"),
        pytest.param(20, 20, 10, True, id="blobs and inputs count in that half"),
        pytest.param(20, 20, 11, False, id="and are never crowded"),
        pytest.param(0, 60, 0, False, id="beside a large input there is none"),
    ],
)
def test_room_is_taken_ahead_only_where_it_is_surely_free(blobs: int, held: int, wanted: int, granted: bool) -> None:
    rooms, shelf = room(blobs=blobs)
    assert not held or rooms.try_take(held)
    assert rooms.try_take_ahead(wanted) is granted
    assert shelf.used == blobs + held + (wanted if granted else 0)


def test_nothing_is_taken_ahead_while_an_input_waits() -> None:
    async def story() -> None:
        rooms, _ = room()
        assert rooms.try_take(30)
        waiting = asyncio.create_task(rooms.take(25))
        await asyncio.sleep(0)
        assert not rooms.try_take_ahead(1)
        rooms.give_back(30)
        await waiting

    asyncio.run(story())


def test_what_was_taken_ahead_makes_way_one_by_one_for_inputs_and_blobs() -> None:
    rooms, shelf = room()
    ahead = [20, 20]

    def make_way() -> bool:
        if ahead:
            rooms.give_back_ahead(ahead.pop())
            return True
        return False

    assert all(rooms.try_take_ahead(size) for size in ahead)
    rooms.on_short(make_way)
    assert rooms.try_take(70)
    assert ahead == [20]
    shelf.reserve(Blob("0" * 64, 30, 0, b""))
    assert (ahead, shelf.used) == ([], 100)
    assert not rooms.try_take(1)
    with pytest.raises(RefusedError, match="does not fit"):
        shelf.reserve(Blob("0" * 64, 1, 0, b""))
