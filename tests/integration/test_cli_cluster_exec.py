"""`leasegrid exec` against a real API server and a real member."""

import hashlib
import json
import os
import signal
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from leasegrid.cli.exits import ExitCode
from tasklet_runner.wire.member import MemberState
from tests.integration.cli_cluster import PATIENCE_SECONDS, Desk, OneMember, desk, one_member
from tests.integration.control_plane import ControlPlane
from tests.support import wat
from tests.support.running import Ended, wait_until

SCRIPT = """
import os, sys
print(sys.argv[1:], os.environ["GREETING"], sys.stdin.read(), open("/in/notes.txt").read())
"""


@pytest.fixture
def user(cluster: ControlPlane, tmp_path: Path) -> Iterator[Desk]:
    with desk(cluster, tmp_path) as made:
        yield made


@pytest.fixture
def member(tmp_path: Path) -> Iterator[OneMember]:
    with one_member(tmp_path) as made:
        yield made


def held(user: Desk, member: OneMember, seconds: float = 60) -> None:
    """The lease `work`, claimed by the user and bound to the member."""
    assert user.run("claim", "work", "--no-wait").code == 0
    member.bind(user, "work", seconds)


def written(path: Path, content: bytes) -> str:
    path.write_bytes(content)
    return str(path)


def test_stdin_and_stdout_of_the_command_are_those_of_the_module(user: Desk, member: OneMember, tmp_path: Path) -> None:
    held(user, member)
    small, large = b"a line\n\x00\xff", os.urandom(20_000) * 20
    echo = written(tmp_path / "echo.wasm", wat.echo())
    quiet = written(tmp_path / "quiet.wasm", wat.exit_code(0, "said aside\n"))

    assert user.feed(small, "exec", "work", echo).stdout == small
    beside = user.feed(large, "exec", "work", quiet)
    too_much = user.feed(large, "exec", "work", echo)

    assert (beside.returncode, beside.stdout, beside.stderr) == (0, b"", b"said aside\n")
    assert too_much.returncode == ExitCode.CHUNKS_FAILED
    assert b"OutputTooLarge" in too_much.stderr
    assert b"run it as a Job" in too_much.stderr


def test_a_python_file_gets_arguments_environment_stdin_and_files(
    user: Desk, member: OneMember, tmp_path: Path
) -> None:
    held(user, member)
    script = written(tmp_path / "hello.py", SCRIPT.encode())
    notes = written(tmp_path / "notes.txt", b"from a file")

    ended = user.feed(
        b"piped", "exec", "work", "--env", "GREETING=hello", "--in", notes, script, "--fuel", "is mine", "--"
    )

    assert ended.stdout == b"['--fuel', 'is mine', '--'] hello piped from a file\n", ended


@pytest.mark.unhappy("a tasklet of exec that fails")
def test_a_tasklet_that_fails_ends_with_1_and_says_its_fault_and_the_remedy(
    user: Desk, member: OneMember, tmp_path: Path
) -> None:
    held(user, member)
    wrong = written(tmp_path / "wrong.wasm", wat.exit_code(3, "no such thing\n"))
    endless = written(tmp_path / "endless.wasm", wat.loop())

    failed = user.run("exec", "work", wrong)
    spent = user.run("exec", "--json", "work", "--fuel", "100000", endless)

    assert failed.code == ExitCode.CHUNKS_FAILED
    assert failed.error.startswith("no such thing\nleasegrid: ExitCode(3): ")
    assert spent.code == ExitCode.CHUNKS_FAILED
    found = json.loads(spent.out)
    assert (found["reason"], found["succeeded"]) == ("OutOfFuel", False)
    assert found["remedy"].startswith("raise --fuel above 100000")


def test_exec_claims_a_lease_for_itself_and_releases_it(user: Desk, member: OneMember, tmp_path: Path) -> None:
    module = written(tmp_path / "hello.wasm", wat.write_line("hello"))

    ended = _claimed_and_run(user, member, module)

    assert (ended.code, ended.out) == (0, "hello\n"), ended
    assert "released 1 member in 12 ms" in ended.error
    assert member.state() is MemberState.READY
    assert not list((user.place.state / "leasegrid" / "holders").rglob("*"))


def _claimed_and_run(user: Desk, member: OneMember, module: str) -> Ended:
    with user.start("exec", "--claim", "--pool", "cpu", module) as running:
        name = _only_lease(user)
        member.bind(user, name)
        wait_until(lambda: "revoke" in user.get("leases", name)["spec"], PATIENCE_SECONDS, "the release")
        member.release(user, name)
        return running.wait()


def _only_lease(user: Desk) -> str:
    def found() -> list[str]:
        items: Any = user.plane.api.ask("GET", user.path("leases")).body["items"]
        return [one["metadata"]["name"] for one in items]

    wait_until(found, PATIENCE_SECONDS, "the lease")
    return found()[0]


@pytest.mark.unhappy("Ctrl-C while exec runs on a lease of its own")
def test_ctrl_c_releases_the_lease_that_exec_claimed(user: Desk, member: OneMember, tmp_path: Path) -> None:
    module = written(tmp_path / "sleep.wasm", wat.sleep(60_000))
    with user.start("exec", "--claim", module) as running:
        name = _only_lease(user)
        member.bind(user, name)
        wait_until(lambda: _has(member, module), PATIENCE_SECONDS, "the module")
        running.send(signal.SIGINT)
        wait_until(lambda: "revoke" in user.get("leases", name)["spec"], PATIENCE_SECONDS, "the release")
        member.release(user, name)
        ended = running.wait()

    assert ended.code == ExitCode.INTERRUPTED, ended
    assert "released 1 member" in ended.error
    assert member.state() is MemberState.READY


def _has(member: OneMember, module: str) -> bool:
    """True once the member was sent the module."""
    digest = hashlib.sha256(Path(module).read_bytes()).hexdigest()
    return any(digest in path.name for path in member.rig.scratch.rglob("*"))


def test_a_long_run_renews_its_lease_at_the_operator_and_at_the_member(
    user: Desk, member: OneMember, tmp_path: Path
) -> None:
    held(user, member, seconds=12)
    module = written(tmp_path / "sleep.wasm", wat.sleep(13_000))
    with user.start("exec", "work", "--wall-seconds", "30", module) as running:
        wait_until(lambda: "renewTime" in user.get("leases", "work")["spec"], PATIENCE_SECONDS, "the renewal")
        member.renew(user, "work")
        ended = running.wait()

    assert (ended.code, ended.out) == (0, "awake\n"), ended


@pytest.mark.unhappy("a lease that ends while exec runs")
def test_a_run_whose_lease_ends_says_so(user: Desk, member: OneMember, tmp_path: Path) -> None:
    held(user, member)
    module = written(tmp_path / "sleep.wasm", wat.sleep(60_000))
    with user.start("exec", "work", module) as running:
        wait_until(lambda: _has(member, module), PATIENCE_SECONDS, "the module")
        member.release(user, "work")
        ended = running.wait()

    assert ended.code == ExitCode.NO_CAPACITY, ended
    assert "the lease 'work' has ended at 'm0': Released" in ended.error


@pytest.mark.unhappy("the holder's key is on another machine")
def test_without_the_holders_key_nothing_is_run(user: Desk, member: OneMember, tmp_path: Path) -> None:
    held(user, member)
    module = written(tmp_path / "hello.wasm", wat.write_line("hello"))
    user.key("work").unlink()

    ended = user.run("exec", "work", module)

    assert ended.code == ExitCode.ENVIRONMENT
    assert "the holder's key of the lease 'work' is not on this machine" in ended.error


def test_what_cannot_be_run_is_said_before_the_cluster_is_asked(user: Desk, tmp_path: Path) -> None:
    text = written(tmp_path / "notes.txt", b"no module")

    neither = user.run("exec", "work", text)
    absent = user.run("exec", "work", str(tmp_path / "absent.wasm"))
    forgotten = user.run("exec", "work")

    assert "is neither a WebAssembly module nor a .py file" in neither.error
    assert "absent.wasm cannot be read" in absent.error
    assert "name LEASE and FILE" in forgotten.error
    assert [ended.code for ended in (neither, absent, forgotten)] == [4, 4, 2]
