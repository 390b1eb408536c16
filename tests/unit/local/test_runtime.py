import os
import time
from pathlib import Path

import pytest

from leasegrid.local import runtime
from leasegrid.local.locks import FileLock, HeldElsewhereError, holder
from leasegrid.local.runtime import create_runtime_directory, reap_stale
from tasklet_runner.wire.errors import StateDirectoryError


@pytest.fixture
def environment(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> dict[str, str]:
    """Bases of the test's own; the machine's shared memory is left alone."""
    monkeypatch.setattr(runtime, "SHARED_MEMORY", tmp_path / "shm")
    monkeypatch.setattr(runtime, "LONGEST_BASE", 300)
    (tmp_path / "run").mkdir()
    return {"XDG_RUNTIME_DIR": str(tmp_path / "run"), "TMPDIR": str(tmp_path / "run")}


def test_a_runtime_directory_is_private_and_short_enough_for_sockets() -> None:
    made = create_runtime_directory()
    try:
        assert made.path.stat().st_mode & 0o777 == 0o700
        assert len(str(made.member_socket(999_999))) <= 107
    finally:
        made.remove()
    assert not made.path.exists()
    made.remove()


def test_a_run_that_holds_its_lock_is_not_reaped(environment: dict[str, str]) -> None:
    made = create_runtime_directory(environment)
    assert reap_stale(environment) == []
    made.remove()


def test_a_dead_run_is_reaped(environment: dict[str, str]) -> None:
    made = create_runtime_directory(environment)
    made.lock.release()
    assert reap_stale(environment) == [made.path]
    assert not made.path.exists()


def test_a_directory_that_is_just_being_made_is_left_and_an_old_one_without_lock_is_reaped(
    environment: dict[str, str],
) -> None:
    unfinished = Path(environment["XDG_RUNTIME_DIR"]) / f"leasegrid-{os.geteuid()}-0badcafe"
    unfinished.mkdir()
    assert reap_stale(environment) == []
    long_ago = time.time() - 3600
    os.utime(unfinished, (long_ago, long_ago))
    assert reap_stale(environment) == [unfinished]


def test_no_usable_base_is_said_with_a_remedy(environment: dict[str, str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(runtime, "LONGEST_BASE", 3)
    with pytest.raises(StateDirectoryError, match="TMPDIR"):
        create_runtime_directory(environment)


def test_a_lock_names_its_holder_until_it_is_released(tmp_path: Path) -> None:
    path = tmp_path / "lock"
    assert holder(path) == 0
    lock = FileLock(path)
    assert holder(path) == os.getpid()
    with pytest.raises(HeldElsewhereError) as held:
        FileLock(path)
    assert held.value.pid == os.getpid()
    lock.release()
    lock.release()
    assert holder(path) == 0
