"""Jobs on a real control plane, with real members: applied as YAML, run by a coordinator on a leased member, gone."""

import os
import signal
from collections.abc import Iterator

import pytest

from tests.integration.control_plane import ControlPlane
from tests.integration.job_rig import REAL, JobHouse, module_server
from tests.integration.operator_rig import operator_rig
from tests.support import wat

MODULES = {"/echo": wat.echo(), "/slow": wat.slow_echo(200), "/trap": wat.trap(), "/text": b"no module"}


@pytest.fixture(scope="module")
def shared(controlled: ControlPlane, tmp_path_factory: pytest.TempPathFactory) -> Iterator[JobHouse]:
    """One operator and one pool of three real members for all tests of this file."""
    with operator_rig(controlled, tmp_path_factory.mktemp("jobs"), real=True) as rig, module_server(MODULES) as url:
        rig.start("a")
        rig.pool(3, resources=REAL)
        yield JobHouse(rig, url)


@pytest.fixture
def house(shared: JobHouse) -> Iterator[JobHouse]:
    """The same, with all members ready."""
    shared.rig.until_members(ready=3)
    yield shared
    for plural in ("jobs", "taskgraphs"):
        for one in shared.rig.all(plural):
            shared.rig.delete(plural, one["metadata"]["name"])
    for plural in ("jobs", "taskgraphs", "leases"):
        shared.rig.until_gone(plural)


def test_a_job_is_run_by_a_coordinator_on_a_leased_member_and_leaves_nothing(house: JobHouse) -> None:
    house.job("echo", count=20)
    status = house.until("echo", "Complete")
    assert status["chunks"] == {"total": 20, "succeeded": 20, "failed": 0, "retried": 0, "cached": 0, "skipped": 0}
    assert (status["completedIndexes"], status["failedIndexes"]) == ("0-19", "")
    assert status["coordinatorGeneration"] == 1
    assert status["startTime"] <= status["completionTime"]
    house.rig.wait(
        lambda: house.rig.status("jobs", "echo").get("receipt", {}).get("tasklets"),
        lambda told: told == 20,
        "it has its receipt",
    )
    house.rig.until_members(ready=3)


def test_a_job_has_as_many_workers_as_it_may(house: JobHouse) -> None:
    house.job("wide", "slow", count=60, parallelism=3)
    house.rig.until_members(claimed=3)
    house.rig.wait(lambda: house.rig.status("jobs", "wide").get("workers"), lambda seen: seen == 3, "three work for it")
    house.until("wide", "Complete")
    house.rig.until_members(ready=3)


def test_a_graph_runs_wave_by_wave_through_partitions(house: JobHouse) -> None:
    tasks = [
        {
            "name": "map",
            "tasklet": house.module("echo"),
            "input": {"items": [{"value": f"{number % 3}\tx\n"} for number in range(9)]},
            "shuffle": {"partitions": 2, "size": "8Mi"},
        },
        {"name": "reduce", "tasklet": house.module("echo"), "dependsOn": ["map"], "input": {"from": ["map"]}},
    ]
    house.graph("words", tasks, output={"store": "None"})
    status = house.until("words", "Complete", "taskgraphs")
    assert [(one["name"], one["state"], one["chunks"]["succeeded"]) for one in status["tasks"]] == [
        ("map", "Succeeded", 9),
        ("reduce", "Succeeded", 2),
    ]
    house.rig.until_members(ready=3)


@pytest.mark.unhappy("a failing task of a job on a cluster")
def test_a_job_whose_chunks_fail_has_failed_and_says_which(house: JobHouse) -> None:
    house.job("broken", "trap", count=2)
    status = house.until("broken", "Failed")
    assert house.rig.condition("broken", "Failed", "jobs")["reason"] == "ChunksFailed"
    assert (status["chunks"]["failed"], status["chunks"]["succeeded"]) == (2, 0)
    assert (status["completedIndexes"], status["failedIndexes"]) == ("", "0-1")


@pytest.mark.unhappy("a coordinator killed on a cluster")
def test_another_coordinator_goes_on_where_a_killed_one_was(house: JobHouse) -> None:
    house.job("long", "slow", count=40)
    house.until_done("long", 5)
    os.kill(house.coordinator("long"), signal.SIGKILL)
    status = house.until("long", "Complete")
    assert (status["chunks"]["total"], status["chunks"]["succeeded"]) == (40, 40)
    assert status["completedIndexes"] == "0-39", "those of the first coordinator too"
    assert status["coordinatorGeneration"] == 2
    told = [(one["afterMilliseconds"], one["done"]) for one in status["timeline"]]
    assert told == sorted(told), "one timeline over both coordinators"
    assert told[0][1] < 5, "it begins with the first"
    house.rig.until_members(ready=3)


@pytest.mark.unhappy("an operator killed after the second coordinator of a job began")
def test_the_timeline_begins_with_the_first_coordinator_though_the_operator_began_anew(house: JobHouse) -> None:
    house.job("lasting", "slow", count=60)
    house.until_done("lasting", 5)
    os.kill(house.coordinator("lasting"), signal.SIGKILL)
    began = house.rig.wait(
        lambda: house.rig.status("jobs", "lasting").get("coordinatorAfterMilliseconds", 0), bool, "the second has told"
    )
    _restart(house)
    status = house.until("lasting", "Complete")
    told = [(one["afterMilliseconds"], one["done"]) for one in status["timeline"]]
    assert (status["coordinatorGeneration"], status["coordinatorAfterMilliseconds"]) == (2, began)
    assert told == sorted(told)
    assert (told[0][1] < 5, told[-1][1]) == (True, 60)


@pytest.mark.unhappy("a job suspended in mid-run and resumed")
def test_a_suspended_job_holds_no_workers_and_goes_on_when_resumed(house: JobHouse) -> None:
    house.job("pausing", "slow", count=30)
    house.until_done("pausing", 3)
    house.rig.change("jobs", "pausing", {"suspend": True})
    house.until("pausing", "Suspended")
    house.rig.until_members(ready=3)
    before = house.rig.status("jobs", "pausing")["chunks"]["succeeded"]
    assert 3 <= before < 30
    house.rig.change("jobs", "pausing", {"suspend": False})
    status = house.until("pausing", "Complete")
    assert status["chunks"]["succeeded"] == 30
    assert status["coordinatorGeneration"] == 2
    assert house.rig.condition("pausing", "Suspended", "jobs")["status"] == "False"


@pytest.mark.unhappy("a job deleted while it runs")
def test_a_deleted_job_takes_its_leases_with_it(house: JobHouse) -> None:
    house.job("gone", "slow", count=500)
    house.until_done("gone", 2)
    house.rig.delete("jobs", "gone")
    house.rig.until_members(ready=3)
    house.rig.until_gone("leases")


@pytest.mark.unhappy("a job that runs longer than it may")
def test_a_job_over_its_deadline_has_failed(house: JobHouse) -> None:
    house.job("late", "slow", count=500, activeDeadlineSeconds=2)
    house.until("late", "Failed")
    assert house.rig.condition("late", "Failed", "jobs")["reason"] == "DeadlineExceeded"
    house.rig.until_members(ready=3)


@pytest.mark.unhappy("local paths in a job that was applied as it is")
def test_local_paths_need_an_upload_and_the_job_says_so(house: JobHouse) -> None:
    house.job("local", tasklet={"module": {"path": "tile.wasm"}})
    said = house.until_reason("local", "NeedsUpload")
    assert said["status"] == "False"
    assert "tile.wasm" in said["message"]
    assert "leasegrid submit" in said["message"]
    assert house.rig.all("leases") == []
    house.rig.until_members(ready=3)


@pytest.mark.unhappy("a module that is missing, or none")
@pytest.mark.parametrize("module", ["nowhere", "text"])
def test_a_module_that_cannot_be_used_fails_the_job_in_words(house: JobHouse, module: str) -> None:
    house.job("bad", module)
    house.until("bad", "Failed")
    assert house.rig.condition("bad", "Failed", "jobs")["message"]


@pytest.mark.unhappy("an operator killed while a job runs")
def test_work_goes_on_while_no_operator_is_there(house: JobHouse) -> None:
    house.job("orphan", "slow", count=40)
    house.until_done("orphan", 3)
    house.rig.replicas["a"].process.kill()
    house.rig.replicas["a"].process.wait()
    house.rig.start("a")
    status = house.until("orphan", "Complete")
    assert (status["chunks"]["succeeded"], status["coordinatorGeneration"]) == (40, 1)
    house.rig.until_members(ready=3)


@pytest.mark.unhappy("a worker killed after the operator was")
def test_a_lost_worker_is_replaced_though_the_operator_began_anew_since(house: JobHouse) -> None:
    house.job("regrown", "slow", count=2000, parallelism=3)
    house.rig.wait(lambda: _leased(house, "regrown"), lambda seen: 3 in seen, "three work for it")
    _restart(house)
    house.kill_worker("regrown")
    house.rig.wait(lambda: _leased(house, "regrown"), _has_recovered, "two work for it, and then three again")
    assert house.rig.status("jobs", "regrown")["coordinatorGeneration"] == 1


def _restart(house: JobHouse) -> None:
    house.rig.replicas["a"].kill()
    house.rig.start("a")
    house.rig.until_leads("a")


def _leased(house: JobHouse, name: str) -> list[int]:
    """How many members it had, change by change."""
    return [point["leased"] for point in house.rig.status("jobs", name).get("timeline", ())]


def _has_recovered(leased: list[int]) -> bool:
    """True when three became fewer, and three again."""
    fewer = next((at for at, count in enumerate(leased) if count < 3 and 3 in leased[:at]), len(leased))
    return 3 in leased[fewer:]
