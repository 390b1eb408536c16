"""TaskGraphs for the tests of the command line, over modules of a few bytes."""

import json
from pathlib import Path

from tests.support import wat
from tests.support.running import Place

SHUFFLE = {"partitions": 3, "size": "4Mi"}


def task(name: str, module: str = "echo", *, reads: tuple[str, ...] = (), **fields: object) -> dict[str, object]:
    """A task that reads these, or one empty chunk. Modules: echo (stdin to stdout), slow (1 s), fail (status 7)."""
    given: dict[str, object] = {"from": list(reads)} if reads else {"count": 1}
    return {
        "name": name,
        "tasklet": {"module": {"path": f"{module}.wasm"}},
        "dependsOn": list(reads),
        "input": given,
        **fields,
    }


def items(*values: str) -> dict[str, object]:
    """An input of these items."""
    return {"items": [{"value": value} for value in values]}


def graph(*tasks: dict[str, object], name: str = "graph", **spec: object) -> str:
    """The YAML of a graph; JSON is YAML."""
    metadata = {"name": name}
    spec = {"tasks": list(tasks), "parallelism": 2, "lease": {"ttlSeconds": 30}, **spec}
    return json.dumps({"apiVersion": "leasegrid.dev/v1alpha1", "kind": "TaskGraph", "metadata": metadata, "spec": spec})


def write(place: Place, text: str) -> str:
    """A file of this text, beside the modules."""
    modules = {"echo": wat.echo(), "slow": wat.sleep(1000), "fail": wat.exit_code(7, "no way on")}
    for name, module in modules.items():
        (place.root / f"{name}.wasm").write_bytes(module)
    path = place.root / "graph.yaml"
    path.write_text(text, encoding="utf-8")
    return str(path)


def stdouts(directory: Path) -> list[str]:
    """What stands in each `<index>/stdout` of a directory, in order of the indexes."""
    files = sorted(directory.glob("*/stdout"), key=lambda path: int(path.parent.name))
    return [path.read_text(encoding="utf-8") for path in files]
