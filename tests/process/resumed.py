"""A small job that is killed and run again, and what is known of it from outside."""

import json
import signal
import sqlite3
from collections.abc import Mapping
from contextlib import closing
from pathlib import Path
from typing import Any

from tests.support import wat
from tests.support.doomed_command import Instant, doomed
from tests.support.running import Place, run_leasegrid

CHUNKS = 4
LARGE = "x" * 100_000
"""More than travels in a frame: its member puts it into the store."""

LINES = [f"line {number} {LARGE if number == 2 else ''}\n" for number in range(CHUNKS)]
WANTED = {f"{number}/stdout": line for number, line in enumerate(LINES)} | {"aggregate/stdout": "".join(LINES)}


def write_job(place: Place) -> str:
    (place.root / "echo.wasm").write_bytes(wat.echo())
    (place.root / "lines.txt").write_text("".join(LINES))
    tasklet = "{module: {path: echo.wasm}}"
    path = place.root / "file.yaml"
    path.write_text(
        "apiVersion: leasegrid.dev/v1alpha1\nkind: Job\nmetadata: {name: cut}\nspec:\n"
        f"  tasklet: {tasklet}\n  input: {{lines: {{path: lines.txt, perChunk: 1}}}}\n"
        f"  aggregate: {{tasklet: {tasklet}}}\n  lease: {{ttlSeconds: 5}}\n"
    )
    return str(path)


def store_of(place: Place, job: str = "cut") -> Path:
    return place.state / "leasegrid" / "jobs" / "default" / job / "store"


def committed(place: Place, job: str = "cut") -> int:
    """Chunks with an outcome, but for those of shuffled stages, whose partitions end with the run."""
    database = store_of(place, job) / "index.db"
    if not database.exists():
        return 0
    with closing(sqlite3.connect(database)) as opened:
        return int(opened.execute("SELECT count(*) FROM commits WHERE instr(stage, '@') = 0").fetchone()[0])


def kill_at(place: Place, instant: Instant, *arguments: str) -> None:
    with doomed(place, instant, *arguments) as running:
        ended = running.wait()
    assert ended.code == -signal.SIGKILL, f"{instant} never came: {ended}"


def run_again(place: Place, *arguments: str) -> Mapping[str, Any]:
    ended = run_leasegrid(place, *arguments, "--json")
    assert ended.code == 0, str(ended)
    (job,) = json.loads(ended.out)["jobs"]
    return dict(job)


def files_of(directory: Path) -> dict[str, str]:
    return {path.relative_to(directory).as_posix(): path.read_text() for path in directory.rglob("*") if path.is_file()}


def nothing_is_kept(place: Place) -> bool:
    """No bytes of any lease; members of a run that was killed may serve on until their deadline."""
    leases = json.loads(run_leasegrid(place, "leases", "--json").out)["leases"]
    return not [lease for lease in leases if lease["resource"] == "Block"] and not store_of(place).exists()
