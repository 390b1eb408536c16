"""Jobs are deleted in every phase of their lives, and leave nothing."""

import time
from collections.abc import Iterator

import pytest

from tests.integration.control_plane import ControlPlane
from tests.integration.job_rig import JobHouse, job_house
from tests.integration.job_stores import JobStore
from tests.support import wat

MEMBERS = 3
MODULES = {"/echo": wat.echo(), "/slow": wat.slow_echo(200)}


@pytest.fixture(scope="module")
def house(controlled: ControlPlane, tmp_path_factory: pytest.TempPathFactory) -> Iterator[JobHouse]:
    """One operator and one pool for all tests of this file."""
    with job_house(controlled, tmp_path_factory.mktemp("deleted"), MODULES, MEMBERS) as made:
        yield made


@pytest.mark.unhappy("a job deleted before its upload, running, suspended, complete and failed, with its store kept")
def test_a_job_that_is_deleted_in_any_phase_leaves_nothing(house: JobHouse) -> None:
    house.rig.until_members(ready=MEMBERS)
    kept = {"size": "8Mi"}
    jobs = {
        "unsent": house.job("unsent", tasklet={"module": {"path": "tile.wasm"}}, output=kept),
        "complete": house.job("complete", output=kept),
        "failed": house.job("failed", "nowhere", output=kept),
        "asleep": house.job("asleep", "slow", count=500, parallelism=1, output=kept),
        "running": house.job("running", "slow", count=500, parallelism=1, output=kept),
    }
    house.until_reason("unsent", "NeedsUpload")
    house.until("complete", "Complete")
    house.until("failed", "Failed")
    for name in ("asleep", "running"):
        house.until_done(name, 2)
    house.rig.change("jobs", "asleep", {"suspend": True})
    house.until("asleep", "Suspended")
    stores = {JobStore(house.rig, job).lease for name, job in jobs.items() if name != "unsent"}
    assert {one["metadata"]["name"] for one in house.rig.all("leases")} >= stores, "all that began keep their stores"
    for name in jobs:
        house.rig.delete("jobs", name)
    house.until_only(MEMBERS)


@pytest.mark.unhappy("a job deleted at any instant from its start to its end, its coordinator's first and last too")
def test_a_job_that_is_deleted_at_any_instant_leaves_nothing(house: JobHouse) -> None:
    house.rig.until_members(ready=MEMBERS)
    for number in range(12):
        house.job(f"short-{number}", count=2, parallelism=1, ttlSecondsAfterFinished=0 if number % 4 == 3 else 60)
        # Not waited for anything: the instants are what is tried.
        time.sleep(0.08 * number)
        house.rig.delete("jobs", f"short-{number}")
    house.until_only(MEMBERS)


@pytest.mark.unhappy("jobs deleted while no operator is there")
def test_jobs_that_are_deleted_while_no_operator_is_there_leave_nothing(house: JobHouse) -> None:
    house.rig.until_members(ready=MEMBERS)
    for name in ("first", "second"):
        house.job(name, "slow", count=500, parallelism=1)
        house.until_done(name, 1)
    house.rig.replicas["a"].kill()
    for name in ("first", "second"):
        house.rig.delete("jobs", name)
    house.rig.until_gone("leases")
    house.rig.start("a", provision_template=str(house.rig.directory / "provision.yaml"))
    house.until_only(MEMBERS)
