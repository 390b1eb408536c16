"""Events, aggregated."""

from leasegrid_operator.pools.events import EventBook, PoolEvent
from tests.unit.operator.pools.examples import LEASE, OWNER

NOW = 1767225600.0


def test_an_event_is_told_at_once_and_what_follows_within_the_second_together() -> None:
    book = EventBook()
    book.note(OWNER, PoolEvent.CLAIMED, "cpu-1")
    (first,) = book.due(NOW)

    for number in range(2, 20):
        book.note(OWNER, PoolEvent.CLAIMED, f"cpu-{number}")
    assert book.due(NOW + 0.5) == []
    assert book.due_in(NOW + 0.5) == 0.5
    (second,) = book.due(NOW + 1.0)

    assert (first.new, first.body["count"], first.body["message"]) == (True, 1, "cpu-1")
    assert first.body["involvedObject"]["uid"] == OWNER.uid
    assert (second.new, second.name, second.body["count"]) == (False, first.name, 19)
    assert second.body["message"] == "cpu-2, cpu-3, cpu-4, cpu-5, cpu-6 and 13 more"


def test_pools_and_reasons_are_told_apart() -> None:
    book = EventBook()
    book.note(OWNER, PoolEvent.CLAIMED, "a")
    book.note(OWNER, PoolEvent.RELEASED, "a")
    book.note(LEASE, PoolEvent.CLAIMED, "a")

    assert len({write.name for write in book.due(NOW)}) == 3
    assert (book.due(NOW + 5), book.due_in(NOW + 5)) == ([], None)


def test_a_series_that_was_lost_or_is_old_begins_anew() -> None:
    book = EventBook()
    names = []
    for at, lose in ((NOW, False), (NOW + 10, True), (NOW + 20, False), (NOW + 700, False)):
        book.note(OWNER, PoolEvent.WARMED, "a")
        (write,) = book.due(at)
        names.append((write.name, write.new, write.body["count"]))
        if lose:
            book.lost(write)

    assert [one[1:] for one in names] == [(True, 1), (False, 2), (True, 1), (True, 1)]
    assert len({one[0] for one in names}) == 3


def test_what_fails_is_a_warning() -> None:
    book = EventBook()
    book.note(OWNER, PoolEvent.FAILED, "a: it crashed")
    book.note(OWNER, PoolEvent.PROVISIONED, "b")

    assert [write.body["type"] for write in book.due(NOW)] == ["Warning", "Normal"]


def test_of_a_pool_that_is_gone_nothing_is_told() -> None:
    book = EventBook()
    book.note(OWNER, PoolEvent.CLAIMED, "a")
    book.forget(OWNER.uid)

    assert book.due(NOW) == []
