"""Durable over a directory: restored or begun, saved when due, and never silently anything else."""

import array
import logging
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from prometheus_client import CollectorRegistry

from leasegrid.sdk.codecs import BUFFER, BYTES, PICKLE
from leasegrid.sdk.durable import Durable, OnStoreLost, StoreLostError
from leasegrid.sdk.reading import read_state
from leasegrid.sdk.rules import Retries
from tasklet_runner.wire.errors import (
    CheckpointDamagedError,
    CheckpointVersionError,
    InvalidObjectError,
    StateDirectoryError,
    UnsupportedError,
)
from tests.support.running import REPOSITORY

ONCE = Retries(count=0)


def test_it_begins_with_what_was_given_and_goes_on_with_what_was_saved(tmp_path: Path) -> None:
    with Durable({"sum": 0}, tmp_path, "key", every_steps=3) as durable:
        assert (durable.restored, durable.generation, durable.epoch) == (False, 0, 1)
        for step in durable.steps(8):
            durable.state["sum"] += step
        assert (durable.step_count, durable.generation) == (8, 2)
    with Durable({"sum": 0}, tmp_path, "key", every_steps=3) as durable:
        assert (durable.restored, durable.state, durable.step_count, durable.epoch) == (True, {"sum": 15}, 6, 2)
        assert list(durable.steps(8)) == [6, 7]


def test_by_hand_alone_nothing_is_saved_by_itself(tmp_path: Path) -> None:
    with Durable([0], tmp_path, "key") as durable:
        for _ in durable.steps(100):
            durable.state[0] += 1
        assert durable.generation == 0
        durable.save()
        assert durable.generation == 1
    assert read_state(tmp_path, "key", [0]) is not None


def test_every_so_many_seconds_a_step_saves(tmp_path: Path) -> None:
    with Durable([0], tmp_path, "key", every_seconds=1e-9) as durable:
        for _ in durable.steps(3):
            pass
        assert durable.generation == 3


@pytest.mark.parametrize("deltas", [True, False], ids=["with deltas", "without deltas"])
def test_a_large_state_that_changes_a_little_is_saved_by_what_changed(
    deltas: bool, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO, "leasegrid.sdk")
    numbers = array.array("q", bytes(8 * 50_000))
    with Durable(numbers, tmp_path, "key", codec=BUFFER, every_steps=1, deltas=deltas) as durable:
        for step in durable.steps(60):
            durable.state[step * 777] = step
    kinds = [record.getMessage().partition("kind=")[2].partition(" ")[0] for record in caplog.records]
    assert ("delta" in kinds) is deltas
    assert "full" in kinds[2:]
    mine = array.array("q", bytes(8 * 50_000))
    with Durable(mine, tmp_path, "key", codec=BUFFER, every_steps=1, deltas=deltas) as durable:
        assert durable.state is mine
        assert mine == numbers
        mine[3] = 9
        durable.step()
    found = read_state(tmp_path, "key", array.array("q", bytes(8 * 50_000)), codec=BUFFER)
    assert found is not None
    assert (found.step, found.generation, found.state[3], found.state[777 * 59]) == (61, 61, 9, 59)


def test_log_lines_have_generation_epoch_and_step(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO, "leasegrid.sdk")
    for _ in range(2):
        with Durable([0], tmp_path, "key", every_steps=5) as durable:
            for _ in durable.steps(5):
                pass
    lines = [record.getMessage() for record in caplog.records]
    assert lines[0].startswith("action=initialised key=key generation=0 epoch=1 step=0")
    assert lines[1].startswith("action=saved key=key generation=1 epoch=1 step=5 kind=full bytes=4098 milliseconds=")
    assert lines[2].startswith("action=restored key=key generation=1 epoch=2 step=5")


def _samples(registry: CollectorRegistry) -> dict[str, float]:
    return {sample.name: sample.value for family in registry.collect() for sample in family.samples}


def test_the_metrics_count_what_was_saved_what_failed_and_what_was_restored(tmp_path: Path) -> None:
    registry = CollectorRegistry()
    with Durable([0], tmp_path, "key", registry=registry) as durable:
        durable.save()
        durable.state = [object()]  # type: ignore[list-item]  # what no codec writes
        with pytest.raises(UnsupportedError):
            durable.save()
    with Durable([0], tmp_path, "key", registry=registry):
        pass
    seen = _samples(registry)
    assert seen["leasegrid_checkpoint_success_total"] == 1
    assert seen["leasegrid_checkpoint_fail_total"] == 1
    assert seen["leasegrid_checkpoint_bytes_written_total"] == 4098
    assert seen["leasegrid_checkpoint_duration_ms_count"] == 1
    assert seen["leasegrid_resume_count_total"] == 1


@pytest.mark.unhappy("two processes that write one state")
def test_a_key_that_another_process_has_is_refused_with_its_name(tmp_path: Path) -> None:
    holder = subprocess.Popen(
        [
            *(sys.executable, "-c"),
            "import sys; from leasegrid.sdk.durable import Durable\n"
            "with Durable([0], sys.argv[1], 'key'): print('open', flush=True); sys.stdin.read()",
            str(tmp_path),
        ],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        env={**os.environ, "PYTHONPATH": str(REPOSITORY)},
    )
    with holder:
        assert holder.stdout is not None
        assert holder.stdout.readline() == b"open\n"
        words = rf"checkpoint 'key' in .* is in use by process {holder.pid}.*wait until that process ends, or end it"
        with pytest.raises(StateDirectoryError, match=words), Durable([0], tmp_path, "key"):
            pass
        with Durable([0], tmp_path, "another"):
            pass
        holder.kill()
    with Durable([0], tmp_path, "key") as durable:
        assert durable.epoch == 2


@pytest.mark.unhappy("both slots of a program's state are damaged")
def test_damage_is_never_taken_for_a_beginning(tmp_path: Path) -> None:
    with Durable([0], tmp_path, "key") as durable:
        durable.save()
        durable.save()
    for path in tmp_path.glob("key.[ab]"):
        path.write_bytes(b"damaged")
    with pytest.raises(CheckpointDamagedError, match="no checkpoint of 'key' is whole"), Durable([0], tmp_path, "key"):
        pass


@pytest.mark.unhappy("a program's newest slot is damaged")
def test_an_older_slot_serves_and_the_log_says_why(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    with Durable([0], tmp_path, "key", every_steps=1) as durable:
        for step in durable.steps(2):
            durable.state[0] = step
    (tmp_path / "key.b").write_bytes(b"damaged")
    with Durable([9], tmp_path, "key") as durable:
        assert (durable.state, durable.step_count) == ([0], 1)
    assert "action=skipped" in caplog.text
    assert "key.b" in caplog.text


@pytest.mark.unhappy("a program that reads a state of another version")
@pytest.mark.parametrize("changes", [{"state_version": 2}, {"codec": PICKLE}], ids=["version", "codec"])
def test_a_state_of_another_version_is_refused_and_stays(changes: dict[str, Any], tmp_path: Path) -> None:
    with Durable([1], tmp_path, "key") as durable:
        durable.save()
    with pytest.raises(CheckpointVersionError, match="version 1 written as messagepack"):
        Durable([0], tmp_path, "key", **changes).__enter__()
    assert read_state(tmp_path, "key", [0]) is not None


def _broken(directory: Path) -> None:
    """No checkpoint can be written there any more, by nobody: its slots are directories."""
    for suffix in (".a", ".b"):
        (directory / f"key{suffix}").unlink(missing_ok=True)
        (directory / f"key{suffix}").mkdir()


@pytest.mark.unhappy("a directory that takes no checkpoint, and onStoreLost: Abort")
def test_a_store_that_takes_nothing_ends_the_computation(tmp_path: Path) -> None:
    with Durable([0], tmp_path, "key", retries=ONCE, every_steps=1) as durable:
        _broken(tmp_path)
        with pytest.raises(StoreLostError, match=r"'key' did not do it in 1 tries: .*Is a directory"):
            durable.step()


@pytest.mark.unhappy("a directory that takes no checkpoint, and onStoreLost: NewTarget")
def test_with_a_new_target_it_goes_on_there_with_the_present_state(tmp_path: Path) -> None:
    first, second = tmp_path / "first", tmp_path / "second"
    durable = Durable(
        [0],
        first,
        "key",
        every_steps=1,
        on_store_lost=OnStoreLost.NEW_TARGET,
        new_target=lambda: second,
        retries=ONCE,
    )
    with durable:
        for step in durable.steps(6):
            durable.state[0] += step
            if step == 3:
                _broken(first)
        assert (durable.state, durable.store) == ([15], second)
    found = read_state(second, "key", [0])
    assert found is not None
    assert (found.state, found.step) == ([15], 6)


@pytest.mark.unhappy("a directory that takes no checkpoint, and onStoreLost: Restart")
def test_with_restart_the_steps_begin_again_with_the_first_state(tmp_path: Path) -> None:
    first, second = tmp_path / "first", tmp_path / "second"
    durable = Durable(
        {"sum": 0},
        first,
        "key",
        every_steps=1,
        on_store_lost=OnStoreLost.RESTART,
        new_target=lambda: second,
        retries=ONCE,
    )
    seen = []
    with durable:
        for step in durable.steps(5):
            seen.append(step)
            durable.state["sum"] += step
            if seen == [0, 1, 2]:
                _broken(first)
        assert durable.state == {"sum": 10}
    assert seen == [0, 1, 2, 0, 1, 2, 3, 4]


def test_a_new_target_without_one_is_a_mistake(tmp_path: Path) -> None:
    with pytest.raises(InvalidObjectError, match="NewTarget without a new target"):
        Durable([0], tmp_path, "key", on_store_lost=OnStoreLost.NEW_TARGET)


def test_a_reader_disturbs_nobody(tmp_path: Path) -> None:
    assert read_state(tmp_path, "key", b"", codec=BYTES) is None
    with Durable(b"one", tmp_path, "key", codec=BYTES, every_steps=1) as durable:
        durable.step()
        found = read_state(tmp_path, "key", b"", codec=BYTES)
        assert found is not None
        assert (found.state, found.step, found.generation) == (b"one", 1, 1)
        durable.state = b"two"
        durable.step()
    assert durable.epoch == 1
