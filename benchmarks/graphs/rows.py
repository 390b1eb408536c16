"""The rows of graphs: what `python -m benchmarks.shuffle` prints beside those of the store."""

import statistics

from benchmarks.graphs import ours, peer
from benchmarks.runs import Home
from benchmarks.tables import Row, Table

PARTS = 100
BLOCK = 100_000
SMALLEST_BLOCK = 800
STEPS = 14
ROUNDS = 3


def graphs(*, smallest: bool = False) -> None:
    """Measure and print; `smallest`: a shuffle of some megabytes, once, to see that all of it works."""
    home = Home()
    try:
        _shuffles(home, SMALLEST_BLOCK if smallest else BLOCK, 1 if smallest else ROUNDS)
        _chain(home, 1 if smallest else ROUNDS)
    finally:
        home.close()


def _shuffles(home: Home, block: int, rounds: int) -> None:
    whole = PARTS * PARTS * block
    table = Table(f"A {PARTS} x {PARTS} shuffle of {whole / 1e6:,.0f} MB on two workers (medians of {rounds})")
    ours.shuffle_seconds(home, PARTS, SMALLEST_BLOCK)
    memory, block_store, peers = [], [], {method: list[float]() for method in peer.METHODS}
    # In turn, so that a slow minute of the machine is everybody's.
    for _ in range(rounds):
        memory.append(ours.shuffle_seconds(home, PARTS, block))
        for method, times in peers.items():
            times.append(peer.shuffle_seconds(method, PARTS, block))
        block_store.append(ours.shuffle_seconds(home, PARTS, block, "Block"))
    taken = statistics.median(memory)
    best = min(peers, key=lambda method: statistics.median(peers[method]))
    for method, times in peers.items():
        theirs = statistics.median(times)
        wanted = "at least 1" if method == best else ""
        what = f"partitions in Memory, beside Dask's {method}"
        table.add(Row(what, _seconds(taken, whole), _seconds(theirs, whole), f"{theirs / taken:.2f}", wanted))
    table.add(Row("partitions in Block", _seconds(statistics.median(block_store), whole)))


def _seconds(taken: float, whole: int) -> str:
    return f"{taken:.2f} s ({whole / taken / 1e6:,.0f} MB/s)"


def _chain(home: Home, rounds: int) -> None:
    table = Table(f"A chain of {STEPS} tasks of one tiny chunk each")
    runs = [ours.chain_seconds(home, STEPS) for _ in range(rounds)]
    warm, cold = (statistics.median(taken) for taken in zip(*runs, strict=True))
    table.add(Row("on a warm local pool", f"{warm * 1000:.0f} ms", "", "", "under 500 ms"))
    table.add(Row("with the first fork of its members", f"{cold * 1000:.0f} ms"))
