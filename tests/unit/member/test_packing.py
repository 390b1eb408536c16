"""Archives of /durable: what is in them, and when only what changed is sent."""

import io
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tasklet_runner.durable.deltas import apply
from tasklet_runner.member import packing
from tasklet_runner.member.packing import Packs, half_written, may_be_delta, pack, take
from tasklet_runner.member.standing import SlotProcessId, open_for_writing
from tasklet_runner.sandbox.archives import unpack
from tasklet_runner.sandbox.durable import look
from tasklet_runner.sandbox.trees import MAX_OUTPUT_FILES
from tasklet_runner.wire.errors import LeaseGridError

HOLDER = "import sys; file = open(sys.argv[1], 'ab'); print(flush=True); sys.stdin.read()"
"""Opens a file for writing, says so, and keeps it open until its stdin ends."""


def archive(root: Path) -> bytes:
    target = io.BytesIO()
    pack(root, look(root), frozenset(), target)
    return target.getvalue()


def fill(root: Path, **files: bytes) -> Path:
    root.mkdir(exist_ok=True)
    for name, data in files.items():
        (root / name).write_bytes(data)
    return root


@pytest.fixture
def packs(tmp_path: Path) -> Packs:
    (tmp_path / "packs").mkdir()
    return Packs(tmp_path / "packs")


@pytest.fixture
def writer(tmp_path: Path) -> "Iterator[subprocess.Popen[bytes]]":
    """A process that has /durable/open open for writing."""
    path = fill(tmp_path / "durable") / "open"
    process = subprocess.Popen([sys.executable, "-c", HOLDER, str(path)], stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    with process:
        assert process.stdout is not None
        assert process.stdout.readline()
        yield process
        if process.poll() is None:
            process.kill()


def identity(process: "subprocess.Popen[bytes]") -> SlotProcessId:
    return SlotProcessId(process.pid, os.pidfd_open(process.pid))


def test_the_same_files_make_the_same_archive_whenever_and_wherever_they_were_written(tmp_path: Path) -> None:
    one, two = fill(tmp_path / "one", a=b"A", b=b"B" * 5000), tmp_path / "two"
    fill(two, b=b"B" * 5000)
    fill(two, a=b"A")
    os.utime(two / "a", (1, 1))
    os.chmod(two / "b", 0o600)

    assert archive(one) == archive(two)


def test_what_is_unpacked_is_what_was_packed_and_packs_to_the_same_archive(tmp_path: Path) -> None:
    root = fill(tmp_path / "root", state=b"S" * 12345, empty=b"")
    (root / "deep" / "er").mkdir(parents=True)
    (root / "hollow").mkdir()
    (root / "deep" / "er" / ("n" * 150)).write_bytes(b"long")
    fill(root / "deep", ümlaut=b"u")
    packed = tmp_path / "packed"
    packed.write_bytes(archive(root))

    unpack(packed, tmp_path / "again", 1 << 20, 100)

    again = {str(path.relative_to(tmp_path / "again")): path for path in (tmp_path / "again").rglob("*")}
    assert {name: path.read_bytes() for name, path in again.items() if path.is_file()} == {
        "state": b"S" * 12345,
        "empty": b"",
        f"deep/er/{'n' * 150}": b"long",
        "deep/ümlaut": b"u",
    }
    assert again["hollow"].is_dir()
    assert archive(tmp_path / "again") == packed.read_bytes()


@pytest.mark.parametrize(
    ("delta", "full", "since", "yes"),
    [
        pytest.param(10, 100, 0, True, id="a small change"),
        pytest.param(50, 100, 0, True, id="half of it"),
        pytest.param(51, 100, 0, False, id="more than half: a full one is no dearer and quicker to read"),
        pytest.param(10, 100, 41, False, id="many small changes since the last full one"),
    ],
)
def test_only_what_changed_is_sent_where_that_is_little(delta: int, full: int, since: int, yes: bool) -> None:
    assert may_be_delta(delta, full, since) is yes


def test_a_delta_turns_what_the_store_has_into_what_is_there(
    packs: Packs, tmp_path: Path, writer: "subprocess.Popen[bytes]"
) -> None:
    root, slot = fill(tmp_path / "durable", state=bytes(1 << 20)), identity(writer)
    take(root, packs, slot, None)
    assert not packs.delta.exists()
    packs.fresh.rename(packs.kept)
    with (root / "state").open("r+b") as file:
        file.seek(500_000)
        file.write(b"changed")

    take(root, packs, slot, 0)

    fresh = packs.fresh.read_bytes()
    assert len(packs.delta.read_bytes()) < 20_000
    assert apply(packs.delta.read_bytes(), packs.kept.read_bytes(), len(fresh)) == fresh
    assert b"changed" in fresh
    os.close(slot.descriptor)


def test_what_did_not_change_is_not_put_again(packs: Packs, tmp_path: Path, writer: "subprocess.Popen[bytes]") -> None:
    root, slot = fill(tmp_path / "durable", state=b"S"), identity(writer)
    take(root, packs, slot, None)
    packs.fresh.rename(packs.kept)
    (root / "state.tmp").write_bytes(b"S")
    (root / "state.tmp").replace(root / "state")

    take(root, packs, slot, 0)

    assert not packs.fresh.exists()
    os.close(slot.descriptor)


def test_a_file_that_is_open_for_writing_does_not_count_yet(
    packs: Packs, tmp_path: Path, writer: "subprocess.Popen[bytes]"
) -> None:
    root, slot = fill(tmp_path / "durable", state=b"S"), identity(writer)
    assert half_written(look(root), open_for_writing(writer.pid)) == {"open"}

    take(root, packs, slot, None)

    assert b"state" in packs.fresh.read_bytes()
    assert b"open" not in packs.fresh.read_bytes()
    os.close(slot.descriptor)


def test_where_nothing_counts_yet_nothing_is_kept(
    packs: Packs, tmp_path: Path, writer: "subprocess.Popen[bytes]"
) -> None:
    slot = identity(writer)

    take(tmp_path / "durable", packs, slot, None)

    assert not list(packs.directory.iterdir())
    os.close(slot.descriptor)


@pytest.mark.unhappy("a file that a checkpoint has and that is being written")
def test_a_file_that_counted_before_and_stays_open_costs_the_checkpoint_not_the_file(
    packs: Packs, tmp_path: Path, writer: "subprocess.Popen[bytes]", monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(packing, "TRIES", 2)
    root, slot = fill(tmp_path / "durable"), identity(writer)
    packs.kept.write_bytes(archive(root))

    with pytest.raises(LeaseGridError, match=r"/durable/open stays open.*\.tmp"):
        take(root, packs, slot, None)

    assert not packs.fresh.exists()
    os.close(slot.descriptor)


@pytest.mark.unhappy("more files in /durable than anyone looks at, at the moment of a checkpoint")
def test_what_is_too_much_to_look_at_is_not_taken_for_nothing(
    packs: Packs, tmp_path: Path, writer: "subprocess.Popen[bytes]"
) -> None:
    root, slot = fill(tmp_path / "durable", state=b"S"), identity(writer)
    packs.kept.write_bytes(archive(root))
    for number in range(MAX_OUTPUT_FILES):
        os.mknod(root / str(number))

    with pytest.raises(LeaseGridError, match="more than"):
        take(root, packs, slot, None)

    assert not packs.fresh.exists()
    os.close(slot.descriptor)


def test_the_process_goes_on_after_it(packs: Packs, tmp_path: Path, writer: "subprocess.Popen[bytes]") -> None:
    slot = identity(writer)
    take(fill(tmp_path / "durable"), packs, slot, None)
    os.close(slot.descriptor)

    assert writer.stdin is not None
    writer.stdin.close()
    assert writer.wait(30) == 0


@pytest.mark.unhappy("a slot that dies while it is looked at")
def test_a_process_that_is_gone_is_told_and_none_other_is_stopped(
    packs: Packs, tmp_path: Path, writer: "subprocess.Popen[bytes]"
) -> None:
    slot = identity(writer)
    writer.send_signal(signal.SIGKILL)
    writer.wait(30)

    with pytest.raises(ProcessLookupError):
        take(fill(tmp_path / "durable"), packs, slot, None)
    slot.go_on()
    os.close(slot.descriptor)
