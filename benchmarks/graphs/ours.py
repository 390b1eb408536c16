"""LeaseGrid's side: graphs run by the command as a user runs them, on two members."""

import json
import shutil
from pathlib import Path
from typing import Any

import wasmtime

from benchmarks.runs import Home

WORKERS = 2
HERE = Path(__file__).parent


def _graph(name: str, tasks: list[dict[str, Any]]) -> str:
    metadata = {"name": name}
    spec = {"parallelism": WORKERS, "output": {"retainSeconds": 0}, "tasks": tasks}
    return json.dumps({"apiVersion": "leasegrid.dev/v1alpha1", "kind": "TaskGraph", "metadata": metadata, "spec": spec})


def _modules(folder: Path, parts: int, block: int) -> None:
    """The tasklets of these sizes; `block` is a multiple of 8."""
    mapper = (HERE / "mapper.wat").read_text(encoding="utf-8")
    end = 65536 + block
    sizes = {"PAGES": -(-end // 65536), "END": end, "BLOCK": block, "PARTS": parts}
    for word, number in sizes.items():
        mapper = mapper.replace(word, str(number))
    (folder / "mapper.wasm").write_bytes(wasmtime.wat2wasm(mapper))
    (folder / "reducer.wasm").write_bytes(wasmtime.wat2wasm((HERE / "reducer.wat").read_text(encoding="utf-8")))


def shuffle_seconds(home: Home, parts: int, block: int, medium: str = "Memory") -> float:
    """`parts` mappers write a block for each of as many reducers, which read them all; checked by its length."""
    _modules(home.path, parts, block)
    room = parts * parts * block * 5 // 4 + (64 << 20)
    tasks: list[dict[str, Any]] = [
        {
            "name": "map",
            "tasklet": {"module": {"path": "mapper.wasm"}, "memory": 2 * block + (4 << 20), "maxOutput": "1Gi"},
            "input": {"count": parts},
            "shuffle": {"partitions": parts, "by": "File", "medium": medium, "size": room},
        },
        {
            "name": "reduce",
            "tasklet": {"module": {"path": "reducer.wasm"}, "memory": 4 << 20},
            "dependsOn": ["map"],
            "input": {"from": "map"},
        },
    ]
    results = home.path / "results"
    (run,) = home.run_file(_graph("shuffle", tasks), "--results", str(results), "--workers", str(WORKERS))
    sizes = [int.from_bytes((results / str(part) / "stdout").read_bytes(), "little") for part in range(parts)]
    assert sizes == [parts * block] * parts, sizes[:5]
    shutil.rmtree(results)
    return float(run["figures"]["seconds"])


def chain_seconds(home: Home, steps: int) -> tuple[float, float]:
    """A chain of tasks of one tiny chunk each: by members that a run before it has warmed, and by fresh ones."""
    (home.path / "line.wasm").write_bytes(wasmtime.wat2wasm((HERE.parent / "line.wat").read_text(encoding="utf-8")))
    tasklet = {"module": {"path": "line.wasm"}}
    tasks: list[dict[str, Any]] = [{"name": "step-0", "tasklet": tasklet, "input": {"items": [{"value": "line"}]}}]
    for step in range(1, steps):
        before = f"step-{step - 1}"
        tasks.append({"name": f"step-{step}", "tasklet": tasklet, "dependsOn": [before], "input": {"from": before}})
    text = f"{_graph('cold', tasks)}\n---\n{_graph('warm', tasks)}"
    cold, warm = home.run_file(text, "--results", str(home.path / "results"), "--workers", str(WORKERS))
    shutil.rmtree(home.path / "results")
    return float(warm["figures"]["seconds"]), float(cold["figures"]["seconds"])
