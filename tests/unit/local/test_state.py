import os
import time
from pathlib import Path

import pytest

from leasegrid.local.books import LeaseBooks, LeaseRow, Resource
from leasegrid.local.keys import fabric_key
from leasegrid.local.state import StateDirectory, new_uid
from tasklet_runner.fabric.protocol import Receipt
from tasklet_runner.wire.errors import StateDirectoryError
from tasklet_runner.wire.signed import public_text
from tests.support.machine_clock import START as NOW
from tests.support.machine_clock import MachineClock


def block_row(expires: float | None) -> LeaseRow:
    return LeaseRow(uid=new_uid(), resource=Resource.BLOCK, name="fractal", acquired=NOW, expires=expires)


def filled_job(state: StateDirectory, expires: float | None) -> Path:
    volume = state.hold_job("default", "fractal")
    volume.store.mkdir()
    (volume.store / "object").write_bytes(b"x" * 8192)
    state.enter(volume, block_row(expires))
    volume.release()
    return volume.path


def test_the_state_directory_follows_xdg_state_home(tmp_path: Path) -> None:
    assert StateDirectory.default({"XDG_STATE_HOME": str(tmp_path)}).root == tmp_path / "leasegrid"


def test_the_key_is_made_once_for_its_owner_alone(tmp_path: Path) -> None:
    first = StateDirectory(tmp_path / "state").key
    assert (tmp_path / "state" / "key").stat().st_mode & 0o777 == 0o600
    assert (tmp_path / "state").stat().st_mode & 0o777 == 0o700
    assert public_text(StateDirectory(tmp_path / "state").key) == public_text(first)
    assert [path.name for path in (tmp_path / "state").iterdir()] == ["key"]


@pytest.mark.unhappy("a key that others can read, or that is damaged")
def test_a_key_that_others_can_read_is_refused_with_the_remedy(tmp_path: Path) -> None:
    fabric_key(tmp_path / "key")
    (tmp_path / "key").chmod(0o644)
    with pytest.raises(StateDirectoryError, match="chmod 600"):
        fabric_key(tmp_path / "key")


@pytest.mark.unhappy("a key that others can read, or that is damaged")
def test_a_damaged_key_is_refused_with_the_remedy(tmp_path: Path) -> None:
    (tmp_path / "key").touch(mode=0o600)
    with pytest.raises(StateDirectoryError, match="delete it"):
        fabric_key(tmp_path / "key")


def test_a_state_directory_that_cannot_be_made_is_said(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(StateDirectoryError, match="XDG_STATE_HOME"):
        StateDirectory(tmp_path / "file" / "state")


def test_each_run_of_a_job_has_a_higher_term(state: StateDirectory) -> None:
    terms = []
    for _ in range(3):
        volume = state.hold_job("default", "fractal")
        terms.append(volume.term)
        volume.release()
    assert terms == [1, 2, 3]


@pytest.mark.parametrize("name", ["..", "a/b", "", ".hidden", "a" * 300])
def test_a_name_that_leads_elsewhere_is_refused(state: StateDirectory, name: str) -> None:
    with pytest.raises(StateDirectoryError, match="cannot be the name"):
        state.hold_job("default", name)


def test_a_kept_lease_says_what_it_holds_and_until_when(state: StateDirectory, clock: MachineClock) -> None:
    filled_job(state, NOW + 60)
    (kept,) = state.kept()
    assert (kept.name, kept.resource, kept.expires, kept.process) == ("fractal", Resource.BLOCK, NOW + 60, 0)
    assert kept.volume_bytes >= 8192
    clock.pass_by(61)
    assert state.kept() == []


def test_a_block_lease_is_reaped_after_its_expiry_and_not_before(state: StateDirectory, clock: MachineClock) -> None:
    path = filled_job(state, NOW + 60)
    clock.pass_by(59)
    assert state.reap() == []
    clock.pass_by(2)
    (receipt,) = state.reap()
    assert receipt.reason == "Expired"
    assert receipt.volume_bytes >= 8192
    assert not path.exists()
    assert state.books.receipt(receipt.lease_uid) == receipt


def test_a_job_that_has_not_finished_is_kept_without_a_deadline(state: StateDirectory, clock: MachineClock) -> None:
    path = filled_job(state, None)
    clock.pass_by(1e9)
    assert state.reap() == []
    assert path.exists()


def test_an_expired_volume_that_a_process_serves_is_left_alone(state: StateDirectory, clock: MachineClock) -> None:
    filled_job(state, NOW)
    volume = state.hold_job("default", "fractal")
    clock.pass_by(60)
    assert state.reap() == []
    assert state.expired()[0].process == os.getpid()
    volume.release()


def test_a_deleted_volume_leaves_a_receipt_at_once(state: StateDirectory) -> None:
    filled_job(state, None)
    receipt = state.delete(state.hold_job("default", "fractal"), "Finished")
    assert (receipt.reason, receipt.volume_bytes >= 8192) == ("Finished", True)
    assert state.kept() == []


def test_a_volume_that_somebody_removed_by_hand_is_ended_in_the_books(state: StateDirectory) -> None:
    path = filled_job(state, None)
    path.rename(state.root / "elsewhere")
    (receipt,) = state.reap()
    assert receipt.reason == "Deleted"


def test_a_volume_without_a_row_is_removed(state: StateDirectory) -> None:
    volume = state.hold_cache("build")
    state.reap()
    assert volume.path.exists()
    volume.release()
    state.reap()
    assert not volume.path.exists()


def test_a_cpu_lease_of_a_dead_run_is_ended_after_its_deadline(state: StateDirectory, clock: MachineClock) -> None:
    state.books.write(
        LeaseRow(uid="u", resource=Resource.CPU, name="a", acquired=NOW, expires=NOW + 10, members=("m-1", "m-2"))
    )
    clock.pass_by(11)
    assert state.reap() == []
    clock.pass_by(5)
    (receipt,) = state.reap()
    assert receipt.members == ("m-1", "m-2")


def test_receipts_are_kept_for_a_day(tmp_path: Path) -> None:
    books = LeaseBooks(tmp_path / "leases.db")
    books.write(LeaseRow(uid="u", resource=Resource.CPU, name="a", acquired=NOW))
    receipt = Receipt(lease_uid="u", reason="Finished", members=())
    books.end("u", NOW, receipt)
    books.end("u", NOW, Receipt(lease_uid="u", reason="Again", members=()))
    books.forget(NOW + 86000)
    assert books.receipt("u") == receipt
    books.forget(NOW + 87000)
    assert books.receipt("u") is None
    books.close()


@pytest.mark.unhappy("books that are damaged")
def test_damaged_books_are_said_with_the_remedy(tmp_path: Path) -> None:
    (tmp_path / "leases.db").write_bytes(b"not a database, but long enough to be taken for one" * 20)
    with pytest.raises(StateDirectoryError, match="move it away"):
        LeaseBooks(tmp_path / "leases.db")


def test_two_commands_share_the_books(state: StateDirectory) -> None:
    other = StateDirectory(state.root)
    state.books.write(LeaseRow(uid="u", resource=Resource.CPU, name="a", acquired=time.time()))
    assert [row.uid for row in other.books.live()] == ["u"]
    other.close()
