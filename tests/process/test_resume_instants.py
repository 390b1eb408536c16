"""`leasegrid run` is killed at every instant that matters, and run again: nothing is lost, nothing is done twice."""

from pathlib import Path

import pytest

from tests.process import graph_files
from tests.process.resumed import CHUNKS, WANTED, committed, files_of, kill_at, nothing_is_kept, run_again, write_job
from tests.support.doomed_command import Instant
from tests.support.running import Place, run_leasegrid

DISK = "tasklet_runner.store.disk:DiskStore"
STATE = "leasegrid.local.state:StateDirectory"
VOLUMES = "leasegrid.local.volumes"
BOOKS = "leasegrid.local.books:LeaseBooks"
RESULTS = "tasklet_runner.store.exporting:ResultsDirectory"
PARTITIONS = 3

BEGINNING = {
    "the term is raised, and nothing else is written": Instant(f"{VOLUMES}:write_durably", "after"),
    "the store is made, and says nothing of its job": Instant(f"{DISK}.put_value", argument="origin"),
    "the store says from what it was begun": Instant(f"{DISK}.put_value", "after", argument="origin"),
    "the lease stands on the volume, and not in the books": Instant(f"{BOOKS}.write"),
    "the lease stands in the books": Instant(f"{BOOKS}.write", "after"),
}

WORK = {
    "outputs came, and are not written": Instant(f"{DISK}.write"),
    "outputs are committed, and nobody was told": Instant(f"{DISK}.write", "after"),
    "more outputs came, and are not written": Instant(f"{DISK}.write", number=2),
    "a member has put an output, and it is not committed": Instant(f"{DISK}.receive", "after"),
    "the aggregate has read its inputs": Instant("tasklet_runner.coordinator.upstream:open_upstream", "after"),
}

ENDING = {
    "all is done, and `finished` is not written": Instant(f"{DISK}.put_value", argument="finished"),
    "`finished` is written, and nothing is released": Instant(f"{DISK}.put_value", "after", argument="finished"),
    "the leases are released": Instant("tasklet_runner.coordinator.execution:Execution.close", "after"),
    "the results directory is made": Instant(f"{RESULTS}.__init__", "after"),
    "results are half written": Instant("tasklet_runner.store.exporting:_write_all", "after", number=3),
    "the chunks' results are written, and those of the aggregate are not": Instant(f"{RESULTS}.__init__", number=2),
    "the results are written, and not synced": Instant(f"{RESULTS}.sync", number=2),
    "the results are there, and so is the store": Instant(f"{STATE}.delete"),
}

DELIVERED = {
    "the lease of the store is over, and its bytes are there": Instant(f"{VOLUMES}:Volume.delete"),
    "half of the store is deleted": Instant(f"{VOLUMES}:Volume._set_aside", "after"),
    "the store is deleted, and its lease stands in the books": Instant(f"{VOLUMES}:Volume.delete", "after"),
}

KEEPING = {
    "the outputs are kept, and it is not written until when": Instant(f"{STATE}.enter", number=2),
    "it is written until when, and not that they were handed over": Instant(f"{DISK}.put_value", argument="delivered"),
    "it is written that they were handed over": Instant(f"{DISK}.put_value", "after", argument="delivered"),
}


@pytest.mark.unhappy("SIGKILL at every instant of a run: no chunk lost, none twice, done ones not run again")
@pytest.mark.parametrize(
    "instant", [*BEGINNING.values(), *WORK.values(), *ENDING.values()], ids=[*BEGINNING, *WORK, *ENDING]
)
def test_a_run_that_is_killed_at_this_instant_is_gone_on_with(instant: Instant, tmp_path: Path) -> None:
    place, out = Place(tmp_path), tmp_path / "out"
    arguments = ("run", write_job(place), "--workers", "1", "--results", str(out))

    kill_at(place, instant, *arguments)
    done = committed(place)
    job = run_again(place, *arguments)

    assert files_of(out) == WANTED
    assert job["resumedChunks"] == done
    assert job["receipt"]["tasklets"] == CHUNKS + 1 - done
    assert nothing_is_kept(place)


@pytest.mark.unhappy("SIGKILL while a store whose outputs were delivered is deleted: the next command ends that")
@pytest.mark.parametrize("instant", DELIVERED.values(), ids=DELIVERED.keys())
def test_a_store_that_was_being_deleted_is_gone_with_the_next_command(instant: Instant, tmp_path: Path) -> None:
    place, out = Place(tmp_path), tmp_path / "out"

    kill_at(place, instant, "run", write_job(place), "--workers", "1", "--results", str(out))

    assert files_of(out) == WANTED
    assert nothing_is_kept(place)


@pytest.mark.unhappy("SIGKILL while the outputs of a finished job are kept: they are handed over, once more if need be")
@pytest.mark.parametrize("instant", KEEPING.values(), ids=KEEPING.keys())
def test_outputs_that_were_being_kept_can_be_taken(instant: Instant, tmp_path: Path) -> None:
    place, out = Place(tmp_path), tmp_path / "out"

    kill_at(place, instant, "run", write_job(place), "--workers", "1")
    taken = run_leasegrid(place, "results", "cut", str(out))

    assert taken.code == 0, str(taken)
    assert files_of(out) == WANTED


@pytest.mark.unhappy("SIGKILL as a finished job begins anew: the old store is gone as a whole, or there as a whole")
@pytest.mark.parametrize("when", ["before", "after"])
def test_a_job_that_was_beginning_anew_begins_anew(when: str, tmp_path: Path) -> None:
    place, out = Place(tmp_path), tmp_path / "out"
    arguments = ("run", write_job(place), "--workers", "1", "--results", str(out))
    run_again(place, *arguments[:-2])

    kill_at(place, Instant(f"{VOLUMES}:Volume._set_aside", when), *arguments)
    job = run_again(place, *arguments)

    assert (job["resumedChunks"], job["receipt"]["tasklets"]) == (0, CHUNKS + 1)
    assert files_of(out) == WANTED


SHUFFLE = {
    "a mapper's outcome is not written": Instant(f"{DISK}.write"),
    "half of the mappers are committed": Instant(f"{DISK}.write", "after"),
    "the partitions are whole, and it is not written": Instant(f"{DISK}.put_value", argument="partitions of map"),
    "it is written that the partitions are whole": Instant(f"{DISK}.put_value", "after", argument="partitions of map"),
    "a reducer is committed": Instant(f"{DISK}.write", "after", number=3),
    "`finished` is written": Instant(f"{DISK}.put_value", "after", argument="finished"),
}


SHUFFLES = {f"{what}, in Memory": ("Memory", instant) for what, instant in SHUFFLE.items()} | {
    "a reducer is committed, in Block": ("Block", SHUFFLE["a reducer is committed"])
}


@pytest.mark.unhappy("SIGKILL in the middle of a shuffle: its partitions are made again for the readers that need them")
@pytest.mark.parametrize(("medium", "instant"), SHUFFLES.values(), ids=SHUFFLES.keys())
def test_a_shuffle_that_is_killed_at_this_instant_is_gone_on_with(
    medium: str, instant: Instant, tmp_path: Path
) -> None:
    place, out = Place(tmp_path), tmp_path / "out"
    graph = graph_files.graph(
        graph_files.task("map", shuffle={"partitions": PARTITIONS, "size": "4Mi", "medium": medium})
        | {"input": graph_files.items("a\t1\n", "b\t2\n", "c\t3\n", "a\t4\n")},
        graph_files.task("reduce", reads=("map",)),
        graph_files.task("all", reads=("reduce",)) | {"input": {"from": ["reduce"], "gather": True}},
        lease={"ttlSeconds": 5},
    )
    arguments = ("run", graph_files.write(place, graph), "--workers", "1", "--results", str(out))

    kill_at(place, instant, *arguments)
    done = committed(place, "graph")
    job = run_again(place, *arguments)

    assert sorted((out / "0" / "stdout").read_text().splitlines()) == ["a\t1", "a\t4", "b\t2", "c\t3"]
    maps = 0 if done >= PARTITIONS else 4
    assert job["receipt"]["tasklets"] == maps + PARTITIONS + 1 - done
    assert committed(place, "graph") == 0
