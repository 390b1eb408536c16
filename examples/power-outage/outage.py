"""Cuts the power of a running Job again and again: python outage.py [--cuts 4] [--only module] [WHERE]

Each Job of this folder is run twice: undisturbed, and with every process of it killed (SIGKILL: the command, the
process that makes members, the members and their slots) as soon as all its chunks have a newer checkpoint than before,
and a random moment later. Then the same command goes on. What comes out must be the same, digit for digit. State
directories and results stand in WHERE, by default build/power-outage.
"""

import argparse
import os
import random
import shutil
import signal
import subprocess
import sys
import time
from dataclasses import dataclass, field
from pathlib import Path

import yaml
from checkpoints import Checkpoints

HERE = Path(__file__).resolve().parent
POLL_SECONDS = 0.05
LEASEGRID = Path(sys.executable).with_name("leasegrid")


def say(text: str = "") -> None:
    sys.stdout.write(text + "\n")
    sys.stdout.flush()


@dataclass
class Job:
    """A YAML file of this folder, and a state directory of its own for one of its two runs."""

    name: str
    root: Path
    environment: dict[str, str] = field(default_factory=dict)

    @property
    def file(self) -> Path:
        return HERE / f"{self.name}.yaml"

    @property
    def results(self) -> Path:
        return self.root / "results"

    @property
    def inputs(self) -> list[str]:
        return [item["value"] for item in yaml.safe_load(self.file.read_text())["spec"]["input"]["items"]]

    @property
    def checkpoints(self) -> Checkpoints:
        job = yaml.safe_load(self.file.read_text())["metadata"]["name"]
        return Checkpoints(self.root / "leasegrid" / "jobs" / "default" / job / "store" / "checkpoints")

    def start(self) -> "subprocess.Popen[bytes]":
        command = [str(LEASEGRID), "run", str(self.file), "--results", str(self.results)]
        environment = os.environ | self.environment | {"XDG_STATE_HOME": str(self.root)}
        with (self.root / "log").open("ab") as log:
            return subprocess.Popen(command, env=environment, stdout=log, stderr=log, start_new_session=True)

    def digits(self) -> list[str]:
        return [(self.results / str(number) / "stdout").read_text() for number in range(len(self.inputs))]

    def fail(self, why: str) -> None:
        say(f"wrong: {why}\n{(self.root / 'log').read_text()}")
        sys.exit(1)


def processes() -> dict[int, tuple[int, int]]:
    """Parent and session of every process."""
    found = {}
    for directory in Path("/proc").iterdir():
        if directory.name.isdigit():
            try:
                fields = (directory / "stat").read_text().rpartition(")")[2].split()
            except OSError:
                continue  # it has just ended
            if fields[0] not in "ZX":
                found[int(directory.name)] = (int(fields[1]), int(fields[3]))
    return found


def cut_the_power(command: "subprocess.Popen[bytes]") -> int:
    """Kill the command and everything that it started, whatever became of its parents; how many there were."""
    running = processes()
    doomed = {command.pid}
    while more := {pid for pid, (parent, _) in running.items() if parent in doomed} - doomed:
        doomed |= more
    sessions = {running[pid][1] for pid in doomed if pid in running}
    killed: set[int] = set()
    while doomed:
        for pid in sorted(doomed):
            try:
                os.kill(pid, signal.SIGKILL)
            except ProcessLookupError:
                continue
            killed.add(pid)
        command.wait()
        doomed = {pid for pid, (_, session) in processes().items() if session in sessions}
    return len(killed)


def undisturbed(job: Job) -> float:
    started = time.monotonic()
    if job.start().wait() != 0:
        job.fail("the undisturbed run failed")
    return time.monotonic() - started


class Disturbed:
    """The other run: its story is told while it goes on."""

    def __init__(self, job: Job, most: int, undisturbed: float) -> None:
        self.job = job
        self.most = most
        self.moment = min(1.5, undisturbed / 8)  # on a fast machine the run is over soon
        self.chance = random.Random(job.name)
        self.began = time.monotonic()
        self.cuts = 0
        self.lost = 0.0

    def run(self) -> float:
        while not self._attempt():
            self.cuts += 1
        return time.monotonic() - self.began

    def _say(self, text: str) -> None:
        say(f"  {time.monotonic() - self.began:5.1f} s  {text}")

    def _attempt(self) -> bool:
        """True when it came to its end."""
        started = time.time()
        command = self.job.start()
        if self.cuts == self.most or not self._wait_for_moment(command, started):
            if command.wait() != 0:
                self.job.fail("the disturbed run failed")
            self._say("done")
            return True
        killed = cut_the_power(command)
        now = time.time()
        self._say(f"POWER CUT: {killed} processes killed at once")
        told = [self._tell(number, text, now) for number, text in enumerate(self.job.inputs)]
        if not any(told):
            self._say("  no chunk has a checkpoint: those that are not done begin anew")
        return False

    def _wait_for_moment(self, command: "subprocess.Popen[bytes]", started: float) -> bool:
        checkpoints = self.job.checkpoints
        while command.poll() is None:
            times = checkpoints.times()
            if times and min(times.values()) > started:
                time.sleep(self.chance.uniform(self.moment / 8, self.moment))
                return command.poll() is None
            time.sleep(POLL_SECONDS)
        return False

    def _tell(self, number: int, text: str, now: float) -> bool:
        seed, steps, _ = text.split()
        newest = self.job.checkpoints.newest(number)
        if newest is None:
            return False
        lost = now - newest.kept_at
        self.lost += lost
        self._say(
            f"  seed {seed}: its newest checkpoint is {lost:.1f} s old; goes on after step {newest.step} of {steps}"
        )
        return True


def story(name: str, where: Path, cuts: int, environment: dict[str, str]) -> bool:
    calm, cut = (Job(name, where / name / kind, environment) for kind in ("undisturbed", "disturbed"))
    for job in (calm, cut):
        shutil.rmtree(job.root, ignore_errors=True)
        job.root.mkdir(parents=True)
    say(f"\n{calm.file.read_text().splitlines()[0]}")
    calm_seconds = undisturbed(calm)
    say(f"  undisturbed: {calm_seconds:.1f} s. Now with power cuts:")
    disturbed = Disturbed(cut, cuts, calm_seconds)
    seconds = disturbed.run()
    say(f"  {disturbed.cuts} power cuts, {seconds:.1f} s in all; {disturbed.lost:.1f} s of computing was done twice")
    same = calm.digits() == cut.digits()
    for text, line in zip(calm.inputs, cut.digits(), strict=True):
        say(f"  seed {text.split()[0]}: {line.splitlines()[-1]}")
    say("  the same digits as undisturbed" if same else "  WRONG: the digits differ from those of the undisturbed run")
    return same and disturbed.cuts > 0


def main() -> int:
    parser = argparse.ArgumentParser(description="Cut the power of running Jobs again and again.")
    parser.add_argument("where", nargs="?", default="build/power-outage", type=Path)
    parser.add_argument("--cuts", type=int, default=4, help="so many in each Job")
    parser.add_argument("--only", choices=("module", "python"), help="one of the two Jobs")
    options = parser.parse_args()
    where = options.where.resolve()
    names = (options.only,) if options.only else ("module", "python")
    environment = {"LEASEGRID_PRECOMPILED": str(compiled(where / "code"))} if "python" in names else {}
    same = [story(name, where, options.cuts, environment) for name in names]
    return 0 if all(same) else 1


def compiled(folder: Path) -> Path:
    """The interpreter's code, made once as it is for an image: each power cut would cost that time again."""
    if not list(folder.glob("*.cwasm")):
        say("compiling the Python interpreter, once")
        command = [sys.executable, "-m", "tasklet_runner", "precompile", "--into", str(folder)]
        subprocess.run(command, check=True, capture_output=True)
    return folder


if __name__ == "__main__":
    sys.exit(main())
