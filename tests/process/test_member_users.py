"""A member needs no privileges: it compiles, runs and resets as an unprivileged user, as a pod does.

Where the tests run as root, these members run as the user 65534 without groups, by an interpreter that this user can
read; where they do not, or there is no such interpreter, they run as the current user.
"""

import asyncio
import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Any

import pytest

import tasklet_runner
from tasklet_runner.client.members import MemberClient
from tasklet_runner.wire.signed import public_text
from tasklet_runner.wire.work import Prepared
from tests.support import wat
from tests.support.members import MemberRig, prepare, run

NOBODY = 65534


@cache
def interpreter_of_nobody() -> str:
    """An interpreter of this version that the user 65534 can run with the project's packages; empty when none is."""
    if os.geteuid() != 0:
        return ""
    name = f"python{sys.version_info.major}.{sys.version_info.minor}"
    for candidate in (sys.executable, f"/usr/bin/{name}", f"/usr/local/bin/{name}"):
        command = [candidate, "-c", "import tasklet_runner.__main__"]
        try:
            tried = subprocess.run(command, env=environment(), cwd="/", capture_output=True, check=False, **nobody())
        except OSError:
            continue
        if tried.returncode == 0:
            return candidate
    return ""


def environment() -> dict[str, str]:
    packages = next(path for path in sys.path if path.endswith("site-packages"))
    root = Path(tasklet_runner.__file__).parent.parent
    return {"PYTHONPATH": f"{root}:{packages}", "PATH": "/usr/bin:/bin", "PYTHONDONTWRITEBYTECODE": "1"}


def nobody() -> dict[str, Any]:
    return {"user": NOBODY, "group": NOBODY, "extra_groups": []}


class UnprivilegedRig(MemberRig):
    """A member that runs as nobody where that can be had."""

    def start(self) -> "subprocess.Popen[bytes]":
        python = interpreter_of_nobody()
        if not python:
            return super().start()
        life, self.life = os.pipe()
        os.chown(self.root, NOBODY, NOBODY)
        self.process = subprocess.Popen(
            [
                *(python, "-m", "tasklet_runner", "member", "--listen", self.endpoint, "--name", self.name),
                *("--fabric-key", public_text(self.fabric), "--scratch", str(self.scratch)),
                *("--control-fd", str(life), *self.arguments),
            ],
            pass_fds=(life,),
            stderr=subprocess.PIPE,
            env=environment(),
            cwd="/",
            **nobody(),
        )
        os.close(life)
        return self.process


@pytest.fixture
def own_directory() -> Iterator[Path]:
    """Not below pytest's own directory, into which no other user can look."""
    with tempfile.TemporaryDirectory(prefix="member-") as name:
        yield Path(name)


def test_an_unprivileged_member_compiles_runs_kills_resets_and_leaves_nothing(own_directory: Path) -> None:
    async def story() -> None:
        rig = UnprivilegedRig(own_directory, ("--slots", "2"))
        rig.start()
        client = MemberClient(rig.endpoint)
        try:
            for _ in range(2):
                state = await rig.claimed(client)
                connection = await rig.work(state, rig.signed(rig.capability(state)))
                assert isinstance(await prepare(connection, wat.echo()), Prepared)
                results, missing = await run(connection, 20, slot=1)
                assert (len(results), missing) == (20, [])
                assert isinstance(await prepare(connection, wat.sleep(60_000), wall_seconds=1), Prepared)
                results, _ = await run(connection, 1, frame=2)
                assert results[0].outcome.fault is not None
                assert results[0].outcome.fault.reason == "TimedOut"
                reply = await client.release(rig.signed(rig.capability(state)))
                assert (reply.counters.tasklets, reply.counters.killed) == (20, 1)
                await connection.close()
            await rig.ready(client)
            assert rig.process is not None
            expected = NOBODY if interpreter_of_nobody() else os.geteuid()
            assert {_user(pid) for pid in (rig.process.pid, *rig.slot_pids())} == {expected}
        finally:
            await client.close()
            rig.stop()
        assert not list(own_directory.iterdir())

    print("runs as", "the user 65534" if interpreter_of_nobody() else "the current user: no other can be had here")
    asyncio.run(story())


def _user(pid: int) -> int:
    words = Path(f"/proc/{pid}/status").read_text().split("Uid:")[1].split()
    return int(words[1])
