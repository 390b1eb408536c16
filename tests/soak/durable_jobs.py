"""Chunks that keep their work in /durable, while members, slots and the whole command are killed at random."""

import hashlib
import json
import random
import shutil
import signal
import time
from contextlib import suppress
from pathlib import Path

import psutil

from tests.soak.jobs import LONGEST_SECONDS
from tests.soak.tally import Findings, Tally, doubled, lost, wrong
from tests.support.faults.processes import kill_tree, member_processes
from tests.support.running import Ended, Place, Running, leasegrid

CHUNKS = 3
STEPS = 60
STEP_SECONDS = 0.05
MOST_KILLS = 5
"""Of one round, so that it comes to its end."""

TASKLET = f"""\
import hashlib, json, os, sys, time
name = "/durable/state"
state = {{"step": 0, "digits": sys.stdin.read().strip(), "begun": []}}
if os.path.exists(name):
    state = json.load(open(name))
state["begun"].append(state["step"])
while state["step"] < {STEPS}:
    state["digits"] = hashlib.sha256(f"{{state['digits']}} {{state['step']}}".encode()).hexdigest()
    state["step"] += 1
    with open(name + ".tmp", "w") as file:
        json.dump(state, file)
    os.replace(name + ".tmp", name)
    time.sleep({STEP_SECONDS})
print(json.dumps(state))
"""


def campaign(root: Path, kills: int, seed: int, tally: Tally) -> None:
    """So many kills, in rounds of a job that is brought to its end each time."""
    chance = random.Random(seed)
    place = _written(Place(root / "place"))
    # The interpreter is compiled now: a compiler that is killed is taken for one that had too little memory.
    with _started(place) as running:
        _judged(place, tally, 0, running.wait(LONGEST_SECONDS))
    while tally.faults < kills:
        most = min(MOST_KILLS, kills - tally.faults)
        done, ended = 0, None
        while ended is None:
            with _started(place) as running:
                done += _disturb(place, running, chance, most - done)
                found = running.wait(LONGEST_SECONDS)
            ended = None if found.code == -signal.SIGKILL else found
        _judged(place, tally, done, ended)


def _judged(place: Place, tally: Tally, faults: int, ended: Ended) -> None:
    tally.judge(f"a round of {faults} kills", _judge(place, ended), faults)
    shutil.rmtree(place.root / "out", ignore_errors=True)


def _disturb(place: Place, running: Running, chance: random.Random, most: int) -> int:
    """Kill up to so many times, until the command is killed too or ends; how often."""
    done = 0
    while done < most:
        time.sleep(chance.uniform(0.8, 2.0))
        if running.process.poll() is not None:
            return done
        if chance.random() < 0.3:
            kill_tree(running.pid)
            return done + 1
        done += _kill_one(place.root, chance)
    return done


def _kill_one(root: Path, chance: random.Random) -> int:
    """A member with its slots, or a slot alone; 1 when there was one."""
    with suppress(psutil.NoSuchProcess):
        members = sorted(member_processes(root), key=lambda process: process.pid)
        slots = [slot for member in members for slot in member.children()]
        candidates = chance.choice((members, slots))
        if candidates:
            chance.choice(candidates).kill()
            return 1
    return 0


def _judge(place: Place, ended: Ended) -> Findings:
    if ended.code != 0:
        return lost([str(ended)[-1500:]])
    findings = Findings()
    for index in range(CHUNKS):
        path = place.root / "out" / str(index) / "stdout"
        if not path.exists():
            findings += lost([f"the result of chunk {index}: {str(ended)[-3000:]}"])
            continue
        state = json.loads(path.read_text())
        if state["digits"] != _digits(index):
            findings += lost([f"chunk {index} has other digits than an undisturbed one"])
        if state["begun"] != sorted(state["begun"]):
            findings += doubled([f"chunk {index} went back to an older checkpoint: {state['begun']}"])
    store = place.state / "leasegrid" / "jobs" / "default" / "durable" / "store"
    return findings + wrong(["its store is there after its results were delivered"] if store.exists() else [])


def _digits(index: int) -> str:
    digits = f"seed {index}"
    for step in range(STEPS):
        digits = hashlib.sha256(f"{digits} {step}".encode()).hexdigest()
    return digits


def _started(place: Place) -> Running:
    options = ("--json", "--workers", "2", "--results", str(place.root / "out"))
    return leasegrid(place, "run", str(place.root / "durable.yaml"), *options)


def _written(place: Place) -> Place:
    (place.root / "seeds.txt").write_text("".join(f"seed {index}\n" for index in range(CHUNKS)))
    (place.root / "work.py").write_text(TASKLET)
    spec = {
        "tasklet": {"python": {"source": {"path": "work.py"}}, "durable": True},
        "input": {"lines": {"path": "seeds.txt", "perChunk": 1}},
        "lease": {"ttlSeconds": 5},
        "parallelism": 2,
    }
    document = {"apiVersion": "leasegrid.dev/v1alpha1", "kind": "Job", "metadata": {"name": "durable"}, "spec": spec}
    (place.root / "durable.yaml").write_text(json.dumps(document))
    return place
