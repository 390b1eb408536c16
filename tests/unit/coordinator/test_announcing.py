"""What queues are told of the parts that a stage commits, and what becomes of it when their store does not answer."""

import asyncio
from typing import cast

import pytest

from tasklet_runner.coordinator import announcing
from tasklet_runner.coordinator.announcing import Announcing, announcements, closings
from tasklet_runner.coordinator.partition_stores import PartitionStore
from tasklet_runner.store.protocol import CommitRecord
from tasklet_runner.wire.errors import LeaseEndedError, StoreError, UnreachableError
from tasklet_runner.wire.queues import Message, PushMany


def commit(index: int, *parts: int, attempt: int = 1) -> CommitRecord:
    return CommitRecord("map@x", index, attempt, f"{index}-id", objects=tuple(f"part-{n}" for n in parts))


class Store:
    """Serves, or does not: `troubles` are raised one after the other."""

    def __init__(self, *troubles: Exception) -> None:
        self.ended = asyncio.Event()
        self.troubles = list(troubles)

    def put_grant(self, key_prefix: str, max_bytes: int) -> tuple[str, str]:
        if self.troubles:
            raise self.troubles.pop(0)
        return "unix:///store", f"grant for {key_prefix}"


class Notes:
    """An announcer that notes what it is given, and the events of a run that nothing happens in."""

    def __init__(self) -> None:
        self.pushed: list[PushMany] = []
        self.errors: list[BaseException] = []
        self.closed = False

    async def push(self, endpoint: str, grant: str, push: PushMany) -> None:
        assert (endpoint, grant) == ("unix:///store", "grant for map")
        self.pushed.append(push)

    async def close(self) -> None:
        self.closed = True

    def noticed(self, text: str) -> None:
        raise AssertionError(text)

    def broken(self, error: BaseException) -> None:
        self.errors.append(error)


async def announced(store: Store, notes: Notes, *commits: CommitRecord) -> Announcing:
    made = Announcing("map", 2, cast("PartitionStore", store), notes)
    made.start(notes)
    for one in commits:
        made.add(one)
    made.finish()
    assert made._task is not None
    async with asyncio.timeout(30):
        await made._task
    await made.close()
    assert notes.closed
    assert not notes.errors
    return made


def test_each_partition_is_told_of_its_parts_in_one_message() -> None:
    (push,) = announcements("map", [commit(3, 0, 1), commit(5, 1, attempt=2)])

    assert push == PushMany(
        {
            "map/part-0": (Message("3-1", b"map/3/1/part-0"),),
            "map/part-1": (Message("3-1", b"map/3/1/part-1\nmap/5/2/part-1"),),
        }
    )


def test_a_mapper_that_wrote_nothing_is_not_told_of() -> None:
    assert list(announcements("map", [commit(3)])) == []


def test_very_many_partitions_are_told_and_closed_in_several_requests() -> None:
    count = announcing.QUEUES_AT_ONCE + 1
    told = list(announcements("map", [commit(0, *range(count))]))

    assert [len(push.queues) for push in told] == [count - 1, 1]
    assert [(len(push.queues), push.close) for push in closings("map", count)] == [(count - 1, True), (1, True)]


def test_all_commits_are_told_and_then_the_queues_are_closed() -> None:
    async def story() -> None:
        notes = Notes()
        many = [commit(index, index % 2) for index in range(announcing.COMMITS_AT_ONCE + 1)]
        made = await announced(Store(), notes, *many)
        keys = b"\n".join(message.body for push in notes.pushed for some in push.queues.values() for message in some)
        assert sorted(keys.split(b"\n")) == sorted(b"map/%d/1/part-%d" % (n, n % 2) for n in range(len(many)))
        assert [push.close for push in notes.pushed] == [False, False, True]
        assert made.begun

    asyncio.run(story())


@pytest.mark.unhappy("a store that has no member yet, or does not answer")
def test_a_store_that_does_not_answer_is_told_later(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(announcing, "PAUSE_SECONDS", 0.0)

    async def story() -> None:
        notes = Notes()
        store = Store(LeaseEndedError("it has no member"), UnreachableError("no answer"))
        await announced(store, notes, commit(0, 0))
        assert [push.close for push in notes.pushed] == [False, True]

    asyncio.run(story())


@pytest.mark.unhappy("a store that is full: what room there is belongs to the partitions")
def test_a_store_that_is_full_is_told_no_more() -> None:
    async def story() -> None:
        notes = Notes()
        await announced(Store(StoreError("it is full")), notes, commit(0, 0), commit(1, 1))
        assert notes.pushed == []

    asyncio.run(story())


@pytest.mark.unhappy("a store that is lost")
def test_a_store_that_is_lost_is_told_no_more() -> None:
    async def story() -> None:
        notes, store = Notes(), Store()
        store.ended.set()
        await announced(store, notes, commit(0, 0))
        assert notes.pushed == []

    asyncio.run(story())
