"""What stands on volumes decides: databases may be lost or old, clocks may step, machines may be off."""

import shutil

import msgspec
import pytest

from leasegrid.local.books import LeaseRow, Resource
from leasegrid.local.standing import FILE, read_lease, read_moment
from leasegrid.local.state import StateDirectory, new_uid
from leasegrid.local.volumes import Volume
from tasklet_runner.fabric.protocol import Receipt
from tests.support.machine_clock import START, MachineClock

TTL = 120.0


def row(name: str, expires: float | None) -> LeaseRow:
    return LeaseRow(uid=new_uid(), resource=Resource.BLOCK, name=name, acquired=START, expires=expires)


def leased(state: StateDirectory, *volumes: Volume, ttl: float = TTL, expires: float | None = START + TTL) -> LeaseRow:
    """A lease of these volumes, whose run has died."""
    entered = state.enter_all(volumes, row("data", expires), ttl)
    for volume in volumes:
        volume.store.mkdir(exist_ok=True)
        volume.release()
    return entered


def without_books(state: StateDirectory, clock: MachineClock) -> StateDirectory:
    """The same directory when the database of leases was lost."""
    state.close()
    for file in state.root.glob("leases.db*"):
        file.unlink()
    return StateDirectory(state.root, clock)


def test_a_moment_is_read_of_this_machine() -> None:
    one, other = read_moment(), read_moment()
    assert one.boot == other.boot
    assert other.since_boot >= one.since_boot


@pytest.mark.unhappy("the database of leases is lost: what stands on the volumes is entered anew")
def test_lost_books_are_written_anew_from_the_volumes(state: StateDirectory, clock: MachineClock) -> None:
    job = state.hold_job("lab", "pi")
    state.enter(job, msgspec.structs.replace(row("pi", None), namespace="lab"))
    job.release()
    entered = leased(state, state.make_store(), state.make_store())

    found = without_books(state, clock)
    assert found.reap() == []
    kept = {lease.name: lease for lease in found.kept()}
    assert (kept["pi"].namespace, kept["pi"].expires) == ("lab", None)
    assert (kept["data"].uid, kept["data"].expires) == (entered.uid, START + TTL)
    assert sorted(kept["data"].directory.split()) == sorted(entered.directory.split())
    assert found.strays() == []
    found.close()


@pytest.mark.unhappy("an older copy of the database of leases: what stands on the volumes is right")
def test_an_older_copy_of_the_books_does_not_decide(state: StateDirectory, clock: MachineClock) -> None:
    volume = state.hold_job("default", "pi")
    state.enter(volume, row("pi", START + 1))
    state.books.close()
    shutil.copy(state.root / "leases.db", state.root / "copy")
    newer = StateDirectory(state.root, clock)
    (old,) = newer.books.live()
    newer.books.end(old.uid, START, Receipt(lease_uid=old.uid, reason="Finished", members=()))
    replaced = newer.enter(volume, row("pi", None))
    newer.close()
    volume.release()
    (state.root / "copy").replace(state.root / "leases.db")
    clock.pass_by(1000)

    restored = StateDirectory(state.root, clock)
    assert restored.reap() == []
    assert [one.uid for one in restored.books.live()] == [replaced.uid]
    restored.close()


@pytest.mark.unhappy("clock steps, backwards and forwards: no lease is over for them, and none lasts longer")
@pytest.mark.parametrize("step", [-1e8, -50.0, 50.0, 1e8])
def test_a_step_of_the_wall_clock_moves_no_deadline(state: StateDirectory, clock: MachineClock, step: float) -> None:
    volume = state.hold_job("default", "pi")
    state.enter(volume, row("pi", START + 60))
    volume.release()
    clock.step(step)
    clock.pass_by(59)
    assert state.reap() == []
    assert state.kept()[0].expires == pytest.approx(clock.wall + 1)
    clock.pass_by(2)
    assert [receipt.reason for receipt in state.reap()] == ["Expired"]


@pytest.mark.unhappy("the machine was off for longer than a TTL: the holder has one whole TTL from the first command")
def test_after_a_reboot_no_block_lease_is_over_before_one_ttl(state: StateDirectory, clock: MachineClock) -> None:
    leased(state, state.make_store())
    clock.reboot(off_seconds=1e6)
    assert state.expired() == []
    assert state.reap() == []
    clock.pass_by(TTL - 1)
    assert state.kept_store("default", "data") is not None
    assert state.reap() == []
    clock.pass_by(2)
    assert state.kept_store("default", "data") is None
    assert [receipt.volumes for receipt in state.reap()] == [1]


@pytest.mark.unhappy("no command ran at the deadline: the first that does gives the holder one whole TTL")
def test_after_a_start_no_block_lease_is_over_before_one_ttl(state: StateDirectory, clock: MachineClock) -> None:
    leased(state, state.make_store(), state.make_store())
    clock.pass_by(1000)
    assert state.reap() == []
    clock.pass_by(TTL - 1)
    assert state.reap() == []
    clock.pass_by(2)
    assert [receipt.volumes for receipt in state.reap()] == [2]


def test_a_lease_that_a_run_renews_is_not_given_more(state: StateDirectory, clock: MachineClock) -> None:
    volume = state.make_store()
    entered = state.enter_all([volume], row("data", START + TTL), TTL)
    clock.pass_by(1000)
    assert state.reap() == []
    held = read_lease(volume.path)
    assert held is not None
    assert (held.row, held.standing.extended) == (entered, "")
    volume.release()


@pytest.mark.unhappy("a command dies as it deletes a volume: the next ends it, and nobody goes on with the rest")
def test_a_volume_that_was_being_deleted_is_ended_by_the_next_command(
    state: StateDirectory, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Killed(BaseException):
        pass

    def die(*_: object, **__: object) -> None:
        raise Killed

    volume = state.hold_job("default", "pi")
    volume.store.mkdir()
    (volume.store / "object").write_bytes(b"x")
    state.enter(volume, row("pi", None))
    with monkeypatch.context() as patched:
        patched.setattr("leasegrid.local.volumes.shutil.rmtree", die)
        with pytest.raises(Killed):
            state.delete(volume, "Finished")
    volume.release()
    assert not volume.store.exists()
    assert [receipt.reason for receipt in state.reap()] == ["Expired"]
    assert not volume.path.exists()


def test_bytes_that_were_being_cleared_are_removed_by_the_next_holder(state: StateDirectory) -> None:
    volume = state.hold_job("default", "pi")
    (volume.path / "cleared-00" / "deep").mkdir(parents=True)
    volume.release()
    again = state.hold_job("default", "pi")
    assert sorted(path.name for path in again.path.iterdir()) == ["run.lock", "term"]
    again.release()


@pytest.mark.unhappy("what stands on a volume cannot be read: it is kept until a person releases it")
@pytest.mark.parametrize("content", [b"", b"{", b'{"row": 1}'], ids=["empty", "cut off", "of another shape"])
def test_a_lease_that_cannot_be_read_is_kept_and_listed(
    state: StateDirectory, clock: MachineClock, content: bytes
) -> None:
    volume = state.make_store()
    leased(state, volume)
    (volume.path / FILE).write_bytes(content)
    found = without_books(state, clock)
    clock.pass_by(1e9)
    assert found.reap() == []
    (kept,) = found.kept()
    assert (kept.expires, kept.purpose) == (None, "the file lease in it cannot be read")
    found.delete_lease(kept, "Released")
    assert not volume.path.exists()
    found.close()
