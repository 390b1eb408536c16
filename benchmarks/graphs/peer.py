"""Dask's side of a shuffle: an array of one row per mapper becomes one column per reducer, by each of its two methods.

Two workers of one thread, as everywhere here; starting them is not timed, and a smaller shuffle warms them. Their tasks
are numpy's copies in memory, without a sandbox, a limit or a checksum. Run as
`python -m benchmarks.graphs.peer METHOD PARTS BLOCK`: prints the seconds.
"""

import subprocess
import sys
import time

METHODS = ("p2p", "tasks")
WARM_BLOCK = 80


def shuffle_seconds(method: str, parts: int, block: int) -> float:
    """Measured in processes of its own. Raises CalledProcessError with what Dask printed."""
    command = [sys.executable, "-m", "benchmarks.graphs.peer", method, str(parts), str(block)]
    run = subprocess.run(command, check=True, capture_output=True, text=True, timeout=900)
    return float(run.stdout.split()[-1])


def _shuffle(method: str, parts: int, block: int) -> float:
    import dask.array
    import numpy

    def row(block_info: object = None) -> object:
        return numpy.tile(numpy.frombuffer(numpy.random.default_rng(1).bytes(block), dtype="u1"), parts).reshape(1, -1)

    def size(column: object) -> object:
        return numpy.array([[numpy.size(column)]], dtype="i8")

    rows = dask.array.map_blocks(row, chunks=((1,) * parts, (parts * block,)), dtype="u1")
    columns = rows.rechunk(((parts,), (block,) * parts), method=method)
    sizes = columns.map_blocks(size, chunks=((1,), (1,) * parts), dtype="i8")
    started = time.perf_counter()
    found = sizes.compute()
    took = time.perf_counter() - started
    assert found.tolist() == [[parts * block] * parts]
    return took


def main() -> None:
    """One shuffle on a warm cluster."""
    from distributed import Client, LocalCluster

    method, parts, block = sys.argv[1], int(sys.argv[2]), int(sys.argv[3])
    with LocalCluster(n_workers=2, threads_per_worker=1, dashboard_address=None) as cluster, Client(cluster):
        _shuffle(method, parts, WARM_BLOCK)
        print(_shuffle(method, parts, block))


if __name__ == "__main__":
    main()
