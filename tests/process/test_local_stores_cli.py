"""Stores of a file: `leasegrid run` makes its pools and leases, and however it ends, what is left is what may be."""

import json
import signal
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.process import cli_jobs
from tests.process.test_cli_stops import nothing_is_left
from tests.support.running import Place, Running, leasegrid, run_leasegrid, wait_until

STORES = """\
apiVersion: leasegrid.dev/v1alpha1
kind: InstancePool
metadata: {name: shuffles}
spec: {resource: Memory, storage: {size: 16Mi}, targetSize: 1, maxSize: 2}
---
apiVersion: leasegrid.dev/v1alpha1
kind: Lease
metadata: {name: memory}
spec: {poolRefs: [{name: shuffles}], onEmpty: Queue, ttlSeconds: 60}
---
apiVersion: leasegrid.dev/v1alpha1
kind: Lease
metadata: {name: volume}
spec: {requirements: {resource: Block, size: 8Mi}, onEmpty: Provision, ttlSeconds: 60, purpose: a test's data}
"""

TOO_LARGE = """\
apiVersion: leasegrid.dev/v1alpha1
kind: Lease
metadata: {name: huge}
spec: {requirements: {resource: Memory, size: 900Ti}, purpose: too much}
"""


def volumes(place: Place) -> list[Path]:
    return list((place.state / "leasegrid" / "stores").glob("*"))


def listed(place: Place) -> dict[str, dict[str, object]]:
    answer = run_leasegrid(place, "leases", "--json")
    return {entry["name"]: entry for entry in json.loads(answer.out)["leases"]}


def collected(place: Place) -> set[str]:
    """Where that was which `leasegrid gc` deletes now."""
    found = json.loads(run_leasegrid(place, "gc", "--json").out)["deleted"]
    return {directory for one in found for directory in one["directories"]}


@contextmanager
def held(place: Place, documents: str = STORES) -> Iterator[Running]:
    """A run that holds the leases of the file."""
    with leasegrid(place, "run", cli_jobs.write(place, documents)) as running:
        running.wait_for_text("held until Ctrl-C")
        yield running


@pytest.mark.smoke
@pytest.mark.unhappy("Ctrl-C and SIGTERM while stores are held: nothing is left, and the receipt counts the volume")
@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)], ids=["Ctrl-C", "SIGTERM"])
def test_stores_of_a_file_are_held_until_a_signal_and_nothing_of_them_is_left(
    number: signal.Signals, code: int, tmp_path: Path
) -> None:
    place = Place(tmp_path)
    with held(place) as running:
        leases = listed(place)
        assert {name: entry["resource"] for name, entry in leases.items()} == {"memory": "Memory", "volume": "Block"}
        assert leases["volume"]["process"] == running.pid
        directories = cli_jobs.runtime_directories(place, running)
        running.send(number)
        ended = running.wait(30)
    assert ended.code == code, str(ended)
    assert "Traceback" not in ended.error, str(ended)
    assert "released 2 members and 1 " in ended.out + ended.error, str(ended)
    assert nothing_is_left(place, directories), str(ended)
    assert (volumes(place), listed(place)) == ([], {})


@pytest.mark.unhappy("SIGKILL while stores are held: memory is gone by TTL + 1 s, and the volume by the next command")
def test_after_sigkill_memory_is_gone_with_its_deadline_and_the_volume_with_the_next_command(tmp_path: Path) -> None:
    place = Place(tmp_path)
    with held(place, STORES.replace("ttlSeconds: 60", "ttlSeconds: 10")) as running:
        directories = cli_jobs.runtime_directories(place, running)
        running.send(signal.SIGKILL)
        running.wait(30)
    (volume,) = volumes(place)
    wait_until(lambda: nothing_is_left(place, directories), 30, "the members to end at their deadline")
    assert volume.exists(), "data of a lease are not a member's to delete"
    wait_until(lambda: str(volume) in collected(place), 30, "the volume's lease to expire and be collected")
    assert (volumes(place), listed(place)) == ([], {})


@pytest.mark.unhappy("a lease of a killed run is released by hand before its expiry")
def test_a_volume_that_a_killed_run_has_left_is_released_by_name(tmp_path: Path) -> None:
    place = Place(tmp_path)
    # Memory dies with its deadline: this one's comes soon after its run was killed, so that the test leaves nothing.
    with held(place, STORES.replace("Queue, ttlSeconds: 60", "Queue, ttlSeconds: 5")) as running:
        directories = cli_jobs.runtime_directories(place, running)
        refused = run_leasegrid(place, "release", "volume")
        running.send(signal.SIGKILL)
        running.wait(30)
    assert (refused.code, "in use by process" in refused.error) == (4, True), str(refused)
    assert listed(place)["volume"]["bytes"]
    released = run_leasegrid(place, "release", "volume", "--json")
    receipt = json.loads(released.out)["lease"]["receipt"]
    assert (released.code, receipt["volumes"]) == (0, 1), str(released)
    assert volumes(place) == []
    wait_until(lambda: nothing_is_left(place, directories), 30, "the members to end at their deadline")


@pytest.mark.unhappy("a lease that is larger than the machine ends the run with what there is")
def test_a_store_larger_than_the_machine_is_refused_with_what_there_is(tmp_path: Path) -> None:
    place = Place(tmp_path)
    ended = run_leasegrid(place, "run", cli_jobs.write(place, TOO_LARGE))
    assert ended.code == 3, str(ended)
    assert "too much asks for a Memory store of 900Ti" in ended.error, str(ended)
