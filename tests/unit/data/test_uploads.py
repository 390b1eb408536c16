"""Uploaded files as a coordinator reads them, and nothing of the machine that it runs on."""

from pathlib import Path

import pytest

from tasklet_runner.coordinator.sources import fetch, pack_mount
from tasklet_runner.data.access import Access
from tasklet_runner.data.found import ChangedError, Found
from tasklet_runner.data.storages import Storages
from tasklet_runner.data.uploads import UploadedStorage
from tasklet_runner.plan.types import Source
from tasklet_runner.wire.errors import InputError
from tasklet_runner.wire.uploads import UploadedFile, Uploads, file_key

CONTENT = bytes(range(256)) * 10_000
FILE = UploadedFile("uploaded:/lib/a", len(CONTENT), "aa")
UPLOADS = Uploads({"uploaded:/lib": (FILE,), "uploaded:/lib/a": (FILE,)})
OBJECTS = {file_key("aa"): CONTENT}


def read(key: str, offset: int, length: int) -> bytes:
    return OBJECTS[key][offset : offset + length]


STORAGE = UploadedStorage(UPLOADS, read)
STORAGES = Storages(Access(files=STORAGE))


def test_a_source_is_read_from_the_store(tmp_path: Path) -> None:
    got = fetch(Source(uri="uploaded:/lib/a"), tmp_path / "got", "the module", STORAGES)
    assert got.path.read_bytes() == CONTENT


def test_a_directory_is_packed_as_on_one_machine(tmp_path: Path) -> None:
    (tmp_path / "lib").mkdir()
    (tmp_path / "lib" / "a").write_bytes(CONTENT)
    here = pack_mount(Source(uri=str(tmp_path / "lib")), tmp_path / "here", Storages())
    there = pack_mount(Source(uri="uploaded:/lib"), tmp_path / "there", STORAGES)
    assert here.digest == there.digest


@pytest.mark.unhappy("a coordinator in a pod is asked for a file of the pod")
@pytest.mark.parametrize("uri", ["/etc/hostname", "file:///etc/hostname", "uploaded:/lib", "x"])
def test_nothing_else_is_read(tmp_path: Path, uri: str) -> None:
    with pytest.raises(InputError):
        fetch(Source(uri=uri), tmp_path / "got", "the module", STORAGES)


@pytest.mark.unhappy("a copy to a path of the submitter's machine")
def test_nothing_is_written_there() -> None:
    with pytest.raises(PermissionError):
        STORAGE.write("/tmp/x", [b""])  # noqa: S108 - nothing is made there
    with pytest.raises(PermissionError):
        STORAGE.remove("/tmp/x")  # noqa: S108 - nothing is deleted there


@pytest.mark.unhappy("a list that names what is not in the store, or another state of it")
def test_what_is_not_in_the_store_is_missing() -> None:
    lost = UploadedStorage(Uploads({"x": (UploadedFile("x", 1, "bb"),)}), read)
    with lost.open(Found("x")) as file, pytest.raises(FileNotFoundError):
        file.read()
    with pytest.raises(ChangedError), STORAGE.open(Found("uploaded:/lib/a", mark="bb")):
        pass
