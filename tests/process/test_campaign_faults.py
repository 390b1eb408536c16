"""The fault harness: each fault really happens, to CPython's calls and to SQLite's, and campaigns find defects."""

import errno
import os
import random
import signal
import sqlite3
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.soak.driving import Effort, Scenario, cuts, kills
from tests.soak.slots_judge import SLOTS
from tests.soak.store_judge import STORE
from tests.soak.tally import Tally
from tests.support.faults.control import FOREVER, Action, Control, Fault, Kind
from tests.support.faults.corruption import KINDS, corruptions
from tests.support.faults.journal import Cut, Recording, read_journal, scan
from tests.support.faults.processes import kill_tree, stopped, tree_of
from tests.support.running import wait_until

WRITER = """\
import os, sqlite3, sys
place = sys.argv[1]
with open(place + "/new", "wb", buffering=0) as file:
    file.write(b"0123456789")
    os.fsync(file.fileno())
os.replace(place + "/new", place + "/kept")
print("kept", flush=True)
connection = sqlite3.connect(place + "/base", isolation_level=None)
connection.execute("PRAGMA journal_mode=WAL")
connection.execute("CREATE TABLE t(x)")
connection.execute("INSERT INTO t VALUES(1)")
print("inserted", flush=True)
"""


@pytest.fixture
def control(tmp_path: Path) -> Iterator[Control]:
    made = Control(tmp_path / "control")
    yield made
    made.close()


@pytest.fixture
def place(tmp_path: Path) -> Path:
    made = tmp_path / "place"
    made.mkdir()
    return made


def run(control: Control, place: Path, code: str = WRITER) -> "subprocess.CompletedProcess[str]":
    command = [sys.executable, "-c", code, str(place)]
    environment = {**os.environ, **control.environment}
    return subprocess.run(command, capture_output=True, text=True, check=False, timeout=60, env=environment)


def run_with(control: Control, place: Path, fault: Fault, code: str = WRITER) -> "subprocess.CompletedProcess[str]":
    control.arm(place, fault)
    ended = run(control, place, code)
    assert control.met >= 1
    return ended


def test_the_calls_of_cpython_and_of_sqlite_are_counted_in_their_order(control: Control, place: Path) -> None:
    control.watch(place)
    assert run(control, place).returncode == 0
    trace = control.trace()
    assert [call.kind for call in trace[:4]] == [Kind.OPEN, Kind.WRITE, Kind.SYNC, Kind.RENAME]
    assert control.calls == len(trace)
    log = [call.kind for call in trace if call.path.endswith("base-wal")]
    assert {Kind.OPEN, Kind.WRITE, Kind.SYNC} <= set(log)
    assert all(str(place)[-20:] in call.path for call in trace)


def test_what_is_not_below_the_directory_is_left_alone(control: Control, place: Path, tmp_path: Path) -> None:
    beside = tmp_path / "place-beside"
    beside.mkdir()
    control.arm(place, Fault(Action.KILL_BEFORE, 1))
    assert run(control, beside).returncode == 0
    assert (control.calls, control.met) == (0, 0)


@pytest.mark.parametrize(
    ("action", "there"), [(Action.KILL_BEFORE, ""), (Action.TEAR, "01234"), (Action.KILL_AFTER, "0123456789")]
)
def test_a_process_is_killed_before_in_the_midst_of_and_after_a_write(
    control: Control, place: Path, action: Action, there: str
) -> None:
    ended = run_with(control, place, Fault(action, 2))
    assert ended.returncode == -signal.SIGKILL
    assert (place / "new").read_text() == there


def test_a_process_is_killed_between_two_calls_of_sqlite(control: Control, place: Path) -> None:
    control.watch(place)
    assert run(control, place).returncode == 0
    writes = enumerate(control.trace(), 1)
    last = max(number for number, call in writes if call.kind is Kind.WRITE and call.path.endswith("base-wal"))
    again = place / "again"
    again.mkdir()
    assert run_with(control, again, Fault(Action.KILL_BEFORE, last)).returncode == -signal.SIGKILL
    with sqlite3.connect(again / "base") as connection:
        assert connection.execute("SELECT count(*) FROM t").fetchone() == (0,)
    connection.close()


@pytest.mark.parametrize("error", [errno.ENOSPC, errno.EIO, errno.EDQUOT])
def test_a_call_fails_with_the_error_that_was_chosen(control: Control, place: Path, error: int) -> None:
    ended = run_with(control, place, Fault(Action.FAIL, 1, (Kind.SYNC,), error=error))
    assert f"OSError: [Errno {error}]" in ended.stderr
    assert (place / "new").read_bytes() == b"0123456789"


def test_sqlite_hears_of_a_full_disk(control: Control, place: Path) -> None:
    ended = run_with(control, place, Fault(Action.FAIL, 2, (Kind.WRITE,), span=FOREVER, error=errno.ENOSPC))
    assert "sqlite3.OperationalError: database or disk is full" in ended.stderr
    assert "kept" in ended.stdout


def test_a_read_fails(control: Control, place: Path) -> None:
    (place / "there").write_text("x")
    code = 'import sys; open(sys.argv[1] + "/there").read()'
    assert "Input/output error" in run_with(control, place, Fault(Action.FAIL, 2, (Kind.READ,)), code).stderr


def test_a_write_is_short_and_says_so(control: Control, place: Path) -> None:
    code = 'import os, sys; print(os.write(os.open(sys.argv[1] + "/f", os.O_CREAT | os.O_WRONLY), b"0123456789"))'
    ended = run_with(control, place, Fault(Action.SHORTEN, 1, (Kind.WRITE,)), code)
    assert ended.stdout.strip() == "5"
    assert (place / "f").read_text() == "01234"


def test_the_wall_clock_steps_under_a_running_process_and_the_monotonic_one_does_not(
    control: Control, place: Path
) -> None:
    code = """\
import sqlite3, sys, time
for line in sys.stdin:
    julian = sqlite3.connect(":memory:").execute("SELECT strftime('%s', 'now')").fetchone()[0]
    print(time.time(), julian, time.monotonic(), flush=True)
"""
    environment = {**os.environ, **control.environment}
    with subprocess.Popen(
        [sys.executable, "-W", "ignore", "-c", code], text=True, env=environment,
        stdin=subprocess.PIPE, stdout=subprocess.PIPE,
    ) as process:  # fmt: skip
        assert process.stdin is not None
        assert process.stdout is not None
        for seconds in (0.0, 7200.25, -7200.25):
            control.step_clock(seconds)
            process.stdin.write("now\n")
            process.stdin.flush()
            wall, julian, monotonic = map(float, process.stdout.readline().split())
            assert wall == pytest.approx(time.time() + seconds, abs=30)
            assert julian == pytest.approx(wall, abs=30)
            assert monotonic == pytest.approx(time.monotonic(), abs=30)
        process.stdin.close()


def recorded(control: Control, place: Path, tmp_path: Path, code: str = WRITER) -> Recording:
    start = scan(place)
    with control.recording(place, tmp_path / "journal"):
        assert run(control, place, code).returncode == 0
    return Recording(place, start, read_journal(tmp_path / "journal"))


def restored(recording: Recording, cut: Cut, directory: Path) -> dict[str, bytes]:
    recording.restore(cut, directory)
    return {name: data for name, (_, data) in scan(directory).items()}


def test_a_power_cut_takes_all_that_was_not_synced_and_nothing_else(
    control: Control, place: Path, tmp_path: Path
) -> None:
    code = """\
import os, sys
place = sys.argv[1]
here = os.open(place, os.O_RDONLY)
file = os.open(place + "/f", os.O_CREAT | os.O_RDWR)
os.write(file, b"synced")
os.fsync(file)
os.fsync(here)
os.write(1, b"kept\\n")
os.write(file, b"unsynced")
os.rename(place + "/f", place + "/g")
os.unlink(place + "/old")
os.fsync(here)
os.write(file, b"more")
"""
    (place / "old").write_text("old")
    recording = recorded(control, place, tmp_path, code)
    names = [entry.operation for entry in recording.entries]
    assert names == ["c", "w", "s", "s", "a", "w", "r", "u", "s", "w"]
    assert restored(recording, Cut(2), tmp_path / "1") == {"old": b"old"}
    assert restored(recording, Cut(3), tmp_path / "2") == {"old": b"old"}
    assert restored(recording, Cut(4), tmp_path / "3") == {"f": b"synced", "old": b"old"}
    assert (recording.said(Cut(4)), recording.said(Cut(5))) == ([], ["kept"])
    assert restored(recording, Cut(8), tmp_path / "4") == {"f": b"synced", "old": b"old"}
    assert restored(recording, Cut(10), tmp_path / "5") == {"g": b"synced"}


def test_of_what_was_not_synced_some_is_kept_by_the_seed(control: Control, place: Path, tmp_path: Path) -> None:
    code = 'import os, sys; f = os.open(sys.argv[1] + "/f", os.O_CREAT | os.O_RDWR); [os.write(f, b"ab") for _ in "12"]'
    recording = recorded(control, place, tmp_path, code)
    found = [restored(recording, Cut(3, seed), tmp_path / str(seed)).get("f") for seed in range(200)]
    assert {None, b"", b"ab", b"\0\0ab", b"abab", b"a", b"aba"} <= set(found)
    assert found[7] == restored(recording, Cut(3, 7), tmp_path / "again").get("f")


def test_a_run_with_nothing_lost_is_what_is_on_the_disk(control: Control, place: Path, tmp_path: Path) -> None:
    code = (
        WRITER
        + 'connection.close(); os.sync = 0\nfor name in ("kept", "base"): os.fsync(os.open(place + "/" + name, 0))\n'
    )
    recording = recorded(control, place, tmp_path, code + "os.fsync(os.open(place, 0))")
    assert restored(recording, Cut(len(recording.entries)), tmp_path / "played") == {
        name: data for name, (_, data) in scan(place).items()
    }


@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.__name__)
def test_damage_is_done_to_bytes_of_any_length(kind: object) -> None:
    chance = random.Random(3)
    for length in (1, 2, 3, 100):
        assert all(bad != bytes(length) for _, bad in corruptions(os.urandom(length) + b"x", 20, chance))


def test_a_stopped_process_stands_still_and_a_tree_dies_together() -> None:
    sleep = "import time; time.sleep(600)"
    code = f"import subprocess, sys; subprocess.Popen([sys.executable, '-c', {sleep!r}]); {sleep}"
    process = subprocess.Popen([sys.executable, "-c", code])
    try:
        wait_until(lambda: len(tree_of(process.pid)) == 2, 30, "its child")
        with stopped(process.pid, tree=True):
            wait_until(lambda: {each.status() for each in tree_of(process.pid)} == {"stopped"}, 30, "both to stand")
        wait_until(lambda: "stopped" not in {each.status() for each in tree_of(process.pid)}, 30, "both to go on")
        assert kill_tree(process.pid) == 2
    finally:
        process.kill()
        process.wait()


MUTANTS = [
    pytest.param("store_without_syncs", STORE, cuts, id="a store that does not wait for the disk loses at a power cut"),
    pytest.param("store_without_transactions", STORE, kills, id="a store without transactions leaves half a batch"),
    pytest.param("slots_without_syncs", SLOTS, cuts, id="slots that do not wait for the disk lose at a power cut"),
    pytest.param("slots_over_the_newest", SLOTS, kills, id="slots that write over the newest checkpoint lose it"),
]


@pytest.mark.parametrize(("mutant", "scenario", "campaign"), MUTANTS)
def test_a_campaign_finds_a_defect_that_was_put_in(
    mutant: str, scenario: Scenario, campaign: Callable[..., None], tmp_path: Path
) -> None:
    tally = Tally(mutant)
    defective = Scenario(f"tests.soak.mutants:{mutant}", scenario.after_kill, scenario.after_cut)
    campaign(tmp_path, defective, Effort(bound=60), tally)
    assert tally.losses + tally.wrongs, str(tally)
