"""Files for the tests of the command line, and where to look for what a run owns."""

import os
from pathlib import Path

from tests.support import wat
from tests.support.running import Place, Running

SHARED_MEMORY = Path("/dev/shm")  # noqa: S108  # listed, not written

POOL = """\
apiVersion: leasegrid.dev/v1alpha1
kind: InstancePool
metadata: {name: small}
spec:
  resources: {cpu: "1", memory: 512Mi}
  targetSize: 1
  maxSize: 1
"""

LEASE = """\
apiVersion: leasegrid.dev/v1alpha1
kind: Lease
metadata: {name: mine}
spec: {poolRefs: [{name: small}], onEmpty: Queue}
"""


def job(name: str, spec: str = "", *, module: str = "hello.wasm", chunks: int = 3) -> str:
    """A Job over so many chunks; `spec` is what stands below `spec:` besides, indented by two."""
    return (
        "apiVersion: leasegrid.dev/v1alpha1\nkind: Job\n"
        f"metadata: {{name: {name}}}\nspec:\n  tasklet: {{module: {{path: {module}}}}}\n"
        f"  input: {{count: {chunks}}}\n{spec}"
    )


def write(place: Place, *documents: str, name: str = "file.yaml") -> str:
    """A file of these documents, beside the modules `hello.wasm` (a line) and `slow.wasm` (a second's sleep each)."""
    (place.root / "hello.wasm").write_bytes(wat.write_line("hello"))
    (place.root / "slow.wasm").write_bytes(wat.sleep(1000))
    path = place.root / name
    path.write_text("---\n".join(documents), encoding="utf-8")
    return str(path)


def runtime_directories(place: Place, running: Running) -> list[Path]:
    """The runtime directories of a command: those whose lock it has signed with its process id."""
    found = []
    for base in (SHARED_MEMORY, place.runtime, place.scratch):
        for lock in base.glob(f"leasegrid-{os.geteuid()}-*/lock"):
            try:
                if lock.read_text().strip() == str(running.pid):
                    found.append(lock.parent)
            except FileNotFoundError:
                continue
    return found
