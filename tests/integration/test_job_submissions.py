"""`leasegrid submit` and what follows it, with real members: files go from this machine to a job's store, and back."""

import json
import os
import signal
from collections.abc import Iterator
from pathlib import Path

import pytest

from leasegrid.cli.exits import ExitCode
from leasegrid.rules.uploads import UPLOADED
from tests.integration.cli_cluster import PATIENCE_SECONDS
from tests.integration.control_plane import ControlPlane
from tests.integration.job_desk import JobDesk, job_desk
from tests.support import wat
from tests.support.running import wait_until


@pytest.fixture(scope="module")
def shared(controlled: ControlPlane, tmp_path_factory: pytest.TempPathFactory) -> Iterator[JobDesk]:
    """One operator, one pool and one user for all tests of this file."""
    with job_desk(controlled, tmp_path_factory.mktemp("submissions")) as made:
        yield made


@pytest.fixture
def user(shared: JobDesk) -> Iterator[JobDesk]:
    """The same, with all members ready."""
    shared.house.rig.until_members(ready=3)
    shared.write("echo.wasm", wat.echo())
    yield shared
    for plural in ("jobs", "taskgraphs"):
        for one in shared.house.rig.all(plural):
            shared.house.rig.delete(plural, one["metadata"]["name"])
    for plural in ("jobs", "taskgraphs", "leases"):
        shared.house.rig.until_gone(plural)


def test_files_of_this_machine_are_run_on_a_cluster_and_their_outputs_come_back(user: JobDesk, tmp_path: Path) -> None:
    for number in range(5):
        user.write(f"data/{number}.txt", f"line {number % 2}\n")
    user.write("lib/large.bin", b"x" * 3_000_000)
    tasklet = {
        "module": {"path": "echo.wasm"},
        "mounts": [{"mountPath": "/lib", "source": {"path": "lib"}}],
    }
    output = {"size": "32Mi", "layout": "ByPath"}
    spec = user.job("texts", tasklet=tasklet, input={"files": {"globs": ["data/*.txt"]}}, output=output)
    picture = tmp_path / "leases.svg"

    ended = user.desk.run("submit", spec, "--results", str(tmp_path / "out"), "--timeline", str(picture))

    assert ended.code == 0, ended
    assert "uploaded 4 files" in ended.error, "equal files are one"
    assert "texts: complete in" in ended.out
    assert (tmp_path / "out" / "3.txt.stdout").read_text() == "line 1\n"
    assert picture.read_text().startswith("<svg")
    user.house.rig.wait(user.stores, lambda seen: not seen, "the store is released once its outputs are fetched")


def test_outputs_that_are_not_kept_stand_in_the_object_and_on_stdout(user: JobDesk, tmp_path: Path) -> None:
    tasks = [
        {"name": "map", "tasklet": {"module": {"path": "echo.wasm"}}, "input": {"lines": {"path": "in.txt"}}},
        {
            "name": "gather",
            "tasklet": {"module": {"path": "echo.wasm"}},
            "dependsOn": ["map"],
            "input": {"from": ["map"], "gather": True},
        },
    ]
    user.write("in.txt", "one\ntwo\n")
    spec = user.yaml("words", "TaskGraph", {"tasks": tasks, "parallelism": 2, "output": {"store": "None"}})

    ended = user.desk.run("submit", spec, "--watch")
    fetched = user.desk.run("results", "words", str(tmp_path), "-n", user.desk.namespace)

    assert (ended.code, ended.out) == (0, "one\ntwo\n"), ended
    assert fetched.code == 0, fetched
    assert (tmp_path / "0" / "stdout").read_text() == "one\ntwo\n"
    user.house.rig.wait(user.stores, lambda seen: not seen, "nothing is kept")


@pytest.mark.unhappy("a failing task of a job that was submitted")
def test_what_failed_chunks_said_is_shown_and_the_job_may_be_submitted_again(user: JobDesk) -> None:
    user.write("bad.wasm", wat.exit_code(3, "it is broken\n"))
    spec = user.job("broken", tasklet={"module": {"path": "bad.wasm"}}, input={"count": 2})

    ended = user.desk.run("submit", spec, "--watch")
    told = user.desk.run("logs", "broken")
    asked = json.loads(user.desk.run("logs", "broken", "--json").out)

    assert ended.code == ExitCode.CHUNKS_FAILED, ended
    assert "it is broken" in ended.out
    assert (told.code, told.out.count("    stderr:\n      it is broken\n")) == (0, 2), told
    assert [(one["index"], one["exitCode"]) for one in asked["failures"]] == [(0, 3), (1, 3)]

    first = user.desk.get("jobs", "broken")["metadata"]["uid"]
    user.write("bad.wasm", wat.echo())
    again = user.desk.run("submit", spec, "--watch", "--json")
    assert again.code == 0, again
    assert json.loads(again.out)["jobs"][0]["chunks"]["succeeded"] == 2
    assert user.desk.get("jobs", "broken")["metadata"]["uid"] != first


@pytest.mark.unhappy("a job of that name runs already; cancelled while it runs")
def test_a_job_that_runs_keeps_its_name_until_it_is_cancelled(user: JobDesk, tmp_path: Path) -> None:
    user.write("slow.wasm", wat.slow_echo(200))
    spec = user.job("long", tasklet={"module": {"path": "slow.wasm"}}, input={"count": 500})
    assert user.desk.run("submit", spec).code == 0
    user.house.until_done("long", 2)

    second = user.desk.run("submit", spec)
    early = user.desk.run("results", "long", str(tmp_path), "-n", user.desk.namespace)
    drawn = user.desk.run("timeline", "long", "-o", str(tmp_path / "long.svg"), "-n", user.desk.namespace)
    with user.desk.start("watch", "long") as watching:
        watching.wait_for_text("chunks")
        watching.send(signal.SIGINT)
        watched = watching.wait()
    cancelled = user.desk.run("cancel", "long")

    assert second.code == ExitCode.USAGE
    assert "runs already" in second.error
    assert (early.code, "has not ended" in early.error) == (ExitCode.USAGE, True)
    assert (drawn.code, (tmp_path / "long.svg").exists()) == (0, True), drawn
    assert (watched.code, "goes on" in watched.error) == (ExitCode.INTERRUPTED, True), watched
    assert (cancelled.code, "cancelled after" in cancelled.out) == (0, True), cancelled
    user.house.rig.until_gone("leases")
    assert user.desk.run("watch", "long").code == ExitCode.USAGE


@pytest.mark.unhappy("Ctrl-C in the middle of a submission")
def test_a_submission_that_is_stopped_leaves_nothing(user: JobDesk) -> None:
    spec = user.job("stopped", input={"count": 1})
    operator = user.house.rig.replicas["a"].process
    operator.send_signal(signal.SIGSTOP)
    try:
        with user.desk.start("submit", spec) as submitting:
            wait_until(lambda: user.desk.get("jobs", "stopped"), PATIENCE_SECONDS, "its object")
            submitting.send(signal.SIGINT)
            ended = submitting.wait()
    finally:
        operator.send_signal(signal.SIGCONT)
    assert (ended.code, "nothing of it is left" in ended.error) == (ExitCode.INTERRUPTED, True), ended
    assert user.desk.get("jobs", "stopped") == {}


@pytest.mark.unhappy("a submission that was killed before its files were there")
def test_a_submission_that_was_killed_is_made_anew(user: JobDesk) -> None:
    spec = user.job("killed", input={"count": 1})
    made = user.desk.make("Job", "jobs", "killed", {"tasklet": {"module": {"path": "x"}}, "input": {"count": 1}})
    ended = user.desk.run("submit", spec, "--watch")
    assert ended.code == 0, ended
    assert user.desk.get("jobs", "killed")["metadata"]["uid"] != made["metadata"]["uid"]


@pytest.mark.unhappy("a file that is missing; a store that is too small; outputs that are gone")
def test_what_cannot_be_submitted_makes_no_object(user: JobDesk, tmp_path: Path) -> None:
    missing = user.desk.run("submit", user.job("gone", input={"lines": {"path": "nowhere.txt"}}))
    user.write("big.bin", b"x" * 2_000_000)
    tasklet = {"module": {"path": "echo.wasm"}, "mounts": [{"mountPath": "/lib", "source": {"path": "big.bin"}}]}
    small = user.desk.run("submit", user.job("small", tasklet=tasklet, input={"count": 1}, output={"size": "1Mi"}))
    unknown = user.desk.run("logs", "gone")

    assert (missing.code, "nowhere.txt cannot be found" in missing.error) == (ExitCode.ENVIRONMENT, True), missing
    assert (small.code, "raise spec.output.size" in small.error) == (ExitCode.ENVIRONMENT, True), small
    assert (unknown.code, "neither a job nor a task graph" in unknown.error) == (ExitCode.USAGE, True), unknown
    assert user.house.rig.all("jobs") == []


@pytest.mark.unhappy("outputs that are fetched twice")
def test_fetched_outputs_are_gone_in_words(user: JobDesk, tmp_path: Path) -> None:
    assert user.desk.run("submit", user.job("twice", input={"count": 2}), "--results", str(tmp_path)).code == 0
    user.house.rig.wait(user.stores, lambda seen: not seen, "its store is released")
    again = user.desk.run("results", "twice", str(tmp_path), "-n", user.desk.namespace)
    assert (again.code, "is not there any more" in again.error) == (ExitCode.ENVIRONMENT, True), again


@pytest.mark.unhappy("a coordinator killed while it reads what was uploaded")
def test_another_coordinator_reads_the_uploaded_files_again(user: JobDesk, tmp_path: Path) -> None:
    user.write("slow.wasm", wat.slow_echo(200))
    user.write("in.txt", "".join(f"{number}\n" for number in range(30)))
    lines = {"lines": {"path": "in.txt", "perChunk": 1}}
    spec = user.job("robust", tasklet={"module": {"path": "slow.wasm"}}, input=lines)
    assert user.desk.run("submit", spec).code == 0
    user.house.until_done("robust", 4)
    os.kill(user.house.coordinator("robust"), signal.SIGKILL)
    ended = user.desk.run("watch", "robust", "--results", str(tmp_path))
    assert ended.code == 0, ended
    assert user.house.rig.status("jobs", "robust")["coordinatorGeneration"] == 2
    assert [(tmp_path / f"{number}" / "stdout").read_text() for number in range(30)] == [f"{n}\n" for n in range(30)]


@pytest.mark.unhappy("the operator dies between the end of a job and the fetching of its outputs")
def test_outputs_are_fetched_through_an_operator_that_has_not_seen_the_job_run(user: JobDesk, tmp_path: Path) -> None:
    ended = user.desk.run("submit", user.job("kept", input={"count": 2}), "--watch")
    assert (ended.code, "leasegrid results kept DIR" in ended.error) == (0, True), ended
    user.replace_operator()
    fetched = user.desk.run("results", "kept", str(tmp_path), "-n", user.desk.namespace)
    assert fetched.code == 0, fetched
    assert sorted(path.name for path in tmp_path.iterdir()) == ["0", "1"]
    user.house.rig.wait(user.stores, lambda seen: not seen, "its store is released")


@pytest.mark.unhappy("paths of the coordinator's own pod; files that are said to be uploaded, and are not")
@pytest.mark.parametrize("path", ["/etc/hostname", "nowhere.wasm"])
def test_a_path_never_means_a_file_of_the_pod(user: JobDesk, path: str) -> None:
    metadata = {"name": "curious", "annotations": {UPLOADED: "0" * 64}}
    spec = {"tasklet": {"module": {"path": path}}, "input": {"count": 1}, "output": {"store": "None"}}
    user.house.rig.make("Job", "jobs", metadata, spec)
    user.house.until("curious", "Failed")
    said = user.house.rig.condition("curious", "Failed", "jobs")
    assert (said["reason"], "cannot be found" in said["message"]) == ("InvalidInput", True), said


def test_a_suspended_job_gets_its_files_and_runs_when_it_is_resumed(user: JobDesk) -> None:
    ended = user.desk.run("submit", user.job("later", suspend=True, input={"count": 2}), "--watch")
    assert (ended.code, "does not run" in ended.error) == (0, True), ended
    user.house.rig.change("jobs", "later", {"suspend": False})
    assert user.desk.run("watch", "later").code == 0


def test_a_job_grows_to_as_many_workers_as_there_are_and_gives_them_back(user: JobDesk) -> None:
    user.write("slow.wasm", wat.slow_echo(100))
    spec = user.job("wide", tasklet={"module": {"path": "slow.wasm"}}, input={"count": 60}, parallelism=8)
    ended = user.desk.run("submit", spec, "--watch", "--json")
    (told,) = json.loads(ended.out)["jobs"]
    assert (ended.code, max(leased for _, leased, _, _ in told["timeline"])) == (0, 3), ended
    user.house.rig.until_members(ready=3)
