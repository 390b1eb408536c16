"""Members die at random under a job: every result is right, each exactly once, no chunk fails."""

import hashlib
import json
from pathlib import Path

import pytest

from tests.process.jobs import write_job
from tests.support.chaos import Chaos
from tests.support.faults.processes import member_processes
from tests.support.running import Place, leasegrid

CHUNKS = 2000

SPEC = """\
  tasklet:
    python:
      mode: Loop
      source:
        inline: |
          import hashlib, json, sys, time
          for line in sys.stdin:
              request = json.loads(line)
              time.sleep(0.004)
              digest = hashlib.sha256(request["input"].encode()).hexdigest()
              print(json.dumps({"id": request["id"], "output": digest}), flush=True)
  input: {lines: {path: lines.txt, perChunk: 1}}
  retry: {maxRetries: 3}
"""


@pytest.mark.usefixtures("shipped_python")
@pytest.mark.unhappy("SIGKILL of a random member every second during 2,000 chunks: each result right, exactly once")
def test_random_kills_lose_nothing(tmp_path: Path) -> None:
    place = Place(tmp_path)
    lines = [f"line {index}" for index in range(CHUNKS)]
    (tmp_path / "lines.txt").write_text("".join(f"{line}\n" for line in lines))
    file = write_job(place, SPEC, {})
    options = ("--json", "--workers", "3", "--results", str(tmp_path / "out"))
    with (
        leasegrid(place, "run", str(file), *options) as running,
        Chaos(lambda: member_processes(tmp_path), interval=1.0, bound=30, seed=7) as chaos,
    ):
        ended = running.wait(110)

    assert ended.code == 0, str(ended)
    job = json.loads(ended.out)["jobs"][0]
    assert len(chaos.killed) >= 3
    assert job["chunks"]["succeeded"] == CHUNKS
    assert job["chunks"]["failed"] == 0
    for index, line in enumerate(lines):
        expected = hashlib.sha256(f"{line}\n".encode()).hexdigest()
        assert (tmp_path / f"out/{index}/stdout").read_text().strip() == expected
