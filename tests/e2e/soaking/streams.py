"""What goes on in a cluster while it is shaken: claims, jobs and graphs, one after the other, and an observer."""

import itertools
import random
import tempfile
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import TypeVar

from tests.e2e.kind_rig import Object, RefusedCommandError
from tests.e2e.rooms import Room
from tests.e2e.soaking.judging import Asked, Bind, binds, complete, fetched, finished, lost_its_memory, summed
from tests.soak.tally import Findings, lost

Answer = TypeVar("Answer")
Judge = Callable[[Asked, Object], Findings]

LONGEST_SECONDS = 300.0
"""What takes longer than this on a shaken cluster is taken for lost."""
PAUSE_SECONDS = 1.0
SHORT_NAMES = {"Job": "lgjob", "TaskGraph": "lggraph"}
"""Kubernetes has a kind Job of its own."""
CHUNKS = 16
USUAL: Object = {
    "tasklet": {"module": {"configMap": {"name": "echo", "key": "module"}}, "wallSeconds": 60},
    "retry": {"maxRetries": 10},
}


def again_and_again(act: Callable[[int], None]) -> Callable[[threading.Event], None]:
    """Work for a background: does it with 0, 1, 2… until it is told to stop."""

    def work(stop: threading.Event) -> None:
        for number in itertools.count():
            if stop.is_set():
                return
            act(number)

    return work


def surely(ask: Callable[[], Answer]) -> Answer:
    """What a user does whose API server is away: the same again. Raises RefusedCommandError when it stays away."""
    deadline = time.monotonic() + LONGEST_SECONDS
    while True:
        try:
            return ask()
        except RefusedCommandError:
            if time.monotonic() > deadline:
                raise
            time.sleep(PAUSE_SECONDS)


@dataclass
class Streams:
    """Users of a namespace with pools `cpu` and `stores`, of volumes, and a module that copies stdin.

    `ended`: what was found, by names; `told`: jobs that said that their store in memory was lost; `seen`: every bind
    that was ever in a lease's status.
    """

    room: Room
    chance: random.Random
    ended: dict[str, Findings] = field(default_factory=dict)
    told: list[str] = field(default_factory=list)
    seen: set[Bind] = field(default_factory=set)

    def observe(self, _: int) -> None:
        """Look at all leases."""
        for lease in surely(lambda: self.room.all("lglease")):
            self.seen |= binds(lease)
        time.sleep(PAUSE_SECONDS / 2)

    def claim(self, number: int) -> None:
        """A lease that is bound, and then deleted, revoked, or left to expire."""
        name = f"claim-{number}"
        surely(lambda: self.room.lease(name, ttlSeconds=20, poolRefs=[{"name": "cpu"}]))
        said = self._until_said("lglease", name, {"Bound", "Released"})
        self.ended[name] = Findings() if said else lost([f"{name} was not bound, and not told why"])
        time.sleep(self.chance.uniform(0, 3))
        if number % 3 == 0:
            surely(lambda: self.room.delete("lglease", name))
        elif number % 3 == 1:
            surely(lambda: self.room.change("lglease", name, {"revoke": {"graceSeconds": 0}}))

    def job(self, number: int) -> None:
        """A Job of some chunks; every other one has a volume, from which its user takes the outputs."""
        asked = Asked(f"job-{number}", tuple(f"{number} {index}\n" for index in range(CHUNKS)))
        spec = {**USUAL, "input": _items(asked), "parallelism": 3}
        if number % 2:
            self._run("Job", asked, {**spec, "output": {"size": "8Mi", "retainSeconds": 600}}, self._taken)
        else:
            self._run("Job", asked, {**spec, "output": {"store": "None"}}, finished)

    def _taken(self, asked: Asked, status: Object) -> Findings:
        with tempfile.TemporaryDirectory() as directory:

            def outputs() -> dict[str, str]:
                return {path.parent.name: path.read_text("ascii") for path in Path(directory).glob("*/stdout")}

            def take() -> None:
                try:
                    self.room.leasegrid("results", asked.name, directory)
                except RefusedCommandError:
                    # The last word of a command that has them all may be lost on its way.
                    if len(outputs()) < len(asked.lines):
                        raise

            if complete(status):
                surely(take)
            return fetched(asked, status, outputs())

    def graph(self, number: int) -> None:
        """A graph of two waves with partitions between them."""
        asked = Asked(f"graph-{number}", tuple(f"{index % 3}\t{number}\n" for index in range(CHUNKS)))
        tasks: list[Object] = [
            {"name": "map", "input": _items(asked), "shuffle": {"partitions": 2, "size": "8Mi"}},
            {"name": "reduce", "dependsOn": ["map"], "input": {"from": ["map"]}},
        ]
        spec = {"tasks": [{**USUAL, **one} for one in tasks], "parallelism": 2, "output": {"store": "None"}}
        self._run("TaskGraph", asked, spec, summed)

    def _run(self, kind: str, asked: Asked, spec: Object, judge: Judge) -> None:
        surely(lambda: self.room.apply(kind, asked.name, spec))
        short = SHORT_NAMES[kind]
        self._until_said(short, asked.name, {"Complete", "Failed"})
        status = surely(lambda: self.room.status(short, asked.name))
        if spec["output"].get("store") == "None" and lost_its_memory(status):
            self.told.append(asked.name)
        else:
            self.ended[asked.name] = judge(asked, status)
        surely(lambda: self.room.delete(short, asked.name))

    def _until_said(self, kind: str, name: str, ends: set[str]) -> set[str]:
        """Until one of these conditions is True; empty when none was in time."""
        deadline = time.monotonic() + LONGEST_SECONDS
        while time.monotonic() < deadline:
            said = surely(lambda: self.room.status(kind, name)).get("conditions", ())
            if found := {one["type"] for one in said if one["status"] == "True"} & ends:
                return found
            time.sleep(PAUSE_SECONDS)
        return set()


def _items(asked: Asked) -> Object:
    return {"items": [{"value": line} for line in asked.lines]}
