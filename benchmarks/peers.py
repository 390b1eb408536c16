"""The peers' side of the table: a trivial task by Ray, Dask and ProcessPoolExecutor, each in a process of its own.

Their task is a native Python function without a sandbox, a limit or a stored output: they are asked for less. Setting
up their cluster is not timed; 500 tasks warm it. Run as `python -m benchmarks.peers NAME COUNT`: prints tasks a second.
"""

import subprocess
import sys
import time
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor

WARM = 500


def tasks_per_second(name: str, count: int) -> float:
    """The rate of one peer, measured in a process of its own. Raises CalledProcessError with what the peer printed."""
    run = subprocess.run(
        [sys.executable, "-m", "benchmarks.peers", name, str(count)],
        check=True,
        capture_output=True,
        text=True,
        timeout=300,
    )
    return float(run.stdout.split()[-1])


def line(index: int) -> bytes:
    """What every peer runs."""
    return b"line %d\n" % index


def ray_tasks(count: int) -> float:
    """Ray: asynchronous tasks, all submitted, then gathered."""
    import ray

    ray.init(num_cpus=2, include_dashboard=False, logging_level="ERROR")
    remote = ray.remote(line)
    ray.get([remote.remote(index) for index in range(WARM)])
    started = time.perf_counter()
    ray.get([remote.remote(index) for index in range(count)])
    rate = count / (time.perf_counter() - started)
    ray.shutdown()
    return rate


def dask_tasks(count: int) -> float:
    """Dask: two workers of one thread, one `map`, then gathered."""
    from distributed import Client, LocalCluster

    with LocalCluster(n_workers=2, threads_per_worker=1, dashboard_address=None) as cluster, Client(cluster) as client:
        client.gather(client.map(line, range(WARM), pure=False))
        started = time.perf_counter()
        client.gather(client.map(line, range(count), pure=False))
        return count / (time.perf_counter() - started)


def pool_tasks(count: int) -> float:
    """The standard library's ProcessPoolExecutor: two processes, a future per task."""
    with ProcessPoolExecutor(2) as pool:
        list(pool.map(line, range(WARM)))
        started = time.perf_counter()
        for future in [pool.submit(line, index) for index in range(count)]:
            future.result()
        return count / (time.perf_counter() - started)


TITLES = {"ray": "Ray's asynchronous tasks", "dask": "Dask's tasks", "pool": "ProcessPoolExecutor's futures"}

PEERS: dict[str, Callable[[int], float]] = {"ray": ray_tasks, "dask": dask_tasks, "pool": pool_tasks}

if __name__ == "__main__":
    print(PEERS[sys.argv[1]](int(sys.argv[2])))
