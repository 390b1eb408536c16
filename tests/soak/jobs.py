"""A job whose right results are known, run as a user would while something happens to it."""

import json
import random
import shutil
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from tests.soak.tally import Findings, doubled, lost, wrong
from tests.support import wat
from tests.support.background import Background
from tests.support.running import Ended, Place, Running, leasegrid

CHUNKS = 40
WORK_MILLISECONDS = 100
LARGE_BYTES = 100_000
"""Of every fifth output: more than travels in a frame, so the member puts it into the store under a grant."""

LONGEST_SECONDS = 100.0
TTL_SECONDS = 10
"""More than a busy machine can be late with a renewal."""


@dataclass(frozen=True)
class KnownJob:
    """Files below a place; `run` may be called again and again."""

    place: Place
    ttl_seconds: int = TTL_SECONDS

    def __post_init__(self) -> None:
        (self.place.root / "echo.wasm").write_bytes(wat.slow_echo(WORK_MILLISECONDS))
        (self.place.root / "lines.txt").write_text("".join(self._lines()))
        spec = {
            "tasklet": {"module": {"path": "echo.wasm"}},
            "input": {"lines": {"path": "lines.txt", "perChunk": 1}},
            "lease": {"ttlSeconds": self.ttl_seconds},
            "parallelism": 2,
        }
        head = {"apiVersion": "leasegrid.dev/v1alpha1", "kind": "Job", "metadata": {"name": "known"}, "spec": spec}
        (self.place.root / "known.yaml").write_text(json.dumps(head))

    @contextmanager
    def started(self) -> Iterator[Running]:
        """The command, while the block runs."""
        out = self.place.root / "out"
        shutil.rmtree(out, ignore_errors=True)
        options = ("--json", "--workers", "2", "--results", str(out))
        with leasegrid(self.place, "run", str(self.place.root / "known.yaml"), *options) as running:
            yield running

    def judge(self, ended: Ended, *, undisturbed: bool) -> Findings:
        """Every result right and there once; `undisturbed`: no tasklet had a reason to run again."""
        if ended.code != 0:
            return lost([str(ended)[-1500:]])
        (job,) = json.loads(ended.out)["jobs"]
        findings = wrong([f"chunks: {job['chunks']}"] if job["chunks"]["succeeded"] != CHUNKS else [])
        again = job["receipt"]["tasklets"] - CHUNKS
        if undisturbed and again:
            findings += doubled([f"{again} tasklets ran again"])
        return findings + self._results()

    def _results(self) -> Findings:
        found = {str(path.relative_to(self.place.root / "out")): path for path in self._files()}
        wanted = {f"{index}/stdout": line for index, line in enumerate(self._lines())}
        missing = [name for name in wanted if name not in found or found[name].read_text() != wanted[name]]
        return lost(f"{name} is not what it should be" for name in missing) + doubled(
            f"{name} is there too" for name in found if name not in wanted
        )

    def _files(self) -> Iterator[Path]:
        return (path for path in (self.place.root / "out").rglob("*") if path.is_file())

    def _lines(self) -> Iterator[str]:
        return (f"{index}" + "x" * (LARGE_BYTES * (index % 5 == 0)) + "\n" for index in range(CHUNKS))


class Disturbing(Background):
    """Does something again and again, at random moments, while the block runs. `faults`: how often it was done."""

    def __init__(self, act: Callable[[random.Random], int], seconds: tuple[float, float], seed: int) -> None:
        self.faults = 0
        self._act = act
        self._seconds = seconds
        self._chance = random.Random(seed)
        super().__init__(self._disturb, "disturbing")

    def _disturb(self, stop: threading.Event) -> None:
        while not stop.wait(self._chance.uniform(*self._seconds)):
            self.faults += self._act(self._chance)
