"""Jobs go on while the operator or the API server is away, and while their kinds are changed under them."""

import copy
import time
from pathlib import Path
from typing import Any

import pytest
import yaml

from leasegrid.rules.planning import MAIN_STAGE
from tests.integration.conftest import CRDS, DEFINITIONS
from tests.integration.control_plane import ControlPlane
from tests.integration.job_rig import JobHouse, job_house
from tests.integration.job_stores import JobStore
from tests.integration.operator_rig import Object
from tests.support import wat
from tests.support.cluster.plane import accepted

MEMBERS = 3
MODULES = {"/slow": wat.slow_echo(200), "/slower": wat.slow_echo(500)}
KEPT = {"size": "8Mi"}
AWAY_SECONDS = 30.0


def committed(house: JobHouse, job: Object) -> int:
    """Chunks by the job's store itself, which needs no API server once it was found."""
    return len(JobStore(house.rig, job).commits(MAIN_STAGE))


@pytest.mark.timeout(240)
@pytest.mark.unhappy("the operator dies between the last result of a job and its Complete")
def test_a_job_that_ended_while_no_operator_was_there_is_complete_when_one_is(
    controlled: ControlPlane, tmp_path: Path
) -> None:
    with job_house(controlled, tmp_path, MODULES, MEMBERS) as house:
        house.rig.until_members(ready=MEMBERS)
        job = house.job("orphan", "slow", count=20, output=KEPT)
        house.until_done("orphan", 4)
        house.rig.replicas["a"].kill()
        house.rig.wait(lambda: committed(house, job), lambda done: done == 20, "all chunks are done")
        assert house.rig.condition("orphan", "Complete", "jobs") == {}

        house.rig.start("a", provision_template=str(tmp_path / "provision.yaml"))
        status = house.until("orphan", "Complete")

        assert (status["chunks"]["succeeded"], status["coordinatorGeneration"]) == (20, 1)
        assert len(JobStore(house.rig, job).outputs(MAIN_STAGE)) == 20
        house.rig.until_members(ready=MEMBERS)
        house.clear(MEMBERS)


@pytest.mark.timeout(300)
@pytest.mark.unhappy(
    "CRDs upgraded under running jobs; the API server away for 30 s in mid-run, and jobs that end then"
)
def test_jobs_go_on_while_their_kinds_are_changed_and_the_api_server_is_away(
    mortal: ControlPlane, tmp_path: Path
) -> None:
    with job_house(mortal, tmp_path, MODULES, MEMBERS) as house:
        house.rig.until_members(ready=MEMBERS)
        live_through_an_upgrade(house)
        live_through_an_outage(house)


def live_through_an_upgrade(house: JobHouse) -> None:
    """Another description and an optional field more, for every kind, as a later version brings them."""
    house.job("upgraded", "slow", count=30, parallelism=2)
    house.until_done("upgraded", 4)
    for path in sorted(CRDS.glob("*.yaml")):
        definition = grown(yaml.safe_load(path.read_text(encoding="utf-8")))
        there = f"{DEFINITIONS}/{definition['metadata']['name']}"
        accepted(house.rig.plane.api.ask("PATCH", there, definition, "application/merge-patch+json"))
    status = house.until("upgraded", "Complete")
    assert (status["chunks"]["succeeded"], status["coordinatorGeneration"]) == (30, 1)
    house.rig.until_members(ready=MEMBERS)


def grown(definition: dict[str, Any]) -> dict[str, Any]:
    changed = copy.deepcopy(definition)
    schema = changed["spec"]["versions"][0]["schema"]["openAPIV3Schema"]
    schema["description"] = "Of a later version."
    schema["properties"]["spec"]["properties"]["ofALaterVersion"] = {"type": "string", "description": "New."}
    return changed


def live_through_an_outage(house: JobHouse) -> None:
    """One job ends while the server is away, the other one works the whole time."""
    short = house.job("short", "slow", count=20, parallelism=1, output=KEPT)
    long = house.job("long", "slower", count=90, parallelism=1, output=KEPT)
    for name in ("short", "long"):
        house.until_done(name, 2)
    doors = {name: JobStore(house.rig, job).door() for name, job in (("short", short), ("long", long))}
    before = len(doors["long"].commits(MAIN_STAGE))

    house.rig.plane.stop_server(kill=True)
    time.sleep(AWAY_SECONDS)
    done = {name: len(door.commits(MAIN_STAGE)) for name, door in doors.items()}
    house.rig.plane.start_server()

    assert done["short"] == 20, "it was done without an API server"
    assert done["long"] > before + 20, "and the other one went on"
    ends = {name: house.until(name, "Complete") for name in ("short", "long")}
    assert {name: end["chunks"]["succeeded"] for name, end in ends.items()} == {"short": 20, "long": 90}
    assert {end["coordinatorGeneration"] for end in ends.values()} == {1}
    # The objects themselves are the controllers' to collect, which need a minute to get over it.
    for job in (short, long):
        metadata = job["metadata"]
        house.rig.until_said(f"{metadata['name']}-{metadata['uid'][:8]}-c1", "Released", "Finished")
    assert JobStore(house.rig, long).outputs(MAIN_STAGE) == {index: f"{index}".encode() for index in range(90)}
