"""A store whose process is killed at any moment."""

import asyncio
import os
import random
import subprocess
import sys
import time
from pathlib import Path

from tests.support.running import REPOSITORY
from tests.support.stores import opened

_WRITER = """
import asyncio, os, pathlib, sys
from tasklet_runner.store.disk import DiskStore
from tasklet_runner.store.protocol import CommitRecord, NewObject

def data(index):
    return index.to_bytes(4, "big") * (50 if index % 7 else 100_000)

async def main(directory, first):
    store = DiskStore.open(pathlib.Path(directory), uid="store-1", quota_bytes=1 << 30, term=1)
    print("open", flush=True)
    for start in range(first, 1_000_000, 10):
        indexes = range(start, start + 10)
        await store.write(
            [NewObject(f"main/{index}/1/stdout", data(index)) for index in indexes],
            [CommitRecord("main", index, 1, str(index)) for index in indexes],
        )
        await store.sync()
        print(start + 9, flush=True)

asyncio.run(main(sys.argv[1], int(sys.argv[2])))
"""
_ROUNDS = 6


def _killed_while_writing(directory: Path, first: int, seconds: float) -> int:
    """Returns the last index that the writer said is durable."""
    writer = subprocess.Popen(
        [sys.executable, "-c", _WRITER, str(directory), str(first)],
        stdout=subprocess.PIPE,
        text=True,
        env={**os.environ, "PYTHONPATH": str(REPOSITORY)},
    )
    with writer:
        assert writer.stdout is not None
        assert writer.stdout.readline() == "open\n"
        time.sleep(seconds)
        writer.kill()
        said = writer.stdout.read().splitlines()
    return int(said[-1]) if said else first - 1


def _expected(index: int) -> bytes:
    return index.to_bytes(4, "big") * (50 if index % 7 else 100_000)


def test_what_was_acknowledged_is_there_and_nothing_half_written_is_visible(tmp_path: Path) -> None:
    chance = random.Random(4)
    first = 0
    for _ in range(_ROUNDS):
        acknowledged = _killed_while_writing(tmp_path, first, chance.uniform(0.0, 0.2))

        async def check(acknowledged: int = acknowledged) -> int:
            async with opened(tmp_path, quota_bytes=1 << 30) as store:
                indexes = [record.index for record in await store.commits("main", 0, 1_000_000)]
                assert indexes == list(range(len(indexes)))
                assert len(indexes) > acknowledged
                assert len(indexes) % 10 == 0
                for index in indexes:
                    assert await store.read(f"main/{index}/1/stdout") == _expected(index)
                assert await store.used_bytes() == sum(len(_expected(index)) for index in indexes)
            large = sum(index % 7 == 0 for index in indexes)
            assert len(list((tmp_path / "files").glob("*/*"))) == large
            return len(indexes)

        first = asyncio.run(check())
