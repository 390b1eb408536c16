"""What a bucket promises to those who read and write: on a real S3-compatible server."""

from collections.abc import Iterator

import pytest

from tasklet_runner.data.access import Access
from tasklet_runner.data.failures import reading
from tasklet_runner.data.found import ChangedError, Storage
from tasklet_runner.data.storages import Storages
from tasklet_runner.wire.errors import InputError
from tests.support.s3 import BUCKET, S3Server


def storage_of(server: S3Server) -> Storage:
    return Storages(Access(options=server.options())).of(f"s3://{BUCKET}")


@pytest.mark.parametrize(
    ("pattern", "names"),
    [
        ("**", ["a.txt", "b/c.txt", "b/d/e.txt", "b/f.md"]),
        ("**/*.txt", ["a.txt", "b/c.txt", "b/d/e.txt"]),
        ("*.txt", ["a.txt"]),
        ("b/*", ["b/c.txt", "b/f.md"]),
        ("b*/c.txt", ["b/c.txt"]),
        ("b/c.txt", ["b/c.txt"]),
        ("b", []),
    ],
    ids=lambda given: given if isinstance(given, str) else "",
)
def test_a_glob_means_the_same_as_on_a_disk(s3: S3Server, pattern: str, names: list[str]) -> None:
    for name in ("a.txt", "b/c.txt", "b/d/e.txt", "b/f.md"):
        s3.put(f"globs/{name}", b"x")
    root = f"s3://{BUCKET}/globs"
    found = storage_of(s3).glob(f"{root}/{pattern}")

    assert sorted(one.location.removeprefix(f"{root}/") for one in found) == names
    assert all(one.size == 1 and one.mark for one in found)


@pytest.mark.unhappy("an object that is replaced between listing and reading: refused in words, never half and half")
def test_an_object_that_has_changed_since_it_was_listed_is_refused(s3: S3Server) -> None:
    uri = s3.put("changed/object", b"before")
    storage = storage_of(s3)
    found = storage.stat(uri)
    s3.put("changed/object", b"after!")

    with (
        pytest.raises(InputError, match="has changed since it was listed"),
        reading(f"the input file {uri}"),
        storage.open(found),
    ):
        pass
    with pytest.raises(ChangedError), storage.open(found):
        pass
    with storage.open(storage.stat(uri)) as file:
        assert file.read() == b"after!"


def test_a_text_is_read_by_lines_whatever_its_pieces(s3: S3Server) -> None:
    lines = [b"%d\n" % number for number in range(400_000)]
    uri = s3.put("lines/text", b"".join(lines))
    storage = storage_of(s3)

    with storage.open(storage.stat(uri)) as file:
        assert list(file) == lines


@pytest.mark.unhappy("a large object whose writing fails half-way: there is no object")
def test_an_object_is_there_as_a_whole_or_not_at_all(s3: S3Server) -> None:
    def pieces(*, whole: bool) -> Iterator[bytes]:
        for _ in range(20):
            yield b"x" * 1024 * 1024
        if not whole:
            raise OSError("the source broke")

    storage, uri = storage_of(s3), f"s3://{BUCKET}/large/object"
    with pytest.raises(OSError, match="the source broke"):
        storage.write(uri, pieces(whole=False))
    assert s3.below("large") == {}

    storage.write(uri, pieces(whole=True))
    assert storage.stat(uri).size == 20 * 1024 * 1024
    storage.remove(uri)
    storage.remove(uri)
    assert s3.below("large") == {}
