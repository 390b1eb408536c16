"""Parts that came before their tasks: who finds them, who deletes them, and whose room they take."""

from pathlib import Path

import pytest

from tasklet_runner.member.blobs import BlobShelf
from tasklet_runner.member.following import NoRoomAheadError, halves, queues_by_key
from tasklet_runner.member.larder import Hoard, Larder
from tasklet_runner.member.room import FetchRoom
from tasklet_runner.wire.queues import Delivery

STORE, OTHER = "unix:///store", "unix:///other"


def larder(directory: Path, capacity: int = 100) -> tuple[Larder, FetchRoom, BlobShelf]:
    shelf = BlobShelf(directory, capacity)
    room = FetchRoom(shelf)
    return Larder(directory, room), room, shelf


def fill(made: Larder, room: FetchRoom, endpoint: str, **parts: int) -> Hoard:
    hoard = made.begin(endpoint)
    for key, size in parts.items():
        assert room.try_take_ahead(size)
        made.keep(hoard, key, size)
    return hoard


def test_a_hoard_is_found_by_any_of_its_objects_at_its_own_store_once(tmp_path: Path) -> None:
    made, room, _ = larder(tmp_path)
    hoard = fill(made, room, STORE, a=3, b=4)

    assert made.claim(OTHER, ["a"]) == ()
    assert made.claim(STORE, ["c"]) == ()
    assert made.claim(STORE, ["c", "b"]) == (hoard,)
    assert made.claim(STORE, ["a"]) == ()
    assert (hoard.over, hoard.places["b"], hoard.size) == (True, (3, 4), 7)


def test_a_claimed_hoard_keeps_its_room_until_it_is_dropped_and_gives_it_back_once(tmp_path: Path) -> None:
    made, room, shelf = larder(tmp_path)
    hoard = fill(made, room, STORE, a=30)
    made.claim(STORE, ["a"])

    assert not made.make_way()
    assert (shelf.used, hoard.path.exists()) == (30, True)
    for _ in range(2):
        made.drop(hoard)
    assert (shelf.used, hoard.path.exists()) == (0, False)


def test_whoever_needs_the_room_gets_that_of_what_was_begun_last(tmp_path: Path) -> None:
    made, room, shelf = larder(tmp_path)
    first, second = fill(made, room, STORE, a=20), fill(made, room, STORE, b=20)

    assert room.try_take(80)
    assert (first.over, second.over, shelf.used) == (False, True, 100)
    assert made.claim(STORE, ["b"]) == ()
    assert made.claim(STORE, ["a"]) == (first,)


def test_an_object_that_came_twice_is_found_where_it_came_last(tmp_path: Path) -> None:
    made, room, _ = larder(tmp_path)
    old, new = fill(made, room, STORE, a=1), fill(made, room, STORE, a=1)

    made.drop(old)
    assert made.claim(STORE, ["a"]) == (new,)


def test_messages_name_objects_a_line_each_whatever_else_stands_there() -> None:
    told = {"q": (_delivery(b"a\nb"), _delivery(b"")), "r": (_delivery(b"c\n\n\xff"),)}

    assert queues_by_key(told) == {"a": "q", "b": "q", "c": "r", "": "r", "\ufffd": "r"}


def test_messages_that_are_too_much_at_once_are_halved_until_one_is_left() -> None:
    one, two, three = _delivery(b"1"), _delivery(b"2"), _delivery(b"3")

    assert halves({"q": (one, two), "r": (three,)}) == ({"q": (one,)}, {"q": (two,), "r": (three,)})
    with pytest.raises(NoRoomAheadError):
        halves({"q": (one,)})


def _delivery(body: bytes) -> Delivery:
    return Delivery("m", body, body.decode(errors="replace"), 1)
