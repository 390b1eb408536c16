from collections.abc import Iterator
from pathlib import Path

import msgspec
import pytest

from leasegrid.local.books import LeaseRow, Resource
from leasegrid.local.garbage import collect
from leasegrid.local.locks import FileLock
from leasegrid.local.runtime import create_runtime_directory
from leasegrid.local.state import StateDirectory, new_uid
from leasegrid.local.volumes import Volume
from tasklet_runner.wire.errors import StateDirectoryError
from tests.support.machine_clock import START as NOW
from tests.support.machine_clock import MachineClock

CONTENT = b"x" * 8192


@pytest.fixture
def state(tmp_path: Path) -> Iterator[StateDirectory]:
    directory = StateDirectory(tmp_path / "state", MachineClock())
    yield directory
    directory.close()


@pytest.fixture
def environment(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> dict[str, str]:
    """Runtime directories of other runs of this machine are not this test's business."""
    monkeypatch.setattr("leasegrid.local.runtime.SHARED_MEMORY", tmp_path)
    monkeypatch.setattr("tempfile.gettempdir", lambda: str(tmp_path))
    return {}


def filled(state: StateDirectory, volume: Volume, expires: float | None) -> Volume:
    volume.store.mkdir()
    (volume.store / "object").write_bytes(CONTENT)
    row = LeaseRow(uid=new_uid(), resource=Resource.BLOCK, name=volume.path.name, acquired=NOW - 100)
    state.enter(volume, msgspec.structs.replace(row, expires=expires, purpose="outputs"))
    return volume


def test_what_has_expired_is_deleted_and_said_and_the_rest_is_counted(
    state: StateDirectory, environment: dict[str, str]
) -> None:
    over = filled(state, state.hold_job("default", "over"), NOW - 1)
    filled(state, state.hold_cache("build"), NOW + 60).release()
    over.release()
    collected = collect(state, dry_run=False, environment=environment)
    (deleted,) = collected.deleted
    assert (deleted.what, deleted.why, deleted.directories) == (
        "lease over (outputs)", "it has expired", (str(over.path),)
    )  # fmt: skip
    assert deleted.byte_count >= len(CONTENT)
    assert (collected.in_use, collected.leases_left, over.path.exists()) == ((), 1, False)


def test_a_dry_run_says_the_same_and_deletes_nothing(state: StateDirectory, environment: dict[str, str]) -> None:
    over = filled(state, state.hold_job("default", "over"), NOW - 1)
    over.release()
    said = collect(state, dry_run=True, environment=environment)
    assert over.path.exists()
    assert collect(state, dry_run=False, environment=environment) == said


@pytest.mark.unhappy("something is over and yet in use: it is named, with who uses it, and kept")
def test_what_is_over_and_in_use_is_named_and_kept(state: StateDirectory, environment: dict[str, str]) -> None:
    over = filled(state, state.hold_job("default", "over"), NOW - 1)
    collected = collect(state, dry_run=False, environment=environment)
    assert [one.what for one in collected.in_use] == ["lease over (outputs)"]
    assert collected.in_use[0].process > 0
    assert (collected.deleted, over.path.exists()) == ((), True)
    over.release()


def test_volumes_of_no_lease_and_directories_of_dead_runs_are_deleted(
    state: StateDirectory, environment: dict[str, str], tmp_path: Path
) -> None:
    stray = state.make_store()
    stray.release()
    dead = create_runtime_directory({"TMPDIR": str(tmp_path)})
    (dead.path / "s" / "scratch").write_bytes(CONTENT)
    dead.lock.release()
    alive = create_runtime_directory({"TMPDIR": str(tmp_path)})
    collected = collect(state, dry_run=False, environment=environment)
    assert {one.what for one in collected.deleted} == {
        f"volume {state.relative(stray.path)}",
        f"run directory {dead.path}",
    }
    assert (stray.path.exists(), dead.path.exists(), alive.path.exists()) == (False, False, True)
    alive.remove()


def test_a_lease_of_several_volumes_ends_with_all_of_them(state: StateDirectory, environment: dict[str, str]) -> None:
    volumes = [state.make_store(), state.make_store()]
    directory = " ".join(state.relative(volume.path) for volume in volumes)
    row = LeaseRow(uid="u", resource=Resource.BLOCK, name="data", acquired=NOW, expires=NOW, directory=directory)
    state.books.write(row)
    for volume in volumes:
        volume.release()
    (deleted,) = collect(state, dry_run=False, environment=environment).deleted
    assert deleted.directories == tuple(str(volume.path) for volume in volumes)
    receipt = state.books.receipt("u")
    assert receipt is not None
    assert receipt.volumes == 2


@pytest.mark.unhappy("a member of a dead run serves a volume yet: it is not deleted under it")
def test_a_volume_that_a_member_serves_is_not_deleted_though_its_command_is_gone(state: StateDirectory) -> None:
    volume = filled(state, state.make_store(), NOW - 1)
    server = FileLock(volume.store / "lock")
    volume.release()
    assert state.reap() == []
    server.release()
    assert len(state.reap()) == 1


def test_a_lease_that_a_dead_run_has_left_is_released_by_hand(state: StateDirectory) -> None:
    volume = filled(state, state.make_store(), NOW + 60)
    volume.release()
    receipt = state.delete_lease(state.kept()[0], "Released")
    assert (receipt.reason, receipt.volumes, volume.path.exists()) == ("Released", 1, False)


@pytest.mark.unhappy("a lease that another run has is not released under it")
def test_a_lease_that_a_run_has_is_not_released_by_hand(state: StateDirectory) -> None:
    volume = filled(state, state.make_store(), NOW + 60)
    with pytest.raises(StateDirectoryError, match="is in use by process"):
        state.delete_lease(state.kept()[0], "Released")
    assert (volume.store / "object").read_bytes() == CONTENT
    volume.release()
