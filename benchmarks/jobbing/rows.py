"""What a job costs from its object to its end: each part makes jobs and prints its rows."""

import math
import statistics
from collections.abc import Sequence
from itertools import pairwise

from benchmarks.claiming.counters import cpu_seconds
from benchmarks.claiming.words import milliseconds
from benchmarks.jobbing.ends import leavings
from benchmarks.jobbing.rig import KEPT, Bench, Object
from benchmarks.tables import Row, Table

HEADROOM = 1.05
ALLOWED_SECONDS = 0.5
PODS_SECONDS = {1_000: "19 s", 10_000: "225 s"}
"""What so many chunks take elsewhere, where each is a pod."""


def first(bench: Bench, table: Table) -> None:
    """A job of one chunk, with warm pools: from its POST until a watch shows the result in the object."""
    bench.pools(2, stores=2)
    told, released = [], []
    for _ in range(bench.sizes.rounds + 1):
        name, began = bench.job()
        end = bench.complete(name)
        assert "done" in str(end.status["outputs"]), end.status
        told.append((end.at - began) * 1000)
        released.append(leavings(bench, end).zero_milliseconds)
        bench.clear(name)
    # The first one finds modules that nobody has imported yet.
    what = "apply to the first result of a job of one chunk, warm"
    table.add(Row(what, _middle(told[1:]), "", "4-10 s", "500 ms"))
    table.add(Row("from that until no member is under lease", _middle(released[1:]), "", "", "200 ms"))


def chain(bench: Bench, table: Table) -> None:
    """Tasks that each wait for the one before, of one trivial chunk each."""
    bench.pools(2, stores=2)
    steps, told = bench.sizes.steps, []
    tasks: list[Object] = [{"name": "step-0", "tasklet": bench.tasklet("echo"), "input": {"items": [{"value": "x"}]}}]
    for before, step in pairwise(range(steps)):
        reads = {"dependsOn": [f"step-{before}"], "input": {"from": [f"step-{before}"]}}
        tasks.append({"name": f"step-{step}", "tasklet": bench.tasklet("echo"), **reads})
    for _ in range(bench.sizes.chains):
        name, began = bench.graph(tasks)
        told.append((bench.complete(name).at - began) * 1000)
        bench.clear(name)
    elsewhere = "148 s" if steps == 14 else ""
    table.add(Row(f"a chain of {steps} tasks, all of it overhead", _middle(told), "", elsewhere, "2 s"))


def chunks(bench: Bench, table: Table) -> None:
    """Jobs of many trivial chunks on two members: from the POST until the object says Complete."""
    bench.pools(2, volumes=1)
    for count in bench.sizes.chunks:
        told = []
        for _ in range(bench.sizes.chunk_rounds):
            name, began = bench.job("line", count, parallelism=2, output=KEPT)
            end = bench.complete(name)
            assert end.status["chunks"]["succeeded"] == count, end.status["chunks"]
            told.append(end.at - began)
            bench.clear(name)
        rate = f"{count / statistics.median(told):,.0f}/s"
        wanted = "5 s" if count == 10_000 else ""
        figure = f"{statistics.median(told):.2f} s ({rate}), worst {max(told):.2f} s"
        table.add(Row(f"{count:,} trivial chunks, two members", figure, "", PODS_SECONDS.get(count, ""), wanted))


def sleeps(bench: Bench, table: Table) -> None:
    """Tasks that take their time and no core, so that more members than cores can be kept busy."""
    sizes = bench.sizes
    bench.pools(sizes.sleepers, volumes=1)
    ideal = math.ceil(sizes.sleeps / sizes.sleepers) * sizes.sleep_milliseconds / 1000
    name, began = bench.job("sleep", sizes.sleeps, parallelism=sizes.sleepers, output=KEPT)
    end = bench.complete(name)
    assert end.status["chunks"]["succeeded"] == sizes.sleeps, end.status["chunks"]
    bench.clear(name)
    taken = end.at - began
    what = f"{sizes.sleeps} tasks that sleep {sizes.sleep_milliseconds} ms, {sizes.sleepers} members"
    figure = f"{taken:.2f} s ({taken / ideal:.3f} of the ideal)"
    wanted = f"{HEADROOM * ideal + ALLOWED_SECONDS:.2f} s"
    table.add(Row(what, figure, f"{ideal:.2f} s", "", wanted))


def together(bench: Bench, table: Table) -> None:
    """Jobs of one chunk that are all made at the same time, each with a coordinator of its own."""
    for count in bench.sizes.together:
        bench.pools(count, stores=count)
        made = [bench.job() for _ in range(count)]
        ends = [bench.complete(name) for name, _ in made]
        told = [(end.at - began) * 1000 for (_, began), end in zip(made, ends, strict=True)]
        whole = max(end.at for end in ends) - made[0][1]
        bench.clear(*(name for name, _ in made))
        table.add(Row(f"{count} jobs of one chunk at once", f"{_middle(told)}; all after {whole:.2f} s"))


def operator(bench: Bench, table: Table) -> None:
    """What the operator takes of a core while the chunks of a job run as fast as they can."""
    bench.pools(2, volumes=1)
    count = bench.sizes.full_rate
    name, _ = bench.job("line", count, parallelism=2, output=KEPT)
    running = bench.seen.until(lambda one: one.name == name and bool(one.status.get("chunks")), "chunks run")
    before = cpu_seconds(bench.operator)
    end = bench.complete(name)
    spent, taken = cpu_seconds(bench.operator) - before, end.at - running.at
    writes = sum(one.name == name and running.at < one.at < end.at for one in bench.seen.log)
    bench.clear(name)
    figure = f"{100 * spent / taken:.1f} % of a core ({count / taken:,.0f} chunks/s for {taken:.1f} s)"
    table.add(Row("the operator while one job runs at full rate", figure, f"{writes / taken:.1f} writes/s", "", "5 %"))


def _middle(told: Sequence[float]) -> str:
    return f"p50 {milliseconds(statistics.median(told))}, worst {milliseconds(max(told))}"
