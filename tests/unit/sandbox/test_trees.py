"""Archives are unpacked and trees removed whatever they hold."""

import io
import os
import tarfile
from pathlib import Path

import pytest

from tasklet_runner.sandbox.archives import unpack
from tasklet_runner.sandbox.trees import list_tree, remove_tree
from tasklet_runner.wire.errors import InputError

Member = tuple[str, bytes, bytes]
FILE, DIRECTORY, SYMLINK, HARDLINK, DEVICE = (
    tarfile.REGTYPE,
    tarfile.DIRTYPE,
    tarfile.SYMTYPE,
    tarfile.LNKTYPE,
    tarfile.CHRTYPE,
)


def archive(directory: Path, *members: Member) -> Path:
    path = directory / "archive.tar"
    with tarfile.open(path, "w") as writer:
        for name, kind, data in members:
            info = tarfile.TarInfo(name)
            info.type, info.size, info.mtime, info.linkname = kind, len(data), 1_000_000, "/etc/passwd"
            info.mode = 0o7777
            writer.addfile(info, io.BytesIO(data))
    return path


def test_files_and_directories_are_unpacked_with_their_times_and_without_their_modes(tmp_path: Path) -> None:
    path = archive(tmp_path, ("d", DIRECTORY, b""), ("d/a", FILE, b"one"), ("deep/er/b", FILE, b"three"))
    assert unpack(path, tmp_path / "to", 100, 10) == 8
    assert (tmp_path / "to/d/a").read_bytes() == b"one"
    status = (tmp_path / "to/deep/er/b").stat()
    assert (status.st_mtime, status.st_mode & 0o7111) == (1_000_000, 0)


@pytest.mark.parametrize(
    ("members", "words"),
    [
        pytest.param([("/abs", FILE, b"x")], "leads out", id="an absolute name"),
        pytest.param([("a/../../b", FILE, b"x")], "leads out", id="a name that climbs out"),
        pytest.param([("l", SYMLINK, b"")], "link", id="a symlink"),
        pytest.param([("l", HARDLINK, b"")], "link", id="a hard link"),
        pytest.param([("l", DEVICE, b"")], "special", id="a device"),
        pytest.param([("a", FILE, b"x"), ("a", FILE, b"y")], "can be unpacked", id="one name twice"),
        pytest.param([("a", FILE, b"x"), ("a/b", FILE, b"y")], "can be unpacked", id="a file used as a directory"),
        pytest.param([("n" * 1025, FILE, b"x")], "1024 bytes", id="a name past all bounds"),
        pytest.param([("a", FILE, b"x" * 101)], "more than 100 bytes", id="more bytes than allowed"),
        pytest.param([(f"f{n}", FILE, b"") for n in range(11)], "10 entries", id="more entries than allowed"),
    ],
)
def test_an_archive_is_refused_and_leaves_nothing(tmp_path: Path, members: list[Member], words: str) -> None:
    path = archive(tmp_path, *members)
    with pytest.raises(InputError, match=words) as caught:
        unpack(path, tmp_path / "to", 100, 10)
    assert caught.value.remedy
    assert sorted(os.listdir(tmp_path)) == ["archive.tar"]


@pytest.mark.parametrize("content", [b"", b"no archive at all", bytes(512) + b"x" * 511])
def test_what_is_no_archive_is_refused_or_empty(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "archive.tar"
    path.write_bytes(content)
    try:
        assert unpack(path, tmp_path / "to", 100, 10) == 0
    except InputError:
        assert not (tmp_path / "to").exists()


def test_an_archive_cut_short_is_refused(tmp_path: Path) -> None:
    path = archive(tmp_path, ("a", FILE, b"x" * 100))
    path.write_bytes(path.read_bytes()[:560])
    with pytest.raises(InputError):
        unpack(path, tmp_path / "to", 1000, 10)


def test_a_listing_follows_no_symlink(tmp_path: Path) -> None:
    (tmp_path / "out/d").mkdir(parents=True)
    (tmp_path / "out/d/f").write_bytes(b"12345")
    (tmp_path / "out/link").symlink_to("/etc")
    os.mkfifo(tmp_path / "out/pipe")
    listing = list_tree(tmp_path / "out")
    assert (listing.files, listing.byte_count, listing.refused) == (("d/f",), 5, "")


def test_removing_a_tree_follows_no_symlink_and_minds_no_name(tmp_path: Path) -> None:
    (tmp_path / "kept").mkdir()
    (tmp_path / "kept/file").touch()
    (tmp_path / "out/a/b/c").mkdir(parents=True)
    (tmp_path / "out/lifted-0/lifted-1").mkdir(parents=True)
    (tmp_path / "out/a/link").symlink_to(tmp_path / "kept")
    remove_tree(tmp_path / "out")
    remove_tree(tmp_path / "out")
    assert [path.name for path in sorted(tmp_path.rglob("*"))] == ["kept", "file"]
