"""Files that change hands with a store of one machine: linked, all or none, and read where they stand."""

import asyncio
import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from tasklet_runner.client.neighbours import PlacedObjects, handed_files
from tasklet_runner.store.disk import DiskStore
from tasklet_runner.store.failures import StoreName
from tasklet_runner.store.grants import Allowance
from tasklet_runner.wire.errors import LeaseGridError, RefusedError, StoreError, UnreachableError
from tasklet_runner.wire.neighbours import HandedFile
from tests.support.stores import MEBIBYTE, commit, output, pieces

SIZES = (1, 5000, 100_000, MEBIBYTE, 3 * MEBIBYTE + 7)
ALL = Allowance(64 * MEBIBYTE)


@asynccontextmanager
async def fleeting(directory: Path, *, durable: bool = False, quota: int = 64 * MEBIBYTE) -> AsyncIterator[DiskStore]:
    """A store that dies with its process."""
    store = DiskStore.open_volume(StoreName("store-1", directory, quota), durable=durable)
    try:
        yield store
    finally:
        await store.close()


def parts(directory: Path, sizes: tuple[int, ...] = SIZES) -> dict[str, Path]:
    """Files `part-<n>` by their keys."""
    directory.mkdir(exist_ok=True)
    found = {f"map/7/1/part-{number}": directory / f"part-{number}" for number in range(len(sizes))}
    for number, (path, size) in enumerate(zip(found.values(), sizes, strict=True)):
        path.write_bytes(bytes([number % 255 + 1]) * size)
    return found


async def measured(files: dict[str, Path]) -> tuple[HandedFile, ...]:
    return await handed_files(list(files.items()))


def stored_files(store: Path) -> list[str]:
    return sorted(path.name for area in ("files", "incoming") for path in (store / area).rglob("*") if path.is_file())


def test_files_become_objects_without_being_copied_and_outlive_their_first_names(tmp_path: Path) -> None:
    async def check() -> None:
        files = parts(tmp_path / "held")
        contents = {key: path.read_bytes() for key, path in files.items()}
        async with fleeting(tmp_path / "store") as store:
            told = await store.neighbours.take(await measured(files), ALL)
            assert [(info.key, info.size) for info in told] == [(key, len(data)) for key, data in contents.items()]
            assert all(path.stat().st_nlink == 2 for path in files.values())
            for path in files.values():
                path.unlink()
            assert {key: await store.read(key) for key in files} == contents
            assert await store.read("map/7/1/part-4", 2 * MEBIBYTE - 3, 7) == b"\x05" * 7
            assert await store.used_bytes() == sum(SIZES)

    asyncio.run(check())


def test_what_was_handed_over_or_put_as_bytes_is_copied_from_where_it_stands(tmp_path: Path) -> None:
    async def check() -> None:
        files = parts(tmp_path / "held")
        async with fleeting(tmp_path / "store") as store:
            await store.neighbours.take(await measured(files), ALL)
            await store.receive("alone", pieces(b"a" * 200_000), MEBIBYTE)
            keys = ["alone", *reversed(files)]
            placed = PlacedObjects("unix:///s", keys, store.neighbours.places(keys))
            with (tmp_path / "got").open("wb", buffering=0) as file:
                await placed.append(file)
        assert placed.size == sum(SIZES) + 200_000
        assert (tmp_path / "got").read_bytes() == b"a" * 200_000 + b"".join(files[key].read_bytes() for key in keys[1:])

    asyncio.run(check())


def test_small_files_and_bytes_are_not_worth_it(tmp_path: Path) -> None:
    async def check() -> None:
        assert await measured(parts(tmp_path / "small", (10, 20))) == ()
        assert await handed_files([("key", b"x" * MEBIBYTE)]) == ()
        assert await handed_files([]) == ()
        assert len(await measured(parts(tmp_path / "large", (10, 50_000)))) == 2

    asyncio.run(check())


def test_the_files_of_a_lost_attempt_go_one_by_one_and_their_directory_with_the_last(tmp_path: Path) -> None:
    async def check() -> None:
        files = parts(tmp_path / "held", (20_000, 20_000))
        lost = {key.replace("map/7/1", "main/0/1"): path for key, path in files.items()}
        async with fleeting(tmp_path / "store") as store:
            await store.neighbours.take(await measured(files), ALL)
            await store.neighbours.take(await measured(lost), ALL)
            await store.write([output(0, b"second", attempt=2)], [commit(0, 2)])
            assert len(list((tmp_path / "store" / "files").glob("*/*"))) == 1
            assert await store.used_bytes() == 40_000 + len(b"second")
            assert [await store.read(key) for key in files] == [path.read_bytes() for path in files.values()]

    asyncio.run(check())


def test_what_a_crash_left_without_rows_is_removed_and_the_rest_stays(tmp_path: Path) -> None:
    async def check() -> None:
        files = parts(tmp_path / "held")
        async with fleeting(tmp_path / "store") as store:
            await store.neighbours.take(await measured(files), ALL)
        (kept,) = (tmp_path / "store" / "files").glob("*/*")
        (kept / "99").write_bytes(b"without a row")
        (tmp_path / "store" / "files" / "ab" / "abandoned").mkdir(parents=True)
        (tmp_path / "store" / "files" / "ab" / "abandoned" / "0").write_bytes(b"without a row")
        (tmp_path / "store" / "incoming" / "half").mkdir()
        (tmp_path / "store" / "incoming" / "half" / "0").write_bytes(b"half")
        async with fleeting(tmp_path / "store") as store:
            assert stored_files(tmp_path / "store") == [str(number) for number in range(len(SIZES))]
            assert [await store.read(key) for key in files] == [path.read_bytes() for path in files.values()]
        assert list((tmp_path / "store" / "incoming").iterdir()) == []
        assert list((tmp_path / "store" / "files").glob("*/*")) == [kept]

    asyncio.run(check())


def handed(**changes: object) -> HandedFile:
    usual = {"key": "map/7/1/bad", "size": 20_000, "checksum": bytes(16), "blocks": b""}
    words = usual | changes
    return HandedFile(**words | {"path": str(words["path"])})  # type: ignore[arg-type]  # of the fields' types


@pytest.mark.unhappy("files that may not, cannot or must not become objects")
@pytest.mark.parametrize(
    ("changes", "allowance", "kind", "words"),
    [
        pytest.param(
            {"path": "/nowhere/at/all"}, ALL, RefusedError, "cannot change hands", id="a file that is not there"
        ),
        pytest.param({"path": "/dev/null", "size": 1}, ALL, RefusedError, "cannot change hands", id="no regular file"),
        pytest.param({"size": 19_999}, ALL, LeaseGridError, "announced were 19,999", id="another size"),
        pytest.param({"checksum": bytes(32)}, ALL, LeaseGridError, "do not fit", id="another kind of digest"),
        pytest.param({"size": MEBIBYTE + 1}, ALL, LeaseGridError, "do not fit", id="no checksums of its blocks"),
        pytest.param({"key": "map/7/1/part-0"}, ALL, LeaseGridError, "stands twice", id="a key twice"),
        pytest.param({"key": ""}, ALL, LeaseGridError, "names no object", id="no key"),
        pytest.param({"key": "map/8/1/x"}, Allowance(MEBIBYTE, "map/7/1"), RefusedError, "not below", id="not granted"),
        pytest.param({}, Allowance(39_999, "map/7/1"), RefusedError, "39,999 are granted", id="more than granted"),
        pytest.param({}, ALL, StoreError, "is full", id="more than there is room for"),
    ],
)
def test_of_a_batch_with_a_bad_file_nothing_is_kept(
    changes: dict[str, object], allowance: Allowance, kind: type[LeaseGridError], words: str, tmp_path: Path
) -> None:
    async def check() -> None:
        good = await measured(parts(tmp_path / "held", (20_000,)))
        (tmp_path / "bad").write_bytes(b"b" * 20_000)
        quota = 30_000 if kind is StoreError else 64 * MEBIBYTE
        async with fleeting(tmp_path / "store", quota=quota) as store:
            with pytest.raises(kind, match=words):
                await store.neighbours.take((*good, handed(**{"path": tmp_path / "bad"} | changes)), allowance)
            assert (store.empty, await store.used_bytes(), store.room) == (True, 0, quota)
        assert stored_files(tmp_path / "store") == []
        assert (tmp_path / "held" / "part-0").stat().st_nlink == (tmp_path / "bad").stat().st_nlink == 1

    asyncio.run(check())


@pytest.mark.unhappy("a symbolic link that leads to a file")
def test_a_symbolic_link_is_not_followed(tmp_path: Path) -> None:
    async def check() -> None:
        (tmp_path / "secret").write_bytes(b"s" * 20_000)
        (tmp_path / "link").symlink_to(tmp_path / "secret")
        async with fleeting(tmp_path / "store") as store:
            with pytest.raises(RefusedError) as caught:
                await store.neighbours.take((handed(path=tmp_path / "link"),), ALL)
            assert (caught.value.reason, store.empty) == ("NotHere", True)

    asyncio.run(check())


@pytest.mark.unhappy("an object that is there already, and a store that is to survive a power cut")
def test_bytes_are_asked_for_where_files_cannot_change_hands(tmp_path: Path) -> None:
    async def check() -> None:
        files = await measured(parts(tmp_path / "held"))
        async with fleeting(tmp_path / "store") as store:
            await store.neighbours.take(files, ALL)
            with pytest.raises(RefusedError, match="is there already"):
                await store.neighbours.take(files, ALL)
            await store.write([output(0, b"in the index")], [])
            with pytest.raises(RefusedError, match="stands in no file"):
                store.neighbours.places(["main/0/1/stdout"])
        async with fleeting(tmp_path / "volume", durable=True) as store:
            with pytest.raises(RefusedError, match="durable"):
                await store.neighbours.take(files, ALL)

    asyncio.run(check())


@pytest.mark.unhappy("a file that is written after it was handed over, and a store that ends while it is read")
def test_other_bytes_and_files_that_are_gone_are_told(tmp_path: Path) -> None:
    async def check() -> None:
        files = parts(tmp_path / "held", (50_000, 50_000))
        keys = list(files)
        async with fleeting(tmp_path / "store") as store:
            await store.neighbours.take(await measured(files), ALL)
            places = store.neighbours.places(keys)
            os.pwrite(descriptor := os.open(files[keys[1]], os.O_WRONLY), b"!", 30_000)
            os.close(descriptor)
            with (
                (tmp_path / "got").open("wb", buffering=0) as file,
                pytest.raises(StoreError, match="checksum differs"),
            ):
                await PlacedObjects("unix:///s", keys, places).append(file)
            with pytest.raises(StoreError, match="checksum differs"):
                await store.read(keys[1])
            placed = PlacedObjects("unix:///s", keys, places)
            os.unlink(places[1].path)
            with (tmp_path / "got").open("wb", buffering=0) as file, pytest.raises(UnreachableError, match="part-1"):
                await placed.append(file)

    asyncio.run(check())


def test_five_hundred_files_let_others_run_in_between(tmp_path: Path) -> None:
    async def check() -> None:
        files = parts(tmp_path / "held", (20_000,) * 500)
        turns = 0

        async def other() -> None:
            nonlocal turns
            while True:
                turns += 1
                await asyncio.sleep(0)

        beside = asyncio.create_task(other())
        await measured(files)
        beside.cancel()
        assert turns > 3

    asyncio.run(check())
