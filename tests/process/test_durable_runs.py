"""`leasegrid run` of durable tasklets: members die under it, it dies itself, and what was done is not done again."""

import json
import signal
import struct
from pathlib import Path

import pytest

from tests.process.jobs import write_job
from tests.support import wat
from tests.support.faults.processes import member_processes
from tests.support.listing import leftovers
from tests.support.running import Place, leasegrid, wait_until

pytestmark = pytest.mark.timeout(300)

PATIENCE_SECONDS = 120.0
"""A busy machine takes long to compile the interpreter."""

PYTHON = """\
  tasklet:
    durable: true
    wallSeconds: 300
    python:
      source:
        inline: |
          import os, time
          def found():
              try:
                  with open("/durable/deep/count") as file:
                      return int(file.read())
              except FileNotFoundError:
                  os.makedirs("/durable/deep", exist_ok=True)
                  return 0
          began = count = found()
          # Whoever found nothing counts until it is killed.
          while count < 100 or not began:
              count += 1
              time.sleep(0.01)
              with open("/durable/deep/count.tmp", "w") as file:
                  file.write(str(count))
              os.replace("/durable/deep/count.tmp", "/durable/deep/count")
          print(began, max(count, 100) - 100 >= 0)
  input: {count: 1}
"""

WASM = """\
  tasklet:
    durable: true
    wallSeconds: 300
    module: {path: count.wasm}
  input: {count: 2}
  parallelism: 2
"""


def kept(place: Place, chunk: int = 0) -> bool:
    """Whether a checkpoint of the chunk is durable in the job's store."""
    slots = (f"main%2F{chunk}.a", f"main%2F{chunk}.b")
    return any(path.name in slots for path in place.state.rglob("checkpoints/*"))


def until_kept(place: Place, *chunks: int) -> None:
    wait_until(lambda: all(kept(place, chunk) for chunk in chunks), PATIENCE_SECONDS, f"checkpoints of {chunks}")


@pytest.mark.usefixtures("shipped_python")
@pytest.mark.unhappy("SIGKILL of the member that runs a durable Python tasklet")
def test_a_python_tasklet_goes_on_elsewhere(tmp_path: Path) -> None:
    place = Place(tmp_path)
    file = write_job(place, PYTHON, {})
    with leasegrid(place, "run", str(file), "--json", "--workers", "2", "--results", str(tmp_path / "out")) as running:
        until_kept(place, 0)
        for member in member_processes(tmp_path):
            member.kill()
        ended = running.wait(120)

    assert ended.code == 0, str(ended)
    job = json.loads(ended.out)["jobs"][0]
    began, whole = (tmp_path / "out/0/stdout").read_text().split()
    assert (int(began) > 0, whole) == (True, "True")
    assert job["checkpoints"]["kept"] >= 1
    assert leftovers(tmp_path, place.runtime, place.scratch).nothing


@pytest.mark.unhappy("SIGKILL of the command while durable chunks run, and the command once more")
def test_a_second_run_goes_on_from_the_checkpoints_of_the_first(tmp_path: Path) -> None:
    place = Place(tmp_path)
    file = write_job(place, WASM, {"count.wasm": wat.count_durably(0, 10)})
    with leasegrid(place, "run", str(file), "--workers", "2") as running:
        until_kept(place, 0, 1)
        running.send(signal.SIGKILL)
        running.wait()

    out = tmp_path / "out"
    with leasegrid(place, "run", str(file), "--json", "--workers", "2", "--results", str(out)) as running:
        ended = running.wait(120)

    assert ended.code == 0, str(ended)
    for chunk in ("0", "1"):
        began, count = struct.unpack("<II", (out / chunk / "stdout").read_bytes())
        assert began == count > 0
    assert not [path for path in place.state.rglob("checkpoints/*") if path.is_file()]
