"""What readers of a shuffle are told to fetch, and how their chunks are called."""

import asyncio
from typing import cast

from tasklet_runner.coordinator.partition_stores import PartitionStore
from tasklet_runner.coordinator.partitions import MAX_FETCH_KEYS, Generation, PartitionSource, partition_id
from tasklet_runner.store.protocol import CommitRecord


class OpenStore:
    """A store that serves; nothing else of it is asked here."""

    def get_grant(self) -> tuple[str, str]:
        return "unix:///store", "grant"


def production(*commits: CommitRecord, partitions: int = 3) -> Generation:
    made = Generation("map", partitions, cast("PartitionStore", OpenStore()))
    for commit in commits:
        made.add(commit)
    return made


def commit(index: int, *parts: int, attempt: int = 1, chunk_id: str = "") -> CommitRecord:
    return CommitRecord("map@x", index, attempt, chunk_id or f"{index}-id", objects=tuple(f"part-{n}" for n in parts))


def test_keys_stand_in_order_of_the_mappers_whenever_they_were_committed() -> None:
    made = production(commit(10, 1), commit(2, 0, 1, attempt=3), commit(9, 1, 2))
    (fetch,) = made.fetches(1)
    assert fetch.keys == ("map/2/3/part-1", "map/9/1/part-1", "map/10/1/part-1")
    assert made.fetches(0)[0].keys == ("map/2/3/part-0",)


def test_an_empty_partition_is_not_fetched() -> None:
    assert production(commit(0, 1)).fetches(2) == ()


def test_very_many_keys_are_several_fetches_in_their_order() -> None:
    made = production(*(commit(index, 0) for index in range(MAX_FETCH_KEYS + 1)))
    first, second = made.fetches(0)
    assert (len(first.keys), second.keys) == (MAX_FETCH_KEYS, (f"map/{MAX_FETCH_KEYS}/1/part-0",))


def test_each_production_has_a_name_of_its_own_in_commit_records() -> None:
    assert production().label != production().label
    assert production().label.startswith("map@")


def test_the_same_inputs_have_the_same_digest_whatever_attempt_did_them() -> None:
    one = production(commit(0, 1), commit(1))
    assert one.digest == production(commit(1), commit(0, 1, attempt=7)).digest
    assert one.digest != production(commit(0, 1), commit(1, chunk_id="1-other")).digest


def test_a_reader_has_a_chunk_for_each_partition_named_by_what_it_reads() -> None:
    left, right = production(commit(0)), production(commit(1))

    async def chunks(*reads: Generation) -> list[str]:
        source = PartitionSource(reads)
        assert source.total == 3
        made = await source.batch()
        assert await source.batch() == []
        return [chunk.chunk_id for chunk in made]

    names = asyncio.run(chunks(left, right))
    assert names == [partition_id((left.digest, right.digest), number) for number in range(3)]
    assert names != asyncio.run(chunks(right, left))
    assert [name.partition("-")[0] for name in names] == ["0", "1", "2"]
