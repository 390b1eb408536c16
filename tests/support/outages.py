"""Power cuts at random: `leasegrid run` is killed again and again, alone or with all its processes, until its job is
done; every result is compared with that of a run that nobody disturbed.

`suffer(directory, count, seed)` is one campaign of so many kills; it returns what was found.
"""

import json
import os
import random
import shutil
import signal
import sqlite3
import time
from collections.abc import Callable
from contextlib import closing, suppress
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import quote

import psutil

from tests.support import wat
from tests.support.listing import processes_of
from tests.support.running import Ended, Place, Running, leasegrid, wait_until

CHUNKS = 36
LARGE_BYTES = 100_000
"""More than travels in a frame: the member puts it into the store itself."""

WORK_MILLISECONDS = 25
LONGEST_SECONDS = 90.0
MOST_KILLS_OF_A_ROUND = 7

Commits = dict[tuple[str, int], bytes]
"""What is visible of each chunk: its commit record, by stage and index."""

Tree = dict[str, bytes]
"""The files of a results directory by their paths."""


@dataclass
class Found:
    """What a campaign has found. `losses`: chunks that were committed and are not any more, results that are missing;
    `doubles`: chunks whose committed record changed, results nobody asked for, committed chunks that ran again.
    `wrong`: each of them in words, and whatever else must not be.
    """

    kills: int = 0
    rounds: int = 0
    losses: int = 0
    doubles: int = 0
    wrong: list[str] = field(default_factory=list)

    @property
    def clean(self) -> bool:
        return not (self.losses or self.doubles or self.wrong)


def suffer(directory: Path, count: int, seed: int) -> Found:
    """Kill `count` times, by this seed; every round of a job is brought to its end, the last one too."""
    return _Campaign(directory, random.Random(seed)).run(count)


class _Campaign:
    def __init__(self, directory: Path, chance: random.Random) -> None:
        self._place = Place(directory)
        self._chance = chance
        self._found = Found()
        self._out = directory / "out"
        self._files = _write_files(self._place)
        self._undisturbed: dict[str, tuple[Tree, float]] = {}
        self._before: Commits = {}

    def run(self, count: int) -> Found:
        for name in self._files:
            began = time.monotonic()
            self._ended_well(name, self._finish(name))
            self._undisturbed[name] = (_tree(self._out), time.monotonic() - began)
            shutil.rmtree(self._out)
        while self._found.kills < count:
            self._round(self._chance.choice(sorted(self._files)), count)
        return self._found

    def _round(self, name: str, count: int) -> None:
        self._found.rounds += 1
        self._before = {}
        most = min(self._chance.randint(1, MOST_KILLS_OF_A_ROUND), count - self._found.kills)
        for _ in range(most):
            if (ended := self._kill_once(name)) is not None:
                break
        else:
            ended = self._finish(name)
        self._ended_well(name, ended)
        self._compare(name)
        shutil.rmtree(self._out, ignore_errors=True)

    def _kill_once(self, name: str) -> Ended | None:
        """Run until some instant, and kill; how it ended when it was quicker than that."""
        with self._start(name) as running:
            with suppress(_OverError):
                self._await_instant(name, running)
                self._kill(running)
            ended = running.wait(LONGEST_SECONDS)
        if ended.code != -signal.SIGKILL:
            return ended
        self._found.kills += 1
        self._look_at_commits(name)
        return None

    def _kill(self, running: Running) -> None:
        if self._chance.random() < 0.5:
            running.send(signal.SIGKILL)
            return
        everything = processes_of(self._place.root)
        self._chance.shuffle(everything)
        for process in everything:
            with suppress(psutil.NoSuchProcess):
                process.kill()

    def _await_instant(self, name: str, running: Running) -> None:
        store = self._store(name)
        kind = self._chance.choice(("moment", "moment", "commits", "commits", "results", "finished"))
        if kind == "moment":
            _pause(running, self._chance.uniform(0.0, self._undisturbed[name][1]))
        elif kind == "commits":
            more = len(self._before) + self._chance.randint(1, CHUNKS // 3)
            _until(running, lambda: len(_commits(store)) >= more)
        elif kind == "results":
            more = self._chance.randint(1, CHUNKS)
            _until(running, lambda: sum(len(files) for _, _, files in os.walk(self._out)) >= more)
        else:
            _until(running, lambda: _value(store, "finished") is not None)
        _pause(running, self._chance.choice((0.0, 0.0, self._chance.uniform(0.0, 0.05))))

    def _finish(self, name: str) -> Ended:
        with self._start(name) as running:
            return running.wait(LONGEST_SECONDS)

    def _start(self, name: str) -> Running:
        options = ("--json", "--workers", "2", "--results", str(self._out))
        return leasegrid(self._place, "run", str(self._files[name]), *options)

    def _store(self, name: str) -> Path:
        return self._place.state / "leasegrid" / "jobs" / "default" / name / "store"

    def _look_at_commits(self, name: str) -> None:
        """After a kill: what was visible is visible and the same, unless all was delivered and the store ended."""
        now = _commits(self._store(name), at_rest=True)
        ended = not now or _is_over(self._store(name).parent)
        if ended and _tree(self._out) == self._undisturbed[name][0]:
            # The next run begins anew, and delivers the same once more.
            self._before = {}
            return
        for chunk, record in self._before.items():
            if chunk not in now:
                self._found.losses += 1
                self._found.wrong.append(f"{name}: {chunk} was committed and is not any more")
            elif now[chunk] != record:
                self._found.doubles += 1
                self._found.wrong.append(f"{name}: {chunk} was committed twice")
        self._before = now

    def _ended_well(self, name: str, ended: Ended) -> None:
        if ended.code != 0:
            self._found.wrong.append(f"{name}: {ended}")
            return
        (job,) = json.loads(ended.out)["jobs"]
        resumed, chunks = job["resumedChunks"], job["chunks"]
        if resumed < len(self._before):
            self._found.doubles += len(self._before) - resumed
            self._found.wrong.append(f"{name}: {len(self._before)} chunks were committed, and {resumed} gone on from")
        fresh = chunks["succeeded"] + chunks["retried"] - resumed
        if job["receipt"]["tasklets"] > fresh:
            self._found.doubles += job["receipt"]["tasklets"] - fresh
            self._found.wrong.append(f"{name}: {job['receipt']['tasklets']} tasklets ran for {fresh} chunks")

    def _compare(self, name: str) -> None:
        wanted, got = self._undisturbed[name][0], _tree(self._out)
        for path in sorted(wanted.keys() | got.keys()):
            if path not in got or (path in wanted and got[path] != wanted[path]):
                self._found.losses += 1
                self._found.wrong.append(f"{name}: {path} is {'missing' if path not in got else 'another'}")
            elif path not in wanted:
                self._found.doubles += 1
                self._found.wrong.append(f"{name}: {path} is in the results, and nobody made it undisturbed")
        if self._store(name).exists():
            self._found.wrong.append(f"{name}: its store is there after its results were delivered")


class _OverError(Exception):
    """The command ended before it could be killed."""


def _pause(running: Running, seconds: float) -> None:
    until = time.monotonic() + seconds
    _until(running, lambda: time.monotonic() >= until)


def _until(running: Running, reached: Callable[[], bool]) -> None:
    wait_until(lambda: running.process.poll() is not None or reached(), LONGEST_SECONDS, "the instant of a kill")
    if running.process.poll() is not None:
        raise _OverError


def _is_over(volume: Path) -> bool:
    """True when its lease has an end, which it gets as its deletion begins: of a job under way it has none."""
    try:
        return json.loads((volume / "lease").read_text())["standing"]["expires"] is not None
    except FileNotFoundError:
        return True


def _commits(store: Path, *, at_rest: bool = False) -> Commits:
    """But for those of shuffled stages: their partitions end with the run, so they are made again."""
    rows = _query(store, "SELECT stage, number, record FROM commits WHERE instr(stage, '@') = 0", at_rest=at_rest)
    return {(stage, number): record for stage, number, record in rows}


def _value(store: Path, name: str) -> bytes | None:
    return next((value for found, value in _query(store, "SELECT name, value FROM records") if found == name), None)


def _query(store: Path, query: str, *, at_rest: bool = False) -> list[tuple]:  # type: ignore[type-arg]  # of any shape
    """Of a store that a command may be using; `at_rest`: nobody does, so that nothing may be in the way."""
    database = store / "index.db"
    if not database.exists():
        return []
    try:
        uri = f"file:{quote(str(database))}?mode={'rw' if at_rest else 'ro'}"
        with closing(sqlite3.connect(uri, uri=True, timeout=10)) as opened:
            return opened.execute(query).fetchall()
    except sqlite3.DatabaseError as error:
        if at_rest and "no such table" not in str(error):
            raise
        return []


def _tree(directory: Path) -> Tree:
    return {
        path.relative_to(directory).as_posix(): path.read_bytes() for path in directory.rglob("*") if path.is_file()
    }


def _write_files(place: Place) -> dict[str, Path]:
    """A Job with an aggregate and a TaskGraph with a shuffle, by name; every sixth output is a large one."""
    (place.root / "work.wasm").write_bytes(wat.slow_echo(WORK_MILLISECONDS))
    lines = [f"key{number % 7}\t{number}" + "x" * (LARGE_BYTES * (number % 6 == 0)) for number in range(CHUNKS)]
    (place.root / "lines.txt").write_text("".join(f"{line}\n" for line in lines))
    tasklet = {"module": {"path": "work.wasm"}}
    given = {"lines": {"path": "lines.txt", "perChunk": 1}}
    common = {"lease": {"ttlSeconds": 5}, "parallelism": 2}
    job = {"tasklet": tasklet, "input": given, "aggregate": {"tasklet": tasklet}, **common}
    tasks = [
        {"name": "map", "tasklet": tasklet, "input": given, "shuffle": {"partitions": 5, "size": "16Mi"}},
        {"name": "reduce", "tasklet": tasklet, "dependsOn": ["map"], "input": {"from": ["map"]}},
        {"name": "whole", "tasklet": tasklet, "dependsOn": ["reduce"], "input": {"from": ["reduce"], "gather": True}},
    ]
    return {
        "cutjob": _write(place, "Job", "cutjob", job),
        "cutgraph": _write(place, "TaskGraph", "cutgraph", {"tasks": tasks, **common}),
    }


def _write(place: Place, kind: str, name: str, spec: dict[str, object]) -> Path:
    path = place.root / f"{name}.yaml"
    document = {"apiVersion": "leasegrid.dev/v1alpha1", "kind": kind, "metadata": {"name": name}, "spec": spec}
    path.write_text(json.dumps(document), encoding="utf-8")
    return path
