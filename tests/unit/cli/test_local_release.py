"""What is kept on this machine is released by its name; holder keys are kept for their user alone."""

import json
import os
import time
from pathlib import Path

import msgspec
import pytest

from leasegrid.cli.holders import place_of, tidy
from leasegrid.cli.holdings import show_leases
from leasegrid.cli.lease_objects import read_lease
from leasegrid.cli.local_release import release_local
from leasegrid.local.books import LeaseRow, Resource
from leasegrid.local.state import StateDirectory, new_uid
from leasegrid.local.volumes import Volume
from tasklet_runner.wire.errors import (
    ClusterError,
    InvalidObjectError,
    NoSuchObjectError,
    StateDirectoryError,
)
from tasklet_runner.wire.signed import public_text


@pytest.fixture
def state(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> StateDirectory:
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path))
    return StateDirectory.default()


def kept(state: StateDirectory, volume: Volume, name: str, content: bytes = b"") -> Volume:
    """A volume that a command is serving."""
    volume.store.mkdir(parents=True)
    (volume.store / "bytes").write_bytes(content)
    row = LeaseRow(uid=new_uid(), resource=Resource.BLOCK, name=name, acquired=time.time())
    state.enter(volume, msgspec.structs.replace(row, expires=time.time() + 600))
    return volume


def test_what_is_kept_is_released_by_its_name_with_a_receipt(
    state: StateDirectory, capsys: pytest.CaptureFixture[str]
) -> None:
    volume = kept(state, state.hold_job("default", "render"), "render", b"x" * 2048)
    volume.release()

    assert release_local("render", as_json=False) == 0
    said = capsys.readouterr().out
    assert said.startswith("lease render: released ")
    assert said.endswith(", 0 left behind\n")
    assert not volume.path.exists()
    with pytest.raises(NoSuchObjectError, match="leasegrid leases shows what is"):
        release_local("render", as_json=False)


def test_the_documents_of_leases_and_of_a_release_have_the_same_keys(
    state: StateDirectory, capsys: pytest.CaptureFixture[str]
) -> None:
    kept(state, state.hold_job("default", "render"), "render").release()
    show_leases(as_json=True)
    (listed,) = json.loads(capsys.readouterr().out)["leases"]

    release_local("default/render", as_json=True)
    released = json.loads(capsys.readouterr().out)["lease"]

    assert listed.keys() == released.keys()
    assert (listed["state"], released["state"]) == ("Bound", "Released")
    assert released["receipt"]["volumes"] == 1


@pytest.mark.unhappy("what is to be released is in use")
def test_what_a_process_serves_is_not_released(state: StateDirectory) -> None:
    volume = kept(state, state.hold_job("default", "render"), "render")
    try:
        with pytest.raises(StateDirectoryError, match="is in use by process"):
            release_local("render", as_json=False)
    finally:
        volume.release()


def test_a_name_of_two_things_is_told_apart_by_their_directories(state: StateDirectory) -> None:
    kept(state, state.hold_job("default", "build"), "build").release()
    kept(state, state.hold_cache("build"), "build").release()

    with pytest.raises(InvalidObjectError, match=r"jobs/default/build and caches/build|caches/build and jobs"):
        release_local("build", as_json=False)
    assert release_local("caches/build", as_json=False) == 0


def test_a_holders_key_is_kept_for_its_user_alone_and_leaves_nothing(state: StateDirectory) -> None:
    place = place_of("arn:aws:eks:eu-1:1/prod", "lab", "work")
    key = place.make()
    named = read_lease(
        {
            "metadata": {"name": "work", "namespace": "lab", "uid": "u"},
            "spec": {"holderKey": public_text(key)},
        }
    )

    assert place.path.stat().st_mode & 0o777 == 0o600
    assert place.path.relative_to(state.root).parts[0::2] == ("holders", "lab")
    assert public_text(place.key_of(named)) == public_text(key)
    place.remove()
    assert not list((state.root / "holders").iterdir())
    with pytest.raises(ClusterError, match="is not on this machine"):
        place.key_of(named)


def test_a_key_that_others_can_read_is_not_used(state: StateDirectory) -> None:
    place = place_of("c", "lab", "work")
    place.make()
    place.path.chmod(0o644)

    with pytest.raises(StateDirectoryError, match=r"the holder's key .* others can read it"):
        place.make()


def test_keys_of_leases_that_are_gone_are_deleted_but_not_those_of_a_claim_under_way(state: StateDirectory) -> None:
    places = {name: place_of("c", "lab", name) for name in ("live", "gone", "young")}
    for name, place in places.items():
        place.make()
        os.utime(place.path, (0, 0) if name != "young" else None)

    tidy("c", "lab", {"live"}, time.time())

    assert [name for name, place in places.items() if place.path.exists()] == ["live", "young"]
    tidy("another", "lab", set(), time.time())
