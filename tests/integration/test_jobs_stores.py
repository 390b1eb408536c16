"""The store of a job that fills up, or whose member is killed while it is written into."""

import time
from collections.abc import Iterator
from functools import partial

import pytest

from leasegrid.rules.planning import MAIN_STAGE
from tests.integration.control_plane import ControlPlane
from tests.integration.job_rig import JobHouse, job_house
from tests.integration.job_stores import JobStore
from tests.integration.operator_rig import Object
from tests.integration.store_holding import kubelet_of
from tests.support import wat
from tests.support.cluster.kubelet import Kubelet

MEMBERS = 2
MODULES = {"/echo": wat.echo(), "/slow": wat.slow_echo(60)}
LARGE_BYTES = 80_000
"""More than travels in a frame: members put these into the store themselves."""


@pytest.fixture(scope="module")
def shared(controlled: ControlPlane, tmp_path_factory: pytest.TempPathFactory) -> Iterator[JobHouse]:
    """One operator and one pool for all tests of this file."""
    with job_house(controlled, tmp_path_factory.mktemp("job-stores"), MODULES, MEMBERS) as made:
        yield made


@pytest.fixture
def house(shared: JobHouse) -> Iterator[JobHouse]:
    """The same, with all members ready; at the end nothing is left but them."""
    shared.rig.until_members(ready=MEMBERS)
    yield shared
    shared.clear(MEMBERS)


def large(count: int) -> list[str]:
    return [f"{number} " + "x" * LARGE_BYTES for number in range(count)]


def made(house: JobHouse, name: str, values: list[str], size: str) -> Object:
    items = {"items": [{"value": value} for value in values]}
    return house.job(name, "slow", input=items, output={"size": size})


def kill_store(house: JobHouse, job: Object) -> str:
    """Returns who was killed."""
    member = JobStore(house.rig, job).member
    kubelet_of(house.rig).do(partial(Kubelet.kill, pod=member))
    return member


@pytest.mark.unhappy("the Block member of a job's store killed while results are written into it, again and again")
def test_a_store_that_is_killed_in_mid_write_loses_and_doubles_nothing(house: JobHouse) -> None:
    values = [value if number % 4 == 0 else f"{number}" for number, value in enumerate(large(42))]
    job = made(house, "robust", values, "16Mi")
    for done in (3, 9, 15):
        house.until_done("robust", done)
        time.sleep(0.05)
        killed = kill_store(house, job)
        house.rig.wait(lambda: {JobStore(house.rig, job).member}, {"", killed}.isdisjoint, "another serves the volume")
    status = house.until("robust", "Complete")
    store = JobStore(house.rig, job)
    assert (status["chunks"]["succeeded"], status["chunks"]["failed"]) == (42, 0)
    assert store.outputs(MAIN_STAGE) == {index: value.encode() for index, value in enumerate(values)}
    assert len(store.keys()) == 42, "of each chunk one attempt is there"


@pytest.mark.unhappy("a job whose store is full: it fails and says how large the store is and what to do")
def test_a_job_whose_store_is_full_has_failed_and_says_what_to_do(house: JobHouse) -> None:
    made(house, "full", large(15), "1Mi")
    house.until("full", "Failed")
    said = house.rig.condition("full", "Failed", "jobs")
    assert "size" in said["message"], said


@pytest.mark.unhappy("a job whose outputs are kept by nobody, and whose Memory store is killed: it fails in words")
def test_a_job_whose_memory_store_is_lost_has_failed_and_says_what_to_do(house: JobHouse) -> None:
    job = house.job("brief", "slow", count=200)
    house.until_done("brief", 3)
    kill_store(house, job)
    house.until("brief", "Failed")
    said = house.rig.condition("brief", "Failed", "jobs")
    assert (said["reason"], "output.store" in said["message"]) == ("StoreUnavailable", True), said
