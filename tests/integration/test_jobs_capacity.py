"""Jobs and too few members: they run on what there is, wait in a queue and say where, and all of them end."""

from collections.abc import Iterator

import pytest

from tests.integration.control_plane import ControlPlane
from tests.integration.job_rig import REAL, JobHouse, module_server
from tests.integration.job_stores import leftovers
from tests.integration.operator_rig import operator_rig
from tests.support import wat

MEMBERS = 3
MODULES = {"/echo": wat.echo(), "/slow": wat.slow_echo(100)}


@pytest.fixture(scope="module")
def shared(controlled: ControlPlane, tmp_path_factory: pytest.TempPathFactory) -> Iterator[JobHouse]:
    """One operator and one pool for all tests of this file."""
    with operator_rig(controlled, tmp_path_factory.mktemp("capacity"), real=True) as rig, module_server(MODULES) as url:
        rig.start("a")
        rig.pool(MEMBERS, resources=REAL)
        yield JobHouse(rig, url)


@pytest.fixture
def house(shared: JobHouse) -> Iterator[JobHouse]:
    """The same, with all members ready; at the end nothing is left but them."""
    shared.rig.until_members(ready=MEMBERS)
    yield shared
    for plural in ("jobs", "leases"):
        for one in shared.rig.all(plural):
            shared.rig.delete(plural, one["metadata"]["name"])
    shared.rig.wait(lambda: leftovers(shared.rig, MEMBERS), lambda left: not left, "nothing is left")


def place(house: JobHouse, name: str) -> str:
    """What a job says while it waits for its coordinator."""
    said = house.rig.condition(name, "Progressing", "jobs")
    return said["message"] if said.get("reason") == "WaitingForCapacity" else ""


def until_waiting(house: JobHouse, name: str) -> None:
    house.rig.wait(lambda: place(house, name), lambda said: said, f"{name} waits")


@pytest.mark.unhappy("a pool that is too small: fewer workers, and the job says so")
def test_a_job_runs_on_fewer_workers_than_it_may_have_and_says_so(house: JobHouse) -> None:
    house.job("wide", "slow", count=150, parallelism=8)
    house.rig.wait(
        lambda: house.rig.condition("wide", "Progressing", "jobs"),
        lambda said: said.get("reason") == "Running" and f"on {MEMBERS} of 8 workers" in said["message"],
        "it says that it has fewer workers than it may",
    )
    status = house.until("wide", "Complete")
    assert max(point["leased"] for point in status["timeline"]) == MEMBERS
    assert status["chunks"]["succeeded"] == 150


@pytest.mark.unhappy(
    "an empty pool: jobs wait for capacity, each with its place; suspended, over time or deleted there"
)
def test_jobs_wait_for_an_empty_pool_and_say_where_in_the_queue(house: JobHouse) -> None:
    house.rig.lease("holder", count=MEMBERS, ttlSeconds=600)
    house.rig.until_bound("holder")
    for number, name in enumerate(("one", "two", "three", "four"), 1):
        house.job(name)
        until_waiting(house, name)
        assert f"place {number} in the queue" in place(house, name)
    house.job("late", activeDeadlineSeconds=1)

    house.rig.change("jobs", "two", {"suspend": True})
    house.rig.delete("jobs", "three")
    house.until("two", "Suspended")
    house.until("late", "Failed")
    assert house.rig.condition("late", "Failed", "jobs")["reason"] == "DeadlineExceeded"
    house.rig.wait(lambda: place(house, "four"), lambda said: "place 2 in" in said, "the others have left the queue")

    house.rig.delete("leases", "holder")
    for name in ("one", "four"):
        assert house.until(name, "Complete")["coordinatorGeneration"] == 1
    assert house.rig.condition("two", "Complete", "jobs") == {}
    house.rig.change("jobs", "two", {"suspend": False})
    assert house.until("two", "Complete")["chunks"]["succeeded"] == 3


@pytest.mark.unhappy("two jobs that want the whole pool: both end, none is starved")
def test_jobs_that_each_want_the_whole_pool_all_end(house: JobHouse) -> None:
    for name in ("left", "right"):
        house.job(name, "slow", count=40, parallelism=MEMBERS, minParallelism=MEMBERS)
    for name in ("left", "right"):
        status = house.until(name, "Complete")
        assert (status["chunks"]["succeeded"], status["coordinatorGeneration"]) == (40, 1)


@pytest.mark.unhappy("jobs that wait for the same members: the more urgent one first, then the older one")
def test_a_free_member_goes_to_the_more_urgent_job_then_to_the_older_one(house: JobHouse) -> None:
    house.rig.lease("holder", count=MEMBERS, ttlSeconds=600)
    house.rig.until_bound("holder")
    for name, priority in (("old", 0), ("young", 0), ("urgent", 10)):
        house.job(name, "slow", count=5, parallelism=1, priority=priority)
        until_waiting(house, name)
    house.rig.wait(lambda: place(house, "young"), lambda said: "place 3 in" in said, "the urgent one stands before it")
    house.rig.lease("shrinker", count=MEMBERS - 1, priority=100, ttlSeconds=600)
    house.rig.delete("leases", "holder")
    house.rig.until_bound("shrinker")
    ends = [house.until(name, "Complete")["completionTime"] for name in ("urgent", "old", "young")]
    assert ends == sorted(ends)


@pytest.mark.unhappy("fewer members than a job needs to start: it waits for them together, and holds none meanwhile")
def test_a_job_does_not_start_with_fewer_members_than_it_must_have(house: JobHouse) -> None:
    house.rig.lease("holder", count=1, ttlSeconds=600)
    house.rig.until_bound("holder")
    house.job("gang", "slow", count=9, parallelism=MEMBERS, minParallelism=MEMBERS)
    words = f"{MEMBERS - 1} of {MEMBERS} members are ready"
    house.rig.wait(lambda: place(house, "gang"), lambda said: words in said, "it says how many it waits for")
    house.rig.delete("leases", "holder")
    status = house.until("gang", "Complete")
    assert next(point["leased"] for point in status["timeline"] if point["leased"]) == MEMBERS
