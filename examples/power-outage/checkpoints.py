"""What stands in the newest checkpoint of a chunk: read from a job's store on disk, of which every process is dead."""

import io
import json
import tarfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from tasklet_runner.durable.slots import Slots
from tasklet_runner.sandbox.durable import SNAPSHOT_NAME
from tasklet_runner.sandbox.snapshots import decode_head, head_bytes
from tasklet_runner.wire.checkpoints import encoded_key


@dataclass(frozen=True)
class Newest:
    """The steps that it holds, and when it was written (UNIX seconds)."""

    step: int
    kept_at: float


@dataclass(frozen=True)
class Checkpoints:
    """Those of a Job's chunks. A chunk that is done has none any more."""

    directory: Path

    def times(self) -> dict[str, float]:
        """When the newest of each chunk was written."""
        newest: dict[str, float] = {}
        for path in (*self.directory.glob("*.[ab]"), *self.directory.glob("*.[ab].deltas")):
            key = path.name.partition(".")[0]
            try:
                newest[key] = max(newest.get(key, 0.0), path.stat().st_mtime)
            except FileNotFoundError:
                continue  # its chunk is done
        return newest

    def newest(self, number: int) -> Newest | None:
        """The newest of that chunk."""
        key = f"main/{number}"
        kept_at = self.times().get(encoded_key(key))
        reading = Slots(self.directory, key).open() if kept_at else None
        if reading is None or kept_at is None:
            return None
        with reading:
            archive = b"".join(reading.pieces())
        with tarfile.open(fileobj=io.BytesIO(archive)) as files:
            return Newest(max(_steps(files)), kept_at)


def _steps(files: tarfile.TarFile) -> Iterator[int]:
    for member in files.getmembers():
        found = files.extractfile(member)
        data = found.read() if found else b""
        if member.name == SNAPSHOT_NAME:  # of a module
            yield decode_head(data[: head_bytes(data, len(data))]).steps
        elif member.name == "state":  # of estimate.py
            yield int(json.loads(data.partition(b"\n")[0])["done"])
